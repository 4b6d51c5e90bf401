"""The page on triage is held to the code: its tables, its figures and the tests that it names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from onboard import chip, labelling, priority
from onboard.limits import SETTINGS, Limits
from onboard.link import alerts, cfdp, packets
from onboard.priority import Rule
from onboard.triage import Outcome, Sight, decide

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "triage.md").read_text("utf-8")
LINE = Sight(
    10_000,
    observed=8_500,
    wet_sensitive=400,
    wet_balanced=200,
    entropy=0.201,
    epistemic=0.018,
    tile_epistemic=0.012,
    flood=True,
    odd=0.03,
)


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that begins with this heading row."""
    lines = TEXT.splitlines()
    cells = []
    for line in lines[lines.index(heading) + 2 :]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip("|").split("|")])
    return cells


def test_outcomes() -> None:
    found = [row[0] for row in rows("| outcome | what goes into the outbox | bytes |")]
    assert found == [outcome.value for outcome in Outcome]
    assert f"| {alerts.SIZE + packets.OVERHEAD} with its packet |" in TEXT


def test_limits() -> None:
    table = rows("| limit | unit | range | default | moved in |")
    assert [row[0] for row in table] == list(SETTINGS)
    for name, unit, bounds, default, _ in table:
        setting = SETTINGS[name]
        assert unit == setting.unit
        assert bounds == f"{setting.low:.10g}…{setting.high:.10g}"
        value = getattr(Limits(), name)
        assert default == ("the bundle's sensitive point" if value is None else f"{value:g}")


def test_every_limit_is_explained() -> None:
    told = TEXT[: TEXT.index("## 4.")]
    assert [name for name in SETTINGS if f"`{name}`" not in told] == []


def test_tests_that_are_named_exist() -> None:
    named = {row[4].strip("`") for row in rows("| limit | unit | range | default | moved in |")}
    for one in named:
        path, name = one.split("::")
        assert f"def {name}(" in (ROOT / path).read_text("utf-8"), one
    files = ("tests/onboard/test_priority.py", "tests/onboard/link/test_downlink.py")
    own = "".join((ROOT / path).read_text("utf-8") for path in files)
    claims = rows("| claim | test |")
    assert len(claims) == 8
    for _, name in claims:
        assert f"def {name.strip('`')}(" in own, name


def test_the_line_of_the_log() -> None:
    decision = decide(LINE, Limits())
    assert f"{decision.text} ({decision.reason})" in TEXT


def test_rules() -> None:
    assert [row[0] for row in rows("| rule in the ledger | cause | takes |")] == [
        rule.value for rule in Rule
    ]


def test_keys_of_a_chip() -> None:
    table = rows("| key | field | is |")
    assert {row[1]: int(row[0]) for row in table} == chip._KEYS
    fields = {field.name for field in dataclasses.fields(chip.Chip)}
    beside = {"samples", "mask", "georef", "chip_id"}
    assert fields - beside <= set(chip._KEYS)


HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    "text",
    [
        f"the {labelling.SHORTLIST} tiles of the largest mean epistemic part",
        f"a grid of {labelling.SIDE} pixels",
        f"length of the header | at most {chip.MAX_HEADER}",
        f"trailer included | at most {chip.MAX_BYTES}",
        f"| 10 | width | pixels, at most {chip.MAX_SIDE}",
        f"in steps of {chip.STEP:.4f}",
        f"max(value, {priority.LEAST_VALUE:g})",
        f"waited / {priority.PATIENCE_MS // HOUR_MS} h)",
        f"freshness = {priority.STALE:g} + {1 - priority.STALE:g} "
        f"· 2^(-age / {priority.HALF_LIFE_MS // HOUR_MS} h)",
        f"d/D · t - {priority.PATIENCE_MS // HOUR_MS} h",
        f"one piece of {cfdp.SEGMENT + cfdp.HEADER + 4 + packets.OVERHEAD} bytes",
        f"up to {packets.MIN_IDLE} at the end",
        " or ".join((", ".join(chip.TYPES[:2]), chip.TYPES[2])),
    ],
)
def test_figures_in_the_text_are_those_of_the_code(text: str) -> None:
    assert text in TEXT
