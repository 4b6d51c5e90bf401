"""``floodsat command``: make a signed telecommand, on the ground."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.cli import options

if TYPE_CHECKING:
    from onboard.commands import Code

HOURS = 24.0
MAX_HOURS = 24.0 * 366


@click.group("command")
def command() -> None:
    """Make one telecommand; each kind is a command of its own.

    The satellite carries it out once, in the time that it names, if it is signed by a key in one
    of its key slots and its count is higher than that of every command before. The next count is
    kept beside the private key, in KEY.count.
    """


def _time(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no ISO 8601 time") from error
    return when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)


def _signing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command takes."""
    for option in (
        click.option(
            "--hours",
            type=click.FloatRange(0, MAX_HOURS, min_open=True),
            default=HOURS,
            show_default=True,
            help="How long it may be carried out.",
        ),
        click.option("--from", "start", help="Not before this time, ISO 8601; now by default."),
        click.option(
            "--count", type=click.IntRange(1, 2**32 - 1), help="Its count; the next by default."
        ),
        click.option("--out", required=True, type=options.PATH, help="File of the command."),
        click.option("--key", required=True, type=options.PATH, help="Private key."),
    ):
        function = option(function)
    return function


def _make(
    code: Code,
    arguments: dict[str, Any],
    key: Path,
    out: Path,
    count: int | None,
    start: str | None,
    hours: float,
) -> None:
    """Sign a command, write it and count up; the count first, so that none is used twice."""
    from onboard import commands, files, signing

    private = signing.read_private(key)
    number = _next_count(key) if count is None else count
    begin = datetime.now(timezone.utc) if start is None else _time(start)
    start_ms = round(begin.timestamp() * 1000)
    end_ms = round((begin + timedelta(hours=hours)).timestamp() * 1000)
    made = commands.Command(code, number, start_ms, end_ms, arguments)
    data = commands.make(made, private)
    files.write_text(_counter(key), f"{number + 1}\n")
    files.write_bytes(out, data)
    until = datetime.fromtimestamp(end_ms / 1000, timezone.utc).isoformat(timespec="minutes")
    click.echo(f"{out}: {code.text}, count {number}, until {until}, {len(data)} bytes")


def _counter(key: Path) -> Path:
    return key.with_name(key.name + ".count")


def _next_count(key: Path) -> int:
    from onboard.errors import ConfigError

    path = _counter(key)
    try:
        return int(path.read_text("ascii"))
    except FileNotFoundError:
        return 1
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: holds no count; write the last acknowledged count plus 1 into it, or give "
            "--count"
        ) from error


def _plain(name: str, text: str) -> None:
    """A command without arguments."""

    @command.command(name, help=text)
    @_signing
    def made(**common: Any) -> None:
        _make(_code(name), {}, **common)


def _code(name: str) -> Code:
    from onboard.commands import Code

    return Code[name.upper().replace("-", "_")]


_plain("clear-limits", "Take all limits of triage from the bundle again.")
_plain("clear-area", "Work on frames of everywhere again.")
_plain("pause", "Leave frames lying until 'resume'.")
_plain("resume", "Work on frames again.")


def _limits(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names for the tab key."""
    from onboard.limits import SETTINGS

    return [name for name in SETTINGS if name.startswith(incomplete)]


@command.command("set-limit")
@click.argument("name", shell_complete=_limits)
@click.argument("value", type=float)
@_signing
def set_limit(name: str, value: float, **common: Any) -> None:
    """Give the limit NAME of triage the VALUE (names and ranges: docs/triage.md)."""
    from onboard.limits import Limits

    Limits().with_value(name, value)
    _make(_code("set-limit"), {"name": name, "value": value}, **common)


def _area(function: Callable[..., Any]) -> Callable[..., Any]:
    """WEST SOUTH EAST NORTH, collected into one argument."""
    names = ("west", "south", "east", "north")

    @functools.wraps(function)
    def collected(**given: Any) -> Any:
        return function(area={name: given.pop(name) for name in names}, **given)

    for name in reversed(names):
        collected = click.argument(name, type=float)(collected)
    return collected


# A negative longitude is no option.
_SIGNED = {"ignore_unknown_options": True}


@command.command("set-area", context_settings=_SIGNED)
@_area
@_signing
def set_area(area: dict[str, float], **common: Any) -> None:
    """Work on frames only that reach into the area WEST SOUTH EAST NORTH, degrees."""
    _make(_code("set-area"), dict(area), **common)


@command.command("drop-queue", context_settings=_SIGNED)
@_area
@_signing
def drop_queue(area: dict[str, float], **common: Any) -> None:
    """Give up what waits of the area WEST SOUTH EAST NORTH, degrees."""
    _make(_code("drop-queue"), dict(area), **common)


@command.command("roll-back")
@click.option("--to", type=click.Choice(["other", "a", "b", "golden"]), default="other")
@_signing
def roll_back(to: str, **common: Any) -> None:
    """Make another slot the active one."""
    _make(_code("roll-back"), {"slot": to}, **common)


@command.command("send-raw")
@click.argument("scene")
@click.option("--row", type=click.IntRange(0), default=0, show_default=True)
@click.option("--col", type=click.IntRange(0), default=0, show_default=True)
@click.option("--side", type=click.IntRange(1, 512), default=256, show_default=True)
@_signing
def send_raw(scene: str, row: int, col: int, side: int, **common: Any) -> None:
    """Send raw samples of the frame whose scene id begins with SCENE (12 hexadecimal digits)."""
    try:
        name = bytes.fromhex(scene)
    except ValueError as error:
        raise click.BadParameter(f"{scene!r} is no hexadecimal number") from error
    given = {"scene": name, "row": row, "col": col, "side": side}
    _make(_code("send-raw"), given, **common)


_slot = click.argument("slot", type=click.IntRange(1, 2))


@command.command("rotate-key")
@_slot
@click.argument("public", type=options.PATH)
@_signing
def rotate_key(slot: int, public: Path, **common: Any) -> None:
    """Put the public key of the file PUBLIC into key slot SLOT."""
    from onboard import signing

    (key,) = signing.read_public([public]).values()
    _make(_code("rotate-key"), {"slot": slot, "key": bytes.fromhex(signing.raw(key))}, **common)


@command.command("revoke-key")
@_slot
@_signing
def revoke_key(slot: int, **common: Any) -> None:
    """Empty key slot SLOT; the last key stays."""
    _make(_code("revoke-key"), {"slot": slot}, **common)


@command.command("allow-older")
@click.argument("bundle", type=options.PATH)
@_signing
def allow_older(bundle: Path, **common: Any) -> None:
    """Allow BUNDLE to be installed once, though its version is older."""
    from onboard import bundle as bundles

    given = {"manifest": bytes.fromhex(bundles.manifest_id(bundles.read_manifest(bundle)))}
    _make(_code("allow-older"), given, **common)


@command.command("install")
@click.argument("name")
@_signing
def install(name: str, **common: Any) -> None:
    """Install the bundle or patch that came up under NAME."""
    _make(_code("install"), {"name": name}, **common)
