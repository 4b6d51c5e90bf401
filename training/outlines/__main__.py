"""``python -m training.outlines``: the corpus of masks, and the tables that are fitted on it."""

from __future__ import annotations

from pathlib import Path

import click

from onboard.cli import options

SEED = 20210629


@click.group()
def main() -> None:
    """Fit the tables by which products are coded."""


@main.command()
@click.argument("bundle", type=options.PATH)
@click.argument("data", type=options.PATH)
@click.option("--out", required=True, type=options.PATH, help="File of arrays to write.")
@click.option("--generated", default=24, show_default=True, help="Generated frames to add.")
def corpus(bundle: Path, data: Path, out: Path, generated: int) -> None:
    """Segment the frames of DATA and some generated ones with BUNDLE."""
    from onboard import bundle as bundles
    from onboard import engines
    from onboard.segment import Segmenter
    from training.outlines.corpus import build, save

    loaded = bundles.load(bundle, ["tflite"])
    segmenter = Segmenter(loaded, engines.load("tflite", loaded), loaded.passes, SEED)
    click.echo(f"{out}: {save(build(segmenter, data, generated), out)} frames")


@main.command()
@click.argument("masks", type=options.PATH)
@click.argument("bundle", type=options.PATH)
@click.option("--out", required=True, type=options.PATH, help="File of tables to write.")
@click.option("--block", default=16, show_default=True, help="Side of a block of the maps.")
@click.option("--levels", default=4, show_default=True, help="Levels of the maps.")
@click.option("--epochs", default=12, show_default=True, help="How long to fit.")
@click.option("--keep", type=options.PATH, help="Tables whose outlines' nets are kept.")
def fit(
    masks: Path, bundle: Path, out: Path, block: int, levels: int, epochs: int, keep: Path | None
) -> None:
    """Fit tables on the frames of MASKS that are for fitting, for the products of BUNDLE."""
    from onboard import bundle as bundles
    from onboard import tables
    from onboard.files import write_bytes
    from training.outlines.corpus import load
    from training.outlines.fit import Plan
    from training.outlines.make import make

    samples = [one for one in load(masks) if one.use == "fit"]
    loaded = bundles.load(bundle, ["tflite"])
    old = None if keep is None else tables.unpack(keep.read_bytes())
    data = make(samples, loaded, block, levels, Plan(epochs), old, click.echo)
    write_bytes(out, data)
    click.echo(f"{out}: {len(data)} bytes, tables {tables.identify(data).hex()}")


@main.command()
@click.argument("tables_file", metavar="TABLES", type=options.PATH)
@click.argument("bundle", type=options.PATH)
@click.argument("key", type=options.PATH)
def ship(tables_file: Path, bundle: Path, key: Path) -> None:
    """Put TABLES into BUNDLE, signed anew with KEY, and among those that the ground knows."""
    from training.outlines.make import ship

    click.echo(ship(tables_file, bundle, key))


if __name__ == "__main__":
    main()
