"""``floodsat fly``: the runtime."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from onboard.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from onboard.bundle import Bundle
    from onboard.engines import Engine
    from onboard.runtime import Flown, Runtime
    from onboard.service import Hooks, Service
    from onboard.settings import Settings
    from onboard.standby import Standby


@click.command("fly")
@click.argument("scenes", metavar="[SCENE...]", nargs=-1, type=options.PLACE)
@options.slots
@click.option("--outbox", required=True, type=options.PATH, help="SQLite file of the queue.")
@click.option(
    "--reference",
    type=options.PATH,
    help="Permanent-water raster; without it water is never called flood.",
)
@options.engine
@options.passes
@options.seed
@options.trust
@options.profile
@options.json_file
@click.option(
    "--unguided",
    is_flag=True,
    help="Code masks so that a ground without the reference can decode them; larger.",
)
@click.option("--watch", type=options.PATH, help="Folder where frames arrive: run as a service.")
@click.option("--settings", type=options.PATH, help="TOML file of the service's settings.")
@click.option("--once", is_flag=True, help="With --watch: end when the inbox is empty.")
@click.option("--limit", type=click.IntRange(1), help="With --watch: end after so many frames.")
def command(
    scenes: tuple[Path, ...],
    slots: Path,
    outbox: Path,
    reference: Path | None,
    engine: str,
    passes: int | None,
    seed: int,
    trust: tuple[Path, ...],
    profile: Path | None,
    json_file: Path | None,
    unguided: bool,
    watch: Path | None,
    settings: Path | None,
    once: bool,
    limit: int | None,
) -> None:
    """Run the active bundle over frames and queue what is worth sending.

    A frame that was processed with this model before is passed over. One that cannot be read is
    refused with its reason, the others are still flown, and the exit code is 2.

    With --watch it is a service that takes frames out of a folder until it is told to stop, see
    docs/flight-software.md.
    """
    _check(scenes, watch, {"--settings": settings, "--once": once, "--limit": limit}, json_file)
    keys = list(trust) or None
    flight = Flight(slots, engine, passes, seed, keys, reference, profile, not unguided)
    if watch is None:
        from onboard.items import expand

        _fly(flight, expand(scenes), outbox, json_file)
    else:
        _serve(flight, watch, outbox, settings, once, limit)


def _check(
    scenes: tuple[Path, ...],
    watch: Path | None,
    of_service: dict[str, Any],
    json_file: Path | None,
) -> None:
    """Options that go together.

    Raises:
        ConfigError: they do not.
    """
    from onboard.errors import ConfigError

    if bool(scenes) == (watch is not None):
        raise ConfigError("fly: name either SCENE... or --watch INBOX")
    given = [name for name, value in of_service.items() if value not in (None, False)]
    if watch is None and given:
        raise ConfigError(f"fly: {given[0]} is of the service; give --watch INBOX too")
    if watch is not None and json_file is not None:
        raise ConfigError("fly: --json is for SCENE...; the service writes telemetry instead")


class Flight(NamedTuple):
    """What flies, by the options of the command."""

    slots: Path
    engine: str
    passes: int | None
    seed: int
    keys: list[Path] | None
    reference: Path | None
    profile: Path | None
    guided: bool = True


def _serve(
    flight: Flight,
    watch: Path,
    outbox: Path,
    settings_file: Path | None,
    once: bool,
    limit: int | None,
) -> None:
    """Run the service until a signal, or as ``once`` and ``limit`` say."""
    import os
    import signal

    # Frames are read once: what GDAL would keep of them is better left free. Before its import.
    os.environ.setdefault("GDAL_CACHEMAX", "8")
    from onboard import heap
    from onboard import settings as settings_of
    from onboard.service import Places, Service

    heap.give_back()
    settings = settings_of.Settings() if settings_file is None else settings_of.load(settings_file)
    crew = Crew(flight, settings)
    standby = crew.standby()
    serving: list[Service] = []
    hooks = _hooks(crew, flight, watch, standby, serving)
    with Service(Places(watch, outbox), settings, standby, hooks) as service:
        serving.append(service)
        for note in crew.notes:
            service.telemetry.log("slots", note=note)

        def stop(*_: Any) -> None:
            if service.stopping:
                # Asked twice: the present frame is given up; it is done again after the next start.
                sys.exit(143)
            service.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        service.run(once, limit)


def _hooks(
    crew: Crew, flight: Flight, watch: Path, standby: Standby, serving: list[Service]
) -> Hooks:
    """Commands, and the watch over weights and files; ``serving`` holds the service once it runs.

    Command files arrive in the folder ``commands`` beside the inbox, bundles and patches that a
    command installs in ``uplink``.
    """
    from onboard.scrub import Guard
    from onboard.service import Hooks
    from onboard.uplink import Folders, Satellite, Uplink

    around = watch.resolve().parent
    folders = Folders(flight.slots, watch, around / "commands", around / "uplink")

    def tell(event: str, **given: Any) -> None:
        serving[0].telemetry.log(event, **given)

    def changed() -> None:
        # What is active, its limits or the area may be others now: all is opened anew.
        crew.begin_anew()
        standby.close()

    satellite = Satellite(folders, flight.engine, lambda: serving[0].outbox)
    uplink = Uplink(folders, satellite, tell, changed)

    def running() -> tuple[Bundle, Engine, str]:
        segmenter = standby.runtime.segmenter
        return segmenter.bundle, segmenter.engine, standby.name

    guard = Guard(flight.slots, running, tell)
    return Hooks(
        turn=(uplink.turn,),
        paused=uplink.paused,
        before=guard.before,
        after=guard.check,
        recorded=crew.recorded,
    )


class Crew:
    """Opens the engines of a service, each with the active bundle, in processes of their own.

    The first start of the first engine is the slots' business: a bundle that does not start is
    left for another one. Later ones, and engines that stand in, take the bundle in use.
    """

    def __init__(self, flight: Flight, settings: Settings) -> None:
        self._flight, self._settings = flight, settings
        self._begun = False
        self._slot = ""
        self.notes: tuple[str, ...] = ()

    def standby(self) -> Standby:
        """The engines, in the order in which they stand in for each other."""
        from onboard import engines
        from onboard.standby import Standby

        names = [self._flight.engine]
        while engines.STANDS_IN[names[-1]] not in names:
            names.append(engines.STANDS_IN[names[-1]])
        return Standby(names, self._make)

    def begin_anew(self) -> None:
        """Another bundle may be active: its first start is counted again."""
        self._begun = False

    def recorded(self) -> None:
        """The first frame is done: this start was a good one."""
        from onboard import slots

        if self._slot:
            slots.good(self._flight.slots, self._slot)
            self._slot = ""

    def _make(self, name: str) -> Runtime:
        from onboard import slots

        started = None
        if name == self._flight.engine and not self._begun:
            self._begun = True
            started = slots.start(self._flight.slots, name, self._flight.keys, self._open)
            self._slot, self.notes = started.slot, started.notes
        opened = None if started is None else (started.bundle, started.engine)
        runtime = make_runtime(self._flight._replace(engine=name), self._open, opened)
        return dataclasses.replace(runtime, max_pixels=self._settings.max_pixels)

    def _open(self, name: str, bundle: Bundle) -> Engine:
        from onboard import engines

        limits = self._settings.tile_seconds, self._settings.heartbeat_seconds
        return engines.supervised(name, bundle, *limits)


def _fly(flight: Flight, scenes: tuple[Path, ...], outbox: Path, json_file: Path | None) -> None:
    """Fly the frames that were named."""
    from onboard import files
    from onboard.errors import FrameError
    from onboard.outbox import Outbox

    if json_file is not None:
        files.make_folder(json_file.parent)
    runtime = make_runtime(flight)
    files.make_folder(outbox.parent)
    rows: list[dict[str, Any]] = []
    refused = 0
    with Outbox(outbox) as box:
        for scene in scenes:
            try:
                flown = runtime.fly(scene, box)
            except FrameError as error:
                refused += 1
                rows.append({"scene": str(scene), "outcome": "refused", "reason": str(error)})
                click.echo(f"floodsat: {error}", err=True)
                continue
            rows.append(to_json(flown))
            click.echo(line(flown))
    if json_file is not None:
        files.write_text(json_file, json.dumps(rows, indent=1) + "\n")
    if refused:
        click.get_current_context().exit(2)


def make_runtime(
    flight: Flight,
    open_engine: Callable[[str, Bundle], Engine] | None = None,
    opened: tuple[Bundle, Engine] | None = None,
) -> Runtime:
    """The runtime with the active bundle, proved on its golden tile.

    Args:
        flight: what flies.
        open_engine: opens an engine; in this process where it is None.
        opened: a bundle and its engine, where they are open and proved already.
    """
    from onboard import control
    from onboard.commander import with_limits
    from onboard.profile import load
    from onboard.reference_water import PermanentWater
    from onboard.runtime import Runtime
    from onboard.segment import Segmenter

    camera = None if flight.profile is None else load(flight.profile)
    bundle, engine = opened or _opened(flight, open_engine)
    try:
        if camera is not None:
            camera.serve(bundle.sensor)
        known = PermanentWater(flight.reference) if flight.reference is not None else None
    except BaseException:
        _close(engine)
        raise
    segmenter = Segmenter(bundle, engine, flight.passes or bundle.passes, flight.seed)
    state = control.read(flight.slots).control
    limits = with_limits(bundle.limits, state.limits)
    return Runtime(
        segmenter,
        limits,
        known,
        camera,
        area=state.area,
        tables=bundle.tables,
        guided=flight.guided,
    )


def _opened(
    flight: Flight, open_engine: Callable[[str, Bundle], Engine] | None
) -> tuple[Bundle, Engine]:
    """The active bundle and an engine with it, which passed its golden tile."""
    from onboard import engines, golden, slots

    bundle = slots.load_active(flight.slots, flight.engine, flight.keys)
    engine = (open_engine or engines.load)(flight.engine, bundle)
    try:
        golden.check(bundle, engine, flight.engine)
    except BaseException:
        _close(engine)
        raise
    return bundle, engine


def _close(engine: Any) -> None:
    if hasattr(engine, "close"):
        engine.close()


def to_json(flown: Flown) -> dict[str, Any]:
    """What became of a frame, as plain JSON types."""
    decision = flown.decision
    return {
        "scene": str(flown.scene),
        "outcome": decision.text if decision else "seen before",
        "reason": decision.reason
        if decision
        else "the same samples were processed before with this model",
        "value": decision.value if decision else None,
        "product_id": flown.product_id.hex() if flown.product_id else None,
        "sample_bytes": flown.sample_bytes,
        "product_bytes": flown.product_bytes,
        "chips": flown.chips,
        "seconds": flown.seconds,
        "conditions": list(flown.conditions),
        "notes": list(flown.notes),
    }


def line(flown: Flown) -> str:
    """What became of a frame, for people."""
    row = to_json(flown)
    sizes = f", {flown.product_bytes} bytes" if flown.product_id else ""
    notes = "".join(f"; note: {note}" for note in flown.notes)
    return f"{flown.scene}: {row['outcome']}{sizes} ({row['reason']}){notes}"
