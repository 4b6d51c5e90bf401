from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from benchmarks import coding_time, mask_codecs, products
from onboard import tables
from tests.products import blobs
from tests.samples import BUNDLE

BY = tables.unpack((BUNDLE / tables.FILE).read_bytes())
MASK = blobs(60, 70, 3)


@pytest.mark.parametrize("name", mask_codecs.CODECS)
def test_every_codec_takes_more_for_a_busier_mask(name):
    if name == "JBIG1" and shutil.which(mask_codecs.JBIG) is None:
        pytest.skip("pbmtojbg is not installed")
    code = mask_codecs.CODECS[name]
    noise = np.random.default_rng(0).integers(0, 2, MASK.shape).astype(np.uint8)
    assert 0 < code(MASK) < code(noise)


def test_without_jbig_nothing_is_claimed(monkeypatch):
    monkeypatch.setattr(mask_codecs.shutil, "which", lambda _: None)
    assert mask_codecs.jbig(MASK) is None
    row = {
        "name": "scenes/a",
        "shape": [60, 70],
        "water": 1,
        "cloud": 0,
        "nodata": 0,
        "bytes": {**dict.fromkeys(mask_codecs.CODECS, 9), "JBIG1": None}
        | {products.OURS: 5, products.OURS_GUIDED: 4},
    }
    assert "not run" in products.mask_table([row])


def test_polygons_lose_shape_as_they_get_smaller():
    found = mask_codecs.polygons((MASK == 1).astype(np.uint8))
    assert found[0].iou == 1
    assert found[-1].iou < 1
    assert found[-1].bytes < found[0].bytes


def test_a_simulated_reference_is_some_of_the_water():
    water = (blobs(120, 130, 5) == 1).astype(np.uint8)
    few, many = (mask_codecs.simulated_reference(water, share, 0, 7) for share in (0.1, 0.6))
    assert not (few & ~water & 1).any()
    assert 0 < many.sum() < few.sum() < water.sum()


def test_parts_add_up():
    from onboard import bundle as bundles
    from training.outlines.corpus import Sample

    loaded = bundles.load(BUNDLE, [bundles.COMMON])
    nats = np.full(MASK.shape, 0.2, np.float16)
    one = Sample("scenes/a", "judge", MASK, nats, nats, (MASK == 1).astype(np.uint8))
    for guide in (None, one.reference):
        found = products.parts(one, loaded, loaded.tables, guide)
        assert found["total"] == found["mask"] + found["maps"] + found["rest"]
        assert min(found.values()) >= 0


def test_the_time_is_of_what_decodes(monkeypatch):
    for name, value in (("HEIGHT", 300), ("WIDTH", 280), ("ROUNDS", 1)):
        monkeypatch.setattr(coding_time, name, value)
    rows = coding_time.timed(BY)
    assert [row["bytes"] > 0 and row["seconds"] >= 0 for row in rows] == [True] * 6
    assert rows[0]["bytes"] == rows[-1]["bytes"]


@pytest.fixture(scope="module")
def figures():
    return json.loads(products.FIGURES.read_text("utf-8"))


def test_the_page_shows_the_figures_of_the_shipped_tables(figures):
    page = products.PAGE.read_text("utf-8")
    assert products.filled(page, figures) == page, "run 'python -m benchmarks.products'"
    assert figures["tables"]["id"] == BY.tables_id.hex()


def test_what_the_page_says_of_its_aims(figures):
    """The sentences of the page, by its own figures."""
    page = products.PAGE.read_text("utf-8")
    real = [r for r in figures["masks"] if "side" not in r["name"] and "generated" not in r["name"]]
    sizes = {n: sum(r["bytes"][n] for r in real) for n in ("JBIG1", products.OURS)}
    assert f"{100 - 100 * sizes[products.OURS] / sizes['JBIG1']:.0f} % smaller over all" in page
    *_, (_, some) = products.with_all(figures["products"])
    raw = sum(row["raw"] for row in some)
    for way in products.WAYS:
        if way != "wide":
            assert f"1/{raw / sum(row[way]['total'] for row in some):.0f}" in page
    mask, whole = (sum(row["guided"][part] for row in some) for part in ("mask", "total"))
    assert f"{mask} of {whole} bytes" in page
    masks = [row for row in figures["seconds"]["rows"] if row["what"].startswith("mask")]
    assert all(row["seconds"] < figures["seconds"]["bound"] for row in masks)
