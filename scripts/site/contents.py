"""What the site's contents list: patterns of ``nav`` in ``mkdocs.yml`` become the pages they fit.

``experiments/*.md`` stands for every page of that folder that no other line names, in the order of
their names; ``api/**`` for a folder with its folders, each a section.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any


def on_files(files: Any, config: Any) -> Any:
    """Expand the contents once all pages are known, the generated ones included."""
    pages = sorted(file.src_uri for file in files.documentation_pages())
    named = set(_named(config.nav))
    config.nav = _expanded(config.nav, [page for page in pages if page not in named])
    return files


def _named(entries: Any) -> Iterator[str]:
    """Every page or pattern of the contents, however deep."""
    if isinstance(entries, str):
        yield entries
        return
    for entry in entries.values() if isinstance(entries, dict) else entries:
        yield from _named(entry)


def _expanded(entries: list[Any], free: list[str]) -> list[Any]:
    """The contents with its patterns replaced; ``free`` are the pages that no line names."""
    grown: list[Any] = []
    for entry in entries:
        if isinstance(entry, str):
            grown += _fitting(entry, free) if "*" in entry else [entry]
            continue
        ((title, below),) = entry.items()
        if isinstance(below, list):
            below = _expanded(below, free)
        elif below.endswith("/**"):
            below = tree([page for page in free if page.startswith(below[:-2])], below[:-2])
        if below:
            grown.append({title: below})
    return grown


def _fitting(pattern: str, free: list[str]) -> list[str]:
    """Pages of the pattern's own folder that fit it; none is listed twice."""
    folder = PurePosixPath(pattern).parent
    found = [
        page for page in free if PurePosixPath(page).parent == folder and fnmatch(page, pattern)
    ]
    for page in found:
        free.remove(page)
    return found


def tree(pages: list[str], folder: str) -> list[Any]:
    """Pages under ``folder`` (it ends in a slash): its index, its pages, then its folders."""
    here = [page for page in pages if "/" not in page.removeprefix(folder)]
    index = folder + "index.md"
    grown: list[Any] = [index] if index in here else []
    grown += [{PurePosixPath(page).stem: page} for page in here if page != index]
    for name in sorted({page.removeprefix(folder).split("/")[0] for page in pages} - {
        page.removeprefix(folder) for page in here
    }):  # fmt: skip
        below = [page for page in pages if page.startswith(f"{folder}{name}/")]
        grown.append({name: tree(below, f"{folder}{name}/")})
    return grown
