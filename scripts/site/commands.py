"""The page of the commands: the help of every ``floodsat`` command, asked of itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
HEAD = """# Commands

What `floodsat COMMAND --help` says, of every command. Bad input ends with exit code 2 and one line
that says what is wrong, where, and what to do.
"""


def on_files(files: Any, config: Any) -> Any:
    """Add the page."""
    files.append(File.generated(config, "commands.md", content=page()))
    return files


def page() -> str:
    """The page as Markdown."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from onboard.cli import group

    parts = [HEAD]
    for path, text in helps(click.Context(group, info_name="floodsat"), group):
        parts.append(f"## {path}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def helps(context: click.Context, group: click.Group) -> Iterator[tuple[str, str]]:
    """Command and help, in the order of the tables; a group's commands after it."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        below = click.Context(command, info_name=name, parent=context, max_content_width=90)
        below.terminal_width = 90
        yield below.command_path, command.get_help(below)
        if isinstance(command, click.Group):
            yield from helps(below, command)
