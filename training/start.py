"""Start: a finished run whose weights another one begins with.

The new run keeps the normalisation of the old one, so that weights and inputs fit, and what it
learns can go up as a small patch (`onboard.patch`).
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from onboard import bundle
from onboard.errors import ConfigError
from training import run_record
from training.folding import Weights


class Start(NamedTuple):
    """What a run begins with.

    Attributes:
        weights: by name, float32.
        normalisation: as the run's record has it.
        head_only: whether all but the last layers stay as they are.
    """

    weights: Weights
    normalisation: dict[str, Any]
    head_only: bool = False

    @classmethod
    def open(cls, run: Path, head_only: bool = False) -> Start:
        """Read it from a finished run folder.

        Raises:
            ConfigError: the folder is no finished run.
        """
        try:
            record = run_record.read(run)
            arrays = bundle.read_arrays((run / "weights.npz").read_bytes())
            return cls(arrays, record["normalisation"], head_only)
        except run_record.NewerRunError:
            raise
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(
                f"--from {run}: is no finished run ({error}); train it to its end"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """For the record of the run that begins with it."""
        return {"weights": bundle.weights_id(self.weights).hex(), "head_only": self.head_only}
