from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from onboard import bundle, chip, engines
from onboard.errors import EngineError, FrameError, OutputError
from onboard.labelling import candidates
from onboard.link import alerts
from onboard.outbox import Item, Kind, Outbox, clock_ms
from onboard.product import dequantise, unpack
from onboard.reference_water import PermanentWater
from onboard.runtime import Around, Entry, Runtime
from onboard.runtime import keep as plain_keep
from onboard.scene import Frame
from onboard.segment import Segmenter
from onboard.triage import Decision, Limits, Outcome, Sight
from tests.chips import make_chip
from tests.samples import BUNDLE, FRAME, SAMPLES, UTM, crop, write_frame


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    loaded = bundle.load(BUNDLE, ["tflite", bundle.COMMON])
    segmenter = Segmenter(loaded, engines.load("tflite", loaded), loaded.passes, 5)
    return Runtime(segmenter, loaded.limits)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.sqlite") as box:
        yield box


@pytest.fixture
def wet(tmp_path: Path) -> Path:
    """A piece of the committed frame with much water."""
    tags = {"ACQUIRED": "2026-07-14T10:21:33Z"}
    return write_frame(tmp_path / "wet.tif", crop(200, 180, 700, 400), tags=tags)


def write_reference(path: Path, raster: Any, **settings: Any) -> PermanentWater:
    raster = np.asarray(raster)
    profile = {"driver": "GTiff", "count": 1, **UTM, **settings}
    with rasterio.open(
        str(path), "w", height=raster.shape[0], width=raster.shape[1], dtype=raster.dtype, **profile
    ) as out:
        out.write(raster, 1)
    return PermanentWater(path)


def test_a_flood_becomes_a_product_and_an_alert(
    runtime: Runtime, outbox: Outbox, wet: Path
) -> None:
    flown = runtime.fly(wet, outbox)
    assert flown.decision is not None
    assert flown.decision.outcomes[:2] == (Outcome.ALERT, Outcome.PRODUCT)
    alert_item, product_item = outbox.waiting()[:2]
    assert (alert_item.kind, product_item.kind) == (Kind.ALERT, Kind.PRODUCT)
    product, alert = unpack(product_item.data), alerts.unpack(alert_item.data)
    assert product.product_id == flown.product_id
    assert alert.product
    assert alert.frame_id == product.product_id[:8]
    assert product.subject == alert.subject == "water"
    assert product.acquired_ms == 1_784_024_493_000
    assert product.georef.transform == (30.0, 0.0, 600000.0, 0.0, -30.0, 2600000.0)
    assert set(flown.seconds) == {"hash", "segment", "triage", "product", "store"}


def test_the_product_holds_what_segment_shows(runtime: Runtime, outbox: Outbox, wet: Path) -> None:
    runtime.fly(wet, outbox)
    product = unpack(outbox.waiting()[1].data)
    with Frame(wet, runtime.segmenter.bundle.sensor) as frame:
        assert product.scene_id == frame.scene_id()
        whole = runtime.segmenter.whole(frame)
    np.testing.assert_array_equal(product.mask, whole.classes)
    observed = product.mask <= 1
    assert product.statistics.mean_entropy == pytest.approx(
        float(whole.maps.entropy[observed].mean()), rel=1e-5
    )
    block = whole.maps.entropy[:8, :8][observed[:8, :8]].mean()
    assert dequantise(product.entropy)[0, 0] == pytest.approx(block, abs=0.006)


def test_a_frame_is_processed_once(runtime: Runtime, outbox: Outbox, wet: Path) -> None:
    runtime.fly(wet, outbox)
    again = runtime.fly(wet, outbox)
    assert again.decision is None
    assert again.product_id is None
    assert len(outbox.waiting()) == 2


def test_what_is_done_around_a_frame(runtime: Runtime, outbox: Outbox, wet: Path) -> None:
    told: list[str] = []

    def keep(box: Outbox, entry: Entry) -> None:
        told.append(f"keep {len(entry.products)} {len(entry.alerts)}")
        plain_keep(box, entry)

    around = Around(lambda: told.append("before"), lambda: told.append("after"), keep)
    runtime.fly(wet, outbox, around)
    assert told == ["before", "after", "keep 1 1"]
    runtime.fly(wet, outbox, around)
    assert len(told) == 3
    assert len(outbox.waiting()) == 2


@pytest.mark.parametrize("moment", ["before", "after", "keep"])
def test_a_frame_that_is_not_vouched_for_is_not_recorded(
    runtime: Runtime, outbox: Outbox, wet: Path, moment: str
) -> None:
    def refuse(*_: Any) -> None:
        raise EngineError("the golden tile differs")

    with pytest.raises(EngineError):
        runtime.fly(wet, outbox, Around()._replace(**{moment: refuse}))
    assert outbox.processed == 0
    assert outbox.waiting() == []


