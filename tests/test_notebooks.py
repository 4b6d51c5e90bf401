"""The notebooks of the docs run, and show what their cells print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.samples import ROOT

SCRIPT = ROOT / "scripts" / "notebook.py"
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MAX_BYTES = 300_000
LIMIT_S = 1200
"""On a machine that is busy; alone it takes a quarter of a minute."""


def script() -> Any:
    import importlib.util

    spec = importlib.util.spec_from_file_location("notebook", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# In a process of its own: its kernel, sockets and settings are not those of the test run.
@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 60)
def test_every_cell_runs_and_prints_what_stands_there() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"],
        env={**os.environ, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_reader_sees(path: Path) -> None:
    """Outputs are there, small, and name no path of a machine."""
    text = path.read_text("utf-8")
    assert len(text) <= MAX_BYTES
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    shown = json.dumps([cell["outputs"] for cell in cells])
    assert "image/jpeg" in shown
    for name in ("/home/", "/root/", "/tmp/", str(ROOT)):
        assert name not in shown


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("water 21.9%\n", "water 21.8%\n", True),
        ("water 21.9%\n", "water 25.9%\n", False),
        ("water 21.9%\n", "cloud 21.9%\n", False),
        ("35,752 bytes", "35,800 bytes", True),
        ("35,752 bytes", "45,800 bytes", False),
        ("a 0.0001", "a 0.0002", True),
        ("a 1.2e-05", "a 1.3e-05", False),
        ("same: True", "same: False", False),
        ("one 1", "one 1 2", False),
    ],
)
def test_outputs_that_count_as_the_same(old: str, new: str, same: bool) -> None:
    assert script().alike(old, new) is same
