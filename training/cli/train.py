"""``floodsat train``: fit the network to chip folders."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onboard.cli import options
from onboard.sensor import SENSORS, VNIR4, Sensor

if TYPE_CHECKING:
    from training.chips import ChipFolder
    from training.cluster import Cluster
    from training.config import TrainConfig
    from training.start import Start


@click.command("train")
@click.argument("chips", metavar="CHIPS...", nargs=-1, type=options.PLACE)
@click.option("--out", type=options.PATH, help="Run folder; an unfinished run there goes on.")
@click.option("--config", type=options.PATH, help="TOML file of settings.")
@click.option(
    "--sensor",
    type=click.Choice(sorted(SENSORS)),
    default=VNIR4.name,
    show_default=True,
    help="Whose bands to train for.",
)
@click.option(
    "--folds",
    type=click.IntRange(2, 20),
    help="Cross-validate instead: train so often, other places held out each time.",
)
@click.option("--from", "run", type=options.PATH, help="Finished run whose weights to begin with.")
@click.option("--head-only", is_flag=True, help="With --from: leave all but the last layers.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Processes on this machine that share every batch; any number gives the same weights.",
)
@click.option(
    "--wait",
    type=click.FloatRange(1, 86400),
    default=300.0,
    show_default=True,
    help="Seconds in which all workers have to be there.",
)
@click.option("--dump-config", is_flag=True, help="Print every setting with its value and stop.")
def command(
    chips: tuple[Path, ...],
    out: Path | None,
    config: Path | None,
    sensor: str,
    folds: int | None,
    run: Path | None,
    head_only: bool,
    workers: int | None,
    wait: float,
    dump_config: bool,
) -> None:
    """Train on one or more chip folders (each with a dataset.toml) into the run folder OUT.

    With --folds OUT gets one run folder for each and crossval.json: what the recipe gives on
    places that its network never saw. Test places are left alone.

    On several machines give each the same command, with TF_CONFIG in its environment; see
    docs/workers.md.
    """
    from training.cluster import Cluster
    from training.config import TrainConfig

    settings = TrainConfig.read(config) if config is not None else TrainConfig()
    if dump_config:
        click.echo(settings.to_toml(), nl=False)
        return
    cluster = Cluster.of(os.environ)
    if workers is not None or cluster is not None:
        settings = _shareable(settings, workers, cluster)
    if not chips or out is None:
        raise click.UsageError("name one chip folder at least, and --out")
    from training.chips import ChipFolder
    from training.progress import show
    from training.start import Start

    folders = [ChipFolder.open(path) for path in chips]
    if (head_only and run is None) or (folds and run is not None):
        raise click.UsageError("--head-only goes with --from, and --folds does not")
    if folds and (workers is not None or cluster is not None):
        raise click.UsageError("--folds trains in one process; leave --workers and TF_CONFIG out")
    start = None if run is None else Start.open(run, head_only)
    if folds:
        _cross_validate(folders, SENSORS[sensor], settings, out, folds)
        return
    if (out / "weights.npz").exists():
        click.echo(f"{out}: is finished; only its calibration is made again")
    if cluster is not None:
        if not _together(cluster, wait, folders, SENSORS[sensor], settings, out, start):
            return
    elif workers is not None and workers > 1:
        _crew(chips, out, config, sensor, run, head_only, workers, wait)
    else:
        show(folders, SENSORS[sensor], settings, out, start=start)
    click.echo(f"{out}: trained; 'floodsat export {out} --out BUNDLE --key KEY' makes a bundle")


def _shareable(settings: TrainConfig, workers: int | None, cluster: Cluster | None) -> TrainConfig:
    """The settings with batches that can be shared by so many."""
    from onboard.errors import ConfigError

    if workers is not None and cluster is not None:
        raise ConfigError("--workers: TF_CONFIG names the workers already; give one of the two")
    count = len(cluster.addresses) if cluster is not None else workers or 1
    if count > settings.batch_size:
        raise ConfigError(
            f"{count} workers cannot share a batch of {settings.batch_size} chips; take fewer, or "
            "a larger batch_size"
        )
    return dataclasses.replace(settings, per_chip=True)


def _crew(
    chips: tuple[Path, ...],
    out: Path,
    config: Path | None,
    sensor: str,
    run: Path | None,
    head_only: bool,
    workers: int,
    wait: float,
) -> None:
    """Train in processes of this machine, each with the same command line but for their number."""
    from training import crew

    arguments = ["train", *map(str, chips), "--out", str(out), "--sensor", sensor]
    arguments += ["--wait", str(wait)]
    arguments += ["--config", str(config)] if config is not None else []
    arguments += ["--from", str(run)] if run is not None else []
    arguments += ["--head-only"] if head_only else []
    crew.train(arguments, workers, out / "checkpoint.npz", lambda line: click.echo(line, err=True))


def _together(
    cluster: Cluster,
    wait: float,
    folders: list[ChipFolder],
    sensor: Sensor,
    settings: TrainConfig,
    out: Path,
    start: Start | None,
) -> bool:
    """Train as one worker of several; whether as their chief, and by hand."""
    # Read before TensorFlow is imported. It tells of every lost worker at length.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from training import crew
    from training.group import Group, WorkerLostError
    from training.progress import show

    if crew.watched():
        crew.end_with_crew()
    try:
        group = Group.join(cluster, wait)
        show(folders, sensor, settings, out, start=start, group=group)
    except WorkerLostError as error:
        if not crew.watched():
            raise
        click.echo(str(error), err=True)
        sys.stderr.flush()
        # TensorFlow would wait for the lost one.
        os._exit(crew.LOST)
    return cluster.chief and not crew.watched()


def _cross_validate(
    folders: list[ChipFolder], sensor: Sensor, settings: TrainConfig, out: Path, folds: int
) -> None:
    from training.progress import show

    found = show(folders, sensor, settings, out, folds)
    low, high = found["iou_interval_95"]
    click.echo(
        f"{out}: {found['places']} places never seen: water IoU {found['iou']:.3f} "
        f"({low:.2f} to {high:.2f}), ECE {found['ece']:.3f}, error AUROC "
        f"{found['error_auroc_entropy']:.3f}, "
        f"{found['errors_in_most_uncertain_fifth']:.0%} of the errors in the most uncertain fifth"
    )
