"""The tables of a Markdown page, for tests that hold a page to the code."""

from __future__ import annotations


def cells_under(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table that begins with this heading row."""
    lines = text.splitlines()
    start = lines.index(heading) + 2
    cells = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip("|").split("|")])
    return cells
