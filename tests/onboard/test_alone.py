"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from onboard.alone import alone
from onboard.errors import OutputError

HOLD = """
import sys
from pathlib import Path
from onboard.alone import alone
with alone(Path(sys.argv[1]), "test"):
    print("in", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    said = "another reception is at work there; wait for it"
    with alone(tmp_path, "reception"):  # noqa: SIM117 -- the first is in when the second comes
        with pytest.raises(OutputError, match=said), alone(tmp_path, "reception"):
            pytest.fail("two were in")
    with alone(tmp_path, "reception"):
        assert not list(tmp_path.iterdir())


def test_a_process_that_is_killed_lets_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(OutputError, match="another test"), alone(tmp_path, "test"):
            pytest.fail("two were in")
        other.kill()
        other.wait(60)
    with alone(tmp_path, "test"):
        pass


def test_what_was_made_for_it_goes_where_nothing_came(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with pytest.raises(ZeroDivisionError), alone(folder, "test"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
    with contextlib.suppress(ZeroDivisionError), alone(folder, "test"):
        (folder / "kept").touch()
        raise ZeroDivisionError
    assert (folder / "kept").exists()
