"""``floodsat inspect``: what a bundle or product holds."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import click

from onboard.cli import options


@click.command("inspect")
@click.argument("path", type=options.PATH)
@options.trust
@options.json_file
def command(path: Path, trust: tuple[Path, ...], json_file: Path | None) -> None:
    """Verify PATH, a bundle's folder or a product's file (.fsp), and show what it holds."""
    from onboard.files import write_text

    folder = os.path.isdir(path)  # unlike Path.is_dir, false where one may not look
    found = _bundle(path, list(trust) or None) if folder else _product(path)
    text = json.dumps(found, indent=1)
    click.echo(text)
    if json_file is not None:
        write_text(json_file, text + "\n")


def _bundle(path: Path, keys: list[Path] | None) -> dict[str, Any]:
    """Every set is verified, not only those of one engine."""
    from onboard import bundle

    first = bundle.load(path, [], keys)
    whole = bundle.load(path, list(first.sets), keys)
    sizes = {
        name: sum(len(whole.content[file]) for file in entry["files"])
        for name, entry in whole.sets.items()
    }
    return {**whole.manifest, "signed_by": whole.key, "set_bytes": sizes}


def _product(path: Path) -> dict[str, Any]:
    from onboard.errors import ProductError
    from onboard.product import MAX_BYTES, unpack

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProductError(f"{path}: is larger than any product; give a .fsp file")
        data = path.read_bytes()
    except OSError as error:
        raise ProductError(
            f"{path}: cannot be read ({error.strerror}); name a bundle's folder or a .fsp file"
        ) from error
    try:
        product = unpack(data)
    except ProductError as error:
        raise ProductError(f"{path}: {error}") from error
    fields = {f.name: getattr(product, f.name) for f in dataclasses.fields(product)}
    for name in ("mask", "entropy", "epistemic"):
        fields[name] = "×".join(str(n) for n in fields[name].shape)
    fields["georef"] = dataclasses.asdict(product.georef)
    fields["statistics"] = dataclasses.asdict(product.statistics)
    fields["acquired_quality"] = product.acquired_quality.text
    plain = {k: v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}
    return {**plain, "subject": product.subject, "bytes": len(data)}
