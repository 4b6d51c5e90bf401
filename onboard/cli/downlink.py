"""``floodsat downlink``: the most valuable products as transfer frames, within a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onboard.cli import options

if TYPE_CHECKING:
    from onboard.link.downlink import Downlink
    from onboard.link.returns import Returned
    from onboard.link.transfers import Hearing


@click.command("downlink")
@click.argument("outbox", type=options.PATH)
@click.option(
    "--out",
    required=True,
    type=options.PATH,
    help="File for the stream of transfer frames.",
)
@click.option("--budget", required=True, type=int, help="Bytes that this pass can carry.")
@click.option(
    "--sendings",
    type=int,
    default=2,
    show_default=True,
    help="How often each product is sent, this pass and later ones together.",
)
@click.option(
    "--class",
    "link_class",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="CFDP class of files that are not begun yet: 1, or 2 where there is a return path.",
)
@click.option(
    "--return",
    "return_file",
    type=options.PATH,
    help="What came up since: the file that 'floodsat receive --return' wrote.",
)
@click.option("--pad", is_flag=True, help="Fill the rest of the budget with idle frames.")
@options.json_file
def command(
    outbox: Path,
    out: Path,
    budget: int,
    sendings: int,
    link_class: int,
    return_file: Path | None,
    pad: bool,
    json_file: Path | None,
) -> None:
    """Send what waits in OUTBOX: alerts first, then products by value.

    Files of class 1 go down --sendings times. Files of class 2 go down once; after that only what
    the ground asks for in --return, until it has all.
    """
    from onboard.errors import OutputError
    from onboard.files import make_folder, write_bytes, write_text
    from onboard.link.downlink import check_pass, fill
    from onboard.link.transfers import Hearing, Transfers
    from onboard.outbox import Outbox

    if out.exists():
        raise OutputError(f"{out}: exists, and a pass is never overwritten; name a new file")
    if json_file is not None:
        make_folder(json_file.parent)
    returned = None if return_file is None else _returned(return_file)
    with Outbox(outbox, create=False) as box:
        check_pass(budget, sendings, link_class)
        heard = Hearing() if returned is None else Transfers(box).hear(returned)
        downlink = fill(box, budget, sendings, pad=pad, link_class=link_class)
        write_bytes(out, downlink.stream)
        downlink.commit(box)
    _show(downlink, heard, out, budget)
    if json_file is not None:
        write_text(json_file, _to_json(downlink, heard, budget))


def _returned(path: Path) -> Returned:
    from onboard.errors import StreamError
    from onboard.link import returns

    try:
        with path.open("rb") as source:
            data = source.read(returns.MAX_STREAM + 1)
    except OSError as error:
        raise StreamError(
            f"{path}: cannot be read ({error.strerror}); name the file that "
            "'floodsat receive --return' wrote"
        ) from error
    return returns.unpack(data, str(path))


def _show(downlink: Downlink, heard: Hearing, out: Path, budget: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("sent", "kind", "bytes", "value", "class", "units", "sendings", box=None)
    for one in downlink.sent:
        item = one.item
        table.add_row(
            one.name,
            item.kind.value,
            str(len(item.data)),
            f"{item.value:.3g}",
            str(one.link_class or ""),
            str(one.units),
            f"{one.sendings}{' and a part' if one.part else ''}",
        )
    console = Console(highlight=False)
    if heard.answers:
        console.print(
            f"heard: {heard.answers} answers; files delivered: {heard.delivered}, refused: "
            f"{heard.refused}; units asked for again: {heard.wanted}; not known here: "
            f"{heard.unknown}",
            soft_wrap=True,
        )
    console.print(table)
    size = len(downlink.stream)
    console.print(
        f"{out}: {size} of {budget} bytes; items that wait for their first sending: "
        f"{downlink.waiting}; repeats still owed: {downlink.owed}; files not yet acknowledged: "
        f"{downlink.open}",
        soft_wrap=True,
    )


def _to_json(downlink: Downlink, heard: Hearing, budget: int) -> str:
    import dataclasses
    import json

    sent = [
        {
            "name": one.name,
            "kind": one.item.kind.value,
            "bytes": len(one.item.data),
            "value": one.item.value,
            "class": one.link_class,
            "units": one.units,
            "sendings": one.sendings,
            "part": one.part,
        }
        for one in downlink.sent
    ]
    figures = {
        "contact": downlink.contact,
        "bytes": len(downlink.stream),
        "budget": budget,
        "heard": dataclasses.asdict(heard),
        "waiting": downlink.waiting,
        "owed": downlink.owed,
        "open": downlink.open,
        "sent": sent,
    }
    return json.dumps(figures, indent=2) + "\n"
