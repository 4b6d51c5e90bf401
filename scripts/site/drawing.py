"""The drawing of the architecture; `python scripts/site/drawing.py` writes it.

A box names modules, an arrow the module that defines what passes along it. `faults` says where the
code is otherwise: a module that is gone, an arrow along which nobody at one end knows what passes,
an import between the packages that the drawing does not show. A test holds it to none, and the
committed picture to this file.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
WIDTH, HEIGHT = 1120, 640
BOX = (150, 56)
LEFT, STEP = 30, 182

STYLE = """
.architecture { color: #1b1f2a; font: 13px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { .architecture { color: #e6e9f2; } }
.architecture text { fill: currentColor; }
.architecture .name { font-size: 17px; font-weight: 650; }
.architecture .title { font-weight: 600; text-anchor: middle; }
.architecture .modules { font-size: 10.5px; text-anchor: middle; opacity: 0.82; }
.architecture .along { font-size: 11px; text-anchor: middle; }
.architecture .aside { font-size: 12px; font-weight: 400; opacity: 0.85; }
.architecture .end { text-anchor: end; }
.architecture path, .architecture .arrow { stroke: currentColor; fill: none; stroke-width: 1.4; }
.architecture marker path { fill: currentColor; stroke: none; }
.architecture .up { stroke-dasharray: 5 4; }
.architecture .room { stroke: none; }
.architecture .training { fill: rgba(240, 160, 40, 0.16); }
.architecture .onboard { fill: rgba(60, 110, 240, 0.15); }
.architecture .ground { fill: rgba(40, 170, 110, 0.16); }
.architecture .box { fill: rgba(140, 150, 170, 0.16); stroke: currentColor; stroke-opacity: 0.55; }
"""


class Box(NamedTuple):
    """A step: where it stands (column, row), its words, the modules that do it."""

    column: float
    row: float
    title: str
    modules: tuple[str, ...]


class Arrow(NamedTuple):
    """What passes from one box to another, and the module that defines it."""

    start: str
    end: str
    carries: str
    words: str = ""
    up: bool = False


ROOMS = {"training": (8, 132), "onboard": (166, 322), "ground": (514, 118)}
"""Room → its top and height, in pixels of the picture."""
ROWS = (52, 206, 304, 402, 554)
"""Top of each row of boxes."""
IMPORTS = {
    "training": ("onboard", "ground.archive"),
    "onboard": (),
    "ground": ("onboard", "training.synth"),
}
"""Package → what it imports of the others: all of one, or a package in it."""

BOXES = {
    "chips": Box(0, 0, "chip folders", ("training.chips", "training.splits")),
    "fit": Box(1, 0, "fit, calibrate", ("training.fit", "training.calibrate")),
    "export": Box(3, 0, "export, sign", ("training.export", "training.parity")),
    "evaluate": Box(4, 0, "evaluate", ("training.evaluate", "training.smallest")),
    "lab": Box(5, 0, "lab", ("training.lab",)),
    "slots": Box(3, 1, "slots", ("onboard.slots", "onboard.golden")),
    "uplink": Box(4, 1, "telecommands", ("onboard.uplink", "onboard.patch")),
    "service": Box(5, 2, "service: runs it all", ("onboard.service", "onboard.inbox")),
    "frame": Box(0, 2, "frame", ("onboard.frames", "onboard.scene")),
    "reflectance": Box(1, 2, "reflectance", ("onboard.radiometry", "onboard.profile")),
    "tiles": Box(2, 2, "tiles", ("onboard.segment", "onboard.tiles")),
    "engine": Box(3, 2, "engine", ("onboard.engines", "onboard.masks")),
    "classes": Box(4, 2, "maps, classes", ("onboard.uncertainty", "onboard.segment")),
    "triage": Box(4, 3, "triage", ("onboard.runtime", "onboard.triage", "onboard.oddity")),
    "product": Box(3, 3, "alert, product", ("onboard.runtime", "onboard.product")),
    "outbox": Box(2, 3, "outbox", ("onboard.outbox", "onboard.quota")),
    "link": Box(1, 3, "link", ("onboard.link",)),
    "archive": Box(0, 4, "archive", ("ground.archive",)),
    "receive": Box(1, 4, "receive", ("ground.receive", "ground.sequencer")),
    "files": Box(2, 4, "whole files", ("ground.reassembly", "ground.answers")),
    "maps": Box(3, 4, "maps", ("ground.maps", "ground.delivery")),
    "catalogue": Box(4, 4, "catalogue", ("ground.catalogue", "ground.stac")),
    "replay": Box(5, 4, "replay a mission", ("ground.replay",)),
}

ARROWS = (
    Arrow("chips", "fit", "training.chips"),
    Arrow("fit", "export", "training.kept", "run"),
    Arrow("export", "evaluate", "onboard.bundle"),
    Arrow("export", "slots", "onboard.bundle", "bundle"),
    Arrow("uplink", "slots", "onboard.slots"),
    Arrow("slots", "engine", "onboard.bundle"),
    Arrow("frame", "reflectance", "onboard.scene"),
    Arrow("reflectance", "tiles", "onboard.scene"),
    Arrow("tiles", "engine", "onboard.engines"),
    Arrow("engine", "classes", "onboard.uncertainty"),
    Arrow("classes", "triage", "onboard.segment"),
    Arrow("triage", "product", "onboard.product"),
    Arrow("product", "outbox", "onboard.outbox"),
    Arrow("outbox", "link", "onboard.outbox"),
    Arrow("link", "receive", "onboard.link.frames", "transfer frames"),
    Arrow("receive", "files", "onboard.link.packets"),
    Arrow("files", "maps", "onboard.product"),
    Arrow("maps", "catalogue", "onboard.product"),
    Arrow("files", "link", "onboard.link.returns", "acknowledgements", up=True),
)


def main() -> None:
    PICTURE.write_text(picture(), "utf-8")


# --- what the code must bear out --------------------------------------------------------------


def faults(boxes: dict[str, Box] = BOXES, arrows: tuple[Arrow, ...] = ARROWS) -> list[str]:
    """What the drawing says and the code does not; empty where they agree."""
    found = [
        f"{box.title}: there is no {module}"
        for box in boxes.values()
        for module in box.modules
        if not sources(module)
    ]
    for arrow in arrows:
        for end in (arrow.start, arrow.end):
            known = {name for module in boxes[end].modules for name in knows(module)}
            if arrow.carries not in known:
                found.append(f"{arrow.start} → {arrow.end}: {end} does not know {arrow.carries}")
    for package, drawn in IMPORTS.items():
        found += [
            f"{package} imports {name}" for name in imported(package) if not under(name, drawn)
        ]
        known = imported(package)
        found += [f"{package} does not import {name}" for name in drawn if not reached(name, known)]
    return found


def sources(module: str) -> list[Path]:
    """Files of a module, or of all modules of a package."""
    path = ROOT / module.replace(".", "/")
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    return [path.with_suffix(".py")] if path.with_suffix(".py").exists() else []


def knows(module: str) -> set[str]:
    """Names of a module, of those in it, and of all that they import."""
    known = set()
    for path in sources(module):
        known.add(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
        known |= names(path)
    return known


@cache
def names(path: Path) -> frozenset[str]:
    """Dotted names that a file imports, wherever the statement stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def imported(package: str) -> list[str]:
    """What a package imports of the other rooms, apart from the commands, which gather all."""
    paths = [path for path in sources(package) if "cli" not in path.parts]
    others = {name for path in paths for name in names(path)}
    return sorted(name for name in others if under(name, tuple(set(ROOMS) - {package})))


def under(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of some packages, or lies in one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def reached(package: str, known: list[str]) -> bool:
    """Whether one of some imports lies in a package."""
    return any(under(name, (package,)) for name in known)


# --- the picture ------------------------------------------------------------------------------


def picture() -> str:
    """The drawing as SVG. It takes the colour of the text around it where it stands in a page."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" class="architecture" role="img" '
        f'aria-label="The architecture of FloodSat" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
        *(line for room in ROOMS for line in _room(room)),
        *(line for box in BOXES.values() for line in _box(box)),
        *(line for arrow in ARROWS for line in _arrow(arrow)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _room(name: str) -> list[str]:
    top, height = ROOMS[name]
    imports = " and ".join(IMPORTS[name]) or "nothing of the others"
    where = {"training": "workstation", "onboard": "satellite", "ground": "ground station"}[name]
    return [
        f'<rect class="room {name}" x="8" y="{top}" '
        f'width="{WIDTH - 16}" height="{height}" rx="10"/>',
        f'<text class="name" x="24" y="{top + 28}">{name}'
        f'<tspan class="aside" dx="12">{where}</tspan></text>',
        f'<text class="aside end" x="{WIDTH - 24}" y="{top + 28}">imports {imports}</text>',
    ]


def _at(box: Box) -> tuple[float, float]:
    return LEFT + STEP * box.column, ROWS[int(box.row)]


def _box(box: Box) -> list[str]:
    x, y = _at(box)
    middle = x + BOX[0] / 2
    words = ", ".join(module.partition(".")[2] for module in box.modules)
    return [
        f'<rect class="box" x="{x:g}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="6"/>',
        f'<text class="title" x="{middle:g}" y="{y + 24}">{escape(box.title)}</text>',
        f'<text class="modules" x="{middle:g}" y="{y + 43}">{escape(words)}</text>',
    ]


def _arrow(arrow: Arrow) -> list[str]:
    start, end = BOXES[arrow.start], BOXES[arrow.end]
    (x, y), (to_x, to_y) = _at(start), _at(end)
    wide, high = BOX
    if arrow.up:
        turn, at = to_y + high / 2 + 64, to_x + wide * 0.8
        path = f"M{x + wide / 2:g} {y}V{turn:g}H{at:g}V{to_y + high + 2}"
        words = (x + wide / 2 + 58, y - 44)
    elif y == to_y:
        right = x < to_x
        path = f"M{x + wide * right:g} {y + high / 2:g}H{to_x + wide * (not right):g}"
        words = ((x + to_x + wide) / 2, y + high / 2 - 6)
    else:
        at = x + wide / 2 - (30 if arrow.carries == "onboard.link.frames" else 0)
        path = f"M{at:g} {y + high}V{to_y}"
        words = (at - 8 - 3.4 * len(arrow.words), (y + high + to_y) / 2 + 4)
    kind = "arrow up" if arrow.up else "arrow"
    drawn = [f'<path class="{kind}" d="{path}" marker-end="url(#tip)"/>']
    if arrow.words:
        drawn.append(f'<text class="along" x="{words[0]:g}" y="{words[1]:g}">{arrow.words}</text>')
    return drawn


if __name__ == "__main__":
    main()
