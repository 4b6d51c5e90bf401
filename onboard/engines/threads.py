"""How many threads an engine on the CPU may use."""

from __future__ import annotations

import os

from onboard.errors import EngineError

VARIABLE = "FLOODSAT_THREADS"


def count() -> int:
    """The threads to use: ``FLOODSAT_THREADS``, else one for every core.

    Raises:
        EngineError: the variable is set to something else than a whole number from 1 up.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return os.cpu_count() or 1
    # Not isdigit: it takes superscripts, which int() does not.
    if not text.isdecimal() or int(text) < 1:
        raise EngineError(f"{VARIABLE} is {text!r}; give a whole number from 1 up")
    return int(text)
