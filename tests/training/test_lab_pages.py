"""The pages of the lab in docs/experiments: of full runs, whole, and as their JSON says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.lab import NAMES, ground, index
from training.lab.outcome import Verdict

PAGES = Path(__file__).parents[2] / "docs" / "experiments"


def found(name: str) -> dict[str, Any]:
    return json.loads((PAGES / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_has_its_figures_of_a_full_run(name: str) -> None:
    run, effort = found(name), ground.full(name)
    assert run["name"] == name
    assert run["verdict"] in {verdict.value for verdict in Verdict}
    setting = run["setting"]
    assert setting["quick"] is False
    assert setting["seeds"] == list(range(1, effort.seeds + 1))
    assert len(setting["seeds"]) >= 3
    assert (setting["steps"], setting["crop"]) == (effort.steps, effort.crop)
    assert "dfc24" in setting["ground"]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_its_figures_say(name: str) -> None:
    run, page = found(name), (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert f"**Verdict: {run['verdict']}.** {run['words']}" in page
    for part in ("**Question.**", "**Method.**", "**Setting.**", "**Source.**", f"({name}.png)"):
        assert part in page
    assert f"seeds 1 to {len(run['setting']['seeds'])}," in page
    assert "--quick" not in page
    lines = page.splitlines()
    start = lines.index("| " + " | ".join(run["columns"]) + " |") + 2
    for line, row in zip(lines[start:], run["rows"], strict=False):
        for text, cell in zip(line.strip("| ").split(" | "), row, strict=False):
            assert same(text, cell), (text, cell)


def same(text: str, cell: Any) -> bool:
    """Whether a cell of the page is that of the JSON, as far as its digits go."""
    if isinstance(cell, str) or cell is None:
        return cell in (text, "", None)
    if not isinstance(cell, dict):
        return float(text) == pytest.approx(cell, rel=1e-3)
    if cell["mean"] is None or cell["sd"] is None:
        return "nan" in text
    for part, value in zip(text.split(" ± "), (cell["mean"], cell["sd"]), strict=True):
        last = 10.0 ** -len(part.partition(".")[2])
        if abs(float(part) - value) > 0.51 * last:
            return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_its_picture(name: str) -> None:
    content = (PAGES / f"{name}.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000


def test_the_index_is_that_of_the_figures() -> None:
    assert (PAGES / index.FILE).read_text(encoding="utf-8") == index.text(PAGES)
