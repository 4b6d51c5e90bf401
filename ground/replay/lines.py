"""Lines: where each key of a TOML text stands. The standard reader gives values without lines."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)*|\"[^\"]*\"|'[^']*')\s*=")
_NOISE = re.compile(r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\])*\"|'[^']*'|#.*")


def lines_of(text: str) -> dict[str, int]:
    """Key → line, from 1.

    A key is named by its path: ``station.1.latitude`` is ``latitude`` under the second
    ``[[station]]``, and ``station.1`` its header. What stands in an inline table or a list has
    the line on which that begins. Only for messages: it reads what the standard reader took, and
    a text of several lines that looks like keys may add names that nobody asks for.
    """
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    inside, depth = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if depth == 0:
            if header := _HEADER.match(line):
                inside = _entered(header[2], header[1] == "[[", counts)
                found.setdefault(inside, number)
                continue
            if key := _KEY.match(line):
                parts = [one.strip().strip("\"'") for one in key[1].split(".")]
                found.setdefault(".".join([inside, *parts]).strip("."), number)
        plain = _NOISE.sub("", line)
        depth = max(0, depth + sum(map(plain.count, "[{")) - sum(map(plain.count, "]}")))
    return found


def _entered(header: str, many: bool, counts: dict[str, int]) -> str:
    """The path of a table's header; lists of tables are counted from 0."""
    parts = [one.strip().strip("\"'") for one in header.split(".")]
    path = ""
    for index, part in enumerate(parts):
        path = f"{path}.{part}".strip(".")
        if many and index == len(parts) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = f"{path}.{counts[path]}"
    return path
