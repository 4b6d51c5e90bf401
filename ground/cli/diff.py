"""``floodsat diff``: what changed between two dates of one place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onboard.cli import options

if TYPE_CHECKING:
    from ground.change import Change


@click.command("diff")
@click.argument("before", type=options.PATH)
@click.argument("after", type=options.PATH)
@click.option("--out", type=options.PATH, help="Folder for a map, polygons and a picture.")
@click.option(
    "--reference",
    type=options.PATH,
    help="Permanent-water raster; tells flood from water in products that name its version.",
)
@click.option(
    "--position-error",
    type=click.FloatRange(0, 1e6),
    metavar="METRES",
    help="One standard deviation of the dates' positions against each other; by what the files "
    "say of themselves where not given.",
)
@options.flown
@options.trust
@options.json_file
def command(
    before: Path,
    after: Path,
    out: Path | None,
    reference: Path | None,
    position_error: float | None,
    bundle: Path | None,
    trust: tuple[Path, ...],
    json_file: Path | None,
) -> None:
    """Show what changed between BEFORE and AFTER, two dates of one place.

    Each is a product (.fsp), a class map (.tif) or an item of the catalogue (.json). What one date
    did not observe is never counted as change.
    """
    import json

    from ground.change import compare
    from ground.seen import read_seen
    from onboard import bundle as bundles
    from onboard.files import write_text
    from onboard.reference_water import PermanentWater

    if bundle is not None:
        bundles.load(bundle, [bundles.COMMON], list(trust) or None).learn()
    permanent = None if reference is None else PermanentWater(reference)
    change = compare(
        read_seen(before, permanent), read_seen(after, permanent), sigma_m=position_error
    )
    _show(change)
    if out is not None:
        from ground.change_maps import write_change

        for path in write_change(change, out):
            click.echo(f"{path}: written")
    if json_file is not None:
        write_text(json_file, json.dumps(change.to_json(), indent=1) + "\n")


def _show(change: Change) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for word, seen in (("before", change.before), ("after", change.after)):
        when = seen.acquired or "date not known"
        console.print(f"{word:7} {seen.name}: {when}, {seen.subject}", soft_wrap=True, markup=False)
    table = Table(box=None)
    table.add_column("what")
    for name in ("area", "pixels", "share"):
        table.add_column(name, justify="right")
    for row in rows(change):
        table.add_row(*row)
    console.print(table)
    for line in lines(change):
        console.print(line, soft_wrap=True, markup=False)


def rows(change: Change) -> list[tuple[str, str, str, str]]:
    """Kind, area, pixels and share of everything that is there, for a table."""
    from ground.area_text import area_text

    return [
        (
            kind.text(change.subject),
            area_text(amount.area_m2),
            f"{amount.pixels:,}",
            f"{amount.share:.2%}",
        )
        for kind, amount in change.amounts.items()
        if amount.pixels
    ]


def lines(change: Change) -> list[str]:
    """What stands below the table."""
    from ground.area_text import area_text

    told = [f"position of one date against the other: ± {change.sigma_m:.3g} m (1 sigma)"]
    for area, text in (
        (change.hidden_water_m2, "was {} before and is not observed now: not counted as receded"),
        (change.shown_water_m2, "is {} now and was not observed before: not counted as new"),
    ):
        if area:
            told.append(f"{area_text(area)} {text.format('water')}")
    return told + [f"note: {note}" for note in change.notes]
