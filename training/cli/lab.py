"""``floodsat lab``: the experiments behind what the uncertainty promises."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import click

from onboard.cli import options
from training.lab import NAMES

ALL = "all"


@click.command("lab")
@click.argument("name", type=click.Choice([*NAMES, ALL]), metavar="NAME")
@click.option("--out", type=options.PATH, required=True, help="Folder for page, plot and figures.")
@click.option("--quick", is_flag=True, help="Two minutes, on generated chips.")
@click.option(
    "--data",
    type=options.PATH,
    envvar="FLOODSAT_DATA",
    default=Path("../shared/data"),
    show_default=True,
    help="The data folder, for the full experiments.",
)
def command(name: str, out: Path, quick: bool, data: Path) -> None:
    """Run the experiment NAME, or all of them; see docs/experiments."""
    import logging

    from rich.console import Console
    from rich.table import Table

    from onboard import files
    from training.lab import ground as grounds
    from training.lab import index

    # Every training traces a graph of its own, which TensorFlow thinks a mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    console = Console(stderr=True)
    files.make_folder(out)
    _one_thread()
    with console.status("chips"):
        ground = grounds.generated() if quick else grounds.real(data)
    table = Table("experiment", "verdict", "what was found", "seconds")
    for one in NAMES if name == ALL else [name]:
        begin = time.perf_counter()
        with console.status(f"{one}: {NAMES[one]}"):
            found = _run(one, ground, grounds.QUICK if quick else grounds.full(one), out)
        index.write(out)
        table.add_row(one, found["verdict"], found["words"], f"{time.perf_counter() - begin:.0f}")
    Console().print(table)


def _one_thread() -> None:
    """One thread for TensorFlow: sums keep their order, and so their last digits, on any machine.

    More gain little on networks this small; two experiments side by side use two cores better.
    """
    import tensorflow as tf

    for of in (
        tf.config.threading.set_intra_op_parallelism_threads,
        tf.config.threading.set_inter_op_parallelism_threads,
    ):
        # Where it has worked in this process already it must stay as it is.
        with contextlib.suppress(RuntimeError):
            of(1)


def _run(name: str, ground: Any, effort: Any, out: Path) -> dict[str, Any]:
    """Run one, and write what it found."""
    import importlib

    from onboard import files
    from training.lab import MODULES, outcome

    found = importlib.import_module(f"training.lab.{MODULES[name]}").run(ground, effort)
    setting = {
        **effort._asdict(),
        "widths": list(effort.widths),
        "seeds": list(range(1, effort.seeds + 1)),
        "pool_chips": len(ground.pool),
        "judging_chips": len(ground.judge),
        "ground": ground.home_name,
    }
    text = (
        f"`floodsat lab {name}{' --quick' if effort.quick else ''} --out DIR`: trained on "
        f"{len(ground.pool)} chips, judged on {len(ground.judge)} ({ground.home_name}), "
        f"seeds 1 to {effort.seeds}, {effort.steps} steps a training of 12 crops of {effort.crop} "
        f"pixels, widths {'-'.join(map(str, effort.widths))}."
    )
    summary = outcome.to_json(name, found, setting)
    files.write_text(out / f"{name}.json", json.dumps(summary, indent=1) + "\n")
    files.write_text(out / f"{name}.md", outcome.page(name, found, text))
    if found.panels:
        outcome.draw(found.panels, out / f"{name}.png")
    return summary
