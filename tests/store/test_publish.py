"""``floodsat publish``: a reception's or an archive's catalogue into a store, by command."""

from __future__ import annotations

import builtins
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ground.catalogue import Catalogue
from ground.delivery import deliver
from ground.stac import asset_names
from ground.stored import StoredCatalogue
from onboard import cli
from onboard.product import pack, unpack
from onboard.remote import Remote, place
from tests.ground.archive.frames import frames_in, maps_of
from tests.ground.catalogues import checked
from tests.products import make_product
from tests.refusals import refused
from tests.s3 import Store
from tests.samples import BUNDLE

FILES = len(asset_names("x")) + 1
"""Of one map: its assets and its item."""


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reception of two products."""
    folder = tmp_path_factory.mktemp("received")
    enter(folder, 1, 2)
    return folder


@pytest.fixture
def maps(received: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(received, tmp_path / "maps"))


def enter(folder: Path, *seeds: int) -> list[str]:
    """Receive products; their names."""
    products = [unpack(pack(make_product(seed))) for seed in seeds]
    items = [deliver(one, pack(one), folder).item for one in products]
    Catalogue(folder).add([one for one in items if one is not None])
    return [one.stem for one in products]


def at(name: str) -> Remote:
    found = place(f"s3://maps/{name}")
    assert isinstance(found, Remote)
    return found


def publish(capfd: Any, folder: Path, name: str) -> str:
    """Publish, and the last line that it says."""
    assert cli.run(["publish", str(folder), str(at(name))]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return str(out.strip().splitlines()[-1])


def brought(source: Remote, folder: Path) -> Path:
    """All objects as files, but the lines of the days."""
    for path in (*source.glob("*.*"), *(source / "days").glob("*.json")):
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder


def puts(store: Store) -> list[str]:
    return [one.path.rpartition("/")[2] for one in store.log if one.method in ("PUT", "POST")]


def test_a_reception_is_there_as_it_was(
    store: Store, maps: Path, tmp_path: Path, capfd: Any
) -> None:
    (maps / "chips").mkdir()
    (maps / "chips" / "c.fsc").write_bytes(b"stays")
    (maps / "reception.json").write_text("{}", "utf-8")
    line = publish(capfd, maps, "whole")
    assert line == f"s3://maps/whole: 2 maps, {2 * FILES} files sent, 0 known"
    there = brought(at("whole"), tmp_path / "there")
    stems = [one.stem for one in Catalogue(maps)]
    assert sorted(one.id for one in checked(there)) == sorted(stems)
    assert [one.stem for one in StoredCatalogue(at("whole"))] == stems
    names = {name for stem in stems for name in (*asset_names(stem), f"{stem}.json")}
    assert {path.name for path in there.iterdir()} == {*names, "collection.json", "days"}
    for name in names:
        assert (there / name).read_bytes() == (maps / name).read_bytes(), name


def test_what_is_there_is_not_sent_again(store: Store, maps: Path, capfd: Any) -> None:
    publish(capfd, maps, "again")
    store.forget()
    assert publish(capfd, maps, "again").endswith(f"2 maps, 0 files sent, {2 * FILES} known")
    assert puts(store) == []
    (stem,) = enter(maps, 3)
    assert publish(capfd, maps, "again").endswith(f"3 maps, {FILES} files sent, {2 * FILES} known")
    own = {*asset_names(stem), f"{stem}.json"}
    assert {name for name in puts(store) if name.startswith(stem)} == own
    assert len(list(StoredCatalogue(at("again")))) == 3


def test_what_is_there_with_other_content_is_sent(store: Store, maps: Path, capfd: Any) -> None:
    stem = next(iter(Catalogue(maps))).stem
    publish(capfd, maps, "other")
    # Of the same length: no listing would tell.
    damaged = bytes(len((maps / f"{stem}.png").read_bytes()))
    (at("other") / f"{stem}.png").write_bytes(damaged)
    (at("other") / f"{stem}.json").write_bytes(b"{}")
    assert publish(capfd, maps, "other").endswith(f"2 maps, 2 files sent, {2 * FILES - 2} known")
    for name in (f"{stem}.png", f"{stem}.json"):
        assert (at("other") / name).read_bytes() == (maps / name).read_bytes()


@pytest.mark.parametrize("after", [3, 2 * FILES, 2 * FILES + 3])
def test_stopped_it_is_run_again(
    store: Store, maps: Path, tmp_path: Path, capfd: Any, monkeypatch: Any, after: int
) -> None:
    """Among the files, between items and lists, and among the lists."""
    name, left = f"stopped{after}", after
    upload = Remote.upload

    def stopped(self: Remote, *arguments: Any) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        upload(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "upload", stopped)
        assert cli.run(["publish", str(maps), str(at(name))]) == 130
    # What is listed is there with every file.
    for entry in StoredCatalogue(at(name)):
        for asset in entry.item()["assets"].values():
            assert (at(name) / asset["href"]).is_file()
    capfd.readouterr()
    sent = int(publish(capfd, maps, name).split(" files sent")[0].rpartition(" ")[2])
    assert sent < 2 * FILES
    assert len(checked(brought(at(name), tmp_path / "there"))) == 2
    assert publish(capfd, maps, name).endswith(f"0 files sent, {2 * FILES} known")


def test_folders_that_cannot_be_published(store: Store, maps: Path, capfd: Any) -> None:
    target = "s3://maps/refused"
    refused(capfd, ["publish", maps.parent, target], f"{maps.parent}: has no collection.json")
    refused(capfd, ["publish", "s3://maps/a", target], "s3://maps/a: is no folder")
    stem = next(iter(Catalogue(maps))).stem
    kept = (maps / f"{stem}.tif").read_bytes()
    (maps / f"{stem}.tif").write_bytes(kept[:-1])
    refused(capfd, ["publish", maps, target], f"{stem}.tif: is not what its item says")
    (maps / f"{stem}.tif").unlink()
    refused(capfd, ["publish", maps, target], f"{stem}.tif: is missing")
    (maps / f"{stem}.tif").write_bytes(kept)
    item = maps / f"{stem}.json"
    for damaged in ("[]", "{", '{"id": "other"}', item.read_text("utf-8").replace(stem, "other")):
        item.write_text(damaged, "utf-8")
        refused(capfd, ["publish", maps, target], f"{item}: ")
    assert [one.stem for one in StoredCatalogue(at("refused"))] == []


def test_stores_that_cannot_be_published_to(
    store: Store, maps: Path, tmp_path: Path, capfd: Any, monkeypatch: Any
) -> None:
    for target in (tmp_path / "there", "https://127.0.0.1:1/maps"):
        refused(capfd, ["publish", maps, target], f"{target}: is no address of an object store")
    refused(capfd, ["publish", maps, "s3://"], "write s3://BUCKET")
    refused(capfd, ["publish", maps, "s3://nowhere/maps"], "s3://nowhere/maps", "make the bucket")
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.partition(".")[0] in ("fsspec", "s3fs"):
            raise ImportError(name)
        return real(name, *more)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", without)
        refused(capfd, ["publish", maps, "s3://maps/x"], "floodsat[archive]")


def test_no_credentials(
    store: Store, maps: Path, tmp_path: Path, capfd: Any, monkeypatch: Any
) -> None:
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()
    refused(capfd, ["publish", maps, "s3://maps/x"], "AWS_SECRET_ACCESS_KEY")
    s3fs.S3FileSystem.clear_instance_cache()


def test_an_archive_once_more_from_the_store(store: Store, tmp_path: Path, capfd: Any) -> None:
    frames = [str(one) for one in frames_in(tmp_path / "in", 2)]
    maps, out = tmp_path / "maps", tmp_path / "out"
    few = ["--passes", "2"]
    assert cli.run(["segment", str(BUNDLE), *frames, "--out", str(maps), "--catalogue", *few]) == 0
    capfd.readouterr()
    # The frames stay where they are.
    assert publish(capfd, maps, "year").endswith("2 maps, 4 files sent, 0 known")
    again = ["reprocess", str(BUNDLE), "s3://maps/year", *few]
    assert cli.run([*again, "--since", "2026-07-14", "--out", str(out)]) == 0
    assert list(maps_of(out)) == ["f0.tif"]
    assert cli.run([*again, "--out", str(out)]) == 0
    assert "1 segmented, 1 done before" in capfd.readouterr().out
    assert maps_of(out) == maps_of(maps)
    refused(capfd, [*again, "--out", "s3://maps/out"], "floodsat publish")
    refused(capfd, ["reprocess", BUNDLE, "s3://maps/none", "--out", out], "has no collection.json")
    refused(capfd, ["reprocess", BUNDLE, "http://127.0.0.1:1/a", "--out", out], "s3://BUCKET")


def test_a_map_of_another_frame_is_not_lost(store: Store, maps: Path, capfd: Any) -> None:
    """Two satellites that number their frames alike; and one frame that was replaced."""
    stem = next(iter(Catalogue(maps))).stem

    def made_of(scene: str, frame: str) -> None:
        item = json.loads((maps / f"{stem}.json").read_text("utf-8"))
        item["properties"]["floodsat:scene_id"] = scene
        item["assets"]["frame"] = {"href": frame}
        Catalogue(maps).add([item])

    made_of("aa", "/one/f.tif")
    publish(capfd, maps, "frames")
    made_of("bb", "/two/f.tif")
    refused(capfd, ["publish", maps, at("frames")], "/one/f.tif", "/two/f.tif", "another prefix")
    made_of("bb", "/one/f.tif")
    assert publish(capfd, maps, "frames").endswith(f"1 files sent, {2 * FILES - 1} known")
