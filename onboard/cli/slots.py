"""``floodsat slots``: show what is installed, or roll back."""

from __future__ import annotations

from pathlib import Path

import click

from onboard.cli import options


@click.command("slots")
@click.argument("folder", type=options.PATH)
@click.option("--rollback", is_flag=True, help="Make the other slot active again.")
@options.engine
@options.trust
def command(folder: Path, rollback: bool, engine: str, trust: tuple[Path, ...]) -> None:
    """Show the slots in FOLDER."""
    from onboard import bundle, engines, slots
    from onboard.errors import BundleError

    keys = list(trust) or None
    if rollback:
        slots.rollback(folder, engine, keys)
    active = slots.active(folder)
    if active is None:
        raise BundleError(f"{folder}: holds no bundle; 'floodsat flash BUNDLE --slots {folder}'")
    for letter in slots.SLOTS:
        mark = "active" if letter == active else "idle"
        if not (folder / letter).is_dir():
            click.echo(f"{letter} {mark}: empty")
            continue
        try:
            found = bundle.load(folder / letter, [engines.set_of(engine), bundle.COMMON], keys)
        except BundleError as error:
            click.echo(f"{letter} {mark}: unusable: {error}")
            continue
        click.echo(
            f"{letter} {mark}: {found.name} version {found.version}, "
            f"model {found.model_id.hex()[:12]}"
        )
