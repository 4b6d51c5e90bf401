"""``floodsat flash``: verify a bundle and install it."""

from __future__ import annotations

from pathlib import Path

import click

from onboard.cli import options


@click.command("flash")
@click.argument("bundle", type=options.PATH)
@options.slots
@click.option(
    "--golden",
    is_flag=True,
    help="Into the golden slot, which is written once and starts when the others do not.",
)
@click.option(
    "--command",
    "command_file",
    type=options.PATH,
    help="Telecommand to carry out first, such as one that allows an older version.",
)
@options.engine
@options.trust
def command(
    bundle: Path,
    slots: Path,
    golden: bool,
    command_file: Path | None,
    engine: str,
    trust: tuple[Path, ...],
) -> None:
    """Install BUNDLE into the idle slot, test it on its golden tile, then switch to it.

    BUNDLE may also be a patch for a bundle that is in one of the slots.

    The first flash into an empty folder fills the key slots with the keys of --trust: the
    recovery key first, then the one of daily operations.
    """
    from onboard import patch
    from onboard import slots as slot

    keys = list(trust) or None
    if command_file is not None:
        click.echo(_carry_out(command_file, slots))
    if golden:
        slot.install_golden(bundle, slots, engine, keys)
        letter, state = slot.GOLDEN, "for good"
    else:
        # A file is a patch, a folder a bundle.
        install = patch.install if bundle.is_file() else slot.install
        letter, state = install(bundle, slots, engine, keys), "active"
    loaded = slot.load(slots, letter, engine, keys)
    click.echo(
        f"slot {letter}: {loaded.name} version {loaded.version}, model "
        f"{loaded.model_id.hex()[:12]}, signed by {loaded.key}; golden tile passed; {state}"
    )


def _carry_out(path: Path, slots: Path) -> str:
    """Carry out a command that changes nothing but the control of a slots folder.

    Raises:
        CommandError: it is not accepted, or not of that kind.
    """
    from onboard import commander
    from onboard.errors import CommandError
    from onboard.link.acks import Status

    try:
        ack = commander.Commander(slots, commander.Bench()).execute(commander.read_file(path))
    except CommandError as error:
        raise CommandError(f"{path}: {error}; make another with 'floodsat command'") from error
    if ack.status is not Status.DONE:
        raise CommandError(f"{path}: command {ack.count} failed: {ack.text}")
    return f"command {ack.count}: {ack.text}"
