"""Craft: the satellite in the loop: service, slots, commands and outbox as they fly, in a folder.

Only three things are not what flies: the time is simulated, maps of frames come from the cache
where they are known, and the figures of this computer in telemetry are replaced, so that the same
replay gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ground.replay.kept import KeptSegmenter
from ground.replay.log import Clock, FlightLog, FrameLog, ItemLog, key_of
from ground.replay.strategies import Rule
from onboard import control, engines, signing, slots
from onboard.closing import Closing
from onboard.commander import with_limits
from onboard.engines import Engine
from onboard.errors import EngineError
from onboard.limits import Limits
from onboard.link.downlink import MAX_SENDINGS
from onboard.link.housekeeping import Status
from onboard.outbox import Cause, Kind, Outbox, name_of
from onboard.reference_water import Reference
from onboard.runtime import PLAIN, Around, Entry, Flown, Runtime
from onboard.service import HOLD, Hooks, Places, Service
from onboard.settings import Settings
from onboard.standby import Standby
from onboard.uplink import Folders, Satellite, Uplink

_KEEP_MB = 64
_FREE = 1 << 40
MASK_SEED = 1


@dataclass(frozen=True)
class Fit:
    """What a satellite is fitted out with.

    Attributes:
        bundle: folder of the bundle that is installed before launch.
        engine: that runs it.
        passes: of a frame; the bundle's own number if None.
        limits: changes a bundle's limits of triage.
        quota_mb: of the outbox, MiB.
        seconds_per_megapixel: that a frame takes.
        rule: of the strategy.
        reference: permanent water; None where there is none.
        cache: folder of kept maps.
        keys: public keys that the satellite trusts.
    """

    bundle: Path
    engine: str
    passes: int | None
    limits: Callable[[Limits], Limits]
    quota_mb: int
    seconds_per_megapixel: float
    rule: Rule
    reference: Reference | None
    cache: Path
    keys: tuple[Path, ...]


@dataclass(frozen=True)
class WatchedRuntime(Runtime):
    """The runtime; it queues what the strategy wants, and tells what came of a frame.

    Attributes:
        shape: what of a frame's entry is queued.
        queued: takes what is queued.
        told: takes what became of a frame.
    """

    shape: Callable[[Entry], Entry] = lambda entry: entry
    queued: Callable[[Entry], None] = lambda entry: None
    told: Callable[[Flown], None] = lambda flown: None

    def fly(self, path: Path, outbox: Outbox, around: Around = PLAIN) -> Flown:
        """As `Runtime.fly`."""

        def keep(box: Outbox, entry: Entry) -> None:
            shaped = self.shape(entry)
            self.queued(shaped)
            around.keep(box, shaped)

        flown = super().fly(path, outbox, around._replace(keep=keep))
        self.told(flown)
        return flown


class Craft(Closing):
    """A satellite; use it in a ``with`` statement. It is off until `on`.

    Args:
        folder: an empty one, for its storage.
        fit: what it is fitted out with.
        clock: the simulated time.
        log: takes what happens.
        opened: model id → an engine that is open already; takes what is opened here.

    Raises:
        BundleError: the bundle is not acceptable.
        EngineError: the engine does not run here.
    """

    def __init__(
        self,
        folder: Path,
        fit: Fit,
        clock: Clock,
        log: FlightLog,
        opened: dict[bytes, Engine],
    ) -> None:
        self._fit, self._clock, self._log = fit, clock, log
        self.folders = Folders(
            folder / "slots", folder / "inbox", folder / "commands", folder / "uplink"
        )
        for one in (self.folders.inbox, self.folders.commands, self.folders.bundles):
            one.mkdir(parents=True)
        self._places = Places(self.folders.inbox, folder / "state" / "outbox.sqlite")
        self._engines = opened
        self.engine = fit.engine
        self._service: Service | None = None
        self._frame: FrameLog | None = None
        self.events: list[tuple[str, dict[str, Any]]] = []
        slots.install(fit.bundle, self.folders.slots, fit.engine, list(fit.keys))

    @property
    def powered(self) -> bool:
        """Whether it is on."""
        return self._service is not None

    @property
    def outbox(self) -> Outbox:
        """The outbox; the satellite must be on."""
        assert self._service is not None
        return self._service.outbox

    def on(self) -> None:
        """Power comes: the service starts and goes on with what it finds in its storage."""
        if self._service is not None:
            return
        self._clear_up()
        satellite = Satellite(self.folders, self._fit.engine, lambda: self.outbox)
        uplink = Uplink(self.folders, satellite, self._tell, self._changed, self._clock)
        hooks = Hooks(
            turn=(uplink.turn,),
            paused=uplink.paused,
            free=lambda folder: _FREE,
            clock=self._clock,
            monotonic=self._clock.monotonic,
            told=self._status,
        )
        settings = Settings(
            quota_mb=self._fit.quota_mb,
            keep_done_mb=_KEEP_MB,
            keep_refused_mb=_KEEP_MB,
            min_free_mb=0,
        )
        self._standby = Standby([self._fit.engine], self._runtime)
        self._service = Service(self._places, settings, self._standby, hooks)

    def off(self) -> None:
        """Power goes, without a word: what is not in storage is gone."""
        if self._service is not None:
            self._service.outbox.close()
            self._service.standby.close()
            self._service = None

    def close(self) -> None:
        """As `off`."""
        self.off()

    def seconds(self, frame: FrameLog) -> float:
        """How long a frame takes on board."""
        height, width = frame.scene.shape
        return self._fit.seconds_per_megapixel * height * width / 1e6

    def deliver(self, frame: FrameLog) -> None:
        """The camera writes a frame into the inbox."""
        path = self._path(frame)
        hidden = path.with_name("." + path.name)
        shutil.copyfile(frame.scene.frame, hidden)
        # The inbox goes by the time of writing, which must be the simulated one.
        os.utime(hidden, ns=(frame.taken_ms * 10**6, frame.taken_ms * 10**6))
        hidden.rename(path)

    def work(self, frame: FrameLog) -> bool:
        """One turn of the service, in which this frame, the oldest, is to be done.

        Returns:
            Whether it is done with; if not, a command holds it.

        Raises:
            EngineError: the software on board cannot go on.
        """
        assert self._service is not None
        self._frame = frame
        self._service.step()
        if self._path(frame).exists():
            if not control.read(self.folders.slots).control.paused:
                raise EngineError(
                    f"frame {frame.scene.capture.name!r}: the software on board cannot go on: "
                    f"{self._last_reason()}"
                )
            return False
        if frame.flown is None:
            names = self.folders.inbox.glob(f"refused/*{self._path(frame).name}.reason.txt")
            frame.refused = "; ".join(one.read_text("utf-8").strip() for one in names) or "refused"
        return True

    def turn(self) -> list[tuple[str, dict[str, Any]]]:
        """A turn of the service between frames: commands are carried out; what it told of them."""
        assert self._service is not None
        self.events.clear()
        # What carries commands out would go on with the next frame, whose time has not come.
        hold = self.folders.inbox / HOLD
        hold.touch()
        self._service.step()
        hold.unlink()
        return list(self.events)

    def active(self) -> Path:
        """Folder of the active slot."""
        name = slots.active(self.folders.slots)
        assert name is not None
        return self.folders.slots / name

    def ledger(self) -> None:
        """Enter what was evicted and dropped into the log, and what still waits."""
        for left in self.outbox.left():
            if left.cause is Cause.SENT:
                continue
            item = self._by_name.get(left.name)
            frame = None if item is None else item.frame
            text = left.name.hex()[:12]
            given = (left.left_ms, left.kind.value, text, left.cause.value, left.rule)
            self._log.lose(*given, frame=frame, size=left.size)
        for one in self.outbox.waiting(MAX_SENDINGS + 1):
            item = self._log.items.get(key_of(one.kind, one.data))
            if item is not None and item.whole_ms is None:
                self._log.waiting_bytes += len(one.data)

    # --- inside ---

    @property
    def _by_name(self) -> dict[bytes, ItemLog]:
        return {name_of(one.kind, one.data): one for one in self._log.items.values()}

    def _path(self, frame: FrameLog) -> Path:
        return self.folders.inbox / f"{frame.number:05}.tif"

    def _last_reason(self) -> str:
        """What the service last told of, for a person to look into."""
        lines = self._places.telemetry.read_text("utf-8").splitlines()
        reasons = [json.loads(line).get("reason", "") for line in lines[-8:]]
        return next((one for one in reversed(reasons) if one), "it does not say why")

    def _clear_up(self) -> None:
        # A frame that the camera was writing when power went: it is not whole.
        for path in self.folders.inbox.glob(".*.tif"):
            path.unlink()

    def _tell(self, event: str, **given: Any) -> None:
        self.events.append((event, given))

    def _changed(self) -> None:
        self._standby.close()

    def _status(self, status: Status) -> Status:
        spent = 0.0 if self._frame is None else self.seconds(self._frame)
        seconds = {**dict.fromkeys(status.seconds, 0.0), "segment": round(spent, 2)}
        return dataclasses.replace(status, memory_bytes=0, free_bytes=0, seconds=seconds)

    def _runtime(self, name: str) -> Runtime:
        fit = self._fit
        bundle = slots.load_active(self.folders.slots, name)
        if bundle.model_id not in self._engines:
            self._engines[bundle.model_id] = engines.load(name, bundle)
        if not self._log.models or self._log.models[-1][1] != bundle.model_id:
            self._log.models.append((self._clock.now_ms, bundle.model_id))
        segmenter = KeptSegmenter(
            bundle,
            self._engines[bundle.model_id],
            fit.passes or bundle.passes,
            MASK_SEED,
            folder=fit.cache,
        )
        state = control.read(self.folders.slots).control
        return WatchedRuntime(
            segmenter,
            with_limits(fit.limits(bundle.limits), state.limits),
            fit.reference,
            area=state.area,
            tables=bundle.tables,
            # Whoever receives the streams need not have the references of all places as one.
            guided=False,
            judge=fit.rule.judge,
            shape=fit.rule.shape,
            queued=self._queued,
            told=self._flown,
        )

    def _queued(self, entry: Entry) -> None:
        assert self._frame is not None
        groups = {Kind.ALERT: entry.alerts, Kind.PRODUCT: entry.products, Kind.CHIP: entry.chips}
        for kind, items in groups.items():
            for item in items:
                one = ItemLog(kind, self._frame.number, item.data, item.value, self._clock.now_ms)
                self._log.items.setdefault(one.key, one)

    def _flown(self, flown: Flown) -> None:
        assert self._frame is not None
        self._frame.flown = flown
        segmenter = self._standby.runtime.segmenter
        assert isinstance(segmenter, KeptSegmenter)
        self._frame.model_id = segmenter.bundle.model_id
        self._frame.mask = segmenter.classes(flown.scene_id)


def mission_key(folder: Path, seed: int) -> tuple[Path, Ed25519PrivateKey]:
    """The key of a replay's mission control: its public file, and the private key.

    It is made from the seed, so that the same replay sends the same bytes, and guards nothing.
    """
    text = f"floodsat replay {seed}".encode()
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(text).digest())
    path = folder / "mission.pub"
    path.write_bytes(signing.pem(key.public_key()))
    return path, key
