"""``floodsat doctor``: is this machine ready?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from onboard import samples
from onboard.cli import options

MARKS = {"ready": "✓", "missing": "–", "broken": "✗"}


@click.command("doctor")
@click.option(
    "--bundle",
    type=options.PATH,
    default=samples.BUNDLE,
    show_default="the shipped one",
    help="Whose golden tile the engines run.",
)
@click.option("--data", type=options.PATH, help="The data folder; FLOODSAT_DATA by default.")
@options.json_file
def command(bundle: Path, data: Path | None, json_file: Path | None) -> None:
    """Say what this machine can do, and how to get what is missing.

    Ends with 1 where something is here but broken, with 0 otherwise.
    """
    from onboard import doctor, files
    from onboard.errors import BundleError

    if not bundle.is_dir():
        raise BundleError(
            f"{bundle}: no bundle is there for the engines to run; name one with --bundle"
        )
    found = doctor.examine(bundle, data)
    width = max(len(finding.name) for finding in found)
    for finding in found:
        click.echo(f"{MARKS[finding.state.value]} {finding.name:<{width}}  {finding.text}")
        if finding.cure:
            click.echo(f"  {'':<{width}}  → {finding.cure}")
    if json_file is not None:
        rows = [{**finding._asdict(), "state": finding.state.value} for finding in found]
        files.write_text(json_file, json.dumps(rows, indent=1) + "\n")
    broken = [finding.name for finding in found if finding.state is doctor.State.BROKEN]
    if broken:
        click.echo(f"broken: {', '.join(broken)}", err=True)
        raise SystemExit(1)
