"""What all tests share: quiet libraries, steady examples, few skies, the folder of real imagery."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"

# Read when the libraries are first imported, in this process and in those that tests start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

# A machine at work may be slow without an example being at fault; CI repeats the same examples.
settings.register_profile("floodsat", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("floodsat")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that uses ``data_folder``, so that ``-m "not data"`` leaves none behind."""
    for item in items:
        if "data_folder" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real imagery; the test is skipped, and listed, where there is none."""
    named = os.environ.get("FLOODSAT_DATA")
    folder = Path(named) if named else BESIDE
    if folder.is_dir():
        return folder
    if named:
        pytest.fail(f"FLOODSAT_DATA is {named}, which is not a folder")
    pytest.skip("no real imagery: set FLOODSAT_DATA to its folder")


@pytest.fixture(scope="module")
def few_skies() -> Iterator[None]:
    """Three generated skies for a training; a bank of 160 takes longer than all the rest."""
    # Here and not above: the flight environment has no training.
    from training import clouds

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clouds, "make_bank", partial(clouds.make_bank, skies=3))
        yield
