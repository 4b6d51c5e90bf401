"""``floodsat train``: fit the network to chip folders."""

from __future__ import annotations

from pathlib import Path

import click

from onboard.cli import options
from onboard.sensor import SENSORS, VNIR4


@click.command("train")
@click.argument("chips", metavar="CHIPS...", nargs=-1, type=options.PATH)
@click.option("--out", type=options.PATH, help="Run folder; an unfinished run there goes on.")
@click.option("--config", type=options.PATH, help="TOML file of settings.")
@click.option(
    "--sensor",
    type=click.Choice(sorted(SENSORS)),
    default=VNIR4.name,
    show_default=True,
    help="Whose bands to train for.",
)
@click.option("--dump-config", is_flag=True, help="Print every setting with its value and stop.")
def command(
    chips: tuple[Path, ...],
    out: Path | None,
    config: Path | None,
    sensor: str,
    dump_config: bool,
) -> None:
    """Train on one or more chip folders (each with a dataset.toml) into the run folder OUT."""
    from training.config import TrainConfig

    settings = TrainConfig.read(config) if config is not None else TrainConfig()
    if dump_config:
        click.echo(settings.to_toml(), nl=False)
        return
    if not chips or out is None:
        raise click.UsageError("name one chip folder at least, and --out")
    from training.chips import ChipFolder
    from training.progress import show

    if (out / "weights.npz").exists():
        click.echo(f"{out}: is finished; only its calibration is made again")
    folders = [ChipFolder.open(path) for path in chips]
    show(folders, SENSORS[sensor], settings, out)
    click.echo(f"{out}: trained; 'floodsat export {out} --out BUNDLE --key KEY' makes a bundle")
