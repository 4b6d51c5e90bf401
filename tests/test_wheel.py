"""The wheel: it holds what it must and nothing else, and runs where no checkout is near."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.samples import ROOT

CONTENT = ("onboard", "training", "ground", "benchmarks", "data_samples")
WANTED = ("pyproject.toml", "README.md", "LICENSE")
BUILD = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"


def tracked() -> set[str]:
    """Files of the project, relative to its root, as git has them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("no git here to say what belongs to the project")
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built offline of a copy of the project, by the build backend that is installed here."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        if name in WANTED or name.split("/")[0] in (*CONTENT, "tests", "docs"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


def test_it_holds_the_packages_and_the_samples_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert held == {name for name in tracked() if name.split("/")[0] in CONTENT}


def test_it_runs_outside_a_checkout(wheel: Path, tmp_path: Path) -> None:
    """Unpacked as pip does it, and with nothing of the checkout on the path."""
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def floodsat(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "onboard", *words],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = dict(line.split(" ", 1) for line in floodsat("--version").splitlines())
    samples = Path(said["samples"])
    assert samples == site / "data_samples"
    assert "signed by" in floodsat("inspect", str(samples / "bundle"))
    chip = samples / "chips" / "images" / "00000.tif"
    floodsat("segment", str(samples / "bundle"), str(chip), "--out", "maps", "--passes", "1")
    assert (work / "maps" / "00000.tif").is_file()
