"""The tables of ``floodsat inspect``: what a person reads; the complete figures are its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

STAGES_SHOWN = 8


class ParityRow(NamedTuple):
    """One figure of one target's parity; "" where there is none.

    ``holds`` says why, where nothing could be measured.
    """

    target: str
    figure: str
    value: str
    bound: str
    holds: str


def bundle(found: Mapping[str, Any]) -> None:
    """A bundle as `onboard.cli.inspect` found it."""
    network = found["network"]
    _print(
        f"bundle {found['name']!r}, version {found['version']}, format {found['format']}, "
        f"signed by {found['signed_by']}",
        f"model {found['model_id']}",
        f"sensor {found['sensor'].get('name', '?')}; network "
        + ", ".join(f"{name} {value}" for name, value in network.items())
        + f"; {found['passes']} passes",
        _targets(found),
    )
    rows = list(parity_rows(found.get("parity", {})))
    if rows:
        _print("", _table("parity of target", "figure", "value", "bound", "holds", rows=rows))
    for name, one in found["blobs"].items():
        resources = next(
            entry["resources"].get(name, {})
            for entry in found["sets"].values()
            if "resources" in entry or f"myriad/{name}.blob" in entry["files"]
        )
        _blob(one, resources)


def blob(found: Mapping[str, Any]) -> None:
    """A blob's file."""
    _print(f"{found['path']}: a Myriad blob for {found['chip']}", _fields(found["header"]))


def product(found: Mapping[str, Any]) -> None:
    """A product's file; of its regions, which are many, only how many and the wettest."""
    shown = dict(found)
    if regions := found.get("regions"):
        wettest = max(regions, key=lambda one: one["water"])
        shown["regions"] = f"{len(regions)}, the wettest: {_text(wettest)}"
    _print(_fields(shown))


def parity_rows(parity: Mapping[str, Any]) -> Iterator[ParityRow]:
    """Parity as rows.

    Args:
        parity: as an export leaves it: ``targets`` → target → figure → ``value``, ``bound``,
            ``rule`` and ``holds``, each None where there is none, and a ``note`` where nothing
            could be measured.
    """
    for target, figures in parity.get("targets", {}).items():
        for figure, one in figures.items():
            bound = "" if one["bound"] is None else f"{one['rule']} {_text(one['bound'])}"
            holds = _text(one["holds"]) or one.get("note", "")
            yield ParityRow(target, figure, _text(one["value"]), bound, holds)


def _targets(found: Mapping[str, Any]) -> Table:
    rows = []
    for name, size in found["set_bytes"].items():
        uplink = found["uplink"].get(name, {})
        rows.append((name, size, *(_text(uplink.get(key)) for key in ("bytes", "limit", "holds"))))
    return _table("set", "bytes", "with manifest", "limit", "holds", rows=rows)


def _blob(found: Mapping[str, Any], resources: Mapping[str, Any]) -> None:
    chip, header = found["chip"], found["header"]
    _print("", f"blob {chip}: {found['fault'] or 'holds what a flight needs of it'}")
    memory = resources.get("memory", {})
    weights = resources.get("weights", {})
    rows = [
        ("bytes", header["size"]),
        ("input, output bytes", f"{header['input_bytes']}, {header['output_bytes']}"),
        ("BSS, CMX bytes", f"{memory.get('BSS', '?')}, {memory.get('CMX', '?')}"),
        ("weights, repeated bytes", f"{weights.get('bytes', '?')}, {weights.get('repeated', '?')}"),
        ("SHAVEs, CMX slices", f"{header['shaves']}, {header['slices']}"),
        ("stages", ", ".join(f"{n} {kind}" for kind, n in resources.get("stages", {}).items())),
    ]
    _print(_table(f"{chip} resources", "", rows=rows))
    if "prediction" in found:
        _prediction(found["prediction"])


def _prediction(found: Mapping[str, Any]) -> None:
    rows, columns = found["frame"]
    _print(
        "",
        f"{found['chip']}, frame of {rows} × {columns}, T = {found['passes']}, {found['tiles']} "
        f"tiles: {found['label']}",
    )
    named = {
        "frame": found["predicted_seconds"],
        "inference": found["predicted_inference_seconds"],
        "transfer of a tile": found["predicted_transfer_seconds"],
        **{
            f"on {unit}": seconds
            for unit, seconds in found["predicted_inference_seconds_by_unit"].items()
        },
    }
    bounds = ("best", "central", "worst")
    lines = [(name, *(f"{own[bound]:.4g}" for bound in bounds)) for name, own in named.items()]
    _print(_table("predicted seconds", *bounds, rows=lines))
    slowest = sorted(found["stages"], key=lambda s: -float(s["predicted_seconds"]["central"]))
    lines = [
        (
            f"{stage['repeats']} {stage['name']} ({stage['kind']}, {stage['unit']})",
            *(f"{1e3 * stage['predicted_seconds'][bound]:.3g}" for bound in bounds),
        )
        for stage in slowest[:STAGES_SHOWN]
    ]
    _print(_table("slowest stages, predicted ms an inference", *bounds, rows=lines))


def _fields(values: Mapping[str, Any]) -> Table:
    return _table("field", "value", rows=[(name, _text(v)) for name, v in values.items()])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(own)}" for name, own in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(_text(own) for own in value)
    return str(value)


def _table(*columns: str, rows: Any) -> Table:
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(value) for value in row))
    return table


def _print(*lines: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for line in lines:
        console.print(line, soft_wrap=isinstance(line, str))
