"""``floodsat patch``: a small signed difference between two bundles."""

from __future__ import annotations

from pathlib import Path

import click

from onboard.cli import options


@click.command("patch")
@click.argument("old", type=options.PATH)
@click.argument("new", type=options.PATH)
@click.option("--out", required=True, type=options.PATH, help="File of the patch.")
@click.option("--key", required=True, type=options.PATH, help="Private key that signs it.")
@options.engine
@options.trust
def command(
    old: Path, new: Path, out: Path, key: Path, engine: str, trust: tuple[Path, ...]
) -> None:
    """Make the patch that turns the bundle OLD, which is on board, into NEW.

    It covers the files of one engine. Export NEW with --scales-of OLD, or it will not be small.
    """
    from onboard import files, patch, signing

    data = patch.make(
        old, new, patch.sets_of(engine), signing.read_private(key), list(trust) or None
    )
    files.write_bytes(out, data)
    models = [path for path in (new / engine).glob("*") if path.is_file()]
    whole = sum(path.stat().st_size for path in models)
    share = f", {len(data) / whole:.1%} of its {whole} bytes of models" if whole else ""
    click.echo(f"{out}: {len(data)} bytes{share}")
