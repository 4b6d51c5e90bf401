"""How a command says no."""

from __future__ import annotations

from typing import Any

from onboard.cli import run


def refused(capfd: Any, arguments: list[Any], *words: str) -> None:
    """The command ends with 2 and one line that holds ``words``."""
    code = run([str(a) for a in arguments])
    lines = capfd.readouterr().err.strip().splitlines()
    assert code == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith("floodsat: ")
    for word in words:
        assert word in lines[0]
