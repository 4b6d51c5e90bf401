"""``floodsat completion``: commands, options and names by the tab key."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_FLOODSAT_COMPLETE"
"""In which the shell's script asks ``floodsat`` what may come next."""


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes floodsat's commands in SHELL.

    For this session: eval "$(floodsat completion bash)". For every one: put that line into
    ~/.bashrc (zsh: ~/.zshrc), or write the script of fish to
    ~/.config/fish/completions/floodsat.fish.
    """
    kind = get_completion_class(shell)
    if kind is None:  # click has all three
        raise click.UsageError(f"this version of click completes nothing in {shell}")
    click.echo(kind(ctx.find_root().command, {}, "floodsat", VARIABLE).source())
