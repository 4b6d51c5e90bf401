"""The tab key: what bash offers behind ``floodsat``."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onboard.cli import run
from onboard.engines import LOADERS
from onboard.limits import SETTINGS
from tests.samples import ROOT

BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="no bash")
GROUND = pytest.mark.skipif(sys.version_info < (3, 11), reason="commands of the ground: 3.11")
PRESS = """
eval "$(floodsat completion bash)"
COMP_WORDS=({words}) COMP_CWORD={last}
compopt() {{ :; }}
_floodsat_completion floodsat
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def shell(tmp_path: Path) -> Any:
    """Press the tab key behind some words in a bash that has ``floodsat``."""
    program = tmp_path / "floodsat"
    program.write_text(f'#!{BASH}\nexec {shlex.quote(sys.executable)} -m onboard "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    def press(*words: str) -> list[str]:
        quoted = " ".join(shlex.quote(word) for word in ("floodsat", *words))
        script = PRESS.format(words=quoted, last=len(words))
        done = subprocess.run(
            [str(BASH), "--norc", "-c", script],
            cwd=ROOT,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return press


@needs_bash
def test_bash_completes_commands(shell: Any) -> None:
    assert shell("sl") == ["slots"]
    assert {"segment", "fly", "inspect"} <= set(shell(""))


@needs_bash
def test_bash_completes_options_and_engines(shell: Any) -> None:
    assert shell("segment", "--pass") == ["--passes"]
    assert shell("segment", "--engine", "") == list(LOADERS)


@needs_bash
def test_bash_completes_names_of_limits(shell: Any) -> None:
    assert shell("command", "set-limit", "max_") == [n for n in SETTINGS if n.startswith("max_")]


@needs_bash
@GROUND
def test_bash_completes_names_of_experiments(shell: Any) -> None:
    assert shell("lab", "pri") == ["prior"]


@needs_bash
def test_a_command_that_does_not_exist_completes_to_nothing(shell: Any) -> None:
    assert shell("nonsense", "--o") == []


def test_names_of_commands_come_without_importing_them() -> None:
    code = (
        "import sys; from onboard.cli import group;"
        "context = group.make_context('floodsat', [], resilient_parsing=True);"
        "found = group.shell_complete(context, '');"
        "print(len(found) > 10, [m for m in sys.modules if m.startswith('onboard.cli.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True []"


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_the_script_of_every_shell_is_printed(shell_name: str, capfd: Any) -> None:
    assert run(["completion", shell_name]) == 0
    assert "_FLOODSAT_COMPLETE" in capfd.readouterr().out


def test_another_shell_is_refused(capfd: Any) -> None:
    assert run(["completion", "csh"]) == 2
