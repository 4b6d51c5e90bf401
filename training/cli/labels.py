"""``floodsat labels``: chips that came down, to be labelled by hand and trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onboard.cli import options

if TYPE_CHECKING:
    from training.data.labelling import Standing


@click.command("labels")
@click.argument("folder", type=options.PATH)
@click.argument("received", metavar="[RECEIVED...]", nargs=-1, type=options.PATH)
@click.option(
    "--guesses",
    is_flag=True,
    help="Take what the network made of a chip as its label where nobody has looked.",
)
@options.json_file
def command(
    folder: Path, received: tuple[Path, ...], guesses: bool, json_file: Path | None
) -> None:
    """Add what was RECEIVED to the labelling folder FOLDER, and take over what a person did.

    RECEIVED is a folder that 'floodsat receive' wrote, or .fsc files. Open FOLDER/labelling.qgs in
    QGIS, correct the first guesses with polygons, set a chip's status to done, save, and run
    'floodsat labels FOLDER': then FOLDER is a chip folder for 'floodsat train'. Nothing that a
    person made is overwritten, and a chip nobody accepted is not trained on. See docs/labelling.md.
    """
    import json

    from onboard.alone import alone
    from onboard.files import write_text
    from training.data import labelling
    from training.data.delivered import read_delivered
    from training.data.labelling_project import write_project

    delivered = read_delivered(received) if received else ()
    with alone(folder, "labelling"):
        standing = labelling.update(folder, delivered, guesses)
        write_project(folder)
    for line in lines(folder, standing):
        click.echo(line)
    if json_file is not None:
        write_text(json_file, json.dumps(standing.to_json(), indent=1) + "\n")


def lines(folder: Path, standing: Standing) -> list[str]:
    """Where the labelling stands, for a terminal."""
    states = ", ".join(f"{count} {name}" for name, count in sorted(standing.states.items()))
    added = len(standing.added)
    told = [
        f"{folder}: {added} chip{'s' * (added != 1)} added, "
        f"{len(standing.known)} were there already",
        f"chips   {states}",
        f"labels  {standing.labels} to train on",
    ]
    return told + [f"note    {note}" for note in standing.notes]
