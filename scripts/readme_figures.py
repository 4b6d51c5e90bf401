"""Write the README's figures from docs/figures: `make figures`. `--check` only compares."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
START, END = "<!-- figures -->\n", "<!-- /figures -->\n"


def table() -> str:
    """The figures as Markdown."""
    report = json.loads((ROOT / "docs" / "figures" / "dfc24-test.json").read_text("utf-8"))
    clouds = json.loads((ROOT / "docs" / "figures" / "clouds-test.json").read_text("utf-8"))
    found: dict[str, Any] = report["results"]["dfc24"]
    sky: dict[str, Any] = clouds["results"]["clouds"]
    passes = json.loads((ROOT / "docs" / "figures" / "passes.json").read_text("utf-8"))
    at_80_m = json.loads((ROOT / "docs" / "figures" / "dfc24-test-80m.json").read_text("utf-8"))
    coarse: dict[str, Any] = at_80_m["results"]["dfc24"]
    low, high = found["iou_interval_95"]
    rows = [
        (
            "water IoU at the balanced point, chosen on other places",
            f"**{found['iou']:.3f}** (95 % interval over places {low:.2f}–{high:.2f})",
        ),
        (
            "the same at 80 m, by blur and averaging",
            f"{coarse['iou']:.3f}",
        ),
        ("water IoU at probability 0.5", f"{found['iou_at_half']:.3f}"),
        (
            "best NDWI threshold, fitted on these very chips",
            f"{found['ndwi_iou_best_threshold']:.3f}",
        ),
        ("precision, recall at the balanced point", pair(found, "balanced")),
        ("precision, recall at the sensitive point", pair(found, "sensitive")),
        ("expected calibration error, 15 equal-mass bins", f"{found['ece']:.3f}"),
        (
            "AUROC of errors by entropy; by its epistemic part",
            f"{found['error_auroc_entropy']:.3f}; {found['error_auroc_epistemic']:.3f}",
        ),
        (
            "errors among the 20 % most uncertain pixels",
            f"{found['errors_in_most_uncertain_fifth']:.0%}",
        ),
        ("labelled pixels called cloud", f"{found['called_cloud']:.1%}"),
        (
            "cloud IoU against the few cloud bits of these chips",
            f"{found['cloud_iou']:.3f} ({found['cloud_share']:.1%} of the pixels)",
        ),
        (
            "cloud IoU on the one test scene of `clouds` (top of atmosphere)",
            f"{sky['cloud_iou']:.3f}; by the best threshold for it "
            f"{sky['cloud_iou_best_threshold']:.3f}",
        ),
    ]
    rows.append(
        (
            "smallest flood found with 90 %, pixels, balanced; sensitive",
            "; ".join(smallest(found, point) for point in ("balanced", "sensitive")),
        )
    )
    rows.append(
        (
            f"ten passes over one deterministic pass, {passes['engine']}",
            f"{passes['ratio']:.2f} × the time (`make bench`)",
        )
    )
    lines = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""\
On {found["chips"]} chips of {found["places"]} places of `dfc24` (30 m surface reflectance) that
training and calibration never saw, {report["passes"]} passes, seed {report["seed"]}, model
`{report["model_id"][:12]}`:

| | |
|---|---|
{lines}

Made by `make figures`, which runs `floodsat evaluate` on the data folder; the tables in full are in
`docs/figures/`. What the model was trained on and where it fails stands in its card,
`data_samples/bundle/card.md`; failures with pictures in `docs/model-card.md`. It is better than
the best NDWI threshold on these places by less than the interval is wide. The labels are generous
(flood is often wider than the visible water, `docs/experiments/limits.md`) and the places few:
mind the interval.
"""


def smallest(found: dict[str, Any], point: str) -> str:
    """The size from which on nine in ten floods are found."""
    pixels = found[f"smallest_flood_px_{point}"]
    return "none of any size" if pixels is None else f"{pixels:.0f}"


def pair(found: dict[str, Any], point: str) -> str:
    """Precision and recall of an operating point."""
    return f"{found[f'precision_{point}']:.3f}, {found[f'recall_{point}']:.3f}"


def main() -> int:
    """Write or compare."""
    text = README.read_text("utf-8")
    before, rest = text.split(START)
    old, after = rest.split(END)
    if "--check" in sys.argv:
        return int(old != table())
    README.write_text(before + START + table() + END + after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
