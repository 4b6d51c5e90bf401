"""Write the tables of docs/oddity.md from docs/figures: `make figures`. `--check` only compares."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "oddity.md"
FIGURES = ROOT / "docs" / "figures"
START, END = "<!-- figures -->\n", "<!-- /figures -->\n"


def tables() -> str:
    """The figures as Markdown."""
    report = json.loads((FIGURES / "odd-test.json").read_text("utf-8"))
    cost = json.loads((FIGURES / "odd-cost.json").read_text("utf-8"))
    parts = [corrupted(name, found) for name, found in report["odd"].items()]
    took = cost["median_seconds"]
    return f"""\
Test places, which neither training nor calibration saw; {report["passes"]} passes, masks and
corruptions of seed {report["seed"]}, engine {report["engine"]}, model
`{report["model_id"][:12]}`.

{"".join(parts)}### Real scenes, one by one

| scene | pixels | crops | odd | by | score, median | largest | epistemic, median |
|---|---|---|---|---|---|---|---|
{"".join(scene(name, line) for name, line in report["odd_scenes"].items())}
### What it costs

{cost["ratio"]["processor"]:.1%} of the processor's time that segmenting takes, medians of runs in
turn in one process: {took["processor"]["score"]:.2f} s for {cost["crops"]} crops, beside
{took["processor"]["segment"]:.2f} s for {cost["passes"]} passes, of one frame of 4000 × 3000 pixels
read from disk. Of the time that passed it was {cost["ratio"]["passing"]:.1%}, the network on all
threads and the score on one ({cost["engine"]}; {cost["machine"]["processor"]},
{cost["machine"]["threads"]} threads).
"""


def corrupted(name: str, found: dict[str, Any]) -> str:
    """A table of corruptions over one chip folder."""
    if not found["crops"]:
        return f"### `{name}`: {found['note']}\n\n"
    rows = "".join(
        f"| {key.replace('_', ' ')} | {one['scored']} | {one['auroc']:.3f} | "
        f"{one['auroc_epistemic']:.3f} | {one['found']:.0%} | {kinds(one['found_by'])} |\n"
        for key, one in found["corruptions"].items()
        if one["scored"]
    )
    return f"""\
### `{name}`, corrupted

| corruption | scored | AUROC, score | AUROC, epistemic part alone | beyond the limit | by |
|---|---|---|---|---|---|
{rows}| none: false alarms | {found["crops"]} | | | {found["false_alarms"]:.0%} | |

"""


def scene(name: str, line: dict[str, Any]) -> str:
    """A row of the table of scenes."""
    if line["score_median"] is None:
        return f"| {name} | | 0 | not scored | | | | |\n"
    height, width = line["pixels"]
    return (
        f"| {name} | {width} × {height} | {line['crops']} | {line['odd_share']:.0%} | "
        f"{kinds(line['odd_by'])} | {line['score_median']:.1f} | {line['score_max']:.1f} | "
        f"{line['epistemic_median']:.4f} |\n"
    )


def kinds(found: dict[str, int]) -> str:
    """The kinds that spoke, the most frequent first."""
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{kind} {count}" for kind, count in ordered) or "–"


def main() -> int:
    """Write or compare."""
    text = PAGE.read_text("utf-8")
    before, rest = text.split(START)
    old, after = rest.split(END)
    if "--check" in sys.argv:
        return int(old != tables())
    PAGE.write_text(before + START + tables() + END + after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
