"""Fetching public sets from small copies of them on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from onboard.alone import alone
from onboard.cli import run
from onboard.errors import ConfigError, FetchError, OutputError
from onboard.sensor import VNIR4
from tests.samples import ROOT
from tests.training.data.mirror import (
    HAND,
    REVISION,
    Mirror,
    sen1floods11_mirror,
    serving,
    worldfloods_mirror,
)
from training.chips import UNKNOWN, ChipFolder
from training.data import download, listing
from training.data.download import Client
from training.data.fetch import Order, Result, fetch, verify
from training.data.sources import SEN1FLOODS11, WORLDFLOODS, Source
from training.splits import SPLITS, split_ids

VNIR = ("blue", "green", "red", "nir")
SCENES = {
    "EMSR264_18MIANDRIVAZODETAIL_DEL_v2": "test",
    "EMSR286_08ITUANGONORTH_DEL_v1": "train",
    "EMSR286_09ITUANGO_DEL_MONIT02_v1": "train",
    "ST_20170826_WaterExtent_Niamey": "val",
}


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "LONGEST_PAUSE", 0.0)


@pytest.fixture
def sen1(tmp_path: Path) -> Iterator[Mirror]:
    chips = {"Bolivia": 3, "Sri-Lanka": 2, "USA": 1}
    with serving(sen1floods11_mirror(tmp_path / "made", chips)) as mirror:
        yield mirror


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Mirror]:
    with serving(worldfloods_mirror(tmp_path / "made", SCENES)) as mirror:
        yield mirror


@pytest.fixture(autouse=True)
def made(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()


def brought(
    source: Source, mirror: Mirror, out: Path, side: int = 128, attempts: int = 3, **more: Any
) -> Result:
    order = Order(source, mirror.url, more.pop("bands", VNIR), side, **more)
    return fetch(out, order, Client(attempts=attempts, pause_s=0.0, timeout_s=5.0))


def content(folder: Path) -> dict[str, bytes]:
    found = [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def test_sen1floods11_becomes_a_chip_folder(sen1: Mirror, tmp_path: Path) -> None:
    sen1.page = 2
    out = tmp_path / "out"
    assert brought(SEN1FLOODS11, sen1, out) == Result(6, 6, 0, ())
    folder = ChipFolder.open(out)
    assert (folder.name, folder.gsd_m, folder.bands) == ("sen1floods11", 10, VNIR)
    assert set(folder.groups.values()) == {"Bolivia", "Sri-Lanka", "USA"}
    assert folder.groups["Sri-Lanka_100"] == "Sri-Lanka"
    chip = folder.read("Bolivia_101", VNIR4)
    with rasterio.open(tmp_path / "made" / "Bolivia_101_S2Hand.tif") as image:
        wanted = image.read([2, 3, 4, 8]).transpose(1, 2, 0) * 1e-4
        crs, transform = image.crs, image.transform
    with rasterio.open(tmp_path / "made" / "Bolivia_101_LabelHand.tif") as label:
        truth = label.read(1)
    np.testing.assert_allclose(chip.reflectance, wanted, atol=1e-6)
    np.testing.assert_array_equal(chip.water, np.where(truth < 0, UNKNOWN, truth))
    assert (chip.cloud == UNKNOWN).all(), "the set does not tell cloud"
    with rasterio.open(out / "images" / "Bolivia_101.tif") as written:
        assert (written.crs, written.transform) == (crs, transform)
        assert written.descriptions == VNIR
    assert not list((out / "originals").iterdir())
    assert not any("S1Hand" in path for path, _ in sen1.requests)


def test_worldfloods_becomes_a_chip_folder(world: Mirror, tmp_path: Path) -> None:
    world.page = 3
    out = tmp_path / "out"
    # 150 × 200 at 128: a sliver of 22 rows is dropped, 72 columns are kept.
    assert brought(WORLDFLOODS, world, out) == Result(4, 8, 8, ())
    folder = ChipFolder.open(out)
    assert set(folder.groups.values()) == {
        "EMSR264",
        "EMSR286",
        "ST_20170826_WaterExtent_Niamey",
    }
    name = "EMSR286_08ITUANGONORTH_DEL_v1"
    chip = folder.read(f"{name}_r00000c00128", VNIR4)
    with rasterio.open(tmp_path / "made" / f"{name}.tif") as image:
        wanted = image.read([2, 3, 4, 8])[:, :128, 128:].transpose(1, 2, 0) * 1e-4
    with rasterio.open(tmp_path / "made" / f"{name}_gt.tif") as label:
        cloud, water = label.read()[:, :128, 128:]
    np.testing.assert_allclose(chip.reflectance, wanted, atol=1e-6)
    np.testing.assert_array_equal(chip.cloud == 1, cloud == 2)
    np.testing.assert_array_equal(chip.water == 1, (cloud == 1) & (water == 2))
    np.testing.assert_array_equal(chip.water == 0, (cloud == 1) & (water == 1))
    rows = (out / "index.csv").read_text("utf-8").splitlines()
    assert rows[0] == "id,group,published_split,date"
    assert f"{name}_r00000c00128,EMSR286,train,2018-09-17" in rows
    assert not any("PERMANENT" in path for path, _ in world.requests)
    assert json.loads((out / "fetched" / "source.json").read_text())["revision"] == REVISION


def test_all_bands_and_the_originals_may_be_kept(world: Mirror, tmp_path: Path) -> None:
    out = tmp_path / "out"
    brought(WORLDFLOODS, world, out, bands=("swir1", "coastal"), keep=True, limit=1)
    assert ChipFolder.open(out).bands == ("swir1", "coastal")
    (kept,) = (out / "originals").iterdir()
    assert len(list(kept.iterdir())) == 3
    assert verify(out) == (4 + 3, [])


def test_the_records_hold_what_was_brought(sen1: Mirror, tmp_path: Path) -> None:
    out = tmp_path / "out"
    brought(SEN1FLOODS11, sen1, out)
    record = json.loads((out / "fetched" / "USA_100.json").read_text("utf-8"))
    assert (record["group"], record["dropped"]) == ("USA", 0)
    sizes = {f["name"].rpartition("/")[2]: f["bytes"] for f in record["files"]}
    assert sizes == {
        f"USA_100_{part}.tif": (tmp_path / "made" / f"USA_100_{part}.tif").stat().st_size
        for part in ("S2Hand", "LabelHand")
    }
    assert {f["published"]["kind"] for f in record["files"]} == {"md5"}
    assert verify(out) == (12, [])
    (out / "images" / "USA_100.tif").write_bytes(b"other")
    (out / "labels" / "Bolivia_100.tif").unlink()
    count, wrong = verify(out)
    assert count == 12
    assert [line.rpartition("/")[2] for line in wrong] == [
        "Bolivia_100.tif: is missing",
        "USA_100.tif: is not what was fetched",
    ]


def test_a_limit_shows_many_events_first_and_can_be_raised(sen1: Mirror, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert brought(SEN1FLOODS11, sen1, out, limit=4).items == 4
    assert set(ChipFolder.open(out).groups.values()) == {"Bolivia", "Sri-Lanka", "USA"}
    once = sen1.counts()
    assert brought(SEN1FLOODS11, sen1, out).chips == 6
    assert all(sen1.counts()[path] == count for path, count in once.items()), "not again"


def test_a_fetch_that_broke_off_goes_on(sen1: Mirror, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fourth = f"/{SEN1FLOODS11.store}/{HAND}/S2Hand/Bolivia_101_S2Hand.tif"
    sen1.breaks[fourth] = [5000, 100]
    with pytest.raises(FetchError, match="run the same command again later"):
        brought(SEN1FLOODS11, sen1, out, attempts=2)
    assert len(ChipFolder.open(out).ids) == 3
    before = sen1.counts()
    assert brought(SEN1FLOODS11, sen1, out).chips == 6
    after = sen1.counts()
    assert {p for p in before if after[p] != before[p]} == {fourth}
    assert sen1.asked("Bolivia_101_S2Hand.tif")[-1] == "bytes=5100-"
    whole = tmp_path / "whole"
    brought(SEN1FLOODS11, sen1, whole)
    assert content(whole) == content(out)


def killed_in_the_middle(
    mirror: Mirror, arguments: list[str], out: Path, size: int, patience: int = 600
) -> bool:
    """Run the command until the mirror holds back after ``size`` bytes, and kill it hard.

    False where it came to its end before that.
    """
    environment = dict(os.environ, PYTHONPATH=str(ROOT), no_proxy="127.0.0.1")
    command = [sys.executable, "-m", "onboard", *arguments]
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if mirror.held.wait(0.2) or child.poll() is not None:
                break
        if not mirror.held.is_set():
            assert child.poll() == 0
            return False
        for _ in range(patience):
            if any(p.stat().st_size == size for p in out.rglob("*.part")):
                break
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    mirror.go.set()
    return True


def test_a_fetch_that_was_killed_goes_on(world: Mirror, tmp_path: Path, capfd: Any) -> None:
    """By the second scene's image: the first scene is done, the bytes that came stay."""
    out = tmp_path / "out"
    second = sorted(SCENES)[1]
    root = f"/datasets/{WORLDFLOODS.store}/resolve/{REVISION}"
    world.holds[f"{root}/train/S2/{second}.tif"] = 400_000
    arguments = ["data", "fetch", "worldfloods", "--out", str(out), "--base-url", world.url]
    arguments += ["--side", "128"]
    assert killed_in_the_middle(world, arguments, out, 400_000)
    assert len(set(ChipFolder.open(out).groups.values())) == 1
    before = world.counts()
    assert run(arguments) == 0
    assert "8 chips of 4 scenes, 8 pieces" in capfd.readouterr().out
    again = {path for path in before if world.counts()[path] > before[path]}
    assert again == {f"{root}/train/S2/{second}.tif"}
    assert world.asked(f"S2/{second}.tif") == ["", "bytes=400000-"]
    whole = tmp_path / "whole"
    brought(WORLDFLOODS, world, whole)
    assert content(whole) == content(out)