def test_a_dry_frame_sends_nothing_but_is_remembered(
    runtime: Runtime, outbox: Outbox, tmp_path: Path
) -> None:
    dry = np.array([600, 900, 1000, 2600], np.uint16)[:, None, None]
    noise = np.random.default_rng(0).integers(0, 60, (4, 90, 90)).astype(np.uint16)
    flown = runtime.fly(write_frame(tmp_path / "dry.tif", dry + noise), outbox)
    assert flown.decision is not None
    assert flown.decision.outcomes == (Outcome.NOTHING,)
    assert outbox.waiting() == []
    assert runtime.fly(tmp_path / "dry.tif", outbox).decision is None


def test_an_overcast_frame_is_dropped(runtime: Runtime, outbox: Outbox, tmp_path: Path) -> None:
    samples = crop(90, 90)
    samples[:, 15:] = 0
    flown = runtime.fly(write_frame(tmp_path / "f.tif", samples), outbox)
    assert flown.decision is not None
    assert "not observed" in flown.decision.reason
    assert flown.decision.outcomes == (Outcome.NOTHING,)


def test_the_committed_frame_and_its_reference(runtime: Runtime, outbox: Outbox) -> None:
    reference = PermanentWater(SAMPLES / "frame_permanent.tif")
    flown = dataclasses.replace(runtime, reference=reference).fly(FRAME, outbox)
    assert flown.product_id is not None
    alert, product = (item.data for item in outbox.waiting()[:2])
    found = unpack(product)
    assert found.subject == "flood"
    assert found.reference_version == reference.version
    statistics = found.statistics
    assert statistics.flood is not None
    beyond = reference.beyond(found.georef)
    assert beyond is not None
    assert statistics.flood == ((found.mask == 1) & beyond).sum()
    assert 0 < statistics.flood < statistics.water
    told = alerts.unpack(alert)
    assert told.area_m2 == pytest.approx(statistics.flood_area_m2, abs=100)
    rows, columns = np.nonzero((found.mask == 1) & beyond)
    a, _, c, _, e, f = found.georef.transform
    x, y = a * (columns.mean() + 0.5) + c, e * (rows.mean() + 0.5) + f
    longitude, latitude = transform(found.georef.crs, "EPSG:4326", [x], [y])
    assert told.place == pytest.approx((latitude[0], longitude[0]), abs=1e-5)


def test_the_decision_is_taken_at_the_sensitive_point(
    runtime: Runtime, outbox: Outbox, wet: Path
) -> None:
    loaded = runtime.segmenter.bundle
    thresholds = {**loaded.manifest["thresholds"], "sensitive": {"water": 0.0, "cloud": 0.5}}
    eager = dataclasses.replace(loaded, manifest={**loaded.manifest, "thresholds": thresholds})
    segmenter = dataclasses.replace(runtime.segmenter, bundle=eager)
    flown = dataclasses.replace(runtime, segmenter=segmenter).fly(wet, outbox)
    assert flown.decision is not None
    assert "100.00% of the observed pixels may be wet" in flown.decision.reason


def with_limit(runtime: Runtime, name: str, value: float) -> Runtime:
    return dataclasses.replace(runtime, limits=runtime.limits.with_value(name, value))


def test_the_sensitive_point_yields_to_a_command(
    runtime: Runtime, outbox: Outbox, wet: Path, tmp_path: Path
) -> None:
    eager = with_limit(runtime, "sensitive_water", 0.0)
    decision = eager.fly(wet, outbox).decision
    assert decision is not None
    assert "100.00% of the observed pixels may be wet" in decision.reason
    blind = with_limit(with_limit(runtime, "sensitive_water", 1.0), "max_chips", 0)
    with Outbox(tmp_path / "other.sqlite") as other:
        decision = blind.fly(wet, other).decision
        assert decision is not None
        assert decision.outcomes == (Outcome.NOTHING,)
        assert other.waiting() == []


def test_an_alert_alone_is_about_what_is_possible(
    runtime: Runtime, outbox: Outbox, wet: Path
) -> None:
    sure = with_limit(with_limit(runtime, "min_confidence", 1.0), "max_chips", 0)
    flown = sure.fly(wet, outbox)
    assert flown.decision is not None
    assert flown.decision.outcomes == (Outcome.ALERT,)
    assert flown.product_id is None
    (item,) = outbox.waiting()
    assert item.kind is Kind.ALERT
    alert = alerts.unpack(item.data)
    assert not alert.product
    with Frame(wet, runtime.segmenter.bundle.sensor) as frame:
        assert alert.frame_id == frame.scene_id()[:8]
    assert alert.possible_fraction > alert.fraction > 0
    assert alert.place == pytest.approx(item.place, abs=1e-7)
    assert item.acquired_ms == alert.acquired_ms == 1_784_024_493_000
    assert item.value == flown.decision.value > 0


