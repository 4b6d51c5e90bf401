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
    "folders", metavar="FOLDER...", nargs=-1, required=True, type=options.PLACE
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


@command.command("fetch")
@click.argument("name", metavar="SET", type=click.Choice(["sen1floods11", "worldfloods"]))
@click.option("--out", required=True, type=options.PATH, help="Chip folder; a fetch goes on there.")
@click.option("--limit", type=click.IntRange(1), help="Most chips or scenes, of many events first.")
@click.option(
    "--bands",
    default="blue,green,red,nir",
    show_default=True,
    help="Bands to keep, with commas; 'all' keeps Sentinel-2's thirteen.",
)
@click.option(
    "--side",
    type=click.IntRange(64, 4096),
    default=512,
    show_default=True,
    help="Largest side of a chip in pixels; scenes are cut.",
)
@click.option("--keep", is_flag=True, help="Keep the originals in OUT/originals.")
@click.option("--base-url", help="Fetch from a copy of the source at this address.")
def fetch_command(
    name: str,
    out: Path,
    limit: int | None,
    bands: str,
    side: int,
    keep: bool,
    base_url: str | None,
) -> int:
    """Bring a public data set into a chip folder: sen1floods11 or worldfloods.

    A fetch that was stopped goes on when the same command is run again. Ends with 1 where an item
    could not be used.
    """
    from training.data.download import Client
    from training.data.fetch import Order, fetch
    from training.data.sources import S2_BANDS, SOURCES

    source = SOURCES[name]
    chosen = tuple(S2_BANDS) if bands == "all" else tuple(filter(None, bands.split(",")))
    address = (base_url or source.base_url).rstrip("/")
    click.echo(f"{source.title}\nTerms: {source.licence}. {source.terms}\nCite: {source.citation}")
    with _Bar(source.unit) as bar:
        result = fetch(out, Order(source, address, chosen, side, limit, keep), Client(), bar)
    for line in result.failed:
        click.echo(f"not usable: {line}", err=True)
    click.echo(
        f"{out}: {result.chips} chips of {result.items} {source.unit}, {result.dropped} pieces "
        "without labels dropped; 'floodsat data describe' looks into them, 'floodsat data split' "
        "divides them"
    )
    return 1 if result.failed else 0


@command.command("verify")
@click.argument("folder", type=options.PATH)
def verify_command(folder: Path) -> int:
    """Hold a fetched set to the checksums that were written down when it was fetched.

    Ends with 1 where a file is missing or another.
    """
    from training.data.fetch import verify

    count, wrong = verify(folder)
    for line in wrong:
        click.echo(line, err=True)
    click.echo(f"{folder}: {count - len(wrong)} of {count} files are as they were fetched")
    return 1 if wrong else 0


class _Bar:
    """Progress of a fetch on the error stream: bytes, and items on a line of its own."""

    def __init__(self, unit: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        rest = (TransferSpeedColumn(), TimeRemainingColumn())
        quiet = not console.is_terminal
        self._bar = Progress(*columns, *rest, console=console, transient=True, disable=quiet)
        self._unit, self._done, self._of = unit, 0, 0
        self._task = self._bar.add_task("asking what there is", total=None)

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def listed(self, items: int, done: int, size: int) -> None:
        self._done, self._of = done, items
        self._bar.update(self._task, total=size, description=self._text())

    def brought(self, size: int) -> None:
        self._bar.update(self._task, completed=size)

    def finished(self, item: object) -> None:
        self._done += 1
        self._bar.update(self._task, description=self._text())

    def _text(self) -> str:
        return f"{self._unit} {self._done}/{self._of}"


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
