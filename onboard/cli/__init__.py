"""The command line: one command ``floodsat``, its subcommands loaded only when they run.

Every command is a file of its own in ``onboard.cli``, ``ground.cli`` or ``training.cli`` that
holds a click command named ``command``. The tables below say where each is and what it does, so
that ``floodsat --help`` imports none of them. The ground's commands need Python 3.11 and are not
offered on an older one: on board there are those of ``onboard`` alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from onboard import samples
from onboard.errors import FloodsatError, MissingPackageError

ONBOARD = {
    "segment": "per-pixel maps of frames: class, probabilities, uncertainty",
    "fly": "the runtime: frames in, flagged products queued",
    "downlink": "the most valuable products as transfer frames, within a budget",
    "flash": "verify a bundle and install it",
    "slots": "show what is installed, or roll back",
    "verify": "recompute a product from its frame and bundle, and compare",
    "inspect": "what a bundle, blob or product holds",
    "patch": "a small signed difference between two bundles",
    "command": "make a signed telecommand",
    "keygen": "make a pair of signing keys",
    "doctor": "what this machine can do, and how to get what is missing",
    "completion": "a script that completes commands in bash, zsh or fish",
}
GROUND = {
    "demo": "the main job: a sample scene to a flood map and its page",
    "receive": "verified products out of a stream, as maps",
    "reprocess": "an archive of frames once more, by another bundle",
    "publish": "the catalogue of a folder into an object store",
    "diff": "what changed between two dates of one place",
    "replay": "orbit, contacts, lossy link and ground in simulated time",
}
TRAINING = {
    "train": "fit the network to chip folders",
    "export": "make a signed bundle of a finished run",
    "evaluate": "score a bundle on labelled chips",
    "labels": "chips that came down as a folder to label in QGIS and to train on",
    "synth": "generate frames and chips with truth",
    "data": "describe, divide and fetch chip folders",
    "bench": "time this machine: ratios, throughput, memory",
    "lab": "experiments on what the uncertainty promises",
}
GROUND_PYTHON = (3, 11)


def _table() -> dict[str, tuple[str, str]]:
    """Command → module and help, of what this environment offers."""
    packages = [("onboard", ONBOARD)]
    if sys.version_info >= GROUND_PYTHON:
        packages += [("ground", GROUND), ("training", TRAINING)]
    return {
        name: (f"{package}.cli.{name}", text)
        for package, commands in packages
        if importlib.util.find_spec(package) is not None
        for name, text in commands.items()
    }


class LazyGroup(click.Group):
    """A group that lists its commands from a table and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of the tables."""
        return list(_table())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        found = _table().get(cmd_name)
        if found is None:
            return None
        try:
            command: click.Command = importlib.import_module(found[0]).command
        except ModuleNotFoundError as error:
            if ctx.resilient_parsing:
                # The tab key was pressed: no place for a complaint.
                return None
            raise _missing(cmd_name, error) from error
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names that may come next, without importing anything."""
        options = click.Command.shell_complete(self, ctx, incomplete)
        named = [
            CompletionItem(name, help=text)
            for name, (_, text) in _table().items()
            if name.startswith(incomplete)
        ]
        return [*named, *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List names and help without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _table().items()])


def _missing(command: str, error: ModuleNotFoundError) -> MissingPackageError:
    return MissingPackageError(
        f"{command}: needs the package {error.name!r}, which is not installed here; "
        f"{_cure(command)}"
    )


def _cure(command: str) -> str:
    if samples.in_checkout():
        return "'make install' installs everything"
    names = {"ground": GROUND, "training": TRAINING}
    extra = next((extra for extra, commands in names.items() if command in commands), "onboard")
    return f"pip install 'floodsat[{extra}]'"


def _tell_versions(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from onboard import versions

        click.echo("\n".join(versions.lines()))
        ctx.exit()


@click.group(cls=LazyGroup)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_versions,
    help="Show the versions of FloodSat, the engines and the formats, and exit.",
)
def group() -> None:
    """Finds flood water on board a small satellite and says how sure it is."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point: run, and end with 2 and one line for bad input."""
    # A polite kill unwinds like Ctrl-C does, so that nothing half-written is left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Our matrices are small: a second BLAS thread finds no work, and waits by taking a core
    # from whoever runs beside. numpy reads this when it is imported, which is after this line.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    try:
        result: Any = group.main(args=arguments, prog_name="floodsat", standalone_mode=False)
    except FloodsatError as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        given = sys.argv[1:] if arguments is None else arguments
        command = next((word for word in given if word in _table()), "this command")
        return _complain(str(_missing(command, error)))
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return _complain("stopped", code=130)
    return result if isinstance(result, int) else 0


def _complain(message: str, code: int = 2) -> int:
    click.echo(f"floodsat: {' '.join(message.split())}", err=True)
    return code