@pytest.mark.soak
def test_a_fetch_that_is_killed_again_and_again_goes_on(sen1: Mirror, tmp_path: Path) -> None:
    """Killed after another number of bytes of whatever file comes next, until it is done."""
    out, rng = tmp_path / "out", np.random.default_rng(7)
    arguments = ["data", "fetch", "sen1floods11", "--out", str(out), "--base-url", sen1.url]
    kills = 0
    while kills < 200:
        done = {path.stem for path in (out / "fetched").glob("*.json")}
        for path, made in sen1.files.items():
            if "S1Hand" not in path and Path(path).stem.rpartition("_")[0] not in done:
                sen1.holds[path] = int(rng.integers(1, len(made)))
        sen1.held.clear()
        sen1.go.clear()
        if not killed_in_the_middle(sen1, arguments, out, size=-1, patience=3):
            break
        kills += 1
        if out.joinpath("index.csv").exists() and list((out / "images").glob("*.tif")):
            folder = ChipFolder.open(out)
            assert [folder.read(chip, VNIR4).id for chip in folder.ids] == list(folder.ids)
    assert kills >= 12, "every file was broken off once at least"
    sen1.holds.clear()
    assert brought(SEN1FLOODS11, sen1, out, side=512).chips == 6
    whole = tmp_path / "whole"
    brought(SEN1FLOODS11, sen1, whole, side=512)
    assert content(whole) == content(out)
    assert verify(out) == (12, [])


