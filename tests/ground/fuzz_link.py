"""The program that atheris drives: ``python -m tests.ground.fuzz_link CORPUS -runs=N``."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["ground", "onboard", "spacepackets"]):
    from tests.ground import hostile

atheris.Setup(sys.argv, hostile.check_input)
atheris.Fuzz()
