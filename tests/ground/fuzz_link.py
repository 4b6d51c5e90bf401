"""The program that atheris drives: ``python -m tests.ground.fuzz_link CORPUS -runs=N``."""

from __future__ import annotations

import resource
import sys

import atheris

# In place of libFuzzer's own limit, which takes the peak of the process that started this for ours.
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

with atheris.instrument_imports(include=["ground", "onboard", "spacepackets"]):
    from tests.ground import hostile

atheris.Setup(sys.argv, hostile.check_input)
atheris.Fuzz()
