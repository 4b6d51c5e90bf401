"""Run docs/notebooks anew and write what the cells print: `make notebook`. `--check` only compares.

Numbers may differ a little from one machine to another; text may not.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")
TOLERANCE = 0.02
"""Relative, of a printed number; one unit of its last digit is always allowed."""
LIMIT_S = 600


def main(only_check: bool) -> int:
    """Every notebook; 1 if one of them shows something else than what it prints."""
    import nbformat

    status = 0
    for path in NOTEBOOKS:
        written = nbformat.read(path, as_version=4)
        fresh = executed(path)
        if not only_check:
            nbformat.write(fresh, path)
            continue
        for number, (old, new) in enumerate(zip(printed(written), printed(fresh), strict=True)):
            if not alike(old, new):
                print(
                    f"{path.name}, cell {number} shows\n{old}\nbut prints\n{new}", file=sys.stderr
                )
                print("'make notebook' writes it anew", file=sys.stderr)
                status = 1
    return status


def executed(path: Path) -> Any:
    """The notebook after all its cells ran; an error in one of them is raised."""
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    book = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        # Nothing of the user's Jupyter or matplotlib is read or written.
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            os.environ[name] = folder
        os.environ.update(IPYTHONDIR=folder, MPLCONFIGDIR=folder, PYTHONPATH=str(ROOT))
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        # Sockets in the folder, not ports: nothing else on the machine is in the way, or listens.
        kernel = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
        NotebookClient(
            book,
            timeout=LIMIT_S,
            startup_timeout=LIMIT_S,
            kernel_name="python3",
            config=Config({"KernelManager": kernel}),
            resources={"metadata": {"path": folder}},
        ).execute()
    for cell in book.cells:
        # When it ran, and on which Python, would be another change every time.
        cell.metadata.pop("execution", None)
        # What libraries murmur on a slow machine, of caches they build, is no output of the cell.
        if "outputs" in cell:
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    book.metadata["language_info"] = {"name": "python"}
    return book


def printed(book: Any) -> list[str]:
    """Per cell, what it printed and what its last line gave; pictures are left out."""
    found = []
    for cell in book.cells:
        outputs = cell.get("outputs", [])
        texts = [one.get("text", one.get("data", {}).get("text/plain", "")) for one in outputs]
        found.append("".join(texts))
    return found


def alike(old: str, new: str) -> bool:
    """Whether two outputs have the same words, and numbers that are close."""
    if " ".join(NUMBER.sub("#", old).split()) != " ".join(NUMBER.sub("#", new).split()):
        return False
    pairs = zip(NUMBER.findall(old), NUMBER.findall(new), strict=True)
    return all(close(one.replace(",", ""), other.replace(",", "")) for one, other in pairs)


def close(one: str, other: str) -> bool:
    """Whether two printed numbers differ by rounding and arithmetic only."""
    decimals = one.partition("e")[0].partition(".")[2]
    unit = 10.0 ** -len(decimals) if "e" not in one else 0.0
    return abs(float(one) - float(other)) <= 1.01 * unit + TOLERANCE * abs(float(one))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
