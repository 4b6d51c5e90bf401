"""How small products are: this project's coding beside others', on masks of the shipped model.

``python -m benchmarks.products DATA`` segments the frames of DATA that no table was fitted on
(`training.outlines.corpus`) and the sample frame with the shipped bundle, codes their masks in
every way, packs their products, and measures what the levels of the uncertainty maps lose.
``--write`` puts the figures into docs/figures/products.json and their tables into
docs/products.md. The time to code a frame of 12 megapixels is measured in the flight environment,
where there is one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import coding_time, doubt_levels, machine, mask_codecs, memory
from benchmarks.mask_codecs import simulated_reference
from onboard import bundle as bundles
from onboard import engines, files, outlines, product_stream, tables
from onboard import product as products
from onboard.arrays import Bytes
from onboard.classes import CLOUD, NODATA, WATER
from onboard.entropy import Writer
from onboard.frames import open_frame
from onboard.georef import Georef
from onboard.outlines import Known
from onboard.product import Product, TimeQuality, observed_pixels, summarise
from onboard.reduced import EPISTEMIC_POWER, divide, grade, quantise
from onboard.segment import Segmenter
from onboard.tables import COVER, FLOOD, Tables
from onboard.tables import WATER as WATER_NET
from training.outlines import corpus
from training.outlines.corpus import Sample
from training.outlines.fit import Plan
from training.outlines.make import make

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "data_samples" / "bundle"
FRAME = ROOT / "data_samples" / "frame.tif"
PERMANENT = ROOT / "data_samples" / "frame_permanent.tif"
PAGE = ROOT / "docs" / "products.md"
FIGURES = ROOT / "docs" / "figures" / "products.json"
SEED = 20210629
RAW_BYTES = 6
"""Of a pixel as the camera sends it: four bands of 12 bits."""
OURS, OURS_GUIDED = "ours", "ours, reference"
FLOOD_SHARE, SHIFT, REFERENCE_SEED = 0.3, 1, 7
"""Of the references that are simulated where there is no real one."""
TRIED = ((0.1, 0), (0.3, 0), (0.3, 1), (0.3, 2), (0.6, 1), (0.9, 1))
SIDE_BY_SIDE = (5, 6)
WAYS = {
    "ours": "blocks of 16",
    "guided": "blocks of 16, guided",
    "wide": "blocks of 32",
    "wide_guided": "blocks of 32, guided",
}
WIDE, WIDE_EPOCHS = 32, 5
"""Side of the blocks of maps that the shipped ones are compared with; nets for them are fitted."""


def main() -> None:
    """Measure, show and, with ``--write``, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path, help="folder of dfc24, clouds, phisat2_sim and scenes")
    parser.add_argument("--write", action="store_true", help="write docs/products.md and figures")
    parser.add_argument("--time", action="store_true", help="only the times; the rest is kept")
    given = parser.parse_args()
    if given.time:
        figures = {**json.loads(FIGURES.read_text("utf-8")), "seconds": timed()}
    else:
        figures = measure(given.data)
    if given.write:
        files.write_text(FIGURES, json.dumps(figures, indent=1) + "\n")
        files.write_text(PAGE, filled(PAGE.read_text("utf-8"), figures))
    print("\n\n".join(tables_of(figures).values()))


def measure(data: Path) -> dict[str, Any]:
    """All figures, as plain JSON types."""
    bundle = bundles.load(SHIPPED, ["tflite", bundles.COMMON])
    by = bundle.tables
    assert by is not None, "the shipped bundle carries no tables"
    segmenter = Segmenter(bundle, engines.load("tflite", bundle), bundle.passes, SEED)
    judged = [*corpus.judged(segmenter, data), sample_frame(segmenter)]
    fitted = list(corpus.fitting(segmenter, data, 0))
    frames = [*judged, side_by_side(judged)]
    wide = tables.learn(make(fitted, bundle, WIDE, by.levels, Plan(WIDE_EPOCHS), keep=by))
    return {
        "seed": SEED,
        "model": bundle.model_id.hex(),
        "tables": {"id": by.tables_id.hex(), "bytes": len(bundle.content["tables/products.fst"])},
        "machine": machine.facts(),
        "masks": [mask_row(one, by) for one in frames],
        "references": reference_rows(judged, by),
        "polygons": [polygon_row(one, by) for one in frames if (one.mask == WATER).sum() > 500],
        "products": [product_row(one, by, wide, bundle) for one in frames],
        "levels": doubt_levels.study(fitted, judged),
        "chosen": {"block": by.block, "levels": by.levels},
        "seconds": timed(),
    }


