"""``floodsat bench``: how fast this machine is, as ratios."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onboard import samples
from onboard.cli import options
from onboard.errors import OutputError

if TYPE_CHECKING:
    from benchmarks.bench import Job
    from benchmarks.figures import Report

PICTURES = (".png", ".svg", ".pdf")
NAMES = {"json_file": "bench.json", "plot": "bench.png", "page": "bench.md"}


@click.command("bench")
@click.argument("bundle", type=options.PATH, default=samples.BUNDLE)
@click.option(
    "--engine",
    "chosen",
    multiple=True,
    type=click.Choice(["tflite", "openvino"]),
    help="What to time, may be given several times; by default all that the bundle serves.",
)
@options.seed
@options.trust
@options.json_file
@click.option("--plot", type=options.PATH, help="Draw the figures here: .png, .svg or .pdf.")
@click.option("--markdown", "page", type=options.PATH, help="Write the tables as a page here.")
@click.option(
    "--replay",
    "replays",
    type=options.PATH,
    metavar="CACHE",
    help="Also play the shipped month, twice, with maps kept in this folder (minutes more).",
)
@click.option("--out", type=options.PATH, help="Folder for bench.json, bench.png and bench.md.")
def command(
    bundle: Path,
    chosen: tuple[str, ...],
    seed: int,
    trust: tuple[Path, ...],
    json_file: Path | None,
    plot: Path | None,
    page: Path | None,
    replays: Path | None,
    out: Path | None,
) -> int:
    """Time BUNDLE, by default the shipped one, on this machine, in under two minutes.

    What ten passes cost beside one, the throughput beside a plain U-Net, what halo and files
    cost, and the memory on board. Ends with 1 where a bound does not hold.
    """
    start = time.perf_counter()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    targets = {"json_file": json_file, "plot": plot, "page": page}
    check(targets)
    if out is not None:
        from onboard.files import make_folder

        make_folder(out)
        targets = {key: path or out / NAMES[key] for key, path in targets.items()}
    from benchmarks.bench import Job, choose

    job = Job(bundle, choose(bundle, tuple(dict.fromkeys(chosen)), trust), seed, trust, replays)
    report = measure(job, start)
    show(report)
    write(report, targets)
    return 1 if report.broken else 0


def check(targets: dict[str, Path | None]) -> None:
    """Refuse, before two minutes of work, what could not be written after them.

    Raises:
        OutputError: a folder is not there, or no such kind of picture can be drawn.
    """
    for path in filter(None, targets.values()):
        if not path.parent.is_dir():
            raise OutputError(f"{path}: its folder is not there; make it, or name another one")
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; name a file in it, or the folder with --out")
    plot = targets["plot"]
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise OutputError(f"{plot}: is no kind of picture; end its name with .png, .svg or .pdf")


def measure(job: Job, start: float) -> Report:
    """Run with a progress bar on the error stream."""
    from rich.console import Console
    from rich.progress import Progress

    from benchmarks import bench

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("bench", total=bench.steps(job))
        begun = 0

        def tell(text: str) -> None:
            nonlocal begun
            # A step is done when the next one begins.
            bar.update(task, description=text, completed=begun)
            begun += 1

        return bench.run(job, tell, start)


def show(report: Report) -> None:
    """Tables on the terminal, ratios first."""
    from rich.console import Console

    from benchmarks import show as tables

    console = Console(highlight=False)
    console.print(tables.table(report))
    console.print()
    console.print(tables.budget_table(report))
    console.print()
    for key, value in report.facts.items():
        console.print(f"{key}: {value}", markup=False)
    for figure in report.broken:
        name = ", ".join(filter(None, (figure.text, figure.engine)))
        click.echo(f"does not hold: {name}: {figure.shown}", err=True)


def write(report: Report, targets: dict[str, Path | None]) -> None:
    """The files that were asked for."""
    from benchmarks import plot as picture
    from benchmarks import show as tables
    from onboard import files

    file, plot, page = targets["json_file"], targets["plot"], targets["page"]
    if file is not None:
        files.write_text(file, json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n")
    if plot is not None:
        files.write_bytes(plot, picture.draw(report, plot.suffix[1:].lower()))
    if page is not None:
        beside = None if plot is None else os.path.relpath(plot, page.parent).replace(os.sep, "/")
        files.write_text(page, tables.markdown(report, beside))
    for path in filter(None, targets.values()):
        click.echo(f"{path}: written")
