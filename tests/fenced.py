"""Fenced blocks of a page of the docs: commands, and what they print."""

from __future__ import annotations

import re
import textwrap
from typing import NamedTuple

SHELL = ("", "sh", "bash", "shell", "console")
"""Info strings of a fence that holds commands; a fence without one does, too."""
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+) *(?P<language>[\w-]*).*$")
COMMENT = re.compile(r"^\s*<!--\s*(?P<text>.*?)\s*-->\s*$")


class Block(NamedTuple):
    """One fenced block.

    Attributes:
        line: of its fence in the page, from 1.
        language: its info string.
        text: what it holds, with the fence's indent taken away.
        mark: the HTML comment right before it, or "".
    """

    line: int
    language: str
    text: str
    mark: str

    @property
    def commands(self) -> bool:
        """Whether it holds commands."""
        return self.language in SHELL

    @property
    def left_out(self) -> str:
        """Why it cannot be run, from ``<!-- not run: REASON -->``; "" where it can."""
        return self.mark.partition("not run:")[2].strip()

    @property
    def status(self) -> int:
        """The exit status that it ends with, from ``<!-- exits N -->``; 0 otherwise."""
        found = re.fullmatch(r"exits (\d+)", self.mark)
        return int(found[1]) if found else 0


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page of Markdown, in order."""
    found = []
    lines = iter(enumerate(page.splitlines(), start=1))
    before = ""
    for number, line in lines:
        fence = FENCE.match(line)
        if fence is None:
            before = line if line.strip() else before
            continue
        inside = []
        for _, own in lines:
            if own.strip() == fence["ticks"]:
                break
            inside.append(own)
        comment = COMMENT.match(before)
        text = textwrap.dedent("\n".join(inside)) + "\n"
        found.append(Block(number, fence["language"], text, comment["text"] if comment else ""))
        before = ""
    return found


def spans(page: str) -> set[str]:
    """Every inline code span of a page that is outside its fenced blocks."""
    prose = re.sub(r"^ *(```+).*?^ *\1 *$", "", page, flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`([^`\n]+)`", prose))


def alike(shown: str) -> str:
    """A line of output without what another machine prints otherwise: digits and lengths."""
    named = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{8,}\b", "#", shown)
    counted = re.sub(r"\d[\d,.]*(?:e[+-]\d+)?", "#", named)
    return " ".join(re.sub(r"[━╸╺]+", "", counted).split())


def missing(shown: str, printed: str) -> list[str]:
    """Lines of ``shown`` that no line of ``printed`` is like; ``…`` stands for anything."""
    lines = [alike(line) for line in printed.replace("\r", "\n").splitlines()]
    lacking = []
    for line in filter(str.strip, shown.splitlines()):
        pattern = re.compile(".*".join(re.escape(alike(part)) for part in line.split("…")))
        if not any(pattern.fullmatch(own) for own in lines):
            lacking.append(line)
    return lacking
