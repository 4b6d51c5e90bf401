"""``floodsat reprocess``: an archive once more, by another bundle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.cli import options

if TYPE_CHECKING:
    from ground.catalogue import Catalogue
    from onboard.area import Area


class _Degrees(click.ParamType["Area"]):
    """West, south, east and north."""

    name = "area"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Area:
        try:
            west, south, east, north = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no area; write west,south,east,north in degrees", param, ctx)
        if not (-90 <= south <= north <= 90 and -180 <= west <= 180 and -180 <= east <= 180):
            self.fail(f"{value!r} is no area on Earth; south comes before north", param, ctx)
        return west, south, east, north


DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.command("reprocess")
@click.argument("bundle", type=options.PATH)
@click.argument("archive", type=options.PLACE)
@click.option(
    "--out",
    required=True,
    type=options.PLACE,
    help="Folder for the maps; ARCHIVE replaces its own.",
)
@click.option("--since", type=DAY, help="Only frames taken then or later, UTC.")
@click.option("--until", type=DAY, help="Only frames taken before then, UTC.")
@click.option(
    "--area",
    type=_Degrees(),
    metavar="W,S,E,N",
    help="Only frames that reach into this box of degrees.",
)
@options.engine
@options.passes
@options.seed
@options.trust
@options.profile
@options.cluster
@options.workers
def command(
    bundle: Path,
    archive: Path,
    out: Path,
    since: datetime | None,
    until: datetime | None,
    area: Area | None,
    engine: str,
    passes: int | None,
    seed: int,
    trust: tuple[Path, ...],
    profile: Path | None,
    cluster: str | None,
    workers: int | None,
) -> None:
    """Segment with BUNDLE the frames that the catalogue of ARCHIVE was made of.

    ARCHIVE is what 'segment --catalogue' wrote, or s3://BUCKET/PREFIX where 'publish' put it.
    Frames that OUT has by this very network and these settings are not done again, so the same
    command goes on where it was stopped.
    """
    from ground.archive.done import frames_of
    from ground.archive.job import process
    from ground.archive.recipe import Recipe
    from onboard.cli.segment import check_names
    from onboard.errors import ConfigError
    from onboard.remote import Remote

    options.check_workers(cluster, workers)
    if isinstance(out, Remote):
        raise ConfigError(
            f"--out {out}: a catalogue is kept in a folder, which is locked; name one, and put it "
            "into the store with 'floodsat publish'"
        )
    recipe = Recipe.of(bundle, engine, passes, seed, list(trust) or None, profile)
    frames = tuple(frames_of(_catalogue(archive).find(_utc(since), _before(until), area)))
    if not frames:
        raise ConfigError(f"{archive}: has no frame of that time and place; ask for more of either")
    check_names(frames, out)
    process(recipe, frames, out, cluster, workers)


def _catalogue(archive: Path) -> Catalogue:
    """The catalogue of an archive, here or in a store."""
    from ground.catalogue import ROOT, Catalogue
    from ground.stored import StoredCatalogue
    from onboard.errors import ConfigError
    from onboard.remote import S3, Remote

    if isinstance(archive, Remote) and archive.scheme != S3:
        raise ConfigError(f"{archive}: is on a web server; name a folder or s3://BUCKET/PREFIX")
    if not (archive / ROOT).is_file():
        raise ConfigError(
            f"{archive}: has no {ROOT}; name what 'floodsat segment --catalogue' wrote"
        )
    return StoredCatalogue(archive) if isinstance(archive, Remote) else Catalogue(archive)


def _utc(when: datetime | None) -> datetime | None:
    return None if when is None else when.replace(tzinfo=UTC)


def _before(when: datetime | None) -> datetime | None:
    """The last moment before; times of a catalogue are in milliseconds."""
    return None if when is None else when.replace(tzinfo=UTC) - timedelta(milliseconds=1)
