"""The docs tell the truth: their commands run as they are printed, in the order of the page.

Each page runs by itself in a copy of the tree with an environment of its own, in which
``floodsat`` is the copy's code. A block of commands that cannot run there has the reason right
before it, ``<!-- not run: REASON -->``; one that must fail says ``<!-- exits N -->``. A block of
``text`` after commands is what they print.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.fenced import Block, alike, blocks, missing, spans
from tests.samples import ROOT

FIRST_HOUR = [ROOT / "README.md", ROOT / "docs" / "tutorial.md"]
HOW_TO = sorted((ROOT / "docs" / "howto").glob("*.md"))
CODE = ["benchmarks", "ground", "onboard", "scripts", "training"]
FOLDERS = [*CODE, "data_samples", "docs", "requirements"]
FILES = ["Makefile", "README.md", "LICENSE", "pyproject.toml"]
LIMIT_S = 2400
"""Of one page, on a machine that is busy."""
PROGRAMS = {
    "floodsat": "-m onboard",
    "rio": '-c "from rasterio.rio.main import main_group; main_group()"',
}
BLOCK = "@@ block of line"


def copy_of_the_tree(folder: Path) -> Path:
    """What a clone has and the commands need, and an environment that looks freshly installed."""
    tree = folder.resolve() / "floodsat"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in FILES:
        shutil.copy2(ROOT / name, tree / name)
    environment(tree)
    return tree


def environment(tree: Path) -> None:
    """``.venv``: the packages of the one that runs the tests, and the code of ``tree``."""
    made = tree / ".venv"
    venv.EnvBuilder(symlinks=True).create(made)
    (packages,) = made.glob("lib/python*/site-packages")
    (packages / "tree.pth").write_text(f"{tree}\n{sysconfig.get_path('purelib')}\n", "utf-8")
    for name, arguments in PROGRAMS.items():
        program = made / "bin" / name
        program.write_text(f'#!/bin/sh\nexec "$(dirname "$0")/python" {arguments} "$@"\n', "utf-8")
        program.chmod(0o755)
    # What scripts/environment.sh leaves, so that `make` sees that nothing is to be installed.
    (made / ".made-in").write_text(f"{tree}\n", "utf-8")
    for stamp in ("base", "dev"):
        (made / f".stamp-{stamp}").touch()


def script(run: list[Block]) -> str:
    """One script of all blocks: what a reader types, with a line between that tells where."""
    parts = ["set -eo pipefail"]
    for block in run:
        # What a page promises may be cleared away at its end: it is listed between the blocks.
        parts.append("find . -path ./.venv -prune -o -type f -print >> ../seen")
        parts.append(f"echo '{BLOCK} {block.line}'")
        if block.status:
            parts += ["set +e", f"(\n{block.text})", "ended=$?", "set -e"]
            parts.append(
                f'[ $ended -eq {block.status} ] || {{ echo "exited with $ended"; exit 1; }}'
            )
        else:
            parts.append(block.text)
    parts.append("find . -path ./.venv -prune -o -type f -print >> ../seen")
    return "\n".join(parts) + "\n"


def clean_environment(home: Path) -> dict[str, str]:
    """A stranger's: an empty home, nothing of the test run's Python or of FloodSat's settings."""
    home.mkdir()
    own = ("PYTHON", "PYTEST", "VIRTUAL_ENV", "FLOODSAT", "MAKE", "MFLAGS", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    # 100 columns, so that tables are as wide as those that the pages show.
    return {**kept, "HOME": str(home), "COLUMNS": "100", "PYTHONUNBUFFERED": "1"}


def play(page: Path, folder: Path) -> tuple[dict[int, str], set[str]]:
    """Run a page: what each block printed, by the line of its fence, and every file it made."""
    tree = copy_of_the_tree(folder)
    env = clean_environment(folder / "home")
    if page in HOW_TO:
        # They begin where the environment is made already; the first hour makes it.
        env["PATH"] = f"{tree / '.venv' / 'bin'}{os.pathsep}{env['PATH']}"
    run = [block for block in blocks(page.read_text("utf-8")) if block.commands]
    run = [block for block in run if not block.left_out]
    typed = folder / "typed.sh"
    typed.write_text(script(run), "utf-8")
    done = subprocess.run(
        ["timeout", "--kill-after=5", str(LIMIT_S), "bash", str(typed)],
        cwd=tree,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{page.name}: {done.returncode}\n{done.stdout[-4000:]}"
    parts = re.split(rf"^{BLOCK} (\d+)$", done.stdout, flags=re.MULTILINE)
    printed = dict(zip(map(int, parts[1::2]), parts[2::2], strict=True))
    assert list(printed) == [block.line for block in run]
    seen = (folder / "seen").read_text("utf-8").splitlines()
    return printed, {name.removeprefix("./") for name in seen}


def check(page: Path, folder: Path) -> None:
    """Run a page; what it shows is what was printed, and every file it names is there."""
    text = page.read_text("utf-8")
    printed, seen = play(page, folder)
    told = None
    for block in blocks(text):
        if block.commands:
            told = printed.get(block.line)
        elif block.language == "text" and told is not None:
            assert not missing(block.text, told), f"{page.name}:{block.line}, printed:\n{told}"
    for name in spans(text):
        if promised(name):
            there = any(fnmatch(file, name.rstrip("/") + "*") for file in seen)
            assert there or (ROOT / name).exists(), f"{page.name}: {name} is not there"
    left = sum(1 for block in blocks(text) if block.left_out)
    print(f"{page.name}: {len(printed)} blocks run, {left} marked as not run")


def promised(name: str) -> bool:
    """Whether an inline code span is a path in the tree and no placeholder."""
    if not re.fullmatch(r"[\w.*-]+(/[\w.*-]+)+/?", name) or name.startswith(".venv"):
        return False
    return not re.search(r"(^|/)[A-Z]+(/|$)", name)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 60)
@pytest.mark.parametrize("page", FIRST_HOUR, ids=lambda page: page.stem)
def test_the_commands_run(page: Path, tmp_path: Path) -> None:
    check(page, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(LIMIT_S + 60)
@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_the_commands_of_the_how_tos_run(page: Path, tmp_path: Path) -> None:
    check(page, tmp_path)


@pytest.mark.parametrize("page", [*FIRST_HOUR, *HOW_TO], ids=lambda page: page.stem)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    commands = [block for block in blocks(page.read_text("utf-8")) if block.commands]
    assert any(not block.left_out for block in commands)
    for block in commands:
        assert block.left_out or block.mark in ("", f"exits {block.status}"), (page, block)


@pytest.mark.parametrize("page", [*FIRST_HOUR, *HOW_TO], ids=lambda page: page.stem)
def test_commands_that_are_not_run_exist(page: Path) -> None:
    for block in blocks(page.read_text("utf-8")):
        if not block.left_out:
            continue
        joined = block.text.replace("\\\n", " ")
        for name, rest in re.findall(r"^floodsat (data \w+|\w+)(.*)$", joined, re.MULTILINE):
            asked = [sys.executable, "-m", "onboard", *name.split(), "--help"]
            shown = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
            for option in re.findall(r"--[\w-]+", rest):
                assert option in shown.stdout, (page.name, name, option)


def test_blocks_and_their_marks() -> None:
    page = "a `x/y`\n\n```\nls\n```\n<!-- not run: slow -->\n\n```sh\nmake\n```\n"
    page += "1. b\n   <!-- exits 2 -->\n   ```sh\n   false\n   ```\n   ```text\n   3 ways\n   ```\n"
    first, second, third, shown = blocks(page)
    assert (first.line, first.text, first.left_out, first.commands) == (3, "ls\n", "", True)
    assert (second.text, second.left_out) == ("make\n", "slow")
    assert (third.text, third.status, third.left_out) == ("false\n", 2, "")
    assert (shown.text, shown.commands) == ("3 ways\n", False)
    assert spans(page) == {"x/y"}


def test_lines_that_were_not_printed() -> None:
    assert alike("in  1.5 s ━━ 9") == "in # s #"
    assert missing("a 12 b\nc … e\n", "a 7   b\nc d e\n") == []
    assert missing("a 12 b\nc … e\nx\n", "a 7 c\nc d e f\n") == ["a 12 b", "c … e", "x"]
