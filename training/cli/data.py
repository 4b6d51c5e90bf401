"""``floodsat data``: look into chip folders, divide them, fetch public ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.cli import options

if TYPE_CHECKING:
    from training.chips import ChipFolder
    from training.data.describe import Description
    from training.data.divide import Part

SHOWN = 10

folders_argument = click.argument(
    "folders", metavar="FOLDER...", nargs=-1, required=True, type=options.PATH
)


@click.group("data")
def command() -> None:
    """Describe, divide and fetch chip folders."""


@command.command("describe")
@folders_argument
@options.json_file
def describe_command(folders: tuple[Path, ...], json_file: Path | None) -> int:
    """Tell what chip folders hold: chips, bands, places, class shares, values, problems.

    Ends with 1 where a chip would stop a training.
    """
    from onboard import files
    from training.chips import ChipFolder
    from training.data.describe import describe

    found = []
    for folder in [ChipFolder.open(path) for path in folders]:
        with _progress() as bar:
            task = bar.add_task(folder.name, total=len(folder.ids))
            found.append(describe(folder, lambda: bar.advance(task)))  # noqa: B023 used at once
        _show(found[-1])
    if json_file is not None:
        listed = {"folders": [each.to_json() for each in found]}
        files.write_text(json_file, json.dumps(listed, indent=1, allow_nan=False) + "\n")
    return 1 if any(each.problems for each in found) else 0


@command.command("split")
@folders_argument
@click.option("--out", type=options.PATH, help="File to write; by default FOLDER/splits.toml.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--calibration", type=float, default=0.15, show_default=True, help="Share of chips.")
@click.option("--test", type=float, default=0.25, show_default=True, help="Share of chips.")
@options.json_file
def split_command(
    folders: tuple[Path, ...],
    out: Path | None,
    seed: int,
    calibration: float,
    test: float,
    json_file: Path | None,
) -> None:
    """Divide chip folders by place into train, calibration and test.

    Training and evaluation read FOLDER/splits.toml; a file named with --out has the same form.
    The same places, labels and seed give the same division.
    """
    from onboard import files
    from training.chips import ChipFolder
    from training.data.divide import Shares, divide, summarise, weigh

    shares = Shares.of(calibration, test)
    opened = [ChipFolder.open(path) for path in folders]
    _distinct(opened)
    tables, parts = {}, {}
    for folder in opened:
        with _progress() as bar:
            task = bar.add_task(folder.name, total=len(folder.ids))
            weights = weigh(folder, lambda: bar.advance(task))  # noqa: B023 used at once
        tables[folder.name] = divide(folder, weights, seed, shares)
        parts[folder.name] = summarise(weights, tables[folder.name])
        _show_parts(folder.name, parts[folder.name])
    _write_splits(opened, tables, out)
    if json_file is not None:
        plain = {n: {s: p._asdict() for s, p in each.items()} for n, each in parts.items()}
        text = json.dumps({"seed": seed, "sets": plain, "splits": tables}, indent=1)
        files.write_text(json_file, text + "\n")


def _distinct(folders: list[ChipFolder]) -> None:
    from onboard.errors import ConfigError

    names = [folder.name for folder in folders]
    for folder in folders:
        if names.count(folder.name) > 1:
            raise ConfigError(
                f"{folder.path}: bears the name {folder.name!r} as another of the folders does; "
                "rename one in its dataset.toml"
            )


def _write_splits(folders: list[ChipFolder], tables: dict[str, Any], out: Path | None) -> None:
    from onboard import files
    from onboard.errors import OutputError
    from training.data.divide import to_toml
    from training.splits import FILE

    if out is not None:
        texts = {out: to_toml(tables)}
    else:
        texts = {f.path / FILE: to_toml({f.name: tables[f.name]}) for f in folders}
    for path, text in texts.items():
        if path.is_file() and path.read_bytes() != text.encode():
            raise OutputError(
                f"{path}: holds another division, which models may have been trained on; delete "
                "it to divide anew"
            )
    for path, text in texts.items():
        files.write_text(path, text)
        click.echo(f"{path}: written")


def _progress() -> Any:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def _show(found: Description) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(found.path, "", box=None)
    sizes = ", ".join(f"{size} px: {count}" for size, count in found.sizes.items())
    place, most = found.largest_place
    rows = {
        "set": found.name + (", generated" if found.generated else ""),
        "chips": f"{found.chips} ({sizes})",
        "places": f"{found.places}, at most {most} chips of one ({place})",
        "ground sample distance": f"{found.gsd_m:g} m",
        **{f"pixels of {name}": f"{share:.1%}" for name, share in found.shares.items()},
    }
    for key, value in rows.items():
        table.add_row(key, value)
    console.print(table)
    values = Table("band", "lowest", "mean", "highest", box=None)
    for band, span in found.ranges.items():
        values.add_row(band, *(f"{value:.4f}" for value in span))
    console.print(values)
    for title, lines in (("problem", found.problems), ("note", found.notes)):
        for line in lines[:SHOWN]:
            console.print(f"{title}: {line}", markup=False, soft_wrap=True)
        if len(lines) > SHOWN:
            console.print(f"{title}: and {len(lines) - SHOWN} more; --json lists all")


def _show_parts(name: str, parts: dict[Any, Part]) -> None:
    from rich.console import Console
    from rich.table import Table

    classes = sorted({key for part in parts.values() for key in part.shares})
    table = Table(name, "chips", "places", *classes, box=None)
    for split, part in parts.items():
        shares = [f"{part.shares.get(key, 0.0):.1%}" for key in classes]
        table.add_row(split, str(part.chips), str(part.groups), *shares)
    Console(highlight=False).print(table)
