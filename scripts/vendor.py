"""Pack the libraries of the replay page and of the site into the project: `make vendor`.

They come from npm packages at the versions of ``scripts/vendor/package.json``, whose lock holds
the packages' SHA-512. A user needs none of this: what is packed is committed, with its licences
and a manifest of SHA-256 that a test holds it to.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "scripts" / "vendor"
PAGE = ROOT / "ground" / "templates" / "vendor"
SITE = ROOT / "docs" / "assets" / "vendor"
PACKED = {
    PAGE: {
        "d3-array": {"d3-array.js": "dist/d3-array.min.js"},
        "d3-geo": {"d3-geo.js": "dist/d3-geo.min.js"},
        "leaflet": {"leaflet.js": "dist/leaflet.js", "leaflet.css": "dist/leaflet.css"},
        "topojson-client": {"topojson-client.js": "dist/topojson-client.min.js"},
        "uplot": {"uplot.js": "dist/uPlot.iife.min.js", "uplot.css": "dist/uPlot.min.css"},
        "world-atlas": {"land.json": "land-50m.json"},
    },
    SITE: {"iframe-worker": {"iframe-worker.js": "shim/index.js"}},
}
"""Folder → what is taken of each package: name here, path in the package. The licence always is."""


def main() -> None:
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is missing: it is needed to change the page's libraries, never to use them")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            if (PINS / name).exists():
                shutil.copy(PINS / name, folder)
        locked = (PINS / "package-lock.json").exists()
        subprocess.run([npm, "ci" if locked else "install"], cwd=folder, check=True)
        shutil.copy(Path(folder) / "package-lock.json", PINS)
        for packed, files in PACKED.items():
            pack(Path(folder) / "node_modules", packed, files)


def pack(modules: Path, packed: Path, files: dict[str, dict[str, str]]) -> None:
    """Copy what is needed out of ``node_modules`` into a folder, and write its manifest."""
    shutil.rmtree(packed, ignore_errors=True)
    packed.mkdir(parents=True)
    packages = []
    for name, wanted in files.items():
        about = json.loads((modules / name / "package.json").read_text("utf-8"))
        copied = {**wanted, f"LICENSE.{name}": "LICENSE"}
        for here, there in copied.items():
            shutil.copyfile(modules / name / there, packed / here)
        packages.append(
            {
                "name": name,
                "version": about["version"],
                "licence": about["license"],
                "files": {here: {"from": there, "sha256": digest(packed / here)}
                          for here, there in sorted(copied.items())},
            }
        )  # fmt: skip
    (packed / "manifest.json").write_text(json.dumps(packages, indent=1) + "\n", "utf-8")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
