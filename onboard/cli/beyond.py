"""What commands of the flight side can have done by the ground's packages, where those are.

Nothing is imported from there by name: on board there is no ground.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from onboard.errors import MissingPackageError

GROUND_PYTHON = (3, 11)


def archive(what: str) -> Any:
    """The module of the ground that works on archives.

    Args:
        what: the command and option that ask for it, for the error.

    Raises:
        MissingPackageError: the ground's package is not here, or this Python is too old for it.
    """
    cure = "pip install 'floodsat[archive]' brings it, on Python 3.11 or later"
    if sys.version_info < GROUND_PYTHON or importlib.util.find_spec("ground") is None:
        raise MissingPackageError(f"{what}: needs the ground's package; {cure}")
    try:
        return importlib.import_module("ground.archive.job")
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"{what}: needs the package {error.name!r}; {cure}") from error
