from __future__ import annotations

import os
from typing import Any

import pytest

from onboard.quiet import STDERR, STDOUT, quiet


@pytest.mark.parametrize(
    ("handles", "heard"),
    [((STDERR,), ("in", "")), ((STDOUT, STDERR), ("", "")), ((), ("in", "in"))],
)
def test_only_what_is_named_is_kept_quiet(
    capfd: Any, handles: tuple[int, ...], heard: tuple[str, str]
) -> None:
    with quiet(*handles):
        os.write(STDOUT, b"in")
        os.write(STDERR, b"in")
    assert tuple(capfd.readouterr()) == heard
    os.write(STDOUT, b"after")
    os.write(STDERR, b"after")
    assert tuple(capfd.readouterr()) == ("after", "after")


def test_it_speaks_again_after_an_error(capfd: Any) -> None:
    with pytest.raises(ValueError, match="inside"), quiet(STDOUT, STDERR):
        raise ValueError("inside")
    os.write(STDERR, b"after")
    assert capfd.readouterr().err == "after"


def test_it_leaves_no_file_open() -> None:
    before, times = len(os.listdir("/proc/self/fd")), 100
    for _ in range(times):
        with quiet(STDOUT, STDERR):
            pass
    # Other threads of the process may open a few meanwhile.
    assert len(os.listdir("/proc/self/fd")) < before + times
