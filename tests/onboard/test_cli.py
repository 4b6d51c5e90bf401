"""The command line as its users meet it, bad input first."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from onboard import golden
from onboard.cli import run
from onboard.errors import EngineError
from tests.onboard.test_scene import BARE
from tests.refusals import refused
from tests.samples import BANDS, BUNDLE, FRAME, ROOT, SAMPLES, crop, write_frame

MAPS = ("class", "p_water", "p_cloud", "entropy", "aleatoric", "epistemic")


def leftovers(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write_frame(tmp_path / "in" / "f.tif", crop(90, 70, 700, 400))


@pytest.fixture
def slots(tmp_path: Path) -> Path:
    assert run(["flash", str(BUNDLE), "--slots", str(tmp_path / "slots")]) == 0
    return tmp_path / "slots"


def test_segment_writes_the_maps(frame: Path, tmp_path: Path) -> None:
    assert run(["segment", str(BUNDLE), str(frame), "--out", str(tmp_path / "o")]) == 0
    with rasterio.open(str(tmp_path / "o" / "f.tif")) as maps, rasterio.open(str(frame)) as source:
        assert maps.descriptions == MAPS
        assert maps.dtypes == ("float32",) * 6
        assert (maps.crs, maps.transform, maps.shape) == (
            source.crs,
            source.transform,
            source.shape,
        )
        classes, p_water, p_cloud, entropy, aleatoric, epistemic = maps.read()
    assert set(np.unique(classes)) <= {0, 1, 2, 255}
    np.testing.assert_allclose(entropy, aleatoric + epistemic, atol=1e-6)
    for p in (p_water, p_cloud):
        assert p.min() >= 0
        assert p.max() <= 1
    assert leftovers(tmp_path / "o") == ["f.tif"]


def test_segment_takes_real_scenes_as_they_are(data_folder: Path, tmp_path: Path) -> None:
    scenes = [data_folder / "scenes" / "yukon_delta_s2.tif"]
    scenes += sorted((data_folder / "phisat2_sim" / "images").glob("*.tif"))[:2]
    out = tmp_path / "o"
    assert run(["segment", str(BUNDLE), *map(str, scenes), "--out", str(out)]) == 0
    assert leftovers(out) == sorted(f"{s.stem}.tif" for s in scenes)
    with (
        rasterio.open(str(out / "yukon_delta_s2.tif")) as maps,
        rasterio.open(str(scenes[0])) as source,
    ):
        empty = (source.read() == 0).all(axis=0)
        assert maps.crs == source.crs
        np.testing.assert_array_equal(maps.read(1) == 255, empty)
        np.testing.assert_array_equal(np.isnan(maps.read(2)), empty)


def test_fly_takes_real_scenes_as_they_are(data_folder: Path, slots: Path, tmp_path: Path) -> None:
    scenes = [data_folder / "scenes" / "yukon_delta_s2.tif"]
    scenes += sorted((data_folder / "phisat2_sim" / "images").glob("*.tif"))
    arguments = ["--slots", str(slots), "--outbox", str(tmp_path / "o.sqlite")]
    report = tmp_path / "r.json"
    assert run(["fly", *map(str, scenes), *arguments, "--json", str(report)]) == 0
    rows = json.loads(report.read_text("utf-8"))
    assert rows[0]["outcome"].startswith("alert, product")
    assert len(rows) == 9


def test_flash_fly_downlink(frame: Path, slots: Path, tmp_path: Path, capfd: Any) -> None:
    outbox, stream = tmp_path / "o.sqlite", tmp_path / "s.bin"
    assert run(["fly", str(frame), "--slots", str(slots), "--outbox", str(outbox)]) == 0
    assert run(["downlink", str(outbox), "--out", str(stream), "--budget", "60000"]) == 0
    assert 0 < stream.stat().st_size <= 60000
    capfd.readouterr()
    assert run(["slots", str(slots)]) == 0
    shown = capfd.readouterr().out
    assert "a active" in shown
    assert "b idle: empty" in shown


def test_fly_goes_on_after_a_bad_frame(
    frame: Path, slots: Path, tmp_path: Path, capfd: Any
) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"nonsense")
    capfd.readouterr()
    code = run(
        ["fly", str(bad), str(frame), "--slots", str(slots), "--outbox", str(tmp_path / "o.db")]
    )
    found = capfd.readouterr()
    assert code == 2
    assert len(found.err.strip().splitlines()) == 1
    assert "f.tif: alert, product" in found.out


def test_inspect_shows_bundle_and_keys(capfd: Any, tmp_path: Path) -> None:
    assert run(["inspect", str(BUNDLE), "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert set(found["set_bytes"]) == set(found["sets"])
    assert found["signed_by"] in capfd.readouterr().out
    (tmp_path / "found.json").unlink()
    assert run(["keygen", str(tmp_path)]) == 0
    assert leftovers(tmp_path) == ["floodsat.key", "floodsat.pub"]


# Bad input: one clear line each, exit code 2, nothing half-written.


def test_a_missing_band(tmp_path: Path, capfd: Any) -> None:
    path = write_frame(tmp_path / "f.tif", crop(20, 20)[:3], bands=BANDS[:3])
    refused(capfd, ["segment", BUNDLE, path, "--out", tmp_path / "o"], "f.tif", "'nir'")
    assert leftovers(tmp_path) == ["f.tif"]


def test_a_wrong_sample_type(tmp_path: Path, capfd: Any) -> None:
    path = write_frame(tmp_path / "f.tif", np.ones((4, 9, 9), np.uint8))
    refused(capfd, ["segment", BUNDLE, path, "--out", tmp_path / "o"], "f.tif", "uint8", "convert")
    assert leftovers(tmp_path) == ["f.tif"]


def test_an_empty_tiff(tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "f.tif").touch()
    refused(capfd, ["segment", BUNDLE, tmp_path / "f.tif", "--out", tmp_path / "o"], "is empty")
    assert leftovers(tmp_path) == ["f.tif"]


def test_a_truncated_tiff(tmp_path: Path, capfd: Any) -> None:
    whole = write_frame(tmp_path / "w.tif", crop(600, 600), driver="COG").read_bytes()
    (tmp_path / "w.tif").unlink()
    (tmp_path / "f.tif").write_bytes(whole[: len(whole) * 2 // 3])
    refused(
        capfd, ["segment", BUNDLE, tmp_path / "f.tif", "--out", tmp_path / "o"], "f.tif", "damaged"
    )
    assert leftovers(tmp_path) == ["f.tif"]


def test_a_frame_without_coordinates_is_allowed_and_said(tmp_path: Path, capfd: Any) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write_frame(tmp_path / "f.tif", crop(40, 40), **BARE)
    assert run(["segment", str(BUNDLE), str(path), "--out", str(tmp_path / "o")]) == 0
    assert "no coordinates" in capfd.readouterr().err
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        maps = rasterio.open(str(tmp_path / "o" / "f.tif"))
    with maps:
        assert maps.crs is None


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig", "tflite/k10.tflite"])
def test_a_bundle_with_one_bit_flipped(frame: Path, tmp_path: Path, capfd: Any, name: str) -> None:
    bad = Path(shutil.copytree(str(BUNDLE), str(tmp_path / "bundle")))
    data = bytearray((bad / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bad / name).write_bytes(bytes(data))
    refused(capfd, ["segment", bad, frame, "--out", tmp_path / "o"], "bundle", "damaged")
    refused(capfd, ["flash", bad, "--slots", tmp_path / "slots"], "bundle", "damaged")
    assert not (tmp_path / "o").exists()
    assert not (tmp_path / "slots").exists()


def test_a_wrong_signature(frame: Path, tmp_path: Path, capfd: Any) -> None:
    assert run(["keygen", str(tmp_path / "keys")]) == 0
    capfd.readouterr()
    key = tmp_path / "keys" / "floodsat.pub"
    arguments = ["segment", BUNDLE, frame, "--out", tmp_path / "o", "--trust", key]
    refused(capfd, arguments, "not signed by a trusted key", "--trust")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("command", ["segment", "fly", "flash", "downlink", "keygen"])
def test_an_output_that_cannot_be_written(
    frame: Path, slots: Path, tmp_path: Path, capfd: Any, command: str
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file, no folder", "utf-8")
    outbox = tmp_path / "o.sqlite"
    assert run(["fly", str(frame), "--slots", str(slots), "--outbox", str(outbox)]) == 0
    capfd.readouterr()
    arguments = {
        "segment": ["segment", BUNDLE, frame, "--out", taken],
        "fly": ["fly", frame, "--slots", slots, "--outbox", taken / "o.sqlite"],
        "flash": ["flash", BUNDLE, "--slots", taken],
        "downlink": ["downlink", outbox, "--out", taken / "s.bin", "--budget", "50000"],
        "keygen": ["keygen", taken],
    }
    refused(capfd, arguments[command], "taken", "cannot write there")
    assert taken.read_text("utf-8") == "a file, no folder"


def test_an_output_that_is_a_folder(frame: Path, slots: Path, tmp_path: Path, capfd: Any) -> None:
    outbox = tmp_path / "o.sqlite"
    assert run(["fly", str(frame), "--slots", str(slots), "--outbox", str(outbox)]) == 0
    capfd.readouterr()
    (tmp_path / "taken").mkdir()
    report = ["--json", tmp_path / "taken"]
    refused(capfd, ["fly", frame, "--slots", slots, "--outbox", outbox, *report], "name a file")
    assert list((tmp_path / "taken").iterdir()) == []


def test_a_pass_is_never_overwritten(frame: Path, slots: Path, tmp_path: Path, capfd: Any) -> None:
    outbox, stream = tmp_path / "o.sqlite", tmp_path / "s.bin"
    assert run(["fly", str(frame), "--slots", str(slots), "--outbox", str(outbox)]) == 0
    arguments = ["downlink", outbox, "--budget", "60000", "--out"]
    assert run([str(a) for a in [*arguments, stream]]) == 0
    before, queue = stream.read_bytes(), outbox.read_bytes()
    capfd.readouterr()
    refused(capfd, [*arguments, stream], "never overwritten")
    refused(capfd, [*arguments, outbox], "never overwritten")
    assert (stream.read_bytes(), outbox.read_bytes()) == (before, queue)
    # What went down is not owed any more: the next pass carries housekeeping alone.
    assert run([str(a) for a in [*arguments, tmp_path / "t.bin"]]) == 0
    assert (tmp_path / "t.bin").stat().st_size == 1119 < len(before)


FULL = """
import resource, signal, sys
from onboard.cli import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))
sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("command", "limit"),
    [
        ("segment", 2_000),
        ("segment", 20_000),
        ("flash", 2_000),
        ("flash", 20_000),
        ("downlink", 200_000),
    ],
)
def test_a_full_disk(
    frame: Path, slots: Path, tmp_path: Path, capfd: Any, command: str, limit: int
) -> None:
    """Files may not grow beyond a limit: GDAL and everyone else see a failed write."""
    outbox, out = tmp_path / "o.sqlite", tmp_path / "out"
    assert run(["fly", str(frame), "--slots", str(slots), "--outbox", str(outbox)]) == 0
    out.mkdir()
    arguments = {
        "segment": ["segment", BUNDLE, frame, "--out", out],
        "flash": ["flash", BUNDLE, "--slots", out / "slots"],
        "downlink": ["downlink", outbox, "--out", out / "s.bin", "--budget", "900000", "--pad"],
    }
    found = subprocess.run(
        [sys.executable, "-c", FULL, str(limit), *map(str, arguments[command])],
        cwd=str(ROOT),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [x for x in found.stderr.splitlines() if x.startswith("floodsat: ")]
    assert found.returncode == 2, found.stderr
    assert len(lines) == 1
    assert "cannot be written" in lines[0]
    assert "Traceback" not in found.stderr
    assert leftovers(out) == []


def test_fly_proves_the_model_first(
    frame: Path, slots: Path, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: Any) -> float:
        raise EngineError("slots/a: the golden tile differs")

    monkeypatch.setattr(golden, "check", wrong)
    capfd.readouterr()
    arguments = ["fly", frame, "--slots", slots, "--outbox", tmp_path / "o.sqlite"]
    refused(capfd, arguments, "golden tile differs")


def test_two_scenes_of_one_name(frame: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "b").mkdir()
    other = Path(shutil.copy(str(frame), str(tmp_path / "b" / "f.tif")))
    refused(capfd, ["segment", BUNDLE, frame, other, "--out", tmp_path / "o"], "overwrite")


def test_maps_never_overwrite_their_scene(frame: Path, capfd: Any) -> None:
    before = frame.read_bytes()
    refused(capfd, ["segment", BUNDLE, frame, "--out", frame.parent], "overwrite it", "--out")
    assert frame.read_bytes() == before


def test_no_bundle_is_flashed(frame: Path, tmp_path: Path, capfd: Any) -> None:
    arguments = ["fly", frame, "--slots", tmp_path / "s", "--outbox", tmp_path / "o.sqlite"]
    refused(capfd, arguments, "holds no bundle", "floodsat flash")
    refused(capfd, ["slots", tmp_path / "s"], "holds no bundle")
    assert not (tmp_path / "o.sqlite").exists()


@pytest.mark.parametrize("what", ["text", "folder", "nothing"])
def test_inspect_of_something_else(tmp_path: Path, capfd: Any, what: str) -> None:
    path = tmp_path / "x"
    if what == "text":
        path.write_text("hello", "utf-8")
    if what == "folder":
        path.mkdir()
    refused(capfd, ["inspect", path], str(path))


def test_threads_that_are_no_number(
    frame: Path, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOODSAT_THREADS", "abc")
    refused(capfd, ["segment", BUNDLE, frame, "--out", tmp_path / "o"], "FLOODSAT_THREADS")


def test_usage_errors_end_with_two(capfd: Any) -> None:
    assert run(["segment"]) == 2
    assert run(["no-such-command"]) == 2
    assert run(["segment", str(BUNDLE), str(FRAME), "--out", "x", "--passes", "0"]) == 2
    assert "Usage" in capfd.readouterr().err


def test_help_of_every_command(capfd: Any) -> None:
    assert run(["--help"]) == 0
    listed = capfd.readouterr().out
    for name in ("segment", "fly", "downlink", "flash", "slots", "inspect", "keygen"):
        assert f"  {name} " in listed
        assert run([name, "--help"]) == 0
    assert run(["--version"]) == 0


def test_samples_are_where_the_readme_says() -> None:
    assert (SAMPLES / "frame.tif").is_file()
