"""Where the shipped model fails: pictures and one measured sentence each, for the model card.

The chips with the largest share of wrong pixels and those with the largest mean entropy, one of a
place, of the test places of a labelled set; and real scenes without labels.
``python -m benchmarks.failures DATA/dfc24 DATA/scenes/*.tif --write`` writes
docs/figures/failures.json, docs/images/card-*.jpg and the section of docs/model-card.md. The
pictures show what the model said, never the imagery: its terms are for research.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ground import palette
from onboard import bundle as bundles
from onboard import classes, engines, files
from onboard.bundle import Bundle
from onboard.engines import Engine
from onboard.errors import FloodsatError
from onboard.frames import open_frame
from onboard.segment import Segmenter, TileMaps
from onboard.uncertainty import LN2
from training import evaluate
from training.chips import UNKNOWN, ChipFolder
from training.crossval import DRY
from training.evaluate import Scored
from training.ndwi import ndwi
from training.oddity import Judge, listed
from training.report import wrong_share

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "data_samples" / "bundle"
OUT = ROOT / "docs" / "figures" / "failures.json"
IMAGES = ROOT / "docs" / "images"
CARD = ROOT / "docs" / "model-card.md"
START, END = "<!-- failures -->\n", "<!-- /failures -->\n"

SEED = 0
SHOWN = 3
GAP, SIDE = 8, 256
WET = 0.3
"""NDWI from which on a pixel of a scene looks like open water."""
SCENES = {
    "greenland_landsat8_snow": "snow, thin cloud and three open fjords under a low Sun",
    "olinda_landsat7_dn8": "a coast and a city in raw 8-bit numbers, not reflectance",
    "yukon_delta_s2": "a delta with hundreds of ponds",
}

Rgb = npt.NDArray[np.uint8]


class Picture(NamedTuple):
    """A picture and what the card says of it.

    Attributes:
        name: of its file, ``card-<name>.jpg``.
        title: for people who do not see it.
        lines: sentences.
        image: uint8 ``(H, W, 3)``.
    """

    name: str
    title: str
    lines: list[str]
    image: Rgb


def chip_facts(bundle: Bundle, scored: Scored) -> dict[str, Any]:
    """What is wrong with one chip, as plain JSON types; a share of nothing is None."""
    chip, found = scored.chip, scored.found
    known = chip.water != UNKNOWN
    truly, said = chip.water == 1, found.classes == classes.WATER
    missed, claimed = truly & ~said, said & known
    values = ndwi(chip.reflectance, bundle.sensor)
    wrong = (found.maps.p_water >= bundle.balanced.water) != truly
    return {
        "chip": chip.id,
        "place": chip.group,
        "wrong": wrong_share(bundle, scored),
        "water_by_label": share(truly, known),
        "water_missed": share(missed, truly),
        "missed_looks_dry": None if values is None else share(missed & (values < DRY), missed),
        "claimed_is_land": share(claimed & ~truly, claimed),
        "entropy": float(np.nanmean(found.maps.entropy)) / LN2,
        "entropy_where_wrong": mean(found.maps.entropy / LN2, wrong & known),
    }


def share(part: npt.NDArray[np.bool_], of: npt.NDArray[np.bool_]) -> float | None:
    """Share of the pixels ``of`` that are ``part`` too."""
    count = np.count_nonzero(of)
    return float(np.count_nonzero(part & of) / count) if count else None


def mean(values: npt.NDArray[Any], of: npt.NDArray[np.bool_]) -> float | None:
    """Mean over some pixels."""
    return float(np.nanmean(values[of])) if of.any() else None


def chip_line(facts: dict[str, Any]) -> str:
    """One sentence on a chip."""
    text = (
        f"Chip {facts['chip']} (place {facts['place']}): {facts['wrong']:.0%} of its pixels are "
        f"wrong at a mean entropy of {facts['entropy']:.0%} of ln 2"
    )
    missed, dry, land = (
        facts[key] for key in ("water_missed", "missed_looks_dry", "claimed_is_land")
    )
    if missed is not None:
        text += f"; {missed:.0%} of the water that the label draws is missed"
        if missed > 0 and dry is not None:
            text += f", {dry:.0%} of that looks dry (NDWI below {DRY:g})"
    if land is not None:
        text += f"; {land:.0%} of what is called water is land by the label"
    return text + "."


def scene_facts(
    path: Path, bundle: Bundle, engine: Engine, judge: Judge | None
) -> tuple[dict[str, Any], TileMaps]:
    """What the model makes of a scene without labels, and its maps."""
    with open_frame(path, bundle.sensor) as frame:
        found = Segmenter(bundle, engine, bundle.passes, SEED).whole(frame)
        values = ndwi(frame.read(0, 0, frame.height, frame.width).reflectance, bundle.sensor)
        odd = None if judge is None else listed(judge, frame)["odd_share"]
    seen = found.valid
    wet = seen & (np.zeros_like(seen) if values is None else values > WET)
    water, cloud = (found.classes == one for one in (classes.WATER, classes.CLOUD))
    return {
        "scene": path.stem,
        "called_water": share(water, seen),
        "called_cloud": share(cloud, seen),
        "looks_wet": share(wet, seen),
        "wet_called_water": share(water, wet),
        "entropy": mean(found.maps.entropy / LN2, seen),
        "odd_crops": odd,
    }, found


def scene_line(facts: dict[str, Any]) -> str:
    """One sentence on a scene."""
    what = SCENES.get(facts["scene"], "a scene without labels")
    text = (
        f"`{facts['scene']}`, {what}: {facts['called_water']:.0%} is called water and "
        f"{facts['called_cloud']:.0%} cloud, at a mean entropy of {facts['entropy']:.0%} of ln 2"
    )
    if facts["looks_wet"]:
        text += (
            f"; of the {facts['looks_wet']:.0%} that looks like open water (NDWI above {WET:g}) "
            f"{facts['wet_called_water']:.0%} is called water"
        )
    if facts["odd_crops"] is not None:
        text += f"; {facts['odd_crops']:.0%} of its crops count as odd"
    return text + "."


def chip_strip(scored: Scored) -> Rgb:
    """The mask against the label, and the entropy, side by side."""
    label = np.where(scored.chip.water == UNKNOWN, classes.NODATA, scored.chip.water)
    return beside(
        [
            sized(palette.agreement_rgba(scored.found.classes, label.astype(np.uint8)), SIDE),
            sized(palette.uncertainty_rgba(scored.found.maps.entropy), SIDE),
        ]
    )


def sized(rgba: npt.NDArray[np.uint8], height: int) -> Rgb:
    """A picture of that height, without interpolation; colours stay what they mean."""
    rows = np.arange(height) * rgba.shape[0] // height
    cols = np.arange(round(rgba.shape[1] * height / rgba.shape[0])) * rgba.shape[0] // height
    rgb: Rgb = rgba[rows][:, np.minimum(cols, rgba.shape[1] - 1), :3]
    return rgb


def beside(parts: Sequence[Rgb], axis: int = 1) -> Rgb:
    """Pictures of one height side by side, or of one width on top of each other."""
    shape = [*parts[0].shape]
    shape[axis] = GAP
    white = np.full(shape, 255, np.uint8)
    padded = [piece for part in parts for piece in (part, white)]
    return np.concatenate(padded[:-1], axis=axis)


def measure(data: Path, scenes: Sequence[Path]) -> tuple[dict[str, Any], list[Picture]]:
    """All figures, as plain JSON types, and all pictures.

    Raises:
        FloodsatError: a chip folder or a scene cannot be used.
    """
    bundle = bundles.load(SHIPPED, ["tflite"])
    engine = engines.load("tflite", bundle)
    folder = ChipFolder.open(data)
    results = evaluate.run(
        bundle, engine, folder, evaluate.chips_of(folder, "test"), bundle.passes, SEED
    )
    ordered = {
        "worst": first_of_places(results, lambda r: wrong_share(bundle, r)),
        "uncertain": first_of_places(results, lambda r: float(np.nanmean(r.found.maps.entropy))),
    }
    found: dict[str, Any] = {
        "model_id": bundle.model_id.hex(),
        "set": folder.name,
        "split": "test",
        "passes": bundle.passes,
        "seed": SEED,
        "smallest": smallest(evaluate.table(bundle, results)),
    }
    pictures = []
    for name, some in ordered.items():
        facts = [chip_facts(bundle, scored) for scored in some]
        found[name] = facts
        title = "Worst chips" if name == "worst" else "Most uncertain chips"
        image = beside([chip_strip(scored) for scored in some], axis=0)
        pictures.append(Picture(name, title, [chip_line(one) for one in facts], image))
    judge = Judge.of(bundle, engine, bundle.passes, SEED)
    found["scenes"] = []
    for path in scenes:
        own, maps = scene_facts(path, bundle, engine, judge)
        found["scenes"].append(own)
        parts = (palette.mask_rgba(maps.classes), palette.uncertainty_rgba(maps.maps.entropy))
        image = beside([sized(part, 2 * SIDE) for part in parts])
        pictures.append(Picture(path.stem, path.stem, [scene_line(own)], image))
    return found, pictures


def first_of_places(
    results: Sequence[Scored], badness: Callable[[Scored], float], count: int = SHOWN
) -> list[Scored]:
    """The worst chips, one of a place, so that dates of one place do not crowd out the others."""
    best: dict[str, Scored] = {}
    for one in sorted(results, key=badness, reverse=True):
        best.setdefault(one.chip.group, one)
    return list(best.values())[:count]


def smallest(table: dict[str, Any]) -> dict[str, Any]:
    """What the table of an evaluation says of floods by their size."""
    return {key: value for key, value in table.items() if "flood" in key}


def section(found: dict[str, Any]) -> str:
    """The card's section as Markdown."""
    texts = {name: [chip_line(one) for one in found[name]] for name in ("worst", "uncertain")}
    texts |= {one["scene"]: [scene_line(one)] for one in found["scenes"]}
    titles = {"worst": "Worst chips", "uncertain": "Most uncertain chips"}
    parts = [
        f"""\
Test places of `{found["set"]}`, {found["passes"]} passes, seed {found["seed"]}, model \
`{found["model_id"][:12]}`; made by
`python -m benchmarks.failures`. In the repository the pictures stand in `docs/images/`; they show
what the model said, not the imagery, whose terms are for research. Left: for chips the mask against
the label (blue found, vermilion missed, purple claimed on land), for scenes the mask (blue water,
sand land, hatched cloud). Right: the entropy, dark 0, pale ln 2.

**Smallest flood.** {smallest_line(found["smallest"])}
"""
    ]
    for name, lines in texts.items():
        title = titles.get(name, name)
        listing = "\n".join(f"- {line}" for line in lines)
        parts.append(f"\n![{title}](images/card-{name}.jpg)\n\n{listing}\n")
    return "".join(parts)


