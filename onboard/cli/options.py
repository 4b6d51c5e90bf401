"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.errors import ConfigError
from onboard.remote import is_address, place

if TYPE_CHECKING:
    from onboard.scene import Crop


class _Place(click.Path):
    """A path, or the address of an object."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and is_address(value):
            return place(value)
        return super().convert(value, param, ctx)


def _crop(ctx: click.Context, param: click.Parameter, value: str | None) -> Crop | None:
    from onboard.scene import Crop

    try:
        return None if value is None else Crop(*(int(number) for number in value.split(",")))
    except (TypeError, ValueError) as error:
        raise click.BadParameter(
            f"{value!r} is no window; write four whole numbers with commas", ctx, param
        ) from error


PLACE = _Place(path_type=Path)
PATH = click.Path(path_type=Path)
ENGINES = [
    "tflite",
    "tflite-f16",
    "tflite-int8",
    "openvino",
    "openvino-2021",
    "myriad",
    "reference",
]

scenes = click.argument("scenes", metavar="SCENE...", nargs=-1, required=True, type=PLACE)
slots = click.option("--slots", required=True, type=PATH, help="Folder of the two bundle slots.")
engine = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="tflite",
    show_default=True,
    help="What runs the network.",
)
passes = click.option(
    "--passes",
    type=click.IntRange(1, 1000),
    help="Stochastic passes T; the bundle's own number by default.",
)
seed = click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=0,
    show_default=True,
    help="Seed of the dropout masks.",
)
trust = click.option(
    "--trust",
    multiple=True,
    type=PATH,
    help="Public key to trust, may be given several times; the public demo key by default.",
)
window = click.option(
    "--window",
    metavar="COL,ROW,WIDTH,HEIGHT",
    callback=_crop,
    help="Only this part of every frame, in pixels; no more of a tiled one is read.",
)
profile = click.option(
    "--profile",
    type=PATH,
    help="Calibration of the camera (TOML); frames of raw counts need it.",
)
json_file = click.option("--json", "json_file", type=PATH, help="Write the figures here as well.")
flown = click.option(
    "--bundle", type=PATH, help="The bundle that flew, for products coded by its tables."
)
cluster = click.option(
    "--cluster",
    metavar="local|tcp://HOST:PORT",
    help="Work on a Dask cluster: one made here for the time of the run, or the one there.",
)
workers = click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    help="Processes of '--cluster local', of one thread each; one a core by default.",
)


def check_workers(cluster: str | None, workers: int | None) -> None:
    """Refuse workers of no local cluster.

    Raises:
        ConfigError: they are asked for, and no cluster is to be made here.
    """
    if workers is not None and cluster != "local":
        raise ConfigError("--workers: counts the processes of '--cluster local'; name that as well")
