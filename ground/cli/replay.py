"""``floodsat replay``: a scenario in simulated time, from its orbit to the maps on the ground."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onboard.cli import options
from onboard.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from ground.replay.checks import Plan
    from ground.replay.live import Sender
    from ground.replay.result import Replay
    from ground.replay.scenario import Scenario

SPEED = 60.0
MAX_SPEED = 10_000.0


@click.command("replay")
@click.argument("scenario_file", metavar="SCENARIO", type=options.PATH)
@click.option("--out", type=options.PATH, help="Folder to write; not needed for --check.")
@click.option("--check", is_flag=True, help="Only say what the orbit makes of the scenario.")
@click.option("--strategies", help="Those to compare, with commas [the scenario's].")
@click.option("--cache", type=options.PATH, help="Folder that keeps frames and maps [OUT.cache].")
@click.option("--jobs", type=click.IntRange(1, 64), help="Processes that generate frames.")
@click.option("--live", metavar="UDP", help="Then play what came down to udp://127.0.0.1:PORT.")
@click.option(
    "--speed",
    type=click.FloatRange(0.01, MAX_SPEED),
    default=SPEED,
    show_default=True,
    help="Of --live: simulated seconds in a real one.",
)
@click.option(
    "--longest-gap",
    type=click.FloatRange(0.01, 86_400),
    help="Of --live: real seconds to which the silence between contacts is cut.",
)
@click.option("--anywhere", is_flag=True, help="Of --live: allow another machine.")
@options.json_file
def command(
    scenario_file: Path,
    out: Path | None,
    check: bool,
    strategies: str | None,
    cache: Path | None,
    jobs: int | None,
    live: str | None,
    speed: float,
    longest_gap: float | None,
    anywhere: bool,
    json_file: Path | None,
) -> None:
    """Replay SCENARIO: orbit, contacts, flight software, lossy link and ground in simulated time.

    OUT gets index.html to look at, replay.json, plots, maps and the streams that came down.
    The same scenario gives the same result. docs/scenario.md says how to write one.
    """
    from rich.console import Console

    from ground.replay import checks, inputs
    from ground.replay import scenario_file as reader
    from ground.replay.live import Sender

    if out is None and not check:
        raise ConfigError("--out is missing: name a folder for the replay, or give --check")
    # Everything that may be wrong is found before anything runs.
    sender = None if live is None else Sender(live, anywhere)
    plan = checks.plan(_with_strategies(reader.load(scenario_file), strategies))
    inputs.check(plan.scenario)
    for warning in plan.warnings:
        click.echo(f"floodsat: {warning}", err=True)
    console = Console(highlight=False)
    if check or out is None:
        _check(plan, console, json_file)
        return
    replay = _run(plan, out, cache or out.with_name(f"{out.name}.cache"), jobs)
    _show(replay, out, console, json_file)
    if sender is not None:
        _play(sender, replay, out, speed, longest_gap, console)


def _with_strategies(scenario: Scenario, names: str | None) -> Scenario:
    """The scenario with the strategies of the option, in their usual order."""
    from ground.replay.scenario import STRATEGIES

    if names is None:
        return scenario
    wanted = {name.strip() for name in names.split(",")}
    for name in sorted(wanted - set(STRATEGIES)):
        raise ConfigError(f"--strategies has {name!r}; choose from {', '.join(STRATEGIES)}")
    chosen = tuple(one for one in STRATEGIES if one in wanted)
    return dataclasses.replace(scenario, strategies=chosen)


def _check(plan: Plan, console: Console, json_file: Path | None) -> None:
    """Tell of the plan, and write it where that is asked for."""
    import json

    from ground.replay import outlook
    from onboard.files import write_text

    if json_file is not None:
        write_text(json_file, json.dumps(outlook.to_json(plan), indent=1) + "\n")
    for table in outlook.tables(plan):
        console.print(table)
    for line in outlook.lines(plan):
        console.print(line, soft_wrap=True)


def _run(plan: Plan, out: Path, cache: Path, jobs: int | None) -> Replay:
    """Simulate into a new folder that takes the old one's place when all is well."""
    from rich.console import Console
    from rich.progress import Progress

    from ground.replay import result
    from ground.replay.page import write_page
    from ground.replay.simulate import simulate
    from onboard.files import ours_to_replace, replacing_folder

    ours_to_replace(out, result.NAME)
    with (
        Progress(console=Console(stderr=True), transient=True) as bars,
        replacing_folder(out) as folder,
    ):
        tasks = {}

        def tell(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=of)
            bars.update(tasks[stage], completed=done, total=of)

        replay = simulate(plan, folder, cache, jobs, tell)
        write_page(replay, folder)
    return replay


def _show(replay: Replay, out: Path, console: Console, json_file: Path | None) -> None:
    """The comparison of the strategies, and where to look."""
    from ground.replay import tables
    from onboard.files import write_text

    if json_file is not None:
        write_text(json_file, replay.to_json())
    console.print(tables.comparison(replay))
    for line in tables.lines(replay):
        console.print(line, soft_wrap=True)
    console.print(f"[bold]page[/bold]  {(out / 'index.html').resolve()}", soft_wrap=True)


def _play(
    sender: Sender,
    replay: Replay,
    out: Path,
    speed: float,
    longest_gap: float | None,
    console: Console,
) -> None:
    """Play the contacts to a receiver, with a line for each."""
    from datetime import UTC, datetime

    from ground.replay.live import Pace, passes
    from onboard.link.counters import Counters

    counters, pace = Counters(), Pace(speed, longest_gap)
    cut = "" if longest_gap is None else f", silences of at most {longest_gap:g} s"
    console.print(f"playing to {sender.where} at {speed:g} times the speed{cut}", soft_wrap=True)
    for one in passes(replay, out):
        pace.wait(one.begin_s)
        begins = datetime.fromtimestamp(replay.span.start_ms / 1000 + one.begin_s, UTC)
        console.print(f"{begins:%Y-%m-%d %H:%M:%S}  {one.contact.station}: signal", end="")
        sender.send(one.bursts(counters, speed), pace)
        console.print(f"; {one.recorded} frames, {one.idle} idle, signal lost")