def chips_of(outbox: Outbox) -> list[chip.Chip]:
    return [chip.unpack(item.data) for item in outbox.waiting() if item.kind is Kind.CHIP]


def test_the_most_doubtful_tiles_become_chips(runtime: Runtime, outbox: Outbox) -> None:
    flown = with_limit(runtime, "max_chips", 3).fly(FRAME, outbox)
    assert flown.decision is not None
    assert Outcome.CHIP in flown.decision.outcomes
    found = chips_of(outbox)
    assert flown.chips == len(found) > 0
    with Frame(FRAME, runtime.segmenter.bundle.sensor) as frame:
        whole = runtime.segmenter.whole(frame)
        best = candidates(whole.maps.epistemic, whole.classes <= 1)
        assert found[0].scene_id == frame.scene_id()
        assert (found[0].row, found[0].col) == (best[0].tile.row, best[0].tile.col)
        for one in found:
            window = (slice(one.row, one.row + 128), slice(one.col, one.col + 128))
            np.testing.assert_array_equal(one.mask, whole.classes[window])
            np.testing.assert_array_equal(one.samples, frame.samples(one.row, one.col, 128, 128))
            assert one.epistemic >= runtime.limits.min_epistemic
    values = [item.value for item in outbox.waiting() if item.kind is Kind.CHIP]
    assert values == [one.worth for one in found] == sorted(values, reverse=True)
    assert all(item.place for item in outbox.waiting())


def test_the_same_frame_gives_the_same_chips(
    runtime: Runtime, outbox: Outbox, tmp_path: Path
) -> None:
    runtime.fly(FRAME, outbox)
    with Outbox(tmp_path / "other.sqlite") as other:
        runtime.fly(FRAME, other)
        assert [chip.pack(c) for c in chips_of(other)] == [chip.pack(c) for c in chips_of(outbox)]


def test_the_day_has_an_end_of_chips(runtime: Runtime, outbox: Outbox) -> None:
    day = with_limit(runtime, "max_chips_day", 3)
    made = [Item(chip.pack(make_chip(seed)), 0.1) for seed in (1, 2)]
    outbox.record(b"x" * 32, b"m" * 32, chips=made[:1])
    outbox.record(b"y" * 32, b"m" * 32, chips=made[1:])
    # One that left the queue counts too, one of the day before does not.
    outbox.evict([outbox.waiting()[0].item], "test")
    outbox.record(
        b"z" * 32,
        b"m" * 32,
        chips=[Item(chip.pack(make_chip(3)), 0.1)],
        now_ms=clock_ms() - 9 * 10**7,
    )
    flown = day.fly(FRAME, outbox)
    assert flown.chips == 1
    assert flown.decision is not None
    assert "2 chips in 24 hours (at most 3)" in flown.decision.reason


def test_moving_the_doubt_of_a_tile_changes_the_chips(runtime: Runtime, outbox: Outbox) -> None:
    flown = with_limit(runtime, "min_epistemic", 0.5).fly(FRAME, outbox)
    assert flown.decision is not None
    assert Outcome.CHIP not in flown.decision.outcomes
    assert flown.chips == 0
    assert chips_of(outbox) == []


def test_permanent_water_alone_is_no_flood(
    runtime: Runtime, outbox: Outbox, wet: Path, tmp_path: Path
) -> None:
    everywhere = write_reference(tmp_path / "r.tif", np.ones((200, 180), np.uint8))
    flown = dataclasses.replace(runtime, reference=everywhere).fly(wet, outbox)
    assert flown.decision is not None
    assert flown.decision.outcomes == (Outcome.NOTHING,)


def test_a_reference_beside_the_frame_says_nothing(
    runtime: Runtime, outbox: Outbox, wet: Path, tmp_path: Path
) -> None:
    small = write_reference(tmp_path / "r.tif", np.zeros((50, 50), np.uint8))
    flown = dataclasses.replace(runtime, reference=small).fly(wet, outbox)
    assert any("does not cover" in note for note in flown.notes)
    assert unpack(outbox.waiting()[1].data).subject == "water"


def test_a_reference_on_another_grid_is_resampled(tmp_path: Path) -> None:
    fine = np.zeros((400, 400), np.uint8)
    fine[:, :200] = 1
    transform = rasterio.Affine(15.0, 0.0, 600000.0, 0.0, -15.0, 2600000.0)
    reference = write_reference(tmp_path / "r.tif", fine, transform=transform)
    with Frame(write_frame(tmp_path / "f.tif", crop(200, 200)), SENSOR) as frame:
        own = reference.on(frame.georef)
    assert own[:, :100].all()
    assert not own[:, 100:].any()


