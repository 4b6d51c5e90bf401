"""``floodsat slots``: show what is installed, or roll back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onboard.cli import options

if TYPE_CHECKING:
    from onboard.control import Control


@click.command("slots")
@click.argument("folder", type=options.PATH)
@click.option("--rollback", is_flag=True, help="Make the other slot active again.")
@click.option(
    "--to",
    type=click.Choice(["other", "a", "b", "golden"]),
    default="other",
    show_default=True,
    help="Which slot --rollback means.",
)
@options.engine
@options.trust
def command(folder: Path, rollback: bool, to: str, engine: str, trust: tuple[Path, ...]) -> None:
    """Show the slots in FOLDER, what commands have changed there, and the keys."""
    from onboard import control, slots
    from onboard.errors import BundleError

    keys = list(trust) or None
    if rollback:
        slots.rollback(folder, engine, keys, to)
    active = slots.active(folder)
    if active is None and not (folder / slots.GOLDEN).is_dir():
        raise BundleError(f"{folder}: holds no bundle; 'floodsat flash BUNDLE --slots {folder}'")
    for slot in slots.ALL:
        click.echo(_line(folder, slot, active, engine, keys))
    state, notes = control.read(folder)
    for line in (*_keys(folder), *_commanded(state), *notes):
        click.echo(line)


def _line(folder: Path, slot: str, active: str | None, engine: str, keys: list[Path] | None) -> str:
    from onboard import slots
    from onboard.errors import BundleError

    mark = "active" if slot == active else "idle"
    if not (folder / slot).is_dir():
        return f"{slot} {mark}: empty"
    try:
        found = slots.load(folder, slot, engine, keys)
    except BundleError as error:
        return f"{slot} {mark}: unusable: {error}"
    failed = slots.failed_starts(folder)[slot]
    return (
        f"{slot} {mark}: {found.name} version {found.version}, model {found.model_id.hex()[:12]}"
        + (f", {failed} of {slots.FAILED_STARTS} starts failed" if failed else "")
    )


def _keys(folder: Path) -> list[str]:
    from onboard import control, keyring, signing

    state = control.read(folder).control
    (demo,) = signing.trusted(None)
    lines = []
    for number, raw in enumerate(keyring.slots_of(folder, state), start=1):
        name = signing.key_id(signing.from_raw(raw)) if raw else "empty"
        public = " (the demo key: its private half is public)" if name == demo else ""
        lines.append(f"key slot {number}: {name}{public}")
    return lines


def _commanded(state: Control) -> list[str]:
    if not state.count:
        return []
    lines = [f"commands: {state.count} was the last count" + ", paused" * state.paused]
    lines += [f"limit {name}: {value:g}, by command" for name, value in state.limits.items()]
    if state.area is not None:
        west, south, east, north = state.area
        lines.append(f"area of interest: {west:g} {south:g} {east:g} {north:g}")
    return lines
