"""The main job: what `make demo` runs, and whether what it says is so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from ground import demo, palette
from ground.cli.demo import lines
from ground.replay import result
from onboard.cli import run
from onboard.errors import OutputError
from onboard.product import unpack
from onboard.reference_water import PermanentWater
from tests.samples import FRAME, SAMPLES

FLOOD = Path("maps") / "flood.tif"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, demo.run(demo.Samples.under(SAMPLES), out)


def read(path: Path) -> Any:
    with rasterio.open(path) as raster:
        return raster.read(1)


def test_the_link_lost_frames_and_the_product_is_whole(made: tuple[Path, dict[str, Any]]) -> None:
    out, summary = made
    link = summary["link"]
    assert link["frames_lost"] > 0
    assert link["frames_received"] == link["frames_sent"] - link["frames_lost"]
    assert (link["products_whole"], link["alerts"]) == (1, 1)
    sent, received = (out / "link" / f"{name}.bin" for name in ("sent", "received"))
    assert sent.stat().st_size == summary["sent_bytes"]
    assert received.stat().st_size < sent.stat().st_size


def test_the_figures_are_those_of_the_files(made: tuple[Path, dict[str, Any]]) -> None:
    out, summary = made
    reference = PermanentWater(SAMPLES / "frame_permanent.tif")
    data = (out / "maps" / f"{summary['product_id'][:12]}.fsp").read_bytes()
    product = unpack(data, reference)
    truth, found = read(SAMPLES / "frame_truth.tif"), summary["accuracy"]
    seen = (product.mask <= 1) & (truth <= 1)
    said, true = product.mask[seen] == 1, truth[seen] == 1
    assert found["iou"] == pytest.approx((said & true).sum() / (said | true).sum())
    assert found["accuracy"] == pytest.approx((said == true).mean())
    assert found["precision"] == pytest.approx(true[said].mean())
    assert found["recall"] == pytest.approx(said[true].mean())
    assert summary["raw_frame_bytes"] == 1024 * 1024 * 4 * 2
    assert summary["ratio"] == pytest.approx(summary["raw_frame_bytes"] / summary["sent_bytes"])
    assert summary["cloud_fraction"] == pytest.approx((product.mask == 2).mean())
    assert summary["mean_entropy"] == product.statistics.mean_entropy
    assert json.loads((out / demo.SUMMARY).read_text("utf-8")) == summary


def test_the_shipped_model_sees_the_sample(made: tuple[Path, dict[str, Any]]) -> None:
    """It is generated like a part of the training chips: far worse would mean a broken joint."""
    scores = made[1]["accuracy"]
    assert scores["iou"] > 0.8
    assert scores["cloud_iou"] > 0.7


def test_the_map_lies_where_the_frame_lies(made: tuple[Path, dict[str, Any]]) -> None:
    out, summary = made
    with rasterio.open(out / FLOOD) as flood, rasterio.open(FRAME) as frame:
        assert (flood.crs, flood.transform, flood.shape) == (
            frame.crs,
            frame.transform,
            frame.shape,
        )
        mask = flood.read(1)
        assert flood.tags()["FLOODSAT_SUBJECT"] == "flood"
    assert cog_validate(out / FLOOD)[0]
    observed = np.isin(mask, (0, 1, palette.PERMANENT))
    assert summary["flood_fraction_of_observed"] == pytest.approx((mask == 1)[observed].mean())


def test_the_page_stands_alone(made: tuple[Path, dict[str, Any]]) -> None:
    out, summary = made
    text = (out / "index.html").read_text("utf-8")
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text)
    assert summary["product_id"] in text
    assert f"{summary['accuracy']['iou']:.3f}" in text
    for link in re.findall(r'<a href="([^"#]+)"', text):
        assert (out / link).is_file()


def test_it_ends_in_the_page_of_a_replay(made: tuple[Path, dict[str, Any]]) -> None:
    out, _ = made
    replay = result.read(out / result.NAME)
    text = (out / "index.html").read_text("utf-8")
    assert replay.span.title in text
    assert "One frame, closely" in text
    assert "Floods on generated frames never were" in text
    maps = [one for one in replay.products if one.kind == "product" and one.whole_ms is not None]
    assert maps
    assert all(one.id in text for one in maps)
    for name in ("known.svg", "latency.svg", "bytes.svg"):
        assert (out / name).is_file()


def test_a_second_run_gives_the_same_product(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, summary = made
    # The replay's own tests hold it to its bytes; here its scenario is cut to one frame.
    text = (SAMPLES / "scenarios" / "minute.toml").read_text("utf-8")
    parts = text.replace('"../', f'"{SAMPLES.as_posix()}/').split("[[frame]]")
    (tmp_path / "short.toml").write_text("[[frame]]".join(parts[:2]), "utf-8")
    short = replace(demo.Samples.under(SAMPLES), scenario=tmp_path / "short.toml")
    again = demo.run(short, out)
    assert again["product_id"] == summary["product_id"]
    assert again["link"] == summary["link"]
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        demo.run(demo.Samples.under(SAMPLES), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="name a folder"):
        demo.run(demo.Samples.under(SAMPLES), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_missing_samples_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", str(tmp_path / "o"), "--samples", str(tmp_path)]) == 2
    err = capfd.readouterr().err
    assert "frame.tif: the sample is missing" in err
    assert err.count("\n") == 1


def test_the_terminal_says_what_matters(made: tuple[Path, dict[str, Any]]) -> None:
    text = "\n".join(lines(made[1]))
    assert f"{made[1]['sent_bytes']:,} bytes in 3 copies" in text
    assert "1 product whole and verified" in text