# --- frames ---------------------------------------------------------------------------------


def sample_frame(segmenter: Segmenter) -> Sample:
    """The generated frame of ``data_samples`` with the water of its normal days."""
    import rasterio

    with rasterio.open(PERMANENT) as tif:
        permanent = tif.read(1)
    with open_frame(FRAME, segmenter.bundle.sensor) as frame:
        return corpus.sample(segmenter, "generated/frame.tif", "judge", frame, permanent)


def side_by_side(judged: Sequence[Sample]) -> Sample:
    """Test chips of ``dfc24`` as one frame: the real references as a frame's own."""
    rows, cols = SIDE_BY_SIDE
    chips = [one for one in judged if one.name.startswith("dfc24/")][: rows * cols]

    def laid(field: str) -> Any:
        parts = [getattr(one, field) for one in chips]
        return np.block([parts[row * cols :][:cols] for row in range(rows)])

    return Sample(
        "dfc24, 30 test chips side by side",
        "judge",
        *(laid(field) for field in ("mask", "entropy", "epistemic", "reference")),
    )


def reference_of(one: Sample) -> tuple[Bytes, bool]:
    """A reference, and whether it is real (or generated with the frame)."""
    if one.reference is not None:
        return one.reference, True
    water = (one.mask == WATER).astype(np.uint8)
    return simulated_reference(water, FLOOD_SHARE, SHIFT, REFERENCE_SEED), False


# --- rows -----------------------------------------------------------------------------------


def coded(mask: Bytes, by: Tables, guide: Bytes | None = None) -> int:
    """Bytes of a mask alone."""
    writer = Writer()
    nodata, cloud, water = ((mask == value).astype(np.uint8) for value in (NODATA, CLOUD, WATER))
    for plane, known, net in (
        (nodata, Known(np.zeros_like(nodata)), COVER),
        (cloud, Known(nodata), COVER),
        (water, Known(nodata | cloud, guide), WATER_NET if guide is None else FLOOD),
    ):
        if plane.any():
            outlines.encode(writer, plane, known, by.nets[net])
    return len(writer.finish())


def mask_row(one: Sample, by: Tables) -> dict[str, Any]:
    """A mask in every way."""
    guide, real = reference_of(one)
    sizes: dict[str, int | None] = {
        name: code(one.mask) for name, code in mask_codecs.CODECS.items()
    }
    sizes[OURS] = coded(one.mask, by)
    sizes[OURS_GUIDED] = coded(one.mask, by, guide)
    counts = {
        name: int((one.mask == value).sum())
        for name, value in (("water", WATER), ("cloud", CLOUD), ("nodata", NODATA))
    }
    return {
        "name": one.name,
        "shape": list(one.mask.shape),
        **counts,
        "reference": "real" if real else "simulated",
        "bytes": sizes,
    }


def reference_rows(judged: Sequence[Sample], by: Tables) -> list[dict[str, Any]]:
    """What the saving depends on: how much of the water is flood, how far the reference is off."""
    wet = [
        one for one in judged if (one.mask == WATER).sum() > 500 and not one.name.startswith("dfc")
    ]
    rows = []
    for share, shift in TRIED:
        total = 0
        for one in wet:
            water = (one.mask == WATER).astype(np.uint8)
            guide = simulated_reference(water, share, shift, REFERENCE_SEED)
            total += coded(one.mask, by, guide)
        rows.append({"flood_share": share, "shift": shift, "bytes": total})
    alone = sum(coded(one.mask, by) for one in wet)
    return [{"flood_share": None, "shift": None, "bytes": alone}, *rows]


