"""The page of a replay: one folder that a browser opens from the disk, without a network.

``index.html`` holds everything, libraries and map of the world included; only where the pictures
of the floods are many do they lie in scripts beside it. Its content security policy forbids
every request beyond the folder. Sentences, figures and tables are plain HTML and stand there
without script; the maps, the world and the charts are drawn by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import jinja2
import markupsafe
import numpy as np
from matplotlib import colormaps

from ground import palette
from ground.replay import floods, lanes, words
from ground.replay.result import Loss, Replay
from ground.replay.view import view
from ground.wording import area, byte_text, counted, css_share, duration, grouped, moment
from onboard import classes
from onboard.files import write_text

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
VENDOR = TEMPLATES / "vendor"
DASHES = {
    "raw": (2, 3),
    "lossless": (7, 4),
    "masks": (10, 3, 2, 3),
    "flagged": (5, 2),
    "photographed": (1, 3),
}
"""Dashes of each strategy's line, so that nobody needs the colours to tell them apart."""


@dataclass(frozen=True)
class Event:
    """A line about a command, a model or a safe mode."""

    at_ms: int
    when: str
    what: str
    outcome: str
    said: str
    size: str


def write_page(replay: Replay, folder: Path, close: Any = None) -> Path:
    """Write the page of a replay into its folder.

    Args:
        replay: what to show.
        folder: with the pictures that the result names; gets ``index.html``.
        close: a frame to be shown closely, see ``ground.replay.close``; None for none.

    Returns:
        The page.

    Raises:
        ConfigError: a picture is missing.
        OutputError: the folder cannot be written.
    """
    found = floods.floods(replay)
    pictures = floods.picture_data(folder, found)
    inline = sum(len(uri) for one in pictures for uri in one.values()) <= floods.INLINE
    if not inline:
        for flood, uris in zip(found, pictures, strict=True):
            call = f"page.flood({json.dumps(flood.id)}, {json.dumps(uris)});\n"
            write_text(folder / floods.script_name(flood), call)
    html = render(replay, found, pictures if inline else None, close, _files(folder))
    page = folder / "index.html"
    write_text(page, html)
    return page


def render(
    replay: Replay,
    found: list[floods.Flood],
    pictures: list[dict[str, str]] | None,
    close: Any = None,
    files: tuple[tuple[str, str], ...] = (),
) -> str:
    """Return the page as HTML.

    Args:
        replay: what to show.
        found: its floods, in the order of the list.
        pictures: of each flood, as data URIs; None where they lie beside the page.
        close: a frame to be shown closely; None for none.
        files: (relative path, description) of files beside the page.
    """
    html = (
        _environment()
        .get_template("replay/page.html.j2")
        .render(
            replay=replay,
            generated=replay.settings.get("frames", "").startswith("generated"),
            floods=found,
            files=files,
            close=close,
            view={**view(replay), "dashes": DASHES},
            colours=colours(),
            flood_data=floods.entries(found, pictures),
            **_said(replay, found),
            **_contacts(replay, found),
            **_keys(),
        )
    )
    # Indentation is a tenth of the page.
    return re.sub(r"\n\s+", "\n", html)


def _said(replay: Replay, found: list[floods.Flood]) -> dict[str, Any]:
    """Sentences, figures and tables."""
    ours = words.named(replay, replay.shown)
    return {
        "when": words.when(replay),
        "lead": words.lead(replay),
        "figures": words.figures(replay),
        "floods_about": _floods_about(found),
        "comparison": words.comparison(replay),
        "shown_title": ours.title.capitalize() if ours else "",
        "causes": words.causes(replay),
        "events": events(replay),
        "settings": words.settings(replay),
        "station_names": ", ".join(station.name for station in replay.stations),
        "flood_limit": area(replay.flood_limit_km2),
    }


def _contacts(replay: Replay, found: list[floods.Flood]) -> dict[str, Any]:
    """The timeline and its cards."""
    rows, hours = lanes.lanes(replay)
    return {
        "lanes": rows if replay.contacts else [],
        "lane_hours": hours,
        "kinds": words.KINDS,
        "kind_colours": lanes.KIND_COLOURS,
        "cards": lanes.cards(replay, {flood.id: flood.id for flood in found}),
    }


