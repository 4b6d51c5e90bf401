"""``floodsat downlink``: the most valuable products as transfer frames, within a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from onboard.link.downlink import Downlink


@click.command("downlink")
@click.argument("outbox", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
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
@click.option("--pad", is_flag=True, help="Fill the rest of the budget with idle frames.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
)
def command(
    outbox: Path, out: Path, budget: int, sendings: int, pad: bool, json_file: Path | None
) -> None:
    """Send what waits in OUTBOX: alerts first, then products by value."""
    from onboard.errors import OutputError
    from onboard.files import make_folder, write_bytes, write_text
    from onboard.link.downlink import fill
    from onboard.outbox import Outbox

    if out.exists():
        raise OutputError(f"{out}: exists, and a pass is never overwritten; name a new file")
    if json_file is not None:
        make_folder(json_file.parent)
    with Outbox(outbox, create=False) as box:
        downlink = fill(box, budget, sendings, pad=pad)
        write_bytes(out, downlink.stream)
        _make_durable(out.parent)
        downlink.commit(box)
    _show(downlink, out, budget)
    if json_file is not None:
        write_text(json_file, _to_json(downlink, budget))


def _make_durable(folder: Path) -> None:
    """A rename is safe from a power cut only once its folder is written too."""
    import os

    handle = os.open(str(folder), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _show(downlink: Downlink, out: Path, budget: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("sent", "kind", "bytes", "value", "sendings", box=None)
    for one in downlink.sent:
        item = one.item
        table.add_row(
            one.name, item.kind.value, str(len(item.data)), f"{item.value:.3g}", str(one.sendings)
        )
    console = Console(highlight=False)
    console.print(table)
    size = len(downlink.stream)
    console.print(
        f"{out}: {size} of {budget} bytes; items that wait for their first sending: "
        f"{downlink.waiting}; repeats still owed: {downlink.owed}",
        soft_wrap=True,
    )


def _to_json(downlink: Downlink, budget: int) -> str:
    import json

    sent = [
        {
            "name": one.name,
            "kind": one.item.kind.value,
            "bytes": len(one.item.data),
            "value": one.item.value,
            "sendings": one.sendings,
        }
        for one in downlink.sent
    ]
    figures = {
        "bytes": len(downlink.stream),
        "budget": budget,
        "waiting": downlink.waiting,
        "owed": downlink.owed,
        "sent": sent,
    }
    return json.dumps(figures, indent=2) + "\n"