def polygon_row(one: Sample, by: Tables) -> dict[str, Any]:
    """Water as polygons, beside its plane in this coding (which is exact)."""
    water = (one.mask == WATER).astype(np.uint8)
    found = [simple._asdict() for simple in mask_codecs.polygons(water)]
    return {"name": one.name, "ours": coded(water, by), "polygons": found}


def product_row(one: Sample, by: Tables, wide: Tables, bundle: Any) -> dict[str, Any]:
    """A whole product against the raw frame, of version 1's kind, by tables, and guided."""
    guide, real = reference_of(one)
    return {
        "name": one.name,
        "raw": RAW_BYTES * one.mask.size,
        "without_tables": len(products.pack(product_of(one, bundle, None, None))),
        "ours": parts(one, bundle, by, None),
        "guided": parts(one, bundle, by, guide),
        "wide": parts(one, bundle, wide, None),
        "wide_guided": parts(one, bundle, wide, guide),
        "reference": "real" if real else "simulated",
    }


def parts(one: Sample, bundle: Any, by: Tables, guide: Bytes | None) -> dict[str, int]:
    """Bytes of a product, and what of them is the mask, the two maps, and all else.

    Mask and maps share one stream: what the mask takes alone is its part, the rest the maps'.
    """
    permanent = None if guide is None else guide == 1
    product = product_of(one, bundle, by, permanent)
    total = len(products.pack(product, by, permanent))
    stream = len(product_stream.encode(product, by, guide))
    mask = coded(one.mask, by, guide)
    return {"total": total, "mask": mask, "maps": stream - mask, "rest": total - stream}


def product_of(one: Sample, bundle: Any, by: Tables | None, permanent: Any) -> Product:
    """A sample as a product, as the runtime makes it."""
    mask, seen = one.mask, observed_pixels(one.mask)
    georef = Georef(mask.shape[1], mask.shape[0], "EPSG:32645", (30.0, 0.0, 5e5, 0.0, -30.0, 2.5e6))
    beyond = None if permanent is None else ~permanent
    if by is None:
        maps: dict[str, Any] = {
            "entropy": quantise(one.entropy, seen),
            "epistemic": quantise(one.epistemic, seen, power=EPISTEMIC_POWER),
        }
    else:
        maps = {
            "block": by.block,
            "levels": by.levels,
            "entropy": grade(one.entropy, seen, by.block, by.entropy),
            "epistemic": grade(one.epistemic, seen, by.block, by.epistemic),
            "entropy_levels": by.entropy.values,
            "epistemic_levels": by.epistemic.values,
        }
    ids = np.random.default_rng(one.mask.size).bytes(48)
    return Product(
        scene_id=ids[:32],
        model_id=bundle.model_id,
        sensor=bundle.sensor.name,
        engine="tflite ai-edge-litert 2.3.0",
        seed=SEED,
        passes=bundle.passes,
        acquired_ms=1_792_000_123_456,
        acquired_quality=TimeQuality.GNSS,
        acquired_sigma_s=0.01,
        reference_version=None if permanent is None else ids[32:],
        water_threshold=bundle.balanced.water,
        cloud_threshold=bundle.balanced.cloud,
        operating_point="balanced",
        georef=georef,
        geolocation_sigma_m=45.0,
        mask=mask,
        statistics=summarise(mask, one.entropy, one.epistemic, 0.123456, georef, beyond),
        regions=divide(mask, one.entropy, one.epistemic, beyond),
        **maps,
    )


def timed() -> dict[str, Any] | None:
    """Seconds to code 12 megapixels in the flight environment; None where there is none."""
    python = memory.flight_python()
    if python is None:
        return None
    return coding_time.by_python(python)


