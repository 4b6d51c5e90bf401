"""The committed tables are of the shipped bundle, and of one run."""

from __future__ import annotations

import json

from onboard import bundle
from tests.samples import BUNDLE, ROOT

DOCS = ROOT / "docs"


def test_the_page_shows_the_last_run_of_the_shipped_bundle() -> None:
    page = (DOCS / "benchmarks.md").read_text("utf-8")
    report = json.loads((DOCS / "figures" / "bench.json").read_text("utf-8"))
    assert report["facts"]["model"] == bundle.load(BUNDLE, []).model_id.hex(), "run 'make bench'"
    for key, value in report["facts"].items():
        assert f"| {key} | {value} |" in page
    for figure in report["figures"]:
        assert f"| {figure['text']} | {figure['engine']} |" in page
    assert (DOCS / "images" / "bench.png").is_file()
    assert "](images/bench.png)" in page
