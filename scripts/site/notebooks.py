"""Notebooks become pages: text as text, code as listings, and what it printed or drew after it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

PICTURES = ("image/jpeg", "image/png")


def on_files(files: Any, config: Any) -> Any:
    """Add a page for every notebook; the notebook itself lies beside it, to be taken away."""
    for path in sorted(Path(config.docs_dir).glob("notebooks/*.ipynb")):
        uri = f"notebooks/{path.stem}.md"
        files.append(File.generated(config, uri, content=page(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """What leads to a notebook leads to its page."""
    return re.sub(r"(\]\([^)]*notebooks/[^)/]*)\.ipynb\)", r"\1.md)", markdown)


def page(path: Path) -> str:
    """A notebook as Markdown."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    parts = [part for cell in cells for part in _cell(cell)]
    return "\n\n".join([*parts, f"*[The notebook of this page]({path.name})*"]) + "\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    text = "".join(cell["source"]).strip()
    if cell["cell_type"] == "markdown":
        yield text
    elif cell["cell_type"] == "code" and text:
        yield f"~~~~python\n{text}\n~~~~"
        for output in cell["outputs"]:
            yield from _output(output)


def _output(output: dict[str, Any]) -> Iterator[str]:
    """What a cell gave: a picture, else its words."""
    data = output.get("data", {})
    for kind in PICTURES:
        if kind in data:
            name = html.escape("".join(data.get("text/plain", "picture")))
            picture = "".join(data[kind]).replace("\n", "")
            yield f'<img alt="{name}" src="data:{kind};base64,{picture}">'
            return
    text = "".join(output.get("text", data.get("text/plain", ""))).strip("\n")
    if text:
        yield f"~~~~text\n{text}\n~~~~"