# --- tables ---------------------------------------------------------------------------------


def tables_of(figures: dict[str, Any]) -> dict[str, str]:
    """Name → a table in Markdown."""
    return {
        "masks": mask_table(figures["masks"]),
        "references": reference_table(figures["references"]),
        "polygons": polygon_table(figures["polygons"]),
        "products": product_table(figures["products"]),
        "parts": part_table(figures["products"]),
        "levels": level_table(figures["levels"]),
        "time": time_table(figures["seconds"]),
    }


def grouped(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by what they are shown as: chips of a folder together, all else alone."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        folder = row["name"].split("/")[0]
        chips = folder in ("dfc24", "phisat2_sim") and "/" in row["name"]
        found.setdefault(folder if chips else row["name"], []).append(row)
    return found


def _added(rows: Iterable[dict[str, Any]], name: str) -> int | None:
    sizes = [row["bytes"][name] for row in rows]
    return None if None in sizes else sum(sizes)


def mask_table(rows: list[dict[str, Any]]) -> str:
    """Bytes of masks by coder; the last line adds up the real masks."""
    names = [*mask_codecs.CODECS, OURS, OURS_GUIDED]
    real = [
        row for row in rows if not row["name"].startswith("generated") and "side" not in row["name"]
    ]
    lines = [
        _line(
            ["mask", "pixels", "water, cloud, nodata %", *names, "ours to JBIG1", "with reference"]
        )
    ]
    lines.append(_line(["---", *["---:"] * (len(names) + 4)]))
    for title, some in [*grouped(rows).items(), ("all real masks, each once", real)]:
        sizes = {name: _added(some, name) for name in names}
        pixels = sum(row["shape"][0] * row["shape"][1] for row in some)
        shares = [
            100 * sum(row[kind] for row in some) / pixels for kind in ("water", "cloud", "nodata")
        ]
        count = f"{title} ({len(some)})" if len(some) > 1 else title
        told = "not run" if sizes["JBIG1"] is None else None
        ratios = [told or _percent(sizes[name], sizes["JBIG1"]) for name in (OURS, OURS_GUIDED)]
        cells = ["not run" if size is None else str(size) for size in sizes.values()]
        lines.append(
            _line([count, str(pixels), ", ".join(f"{s:.1f}" for s in shares), *cells, *ratios])
        )
    return "\n".join(lines)


def _percent(own: int | None, other: int | None) -> str:
    assert own is not None
    assert other is not None
    return f"{100 * (own / other - 1):+.0f} %"


def reference_table(rows: list[dict[str, Any]]) -> str:
    """Bytes of the wet scenes by what the simulated reference is like."""
    lines = [
        _line(["flood, share of the water", "reference off by, pixels", "bytes", "saved"]),
        _line(["---:"] * 4),
    ]
    alone = rows[0]["bytes"]
    for row in rows:
        saved = f"{100 * (1 - row['bytes'] / alone):.0f} %"
        share = "no reference" if row["flood_share"] is None else f"{row['flood_share']:.0%}"
        lines.append(
            _line(
                [share, "" if row["shift"] is None else str(row["shift"]), str(row["bytes"]), saved]
            )
        )
    return "\n".join(lines)


def polygon_table(rows: list[dict[str, Any]]) -> str:
    """Polygons by tolerance: bytes and IoU, beside the exact plane."""
    names = [f"{tolerance:g} px" for tolerance in mask_codecs.TOLERANCES]
    lines = [
        _line(["water of", "ours (IoU 1)", *names]),
        _line(["---", *["---:"] * (len(names) + 1)]),
    ]
    for title, some in grouped(rows).items():
        cells = []
        for which in range(len(names)):
            parts = [row["polygons"][which] for row in some]
            iou = sum(part["iou"] for part in parts) / len(parts)
            cells.append(f"{sum(part['bytes'] for part in parts)} ({iou:.3f})")
        lines.append(_line([title, str(sum(row["ours"] for row in some)), *cells]))
    return "\n".join(lines)


def product_table(rows: list[dict[str, Any]]) -> str:
    """Whole products against raw frames."""
    heads = ["product of", "raw frame", "without tables", "ours", "raw to ours"]
    heads += ["guided", "raw to guided", "reference"]
    lines = [_line(heads), _line(["---", *["---:"] * 6, "---"])]
    for title, some in with_all(rows):
        raw, plain = (sum(row[name] for row in some) for name in ("raw", "without_tables"))
        ours, guided = (sum(row[name]["total"] for row in some) for name in ("ours", "guided"))
        sizes = [raw, plain, ours, f"{raw / ours:.0f}", guided, f"{raw / guided:.0f}"]
        kinds = ", ".join(sorted({row["reference"] for row in some}))
        lines.append(_line([title, *map(str, sizes), kinds]))
    return "\n".join(lines)


def part_table(rows: list[dict[str, Any]]) -> str:
    """Where the bytes of products go, by the shipped blocks and by wider ones."""
    heads = ["product of", "way", "mask", "maps", "rest", "whole", "raw to it"]
    lines = [_line(heads), _line(["---", "---", *["---:"] * 5])]
    for title, some in with_all(rows):
        raw = sum(row["raw"] for row in some)
        for way, text in WAYS.items():
            found = [
                sum(row[way][part] for row in some) for part in ("mask", "maps", "rest", "total")
            ]
            lines.append(_line([title, text, *map(str, found), f"{raw / found[-1]:.0f}"]))
    return "\n".join(lines)


def with_all(rows: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Groups of rows with their titles; the last is all frames that are no small chips."""
    frames = [
        row for row in rows if row["name"].split("/")[0] in ("scenes", "clouds", "phisat2_sim")
    ]
    named = {**grouped(rows), "scenes, clouds and phisat2_sim": frames}
    return [
        (f"{title} ({len(some)})" if len(some) > 1 else title, some)
        for title, some in named.items()
    ]


def level_table(rows: list[dict[str, Any]]) -> str:
    """What levels and blocks lose."""
    heads = [
        "block",
        "levels",
        *(
            f"{field}: {what}"
            for field in doubt_levels.FIELDS
            for what in ("AUROC", "correlation", "bits a block")
        ),
    ]
    lines = [_line(heads), _line(["---:"] * len(heads))]
    for row in rows:
        cells = [str(row["block"]), str(row["levels"]) if row["levels"] else "exact"]
        for field in doubt_levels.FIELDS:
            found = row[field]
            cells.append(f"{found['auroc']:.3f}")
            cells.append("" if "correlation" not in found else f"{found['correlation']:.3f}")
            cells.append("" if "bits" not in found else f"{found['bits']:.2f}")
        lines.append(_line(cells))
    return "\n".join(lines)


def time_table(found: dict[str, Any] | None) -> str:
    """Seconds in the flight environment."""
    if found is None:
        return "Not measured: there was no flight environment ('make flight-env' makes it)."
    heads = ["12 MP, one core", "seconds", "bytes", f"bound {found['bound']:g} s"]
    lines = [_line(heads), _line(["---", "---:", "---:", "---"])]
    for row in found["rows"]:
        verdict = ""
        if row["what"].startswith("mask"):
            verdict = "holds" if row["seconds"] < found["bound"] else "DOES NOT HOLD"
        lines.append(_line([row["what"], f"{row['seconds']:.2f}", str(row["bytes"]), verdict]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def filled(page: str, figures: dict[str, Any]) -> str:
    """The page with every table between its marks."""
    for name, table in tables_of(figures).items():
        marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, found, rest = page.partition(marks[0])
        _, end, after = rest.partition(marks[1])
        page = f"{before}{marks[0]}\n{table}\n{marks[1]}{after}"
        assert found, f"{PAGE} has no place for the table {name}"
        assert end, f"{PAGE}: the table {name} does not end"
    return page


if __name__ == "__main__":
    main()
