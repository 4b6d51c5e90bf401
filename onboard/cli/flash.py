"""``floodsat flash``: verify a bundle and install it."""

from __future__ import annotations

from pathlib import Path

import click

from onboard.cli import options


@click.command("flash")
@click.argument("bundle", type=options.PATH)
@options.slots
@options.engine
@options.trust
def command(bundle: Path, slots: Path, engine: str, trust: tuple[Path, ...]) -> None:
    """Install BUNDLE into the idle slot, test it on its golden tile, then switch to it."""
    from onboard import slots as slot

    letter = slot.install(bundle, slots, engine, list(trust) or None)
    loaded = slot.load_active(slots, engine, list(trust) or None)
    click.echo(
        f"slot {letter}: {loaded.name} version {loaded.version}, model "
        f"{loaded.model_id.hex()[:12]}, signed by {loaded.key}; golden tile passed; active"
    )
