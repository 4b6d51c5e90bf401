"""What a site shows otherwise: the architecture in the page's colours, states as a table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PICTURE = "images/architecture.svg"
STATES = re.compile(r"^```mermaid\nstateDiagram-v2\n(.*?)^```$", re.DOTALL | re.MULTILINE)
STEP = re.compile(r"^\s*(\S+) --> (\S+?)(?:: (.*))?$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Diagrams of states, which need a library to be drawn, become tables of their steps."""
    return STATES.sub(lambda found: steps(found[1]), markdown)


def steps(diagram: str) -> str:
    """A table of the transitions of a diagram."""
    rows = [
        f"| {_state(start)} | {_state(end)} | {when or ''} |"
        for start, end, when in STEP.findall(diagram)
    ]
    return "\n".join(["| from | to | when |", "|---|---|---|", *rows])


def _state(name: str) -> str:
    return "·" if name == "[*]" else name


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """The picture of the architecture stands in the page itself, and so takes its colours."""
    svg = Path(config.docs_dir, PICTURE).read_text("utf-8")
    return re.sub(
        rf'<img [^>]*src="{re.escape(PICTURE)}"[^>]*>', f'<div class="drawing">{svg}</div>', html
    )
