"""Peak memory of ``floodsat segment`` in the flight environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from onboard import samples
from onboard.errors import EngineError

SECONDS = 300

# A process counts the memory of whoever forked it as its own until it runs its program, and this
# one may hold a gigabyte of TensorFlow. So a small process stands between and asks for that of
# its only child.
BETWEEN = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


def flight_python() -> Path | None:
    """The Python of the flight environment, or None where there is none."""
    from training.targets import FLIGHT

    python = Path(os.environ.get(FLIGHT, samples.HOME / ".venv-flight" / "bin" / "python"))
    return python if python.is_file() else None


def peak_bytes(command: Sequence[str], folder: Path, seconds: float = SECONDS) -> int:
    """Largest resident memory of a command that is run in ``folder``.

    Raises:
        EngineError: it fails, or takes longer than ``seconds``.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-S", "-c", BETWEEN, *command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{command[0]}: took longer than {seconds:g} s; run it alone") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EngineError(f"{' '.join(command[:4])}: fails there ({reason}); cure that")
    # Linux counts in KiB.
    return int(done.stdout.split()[-1]) * 1024


def of_segment(
    python: Path, bundle: Path, frame: Path, out: Path, engine: str, trust: Sequence[Path] = ()
) -> int:
    """Largest resident memory of ``floodsat segment`` of one frame, in bytes.

    Args:
        python: of the flight environment.
        bundle: its folder.
        frame: a GeoTIFF.
        out: folder for the maps.
        engine: one that the flight environment has.
        trust: public keys, where the demo key is not the signer.
    """
    from training.targets import flight_folder

    command = [str(python), "-m", "onboard", "segment", str(bundle.resolve()), str(frame.resolve())]
    command += ["--out", str(out.resolve()), "--engine", engine]
    command += [part for key in trust for part in ("--trust", str(key.resolve()))]
    return peak_bytes(command, flight_folder(out.parent))
