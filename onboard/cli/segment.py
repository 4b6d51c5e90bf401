"""``floodsat segment``: per-pixel maps of frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onboard.cli import beyond, options

if TYPE_CHECKING:
    from onboard.profile import Profile
    from onboard.scene import Crop
    from onboard.segment import Segmenter


@click.command("segment")
@click.argument("bundle", type=options.PATH)
@options.scenes
@click.option(
    "--out", required=True, type=options.PLACE, help="Folder for the maps, or s3://BUCKET/PREFIX."
)
@options.window
@options.engine
@options.passes
@options.seed
@options.trust
@options.profile
@click.option(
    "--catalogue",
    is_flag=True,
    help="Keep a STAC catalogue in OUT; what it has already is not done again.",
)
@options.cluster
@options.workers
def command(
    bundle: Path,
    scenes: tuple[Path, ...],
    out: Path,
    window: Crop | None,
    engine: str,
    passes: int | None,
    seed: int,
    trust: tuple[Path, ...],
    profile: Path | None,
    catalogue: bool,
    cluster: str | None,
    workers: int | None,
) -> None:
    """Segment frames with BUNDLE into OUT/<scene>.tif.

    A SCENE is a GeoTIFF, raw samples with a sidecar, or a STAC item or item collection, whose
    maps bear the items' names; a path, s3://BUCKET/KEY or https://HOST/PATH.

    The first frame that cannot be read ends the run; those before it are done. Of items the others
    are done, as they are with --catalogue or --cluster, which implies it; with either the same
    command goes on where it was stopped.

    Six bands, float32: class (0 land, 1 water, 2 cloud, 255 nodata), p_water, p_cloud, entropy,
    aleatoric and epistemic, the last three in nats, entropy = aleatoric + epistemic; NaN where
    there is no data.
    """
    from onboard import bundle as bundles
    from onboard import engines, files
    from onboard.errors import FrameError
    from onboard.items import member_of
    from onboard.profile import load as load_profile
    from onboard.segment import Segmenter

    options.check_workers(cluster, workers)
    scenes = items_of(scenes)
    if catalogue or cluster is not None:
        check_archive(out, window)
        archive = beyond.archive("segment --cluster" if cluster else "segment --catalogue")
        check_names(scenes, out)
        recipe = archive.Recipe.of(bundle, engine, passes, seed, list(trust) or None, profile)
        archive.process(recipe, scenes, out, cluster, workers)
        return
    camera = None if profile is None else load_profile(profile)
    loaded = bundles.load(bundle, [engines.set_of(engine)], list(trust) or None)
    segmenter = Segmenter(loaded, engines.load(engine, loaded), passes or loaded.passes, seed)
    check_names(scenes, out)
    files.make_folder(out)
    failed = 0
    for scene in scenes:
        try:
            write_maps(segmenter, scene, out / f"{scene.stem}.tif", camera, window)
        except FrameError as error:
            if member_of(scene) is None:
                raise
            failed += 1
            click.echo(f"failed: {error}", err=True)
    if failed:
        raise FrameError(
            f"{failed} of {len(scenes)} frames have no maps, each is named above; mend them or "
            "leave them out: the others are done"
        )


def items_of(scenes: tuple[Path, ...]) -> tuple[Path, ...]:
    """Frames, with STAC documents replaced by their items; more of them elsewhere is told."""
    from onboard.items import expand, more_pages

    for scene in scenes:
        if more_pages(scene):
            click.echo(f"note: {scene}: has more pages of items; this one is done", err=True)
    return expand(scenes)


def check_archive(out: Path, window: Crop | None) -> None:
    """Refuse what a catalogue is not kept of or in."""
    from onboard.errors import ConfigError
    from onboard.remote import Remote

    if isinstance(out, Remote):
        raise ConfigError(
            f"--out {out}: a catalogue is kept in a folder, which is locked; name one, and put it "
            "into the store with 'floodsat publish'; or leave --catalogue and --cluster out"
        )
    if window is not None:
        raise ConfigError("--window: a catalogue is of whole frames; leave it or --catalogue out")


def check_names(scenes: tuple[Path, ...], out: Path) -> None:
    """Refuse maps that would overwrite each other or the scene they come from."""
    from onboard.errors import FrameError

    seen: dict[str, Path] = {}
    for scene in scenes:
        if scene.stem in seen:
            raise FrameError(
                f"{scene}: has the name of {seen[scene.stem]}, one would overwrite the other; "
                "segment them into two folders"
            )
        if (out / f"{scene.stem}.tif").resolve() == scene.resolve():
            raise FrameError(
                f"{scene}: its maps would overwrite it; choose another folder with --out"
            )
        seen[scene.stem] = scene


def write_maps(
    segmenter: Segmenter,
    scene: Path,
    target: Path,
    camera: Profile | None = None,
    window: Crop | None = None,
) -> None:
    """Segment one frame, or a window of it, and write its maps, with a progress bar."""
    from rich.progress import Progress

    from onboard.frames import open_frame
    from onboard.mapfile import write_frame

    with open_frame(scene, segmenter.bundle.sensor, camera, window) as frame:
        with Progress() as bar:
            task = bar.add_task(scene.name, total=len(segmenter.tiling(frame)))
            write_frame(segmenter, frame, target, lambda _: bar.advance(task))
        for note in frame.notes:
            click.echo(f"note: {scene}: {note}", err=True)
    click.echo(f"{target}: written")
