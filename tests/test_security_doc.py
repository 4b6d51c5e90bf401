"""The threat table of docs/security.md names tests that exist, and the format that is coded."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from onboard import commands

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED) > 20
    for file, name in NAMED:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in found, f"{file}::{name}"


def test_every_threat_has_a_defence_and_a_test() -> None:
    table = TEXT.split("## Threats")[1].split("## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    for row in rows[2:]:
        assert len(row) == 3, row
        assert "::test_" in row[2], row[0]


def test_every_code_is_listed_with_its_arguments() -> None:
    rows = re.findall(
        r"^\| (\d+) \| ([a-z-]{4,}) \|", TEXT.split("## Telecommands")[1], re.MULTILINE
    )
    listed = {int(code): name for code, name in rows}
    assert listed == {int(code): code.text for code in commands.Code}
    for code, arguments in commands.ARGUMENTS.items():
        (line,) = re.findall(rf"^\| {int(code)} \| {code.text} \|(.*)$", TEXT, re.MULTILINE)
        for name in arguments:
            assert name in line, f"{code.text}: {name}"


def test_the_header_is_the_one_that_is_coded() -> None:
    fields = re.findall(r"^\| (\d+) \| (\d+) \| (?!recovery|operations)", TEXT, re.MULTILINE)
    size = max(int(offset) + int(length) for offset, length in fields)
    assert size == 38 == commands._HEADER.size