def _keys() -> dict[str, Any]:
    """What colours and dashes mean."""
    return {
        "dashes": {name: " ".join(map(str, dash)) for name, dash in DASHES.items()},
        "mask_key": _mask_key(),
        "truth_key": _truth_key(),
        "scale": palette.scale_css(),
        "nodata_css": palette.css(palette.NODATA_RGB),
    }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "byte_text": byte_text,
        "css_share": css_share,
        "grouped": grouped,
        "lost": lost,
        "moment": moment,
    }
    environment.filters.update(filters)
    environment.globals["library"] = library
    return environment


@lru_cache
def library(name: str) -> markupsafe.Markup:
    """Return a packed library's text, ready to stand in the page.

    Leaflet's link to its own site is taken out of its text, though the page never shows it: the
    page names no address that a reader could leave by.
    """
    text = (VENDOR / name).read_text("utf-8")
    text = text.replace('"https://leafletjs.com"', '"#"').replace("</script", "<\\/script")
    return markupsafe.Markup(text)


def lost(loss: Loss) -> str:
    """Name what a line of the ledger is about: ``contact 10``, ``product Ural at Orsk``."""
    return loss.name if loss.name.startswith(loss.what) else f"{loss.what} {loss.name}"


def events(replay: Replay) -> list[Event]:
    """What went up, which models flew and the safe modes, in order of time."""
    found = [
        Event(
            up.asked_ms,
            moment(up.up_ms if up.up_ms is not None else up.asked_ms),
            f"{up.kind.capitalize()}: {up.name}",
            up.outcome,
            up.text or "–",
            byte_text(up.bytes),
        )
        for up in replay.uplinks
    ]
    found += [
        Event(
            model.since_ms,
            moment(model.since_ms),
            f"Model: {model.title} ({model.model_id[:12]})",
            "flies from here",
            _rightness(words.rightness(replay, model)),
            "–",
        )
        for model in replay.models
    ]
    found += [
        Event(
            off.begin_ms,
            moment(off.begin_ms),
            "Payload off",
            f"for {duration((off.end_ms - off.begin_ms) / 1000)}",
            off.reason,
            "–",
        )
        for off in replay.off
        if off.safe
    ]
    return sorted(found, key=lambda event: event.at_ms)


def _rightness(found: list[float]) -> str:
    if not found:
        return "how right its maps were is not known"
    frames = counted(len(found), "frame")
    return f"IoU of water {median(found):.2f} in the median of {frames} with flood"


def _floods_about(found: list[floods.Flood]) -> str:
    if not found:
        return "No map of a flood had come home at the end."
    several = "maps" if len(found) > 1 else "map"
    return f"{grouped(len(found))} {several} came home whole and verified, the largest flood first."


def colours() -> dict[str, Any]:
    """What each colour of the pictures means, so that the page can read them."""
    names = palette.class_names("flood")
    scale = colormaps[palette.UNCERTAINTY_SCALE](np.arange(256) / 255, bytes=True)
    return {
        "classes": [[rgb, names[value]] for value, rgb in palette.mask_colours()],
        "clear": names[classes.LAND],
        "scale": [[[int(c) for c in rgb[:3]], level] for level, rgb in enumerate(scale)],
        "top": palette.MAX_NATS,
    }


def _mask_key() -> list[tuple[str, str, bool]]:
    names = palette.class_names("flood")
    order = (classes.WATER, palette.PERMANENT, classes.CLOUD, classes.NODATA)
    hidden = (classes.CLOUD, classes.NODATA)
    return [(names[v], palette.css(palette.CLASS_RGB[v]), v in hidden) for v in order]


def _truth_key() -> list[tuple[str, str, bool]]:
    return [
        ("water, found", palette.css(palette.HIT_RGB), False),
        ("water, missed", palette.css(palette.MISS_RGB), False),
        ("false alarm", palette.css(palette.FALSE_ALARM_RGB), False),
        ("not compared", palette.css(palette.CLOUD_RGB), True),
    ]


def _files(folder: Path) -> tuple[tuple[str, str], ...]:
    known = (
        ("replay.json", "every figure of this page"),
        ("known.svg", "flooded area known over time, as a plot for reports"),
        ("latency.svg", "how soon, as a plot for reports"),
        ("bytes.svg", "what was sent, as a plot for reports"),
        ("summary.json", "the figures of the sample frame"),
        ("maps/flood.tif", "the sample frame's classes as a cloud-optimised GeoTIFF, for QGIS"),
        ("maps/flood_uncertainty.tif", "entropy and epistemic part, in nats"),
        ("maps/flood.png", "a quicklook with legend and scale"),
    )
    return tuple((path, what) for path, what in known if (folder / path).is_file())