def smallest_line(table: dict[str, Any]) -> str:
    """One sentence on each operating point."""
    largest = table["flood_sizes_px_from"][-1]
    said = []
    for point in ("balanced", "sensitive"):
        pixels, share_found = table[f"smallest_flood_px_{point}"], table[f"floods_found_{point}"]
        size = (
            f"no size up to {largest} pixels and more is found with a probability of 90 %"
            if pixels is None
            else f"floods of {pixels:.0f} pixels are found with a probability of 90 %"
        )
        said.append(
            f"At the {point} point {size}; of all {table['whole_floods']} whole floods of the "
            f"labels {share_found:.0%} are found."
        )
    return " ".join(said)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chips", type=Path, help="labelled chip folder")
    parser.add_argument("scenes", type=Path, nargs="*", help="frames without labels")
    parser.add_argument("--write", action="store_true", help=f"write {OUT.name}, the card, images")
    given = parser.parse_args()
    try:
        found, pictures = measure(given.chips, given.scenes)
    except FloodsatError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if given.write:
        files.write_text(OUT, json.dumps(found, indent=1) + "\n")
        for picture in pictures:
            path = IMAGES / f"card-{picture.name}.jpg"
            files.write_bytes(path, palette.jpeg_bytes(picture.image, quality=85))
        before, _, rest = CARD.read_text("utf-8").partition(START)
        files.write_text(CARD, before + START + section(found) + END + rest.partition(END)[2])
    sys.stdout.write(section(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
