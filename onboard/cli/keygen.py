"""``floodsat keygen``: make a pair of signing keys."""

from __future__ import annotations

from pathlib import Path

import click

from onboard.cli import options


@click.command("keygen")
@click.argument("folder", type=options.PATH)
@click.option("--name", default="floodsat", show_default=True, help="Stem of the two files.")
def command(folder: Path, name: str) -> None:
    """Write FOLDER/NAME.key (private: keep it) and FOLDER/NAME.pub (public: hand it out)."""
    from onboard import signing

    private, public = signing.generate(folder, name)
    (identity,) = signing.read_public([public])
    click.echo(f"{private}: private, keep it on the ground and out of every repository")
    click.echo(f"{public}: public, key {identity}")
