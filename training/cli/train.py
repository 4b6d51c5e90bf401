"""``floodsat train``: fit the network to chip folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onboard.cli import options
from onboard.sensor import SENSORS, VNIR4, Sensor

if TYPE_CHECKING:
    from training.chips import ChipFolder
    from training.config import TrainConfig


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
@click.option("--dump-config", is_flag=True, help="Print every setting with its value and stop.")
def command(
    chips: tuple[Path, ...],
    out: Path | None,
    config: Path | None,
    sensor: str,
    folds: int | None,
    run: Path | None,
    head_only: bool,
    dump_config: bool,
) -> None:
    """Train on one or more chip folders (each with a dataset.toml) into the run folder OUT.

    With --folds OUT gets one run folder for each and crossval.json: what the recipe gives on
    places that its network never saw. Test places are left alone.
    """
    from training.config import TrainConfig

    settings = TrainConfig.read(config) if config is not None else TrainConfig()
    if dump_config:
        click.echo(settings.to_toml(), nl=False)
        return
    if not chips or out is None:
        raise click.UsageError("name one chip folder at least, and --out")
    from training.chips import ChipFolder
    from training.progress import show
    from training.start import Start

    folders = [ChipFolder.open(path) for path in chips]
    if (head_only and run is None) or (folds and run is not None):
        raise click.UsageError("--head-only goes with --from, and --folds does not")
    start = None if run is None else Start.open(run, head_only)
    if folds:
        _cross_validate(folders, SENSORS[sensor], settings, out, folds)
        return
    if (out / "weights.npz").exists():
        click.echo(f"{out}: is finished; only its calibration is made again")
    show(folders, SENSORS[sensor], settings, out, start=start)
    click.echo(f"{out}: trained; 'floodsat export {out} --out BUNDLE --key KEY' makes a bundle")


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
