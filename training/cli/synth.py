"""``floodsat synth``: generated frames or chips with truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.errors import ConfigError
from onboard.files import make_folder, ours_to_replace, replacing_folder

if TYPE_CHECKING:
    from training.synth.frame import Recipe, SyntheticFrame
    from training.synth.rawframe import Camera

MAX_COUNT = 100_000


@click.command(name="synth")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--count", type=int, default=1, show_default=True, help="How many to make.")
@click.option("--size", type=int, default=None, help="Side in pixels.  [default: 1024; chips: 128]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the first one.")
@click.option("--gsd", type=float, default=30.0, show_default=True, help="Metres per pixel.")
@click.option("--clouds", type=float, default=None, help="Share of cloud, 0…1.")
@click.option("--flood", type=float, default=None, help="Share of flood water, 0…0.8.")
@click.option("--biome", default=None, help="Kind of countryside, such as delta or prairie.")
@click.option(
    "--recipe",
    "recipe_file",
    type=click.Path(path_type=Path),
    default=None,
    help="JSON file with recipe fields to fix, the rest is drawn; or a frame to make again.",
)
@click.option("--chips", is_flag=True, help="Write a chip folder for training.")
@click.option("--raw", is_flag=True, help="Write raw twins with sidecars and a camera's profile.")
@click.option(
    "--misregistration",
    type=float,
    default=0.0,
    show_default=True,
    help="Most that a band of a raw twin lies off, pixels.",
)
def command(
    out: Path,
    count: int,
    size: int | None,
    seed: int,
    gsd: float,
    clouds: float | None,
    flood: float | None,
    biome: str | None,
    recipe_file: Path | None,
    chips: bool,
    raw: bool,
    misregistration: float,
) -> None:
    """Make multispectral frames of floods that never were, with their truth.

    Without --chips: DIR/frame.tif, frame_truth.tif and frame_permanent.tif, with the seed in
    the name when there are several. With --chips: images/, labels/, index.csv and dataset.toml.
    With --raw also frame.raw with frame.json, the same ground as counts, and camera.toml with
    camera_dead.tif, the profile of the camera that took it: see docs/frames.md.
    What no option fixes is drawn at random from the seed. The same options give the same files.
    """
    if not 1 <= count <= MAX_COUNT:
        raise ConfigError(f"--count is {count}; choose 1…{MAX_COUNT}")
    fixed = _fixed(recipe_file, cloud_fraction=clouds, flood_fraction=flood, biome=biome)
    side = size if size is not None else (128 if chips else 1024)
    recipes = _recipes(fixed, count, seed, side, gsd)
    if chips and raw:
        raise ConfigError("--chips and --raw exclude each other; chips are reflectance")
    if misregistration and not raw:
        raise ConfigError("--misregistration is of raw twins; add --raw")
    if chips:
        _write_chip_folder(out, recipes, gsd)
    else:
        _write_frames(out, recipes, _camera(recipes, seed, misregistration) if raw else None)


def _fixed(recipe_file: Path | None, **options: Any) -> dict[str, Any]:
    """Fields that the recipe file and the options fix; options win."""
    import json

    given: dict[str, Any] = {}
    if recipe_file is not None and recipe_file.suffix in (".tif", ".tiff"):
        from training.synth.geotiff import read_recipe

        given = json.loads(read_recipe(recipe_file).to_json())
    elif recipe_file is not None:
        try:
            given = json.loads(recipe_file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{recipe_file}: not a readable JSON file ({error})") from error
        if not isinstance(given, dict):
            raise ConfigError(f"{recipe_file}: holds no JSON object; write field names and values")
    return {**given, **{key: value for key, value in options.items() if value is not None}}


def _recipes(fixed: dict[str, Any], count: int, seed: int, side: int, gsd: float) -> list[Recipe]:
    """All recipes, so that nonsense is refused before anything is written."""
    from training.synth.recipe import RANGES, random_recipe

    low, high = RANGES["seed"]
    if not low <= seed <= high - count:
        raise ConfigError(f"--seed is {seed}; choose a whole number from 0 up")
    if "seed" in fixed and count > 1:
        raise ConfigError(f"the recipe fixes the seed but --count is {count}; take the seed out")
    known = {"width": side, "height": side, "gsd_m": gsd, **fixed}
    return [random_recipe(**{"seed": seed + i, **known}) for i in range(count)]


def _camera(recipes: list[Recipe], seed: int, misregistration: float) -> Camera:
    from training.synth.rawframe import draw_camera

    return draw_camera(seed, recipes[0].height, recipes[0].width, misregistration)


def _write_frames(out: Path, recipes: list[Recipe], camera: Camera | None) -> None:
    from training.synth.geotiff import write_image, write_permanent, write_truth
    from training.synth.rawframe import write_camera, write_raw

    make_folder(out)
    if camera is not None:
        write_camera(out, camera)
    for frame in _progress(recipes):
        stem = "frame" if len(recipes) == 1 else f"frame_{frame.recipe.seed}"
        parts: tuple[tuple[str, Callable[[Path, SyntheticFrame], None]], ...] = (
            ("_truth", write_truth),
            ("_permanent", write_permanent),
            ("", write_image),
        )
        for suffix, write in parts:
            write(out / f"{stem}{suffix}.tif", frame)
        if camera is not None:
            write_raw(out, stem, frame, camera)


def _write_chip_folder(out: Path, recipes: list[Recipe], gsd: float) -> None:
    from training.synth.chipset import write_chips

    ours_to_replace(out, "dataset.toml")
    description = out / "dataset.toml"
    if description.exists() and "generated = true" not in description.read_text("utf-8"):
        raise ConfigError(f"{out}: holds chips that were not generated; choose another folder")
    with replacing_folder(out) as part:
        write_chips(part, _progress(recipes), gsd)


def _progress(recipes: list[Recipe]) -> Iterator[SyntheticFrame]:
    from rich.console import Console
    from rich.progress import track

    from training.synth.frame import synthesise

    bar = Console(stderr=True)
    for recipe in track(recipes, description="synth", console=bar, transient=True):
        yield synthesise(recipe)