def test_the_version_follows_the_samples(tmp_path: Path) -> None:
    raster = np.zeros((20, 20), np.uint8)
    first = write_reference(tmp_path / "a.tif", raster).version
    assert write_reference(tmp_path / "b.tif", raster).version == first
    raster[3, 3] = 1
    assert write_reference(tmp_path / "c.tif", raster).version != first


@pytest.mark.parametrize("kind", ["missing", "values", "no coordinates"])
def test_an_unusable_reference(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "r.tif"
    if kind == "missing":
        with pytest.raises(FrameError, match=r"r\.tif: is not a readable GeoTIFF"):
            PermanentWater(path)
    if kind == "values":
        with pytest.raises(FrameError, match="holds the value 7"):
            write_reference(path, np.full((5, 5), 7, np.uint8))
    if kind == "no coordinates":
        with (
            pytest.warns(rasterio.errors.NotGeoreferencedWarning),
            pytest.raises(FrameError, match="needs a CRS"),
        ):
            write_reference(
                path, np.zeros((5, 5), np.uint8), crs=None, transform=rasterio.Affine.identity()
            )


def test_a_time_that_is_none(runtime: Runtime, outbox: Outbox, tmp_path: Path) -> None:
    path = write_frame(tmp_path / "f.tif", crop(200, 180, 700, 400), tags={"ACQUIRED": "soon"})
    with pytest.raises(FrameError, match="'soon', no ISO 8601 time"):
        runtime.fly(path, outbox)
    assert outbox.waiting() == []


@pytest.mark.parametrize("year", ["1900", "0001", "2200"])
def test_a_time_that_no_time_code_holds(
    runtime: Runtime, outbox: Outbox, tmp_path: Path, year: str
) -> None:
    tags = {"ACQUIRED": f"{year}-01-01T00:00:00Z"}
    path = write_frame(tmp_path / "f.tif", crop(200, 180, 700, 400), tags=tags)
    with pytest.raises(FrameError, match="outside 1958…2136"):
        runtime.fly(path, outbox)


def test_a_time_without_a_zone_is_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_frame(tmp_path / "f.tif", crop(9, 9), tags={"ACQUIRED": "2026-07-14T10:21:33"})
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with Frame(path, SENSOR) as frame:
            assert frame.capture.milliseconds == 1_784_024_493_000
    finally:
        monkeypatch.undo()
        time.tzset()


def test_coordinates_that_lead_nowhere(runtime: Runtime, outbox: Outbox, tmp_path: Path) -> None:
    local = 'LOCAL_CS["hall",UNIT["metre",1]]'
    path = write_frame(tmp_path / "f.tif", crop(200, 180, 700, 400), crs=local)
    reference = write_reference(tmp_path / "r.tif", np.zeros((200, 180), np.uint8))
    flown = dataclasses.replace(runtime, reference=reference).fly(path, outbox)
    assert flown.product_id is not None
    alert, product = (item.data for item in outbox.waiting()[:2])
    assert alerts.unpack(alert).place is None
    assert unpack(product).subject == "water"


@pytest.mark.parametrize(("width", "height"), [(70_000, 16), (40_000, 40_000)])
def test_a_frame_too_large_for_a_product(
    runtime: Runtime, outbox: Outbox, tmp_path: Path, width: int, height: int
) -> None:
    path = tmp_path / "f.tif"
    profile = {"driver": "GTiff", "count": 4, "dtype": "uint16", "width": width, "height": height}
    with rasterio.open(str(path), "w", SPARSE_OK=True, BIGTIFF="YES", **profile, **UTM) as out:
        out.descriptions = ("blue", "green", "red", "nir")
    with pytest.raises(FrameError, match="more than can be flown"):
        runtime.fly(path, outbox)


def test_a_full_disk_leaves_the_frame_unprocessed(
    runtime: Runtime, outbox: Outbox, wet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> bool:
        raise OutputError("outbox.sqlite: the outbox cannot be used (database or disk is full)")

    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "record", full)
        with pytest.raises(OutputError):
            runtime.fly(wet, outbox)
    assert runtime.fly(wet, outbox).product_id is not None


SENSOR = bundle.load(BUNDLE, []).sensor


def test_another_rule_can_judge(runtime: Runtime, outbox: Outbox, wet: Path) -> None:
    told: list[int] = []

    def judge(sight: Sight, limits: Limits, chips_today: int) -> Decision:
        told.append(sight.wet_sensitive)
        return Decision((Outcome.ALERT,), "another rule", 7.0)

    flown = dataclasses.replace(runtime, judge=judge).fly(wet, outbox)
    assert flown.decision is not None
    assert flown.decision.reason == "another rule"
    assert [(one.kind, one.value) for one in outbox.waiting()] == [(Kind.ALERT, 7.0)]
    assert told[0] > 0
