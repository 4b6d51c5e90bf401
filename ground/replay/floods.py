"""Floods: the maps of a replay that came home, with their pictures, for the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ground.place import lonlat_text
from ground.replay.result import Frame, Place, Product, Replay
from ground.replay.view import heard_ms
from ground.wording import area, byte_text, data_uri, duration, moment, number, percent
from onboard.errors import ConfigError

INLINE = 3_000_000
"""Bytes of pictures that the page holds itself; with more they lie in scripts beside it, so that
the page opens on a telephone before they come."""
FOLDER = "floods"


@dataclass(frozen=True)
class Flood:
    """One map that came home.

    Attributes:
        id: of its product.
        title, when, area, map_after: for the list.
        facts: (name, value).
        corners: longitude and latitude, lower left corner first, counter-clockwise.
        files: picture's name → its file, relative to the replay's folder.
        polygons: GeoJSON file, relative to it; None where there is none.
    """

    id: str
    title: str
    when: str
    area: str
    map_after: str
    facts: tuple[tuple[str, str], ...]
    corners: tuple[Place, ...]
    files: dict[str, str]
    polygons: str | None

    @property
    def label(self) -> str:
        """What the map shows, for those who do not see it."""
        return f"Map of {self.title}, taken {self.when}: {self.area} of flood"


def floods(replay: Replay) -> list[Flood]:
    """Return the maps that came home, the largest flood first."""
    frames = {frame.number: frame for frame in replay.frames}
    came = [
        product
        for product in replay.products
        if product.kind == "product" and product.whole_ms is not None and product.mask
    ]
    came.sort(key=lambda product: -(_flooded(product) or 0.0))
    return [_flood(replay, product, frames[product.frame]) for product in came]


def _flooded(product: Product) -> float | None:
    return product.water_km2 if product.flood_km2 is None else product.flood_km2


def _flood(replay: Replay, product: Product, frame: Frame) -> Flood:
    pictures = {
        "frame": frame.rgb,
        "mask": product.mask,
        "entropy": product.entropy,
        "truth": product.truth,
    }
    return Flood(
        id=product.id,
        # The time stands beside it.
        title=frame.target if frame.name.startswith(frame.target) else frame.name,
        when=f"{moment(frame.taken_ms)} UTC",
        area=area(_flooded(product)),
        map_after=after(product.whole_ms, frame),
        facts=tuple(_facts(replay, product, frame)),
        corners=corners(frame, product),
        files={name: path for name, path in pictures.items() if path},
        polygons=product.polygons,
    )


def _facts(replay: Replay, product: Product, frame: Frame) -> list[tuple[str, str]]:
    subject = "Flood" if product.flood_km2 is not None else "Water"
    found = [
        ("Place", lonlat_text(*frame.place)),
        ("Taken", f"{moment(frame.taken_ms)} UTC, Sun at {frame.sun_elevation_deg:.0f}°"),
        (f"{subject} on the map", area(_flooded(product))),
    ]
    if frame.flood_km2 is not None:
        right = "" if product.right_km2 is None else f"; {area(product.right_km2)} of it found"
        found.append(("Flood by the truth", f"{area(frame.flood_km2)} in clear sky{right}"))
    if frame.iou is not None:
        found.append(("Agreement (IoU of water)", number(frame.iou, 3)))
    if frame.cloud is not None:
        found.append(("Not observed", percent(frame.cloud)))
    return [
        *found,
        ("Alert on the ground", after(heard_ms(replay, frame), frame)),
        ("Map on the ground", after(product.whole_ms, frame)),
        ("Size of the map", f"{byte_text(product.bytes)} for {byte_text(frame.sample_bytes)}"),
        ("On board", frame.reason or "–"),
        ("Product", product.id),
    ]


def after(at_ms: int | None, frame: Frame) -> str:
    """How long after the picture something came; says so where it never did."""
    return "never came" if at_ms is None else duration((at_ms - frame.taken_ms) / 1000)


def corners(frame: Frame, product: Product) -> tuple[Place, ...]:
    """The corners of the pictures, lower left first, counter-clockwise.

    A frame's footprint starts at its lower left corner; where it is no quadrangle, the bounds
    of the pictures stand for it.
    """
    if len(frame.footprint) == 5:
        return frame.footprint[:4]
    if product.bounds is None:
        return (frame.place,) * 4
    west, south, east, north = product.bounds
    return (west, south), (east, south), (east, north), (west, north)


def picture_data(folder: Path, found: list[Flood]) -> list[dict[str, str]]:
    """Read the pictures of each flood as data URIs.

    Raises:
        ConfigError: one that the result names is missing.
    """
    data = []
    for flood in found:
        try:
            uris = {
                name: data_uri((folder / path).read_bytes()) for name, path in flood.files.items()
            }
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: the replay's result names this picture, but it cannot be "
                "read; run 'floodsat replay' again"
            ) from error
        data.append(uris)
    return data


def script_name(flood: Flood) -> str:
    """The script with a flood's pictures, relative to the page."""
    return f"{FOLDER}/{flood.id[:16]}.js"


def entries(found: list[Flood], pictures: list[dict[str, str]] | None) -> list[dict[str, Any]]:
    """What the page's script knows of each flood.

    Args:
        found: as listed.
        pictures: of each where they stand in the page; None where they lie beside it.
    """
    return [
        {
            "id": flood.id,
            "label": flood.label,
            "corners": flood.corners,
            **({"script": script_name(flood)} if pictures is None else {"pictures": pictures[i]}),
        }
        for i, flood in enumerate(found)
    ]
