"""``floodsat publish``: the catalogue of a folder into an object store."""

from __future__ import annotations

from pathlib import Path

import click

from onboard.cli import options


@click.command("publish")
@click.argument("folder", type=options.PLACE)
@click.argument("target", metavar="s3://BUCKET/PREFIX", type=options.PLACE)
def command(folder: Path, target: Path) -> None:
    """Put the maps of FOLDER and their catalogue into an object store.

    FOLDER is what 'receive' or 'segment --catalogue' wrote: every map that its catalogue names goes
    there with all files of its item (GeoTIFFs, GeoJSON, pictures, styles, the product), and is
    found by s3://BUCKET/PREFIX/collection.json. Frames, chips and what else lies in FOLDER stay.

    What is there with the same content is not sent again, so the same command goes on where it was
    stopped, and brings what is new. Nothing is deleted there.
    """
    from rich.progress import MofNCompleteColumn, Progress

    from ground.catalogue import ROOT, Catalogue
    from ground.stored import StoredCatalogue
    from onboard.errors import ConfigError
    from onboard.remote import S3, Remote

    if not isinstance(target, Remote) or target.scheme != S3:
        raise ConfigError(f"{target}: is no address of an object store; write s3://BUCKET/PREFIX")
    if isinstance(folder, Remote):
        raise ConfigError(f"{folder}: is no folder; name one of this machine")
    if not (folder / ROOT).is_file():
        raise ConfigError(
            f"{folder}: has no {ROOT}; name what 'floodsat receive' or 'floodsat segment "
            "--catalogue' wrote"
        )
    source = Catalogue(folder)
    with Progress(*Progress.get_default_columns()[:-1], MofNCompleteColumn()) as bar:
        task = bar.add_task(folder.name, total=sum(1 for _ in source))
        found = StoredCatalogue(target).publish(source, lambda: bar.advance(task))
    click.echo(f"{target}: {found}")
