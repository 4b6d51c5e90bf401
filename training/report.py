"""The evaluation page: figures, plots, and the chips on which the model does worst.

One self-contained HTML file. A table says how good a model is; the pictures say what goes wrong.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from onboard.bundle import Bundle
from onboard.classes import CLOUD, WATER
from onboard.uncertainty import LN2
from training import plots
from training.chips import UNKNOWN
from training.evaluate import Scored

Pixels = npt.NDArray[np.uint8]

SHOWN = 8
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem;
color:#1d2126;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}
table{border-collapse:collapse}td,th{padding:.15rem .9rem .15rem 0;text-align:left}
td:last-child{font-variant-numeric:tabular-nums}img{max-width:100%;height:auto}
.chips{display:grid;grid-template-columns:repeat(auto-fill,minmax(520px,1fr));gap:1rem}
figure{margin:0}figcaption{font-size:.85rem;color:#59616b}
.chips img{image-rendering:pixelated;width:100%}
@media(max-width:600px){.chips{grid-template-columns:1fr}}
@media(prefers-color-scheme:dark){body{color:#e4e6e9;background:#15181c}figcaption{color:#9aa3ad}
.plot{background:#fff}}
"""


def page(
    bundle: Bundle,
    name: str,
    split: str,
    results: Sequence[Scored],
    table: Any,
    odd: Any = None,
) -> str:
    """The page as HTML.

    Args:
        bundle: what was scored.
        name: of the chip folder.
        split: which places.
        results: every chip with what the model made of it.
        table: the figures, by name.
        odd: what the oddity score finds of corrupted chips (`training.oddity`); None where that
            was not measured.
    """
    worst = sorted(results, key=lambda r: -wrong_share(bundle, r))[:SHOWN]
    unsure = sorted(results, key=lambda r: -float(np.nanmean(r.found.maps.entropy)))[:SHOWN]
    unknown = sorted(results, key=lambda r: -float(np.nanmean(r.found.maps.epistemic)))[:SHOWN]
    galleries = "".join(
        f"<h2>{title}</h2><div class=chips>{''.join(chip_figure(bundle, r) for r in chips)}</div>"
        for title, chips in (
            ("Worst chips", worst),
            ("Most uncertain chips, by entropy", unsure),
            ("Least known chips, by the epistemic part", unknown),
        )
    )
    rows = "".join(
        f"<tr><td>{html.escape(key.replace('_', ' '))}</td><td>{text(value)}</td></tr>"
        for key, value in table.items()
    )
    title = html.escape(f"{bundle.name} on {name}, {split} places")
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width='
        f'device-width"><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>'
        f"<p>Model {bundle.model_id.hex()[:12]}. Each chip: the image in near infrared, red and "
        "green; the label; the mask; entropy from 0 (black) to ln 2 (white). White is water, "
        "grey unknown or cloud, black land.</p>"
        f'<img class=plot alt="Reliability, risk over coverage, precision over recall, '
        'thresholds, probabilities, floods found by size" '
        f'src="{uri(io.BytesIO(plots.draw(bundle, results)))}"><table>{rows}</table>'
        f"{odd_table(odd)}{galleries}</html>\n"
    )


def odd_table(odd: Any) -> str:
    """How well corrupted chips are told from chips as they are, as HTML."""
    if odd is None or not odd["crops"]:
        note = "not measured" if odd is None else html.escape(odd["note"])
        return f"<h2>Corrupted chips</h2><p>{note}</p>"
    rows = "".join(
        f"<tr><td>{html.escape(key.replace('_', ' '))}</td><td>{text(one['auroc'])}</td>"
        f"<td>{text(one['auroc_epistemic'])}</td><td>{text(one['found'])}</td></tr>"
        for key, one in odd["corruptions"].items()
    )
    return (
        "<h2>Corrupted chips</h2><table><tr><th>corruption</th><th>AUROC, score</th>"
        f"<th>AUROC, epistemic part alone</th><th>found</th></tr>{rows}</table><p>Of "
        f"{odd['crops']} crops as they are {odd['false_alarms']:.1%} lie beyond the limit of "
        f"{odd['limit']:g} too.</p>"
    )


def wrong_share(bundle: Bundle, scored: Scored) -> float:
    """Share of a chip's labelled pixels that the balanced point gets wrong."""
    known = scored.chip.water != UNKNOWN
    said = scored.found.maps.p_water >= bundle.balanced.water
    wrong = (said != (scored.chip.water == 1)) & known
    return float(wrong.sum()) / max(1, int(known.sum()))


def chip_figure(bundle: Bundle, scored: Scored) -> str:
    """A chip, its label, its mask and its entropy, side by side."""
    chip, found = scored.chip, scored.found
    strip = np.concatenate(
        [
            false_colour(chip.reflectance),
            grey(np.where(chip.water == UNKNOWN, 0.5, chip.water)),
            grey(np.select([found.classes == WATER, found.classes == CLOUD], [1.0, 0.5], 0.0)),
            grey(found.maps.entropy / LN2),
        ],
        axis=1,
    )
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, "PNG")
    caption = (
        f"chip {html.escape(chip.id)}, place {html.escape(chip.group)}: "
        f"{wrong_share(bundle, scored):.1%} wrong, mean entropy "
        f"{float(np.nanmean(found.maps.entropy)):.3f}"
    )
    return (
        f'<figure><img alt="{caption}" src="{uri(buffer)}"><figcaption>{caption}</figcaption>'
        "</figure>"
    )


def false_colour(image: npt.NDArray[np.float32]) -> Pixels:
    """Near infrared, red, green as uint8 ``(H, W, 3)``, stretched to the chip's own range."""
    shown = image[..., [3, 2, 1]]
    low, high = np.percentile(shown, [1, 99], axis=(0, 1))
    unit = np.clip((shown - low) / np.maximum(high - low, 1e-4), 0, 1)
    return np.asarray(np.rint(255 * unit), np.uint8)


def grey(unit: npt.NDArray[Any]) -> Pixels:
    """Values ``(H, W)``, 0…1, as grey; what is not a number becomes black."""
    level = np.rint(255 * np.clip(np.nan_to_num(unit), 0, 1)).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=-1)


def uri(buffer: io.BytesIO) -> str:
    """A PNG as a data URI (RFC 2397)."""
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def text(value: Any) -> str:
    """A figure for people."""
    if value is None:
        return "not defined"
    if isinstance(value, list):
        return (" – " if len(value) == 2 else ", ").join(text(v) for v in value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)
