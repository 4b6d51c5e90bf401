"""The import rule: what flies stands alone, and the ground station needs no TensorFlow.

Each rule is held twice. The source is read, which finds an import wherever it stands, in a function
too; and every module is imported by a fresh interpreter behind a wall, which finds what another
module drags in.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TENSORFLOW = {"tensorflow", "keras"}
FORBIDDEN = {
    "onboard": TENSORFLOW | {"training", "ground", "tests", "hil_tests"},
    "ground": TENSORFLOW | {"tests", "hil_tests"},
}
HEAVY = TENSORFLOW | {"numpy", "rasterio", "scipy", "matplotlib", "jinja2", "cfdppy"}

# Imports every module of the package argv[1]; exits with a line per import that argv[2:] forbids,
# even if the importing code would have swallowed the error.
WALL = """
import importlib, pkgutil, sys

package, forbidden, met = sys.argv[1], set(sys.argv[2:]), []

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in forbidden:
            met.append(name)
            raise ImportError("beyond the wall: " + name)

sys.meta_path.insert(0, Wall())
names = [package]
for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
    if not module.name.endswith("__main__"):
        names.append(module.name)
for name in names:
    before = len(met)
    try:
        importlib.import_module(name)
    except ImportError as error:
        if len(met) == before:
            sys.exit(name + " does not import: " + str(error))
    if len(met) > before:
        sys.exit(name + " imports " + ", ".join(met[before:]))
print(len(names))
"""

# Runs `floodsat --help`, then names the modules that it loaded.
HELP = """
import sys
from onboard.cli import main

sys.argv = ["floodsat", "--help"]
try:
    main()
except SystemExit as stop:
    if stop.code:
        raise
print("loaded:", *sys.modules)
"""


def imported(source: str) -> Iterator[str]:
    """Top-level names that a source text imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def offences(package: Path, forbidden: set[str]) -> list[str]:
    """``file imports name`` for each forbidden import under a package folder."""
    return [
        f"{path.relative_to(package.parent)} imports {name}"
        for path in sorted(package.rglob("*.py"))
        for name in imported(path.read_text(encoding="utf-8"))
        if name in forbidden
    ]


def run_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that sees ``folder`` first on its path."""
    environment = dict(os.environ, PYTHONPATH=str(folder), TF_CPP_MIN_LOG_LEVEL="3")
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with a package that breaks the rule in a function and behind a second module."""
    package = tmp_path / "planted"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "late.py").write_text("def f():\n    import tensorflow.lite\n")
    (package / "between.py").write_text("import carrier\n")
    (tmp_path / "carrier.py").write_text("try:\n    import keras\nexcept ImportError:\n    pass\n")
    return tmp_path


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_source_imports_nothing_forbidden(package: str) -> None:
    assert any((ROOT / package).rglob("*.py"))
    assert offences(ROOT / package, FORBIDDEN[package]) == []


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_every_module_imports_behind_the_wall(package: str) -> None:
    files = [path for path in (ROOT / package).rglob("*.py") if path.name != "__main__.py"]
    done = run_python(ROOT, "-c", WALL, package, *sorted(FORBIDDEN[package]))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(files), "a folder of modules lacks its __init__.py"


def test_reading_the_source_finds_a_planted_import(planted: Path) -> None:
    found = offences(planted / "planted", TENSORFLOW)
    assert found == [os.path.join("planted", "late.py") + " imports tensorflow"]


def test_the_wall_finds_a_planted_import_that_is_swallowed(planted: Path) -> None:
    done = run_python(planted, "-c", WALL, "planted", *sorted(TENSORFLOW))
    assert done.returncode == 1
    assert done.stderr.strip() == "planted.between imports keras"


def test_asking_for_help_loads_no_heavy_library() -> None:
    done = run_python(ROOT, "-c", HELP)
    assert done.returncode == 0, done.stderr
    text, _, modules = done.stdout.rpartition("loaded: ")
    assert "Usage:" in text
    loaded = {name.partition(".")[0] for name in modules.split()}
    assert "click" in loaded
    assert loaded & HEAVY == set()
