"""Index: the page with the verdicts of all experiments of a folder, from their JSON."""

from __future__ import annotations

import json
from pathlib import Path

from onboard import files
from training.lab import NAMES
from training.lab.outcome import table

FILE = "lab.md"


def text(folder: Path) -> str:
    """Markdown: a table of the experiments that have a JSON in the folder."""
    rows = []
    for name, question in NAMES.items():
        path = folder / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            seeds, quick = found["setting"]["seeds"], found["setting"]["quick"]
            verdict = f"**{found['verdict']}**" + (" (quick)" if quick else "")
            rows.append(
                [f"[{name}]({name}.md)", question, verdict, found["words"], str(len(seeds))]
            )
    return (
        "# The lab\n\nWhat the theory promises, repeated on floods with our own network. "
        "`floodsat lab NAME --out DIR` writes these pages and this index; `floodsat lab all` runs "
        "them all. The rule of each verdict stands in the page's method and was written before the "
        "run. Two are exceptions: single-pass was changed after its first run, as its method says; "
        "epistemic-aleatoric was run once more, by the same rule, when every chip was given masks "
        "of its own.\n\n"
        + table(["experiment", "question", "verdict", "what was found", "seeds"], rows)
        + "\n"
    )


def write(folder: Path) -> None:
    """Write the index of a folder."""
    files.write_text(folder / FILE, text(folder))