@pytest.mark.parametrize("step", ["labels", "images", "record"])
def test_the_folder_is_whole_wherever_it_stops(
    sen1: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Stopped while chips are put in, the folder opens, and the next fetch ends as any other."""
    out = tmp_path / "out"
    brought(SEN1FLOODS11, sen1, out, limit=1)
    plain = Path.replace

    class StopError(Exception):
        pass

    def stopping(self: Path, target: Path) -> Path:
        found = plain(self, target)
        if self.parent.name == step and "chips" in self.parts:
            raise StopError
        return found

    def no_record(path: Path, text: str) -> None:
        if step == "record" and path.name == "Sri-Lanka_100.json":
            raise StopError
        written(path, text)

    from onboard import files

    written = files.write_text
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopping)
        patch.setattr(files, "write_text", no_record)
        with pytest.raises(StopError):
            brought(SEN1FLOODS11, sen1, out)
    folder = ChipFolder.open(out)
    for chip in folder.ids:
        folder.read(chip, VNIR4)
    assert brought(SEN1FLOODS11, sen1, out).chips == 6
    whole = tmp_path / "whole"
    brought(SEN1FLOODS11, sen1, whole)
    assert content(whole) == content(out)


def test_an_item_that_is_not_as_documented_is_told_and_the_rest_comes(
    sen1: Mirror, tmp_path: Path, capfd: Any
) -> None:
    path = f"/{SEN1FLOODS11.store}/{HAND}/LabelHand/USA_100_LabelHand.tif"
    sen1.files[path] = (tmp_path / "made" / "USA_100_S2Hand.tif").read_bytes()
    out = tmp_path / "out"
    arguments = ["data", "fetch", "sen1floods11", "--out", str(out), "--base-url", sen1.url]
    assert run(arguments) == 1
    shown = capfd.readouterr()
    assert "not usable: " in shown.err
    assert "has 13 bands instead of 1" in shown.err
    assert "5 chips of 5 chips" in shown.out
    assert "Terms: " in shown.out
    assert "Cite: Bonafilia" in shown.out
    assert "USA" not in set(ChipFolder.open(out).groups.values())
    assert run(["data", "verify", str(out)]) == 0
    assert "10 of 10 files are as they were fetched" in capfd.readouterr().out


def test_the_fetched_set_trains_and_divides(sen1: Mirror, tmp_path: Path, capfd: Any) -> None:
    out = tmp_path / "out"
    brought(SEN1FLOODS11, sen1, out)
    assert run(["data", "describe", str(out)]) == 0
    assert run(["data", "split", str(out)]) == 0
    folder = ChipFolder.open(out)
    assert {s: len(split_ids(folder, s)) for s in SPLITS} == {
        "train": 3,
        "calibration": 1,
        "test": 2,
    }
    assert brought(SEN1FLOODS11, sen1, out).chips == 6, "a division does not stand in its way"


def test_other_settings_in_the_same_folder(sen1: Mirror, world: Mirror, tmp_path: Path) -> None:
    out = tmp_path / "out"
    brought(SEN1FLOODS11, sen1, out, limit=1)
    before = content(out)
    for change in ({"bands": ("nir",)}, {"side": 64}):
        with pytest.raises(ConfigError, match="holds a fetch with another"):
            brought(SEN1FLOODS11, sen1, out, **change)
    with pytest.raises(ConfigError, match=r"holds a fetch with another set \(sen1floods11\)"):
        brought(WORLDFLOODS, world, out)
    assert content(out) == before


def test_folders_that_hold_something_else(sen1: Mirror, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("x", "utf-8")
    with pytest.raises(OutputError, match="holds other files"):
        brought(SEN1FLOODS11, sen1, tmp_path / "mine")
    with pytest.raises(OutputError, match="is a file"):
        brought(SEN1FLOODS11, sen1, tmp_path / "mine" / "letter")
    assert sen1.requests == []


def test_two_fetches_into_one_folder(sen1: Mirror, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "fetched").mkdir(parents=True)
    said = "another fetch is at work there"
    with alone(out, "fetch"), pytest.raises(OutputError, match=said):
        brought(SEN1FLOODS11, sen1, out)
    assert brought(SEN1FLOODS11, sen1, out).chips == 6


@pytest.mark.parametrize(
    ("set_name", "option", "words"),
    [
        ("sen1floods11", ["--bands", "blue,infrared"], "--bands infrared: is no band"),
        ("worldfloods", ["--bands", ""], "name one band at least"),
        ("worldfloods", ["--base-url", "ftp://127.0.0.1"], "is no http or https address"),
    ],
)
def test_options_that_make_no_sense(
    tmp_path: Path, capfd: Any, set_name: str, option: list[str], words: str
) -> None:
    more = [] if "--base-url" in option else ["--base-url", "http://127.0.0.1:9"]
    assert run(["data", "fetch", set_name, "--out", str(tmp_path / "o"), *more, *option]) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert words in lines[0]


def test_lists_of_another_form(tmp_path: Path) -> None:
    client = Client(attempts=1, pause_s=0.0)
    with serving(Mirror()) as empty:
        with pytest.raises(FetchError, match="lists no image with a label"):
            listing.sen1floods11(client, empty.url)
        with pytest.raises(FetchError, match="lists no image with a label"):
            listing.worldfloods(client, empty.url, REVISION)
        empty.files = {"/storage/v1/b/x": b""}
    for page in ([], 3, {"items": [{"size": "1"}]}, {"items": [{"name": "x", "size": "?"}]}):
        told = page

        class Odd(Client):
            def answer(self, url: str) -> tuple[Any, str | None]:
                return told, None  # noqa: B023 used at once

        with pytest.raises(FetchError, match="of another form than documented"):
            listing.sen1floods11(Odd(), "http://127.0.0.1")


def test_names_that_point_elsewhere_are_not_taken(sen1: Mirror, tmp_path: Path) -> None:
    for name in ("..%2F..%2Fevil", "../../evil", "a b", ".hidden"):
        for part in ("S2Hand", "LabelHand"):
            sen1.files[f"/{SEN1FLOODS11.store}/{HAND}/{part}/{name}_{part}.tif"] = b"x"
    found = listing.sen1floods11(Client(attempts=1), sen1.url)
    assert len(found) == 6


def test_a_next_page_on_another_server(world: Mirror) -> None:
    class Led(Client):
        def answer(self, url: str) -> tuple[Any, str | None]:
            return [], "http://127.0.0.2/next"

    with pytest.raises(FetchError, match="the next page is on another server"):
        listing.worldfloods(Led(), world.url, REVISION)


def test_a_damaged_record(sen1: Mirror, tmp_path: Path, capfd: Any) -> None:
    out = tmp_path / "out"
    brought(SEN1FLOODS11, sen1, out)
    (out / "fetched" / "USA_100.json").write_text("{", "utf-8")
    assert run(["data", "verify", str(out)]) == 2
    assert "USA_100.json: cannot be read as JSON" in capfd.readouterr().err
    assert run(["data", "verify", str(tmp_path)]) == 2
    assert "holds no fetched set" in capfd.readouterr().err
