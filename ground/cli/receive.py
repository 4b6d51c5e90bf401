"""``floodsat receive``: verified products out of a stream, as maps, and what was lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.cli import options

if TYPE_CHECKING:
    from ground.delivery import Delivery
    from ground.receive import Reception
    from onboard.chip import Chip
    from onboard.link.alerts import Alert
    from onboard.product import Product
    from onboard.rawchip import RawChip
    from onboard.reference_water import PermanentWater

CHIPS = "chips"
"""Folder of chips for labelling within that of a reception."""
RAW = "raw"
"""Folder of raw chips there, squares of frames that a command asked for."""
AT_ONCE = 16
"""Products that enter the catalogue in one step: what is drawn again after a kill at most."""


@click.command("receive")
@click.argument("stream")
@click.option("--out", required=True, type=options.PATH, help="Folder for products and maps.")
@click.option(
    "--reference",
    type=options.PATH,
    help="Permanent-water raster; tells flood from water in products that name its version.",
)
@options.flown
@options.trust
@click.option(
    "--return",
    "return_file",
    type=options.PATH,
    help="Write what is to go up here: acknowledgements and requests of class-2 files.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 86_400, min_open=True),
    default=900.0,
    show_default=True,
    help="How long to listen to udp:// at most.",
)
@click.option(
    "--idle-seconds",
    type=click.FloatRange(0, 86_400, min_open=True),
    default=10.0,
    show_default=True,
    help="The silence that ends listening to udp://, once something was heard.",
)
@options.json_file
def command(
    stream: str,
    out: Path,
    reference: Path | None,
    bundle: Path | None,
    trust: tuple[Path, ...],
    return_file: Path | None,
    seconds: float,
    idle_seconds: float,
    json_file: Path | None,
) -> None:
    """Receive STREAM into a folder.

    STREAM is a file of transfer frames, - for standard input, or udp://ADDRESS:PORT, which
    listens there (127.0.0.1 where no address is given).

    Each product becomes OUT/<id>.fsp with its maps beside it (GeoTIFF, GeoJSON, PNG, styles for
    QGIS and a STAC item), found by OUT/collection.json; each chip for labelling becomes
    OUT/chips/<id>.fsc, each raw chip OUT/raw/<id>.fsr; OUT/reception.json says what was received
    and what was lost. What is already there is not written again. Files that are half there are
    kept in OUT/transfers.state, and the next pass goes on with them.
    """
    from ground import memory as memories
    from ground import sources
    from ground.answers import conclude
    from ground.receive import receive
    from onboard import bundle as bundles
    from onboard.alone import alone
    from onboard.files import write_bytes
    from onboard.reference_water import PermanentWater

    if bundle is not None:
        bundles.load(bundle, [bundles.COMMON], list(trust) or None).learn()
    permanent = PermanentWater(reference) if reference is not None else None
    # What is half there is one file's: two receptions at once would each forget the other's.
    with alone(out, "reception"):
        memory = memories.load(out)
        chunks = sources.chunks(stream, seconds, idle_seconds)
        reception = receive(chunks, name=stream, memory=memory, reference=permanent)
        files = _keep(reception, out, permanent, json_file)
        returned = conclude(memory, reception)
        # After the products: a reception that is cut short before this is received again.
        memories.save(memory, out)
    if return_file is not None:
        write_bytes(return_file, returned)
    _show(reception, files, permanent)
    if return_file is not None:
        click.echo(f"{return_file}: {len(returned)} bytes to send up")
    problems = [one.problem for one in files if one.problem]
    problems += [f"{out / one.stem}.fsp: kept, but {one.why}" for one in reception.locked]
    problems += _refused(reception, permanent)
    for problem in problems:
        click.echo(f"floodsat: {problem}", err=True)
    if problems:
        click.get_current_context().exit(2)


def _keep(
    reception: Reception, out: Path, reference: PermanentWater | None, json_file: Path | None
) -> list[Delivery]:
    """Write everything that came, and what is told of it."""
    import json

    from onboard.files import write_bytes, write_text

    files = _deliver(reception, out, reference)
    kept = [(one.data, out / f"{one.stem}.fsp") for one in reception.locked]
    chips = [(data, out / _place(chip)) for data, chip in reception.chips]
    raws = [(data, out / _place(raw)) for data, raw in reception.raws]
    for data, path in kept + chips + raws:
        if not path.is_file() or path.read_bytes() != data:
            write_bytes(path, data)
    text = json.dumps(_to_json(reception, files), indent=2) + "\n"
    for target in (out / "reception.json", json_file):
        if target is not None:
            write_text(target, text)
    return files


def _refused(reception: Reception, reference: PermanentWater | None) -> Iterator[str]:
    """What a reference is not good for: products that name another version."""
    if reference is None:
        return
    for _, product in reception.products:
        named = product.reference_version
        if named is not None and named != reference.version:
            yield (
                f"{reference.path}: is version {reference.version.hex()}, but {product.stem} "
                f"counts flood against {named.hex()}; its map shows all water; "
                "give that reference"
            )


def _place(chip: Chip | RawChip) -> str:
    """Where a chip is put in the folder of a reception."""
    from onboard import rawchip

    if isinstance(chip, rawchip.RawChip):
        return f"{RAW}/{chip.stem}.{rawchip.ENDING}"
    return f"{CHIPS}/{chip.stem}.fsc"


def _deliver(reception: Reception, out: Path, reference: PermanentWater | None) -> list[Delivery]:
    """Write every product with its maps, and add them to the catalogue."""
    from ground.catalogue import Catalogue
    from ground.delivery import deliver

    catalogue, made = Catalogue(out), []
    catalogue.repair()
    for start in range(0, len(reception.products), AT_ONCE):
        some = reception.products[start : start + AT_ONCE]
        written = [deliver(product, data, out, reference) for data, product in some]
        catalogue.add(one.item for one in written if one.item is not None)
        made += written
    return made


def _to_json(reception: Reception, files: list[Delivery]) -> dict[str, Any]:
    from onboard import formats
    from onboard.link import acks, housekeeping

    made = zip(reception.products, files, strict=True)
    return {
        "format": formats.RECEPTION.version,
        "products": [_product(product, len(data), one) for (data, product), one in made],
        "chips": [_chip(chip, len(data)) for data, chip in reception.chips],
        "raw": [_raw(raw, len(data)) for data, raw in reception.raws],
        "alerts": [_alert(alert) for alert in reception.alerts],
        "housekeeping": [housekeeping.to_json(state) for state in reception.housekeeping],
        "commands": [acks.to_json(ack) for ack in reception.acks],
        "report": reception.report.to_json(),
    }


def _product(product: Product, size: int, written: Delivery) -> dict[str, Any]:
    return {
        "id": product.product_id.hex(),
        "subject": product.subject,
        "bytes": size,
        "acquired_ms": product.acquired_ms,
        "statistics": dataclasses.asdict(product.statistics),
        "written": [path.name for path in written.paths],
        "problem": written.problem,
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        **dataclasses.asdict(alert),
        "frame_id": alert.frame_id.hex(),
        "confidence": alert.confidence,
    }


def _chip(chip: Chip, size: int) -> dict[str, Any]:
    return {
        "id": chip.chip_id.hex(),
        "scene_id": chip.scene_id.hex(),
        "bytes": size,
        "worth": chip.worth,
        "written": _place(chip),
    }


def _raw(raw: RawChip, size: int) -> dict[str, Any]:
    return {
        "id": raw.raw_id.hex(),
        "scene_id": raw.scene_id.hex(),
        "row": raw.row,
        "col": raw.col,
        "shape": list(raw.samples.shape),
        "bytes": size,
        "written": _place(raw),
    }


def _show(reception: Reception, files: list[Delivery], reference: PermanentWater | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("product", "subject", "bytes", "pixels", "files", box=None)
    for (data, product), written in zip(reception.products, files, strict=True):
        pixels = f"{product.georef.width}×{product.georef.height}"
        there = str(len(written.paths)) if written.paths or written.problem else "already there"
        table.add_row(product.stem, product.subject, str(len(data)), pixels, there)
    console.print(table)
    for line in _lines(reception, reference):
        console.print(line, soft_wrap=True)


def _told(alert: Alert) -> str:
    """An alert in one line."""
    from datetime import datetime

    def area(square_metres: float | None, share: float) -> str:
        known = "" if square_metres is None else f" ({square_metres / 1e6:.2f} km²)"
        return f"{share:.1%} of what was seen{known}"

    when = "at an unknown time"
    if alert.acquired_ms is not None:
        seconds = datetime.fromtimestamp(alert.acquired_ms / 1000, UTC)
        when = seconds.isoformat(timespec="seconds")
    where = "at no known place"
    if alert.place is not None:
        where = "around {:.4f}, {:.4f}".format(*alert.place)
    sure = "" if alert.confidence is None else f", confidence {alert.confidence:.2f}"
    follows = "its product goes down too" if alert.product else "no product goes down"
    return (
        f"alert {alert.frame_id.hex()}: {alert.subject} {where}, {when}: likely "
        f"{area(alert.area_m2, alert.fraction)}, possibly "
        f"{area(alert.possible_area_m2, alert.possible_fraction)}{sure}; {follows}"
    )


def _lines(reception: Reception, reference: PermanentWater | None) -> Iterator[str]:
    report = reception.report
    counts = (len(reception.products), len(reception.alerts), len(reception.chips))
    kinds = ("product{}", "alert{}", "chip{} for labelling")
    told = [f"{n} {kind.format('s' * (n != 1))}" for n, kind in zip(counts, kinds, strict=True)]
    raw = f", {len(reception.raws)} raw chips" if reception.raws else ""
    yield f"received: {', '.join(told)}{raw}"
    for alert in reception.alerts:
        yield _told(alert)
    lost = ", ".join(f"{count} {name}" for name, count in report.packets_lost.items() if count)
    yield (
        f"frames: {report.frames} good, {report.frames_bad} bad, {report.frames_lost} lost; "
        f"packets lost: {lost or 'none'}"
    )
    for ack in reception.acks:
        yield f"command {ack.count}: {ack.status.name.lower()}: {ack.text}"
    for _, product in reception.products:
        named = product.reference_version
        if named is not None and reference is None:
            yield (
                f"note: {product.stem} counts flood against the permanent-water reference "
                f"{named.hex()}; its map shows all water; give that reference with --reference"
            )
    for one in report.files_incomplete + report.files_refused:
        missing = "" if one.missing is None else f" ({one.missing} of {one.size} bytes missing)"
        yield f"lost: file {one.name or one.sequence}: {one.reason}{missing}"
