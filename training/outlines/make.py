"""Making tables of coding for a bundle, and putting them into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from onboard import bundle as bundles
from onboard import files, product_header, tables
from onboard.bundle import Bundle
from onboard.georef import Georef
from onboard.product import Product, TimeQuality, quantise, summarise
from onboard.tables import COVER, ENTROPY, EPISTEMIC, FLOOD, WATER, Tables
from training.outlines import fit
from training.outlines.corpus import Sample
from training.outlines.fit import Plan

SHARES = {
    "entropy": {2: (0.7,), 3: (0.5, 0.8), 4: (0.4, 0.7, 0.9), 5: (0.3, 0.55, 0.75, 0.92)},
    "epistemic": {2: (0.5,), 3: (0.33, 0.67), 4: (0.25, 0.5, 0.75), 5: (0.2, 0.4, 0.6, 0.8)},
}
"""Levels → shares of blocks below each edge; benchmarks.products measures what they lose."""
KNOWN = Path(tables.__file__).parent / tables.FOLDER


def make(
    samples: Sequence[Sample],
    bundle: Bundle,
    block: int,
    levels: int,
    plan: Plan,
    keep: Tables | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> bytes:
    """The bytes of tables for a bundle's products.

    Args:
        samples: to fit on.
        bundle: whose headers the dictionary resembles.
        block: side of a block of the reduced maps, pixels.
        levels: of the reduced maps, 2 to 5.
        plan: how long to fit.
        keep: tables whose nets for outlines are kept; they are fitted too if None.
        tell: what to do with lines about the progress.
    """
    entropy, epistemic = (
        fit.scale_of(samples, field, block, SHARES[field][levels])
        for field in ("entropy", "epistemic")
    )
    tell(f"levels: {entropy} {epistemic}")
    low, high = fit.doubt_contexts(samples, block, entropy, epistemic)
    made = {}
    for name, contexts in ((ENTROPY, low), (EPISTEMIC, high)):
        tell(f"{name}: {len(contexts.bits)} bits")
        made[name] = fit.fit(contexts, plan, tell)
    if keep is not None:
        made.update({name: keep.nets[name] for name in (COVER, WATER, FLOOD)})
    else:
        for name, contexts in (
            (COVER, fit.cover_contexts(samples)),
            (WATER, fit.water_contexts(samples, guided=False)),
            (FLOOD, fit.water_contexts(samples, guided=True)),
        ):
            tell(f"{name}: {len(contexts.bits)} bits")
            made[name] = fit.fit(contexts, plan, tell)
    return tables.pack(Tables(block, entropy, epistemic, dictionary(bundle), made))


def dictionary(bundle: Bundle) -> bytes:
    """What the headers of a bundle's products have in common: the header of one."""
    ground = np.zeros((1024, 1024), np.uint8)
    nats = np.zeros(ground.shape, np.float32)
    georef = Georef(1024, 1024, "EPSG:32645", (30.0, 0.0, 5e5, 0.0, -30.0, 2.5e6))
    codes = quantise(nats, ground == 0)
    product = Product(
        scene_id=bytes(32),
        model_id=bundle.model_id,
        sensor=bundle.sensor.name,
        engine="tflite tflite-runtime 2.14.0",
        seed=0,
        passes=bundle.passes,
        acquired_ms=1_600_000_000_000,
        acquired_quality=TimeQuality.GNSS,
        reference_version=bytes(16),
        water_threshold=bundle.balanced.water,
        cloud_threshold=bundle.balanced.cloud,
        operating_point="balanced",
        georef=georef,
        geolocation_sigma_m=30.0,
        mask=ground,
        entropy=codes,
        epistemic=codes,
        statistics=summarise(ground, nats, nats, 0.0, georef, ground == 0),
    )
    return product_header.encode(product, guide=bytes(4))


def ship(source: Path, bundle: Path, key: Path) -> str:
    """Put tables into a bundle, sign it anew, and keep them among those that the ground knows.

    Returns:
        A line on it.
    """
    data = source.read_bytes()
    found = tables.unpack(data)
    manifest = json.loads(bundles.read_manifest(bundle))
    loaded = bundles.load(bundle, list(manifest["sets"]))
    sets = {
        name: {file: loaded.content[file] for file in entry["files"]}
        for name, entry in manifest["sets"].items()
    }
    sets[bundles.COMMON][tables.FILE] = data
    details = {
        name: {field: value for field, value in entry.items() if field != "files"}
        for name, entry in manifest["sets"].items()
    }
    rest = {name: value for name, value in manifest.items() if name != "format"}
    bundles.write(bundle, {**rest, "sets": details}, sets, key)
    files.make_folder(KNOWN)
    files.write_bytes(KNOWN / f"{found.tables_id.hex()}.fst", data)
    return f"{bundle}: carries tables {found.tables_id.hex()}, {len(data)} bytes"
