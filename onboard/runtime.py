"""The runtime: one frame in, a flagged product in the outbox or a reason why not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onboard.area import Area, meets
from onboard.arrays import Array, Flags
from onboard.chip import cut
from onboard.chip import pack as pack_chip
from onboard.classes import WATER
from onboard.conditions import condition_names
from onboard.errors import FrameError
from onboard.frames import open_frame
from onboard.georef import Georef
from onboard.labelling import Candidate, candidates, choose, features
from onboard.link import alerts
from onboard.oddity import survey
from onboard.outbox import Item, Kind, Outbox
from onboard.product import (
    EPISTEMIC_POWER,
    ID_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    Product,
    mean_where,
    observed_pixels,
    pack,
    pixel_area_m2,
    quantise,
    summarise,
)
from onboard.profile import Profile
from onboard.reduced import divide, grade
from onboard.reference_water import Reference
from onboard.scene import OpenFrame
from onboard.segment import Segmenter
from onboard.tables import Tables
from onboard.triage import Decision, Limits, Outcome, Sight, decide

DAY_MS = 86_400_000
MIN_CROPS = 8
"""Scored crops from which on a frame has a share of odd ones; of fewer, one crop would decide."""


class Entry(NamedTuple):
    """What one frame leaves behind: it is recorded whole or not at all.

    Attributes:
        scene_id, model_id: 32 bytes each.
        products, alerts, chips: to be queued.
    """

    scene_id: bytes
    model_id: bytes
    products: tuple[Item, ...] = ()
    alerts: tuple[Item, ...] = ()
    chips: tuple[Item, ...] = ()


def keep(outbox: Outbox, entry: Entry) -> None:
    """Put an entry into the outbox."""
    outbox.record(entry.scene_id, entry.model_id, entry.products, entry.alerts, chips=entry.chips)


def nothing() -> None:
    """Do nothing."""


class Around(NamedTuple):
    """What is done around a frame; a `FloodsatError` of any of them leaves it unrecorded.

    Attributes:
        before: called before the network runs, after the frame was found to be new.
        after: called when it has run, before anything is kept.
        keep: puts what the frame gave into the outbox.
    """

    before: Callable[[], None] = nothing
    after: Callable[[], None] = nothing
    keep: Callable[[Outbox, Entry], None] = keep


PLAIN = Around()


ELSEWHERE = Decision((Outcome.NOTHING,), "lies beyond the area of interest that a command set")


@dataclass(frozen=True)
class Flown:
    """What became of one frame.

    Attributes:
        scene: its path.
        decision: the outcome and the reason; None where the frame was processed before.
        product_id: of the queued product, or None.
        sample_bytes: size of the raw samples.
        product_bytes: size of the packed product, 0 without one.
        chips: how many chips for labelling were queued.
        seconds: stage → wall-clock seconds.
        notes: what a person should know of the frame.
        conditions: its flags, in words; see `onboard.conditions`.
        scene_id: SHA-256 of its samples, 32 bytes.
    """

    scene: Path
    decision: Decision | None
    product_id: bytes | None
    sample_bytes: int
    product_bytes: int
    seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    scene_id: bytes = b""
    chips: int = 0


class Clock:
    """Adds up wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body of a ``with`` statement."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent


@dataclass(frozen=True)
class Observation:
    """A whole segmented frame, as far as a product needs it; all arrays ``(H, W)``.

    Attributes:
        classes: uint8.
        possible: bool, wet at the sensitive point; it means nothing where nothing is observed.
        entropy: nats, float16, as is the other one; steps of at most 0.0005.
        epistemic: nats.
        mean_p_water: 0…1, over what is observed; None where nothing is.
        odd: share of its crops that are unlike the training; None where that is not known.
    """

    classes: Array
    possible: Flags
    entropy: Array
    epistemic: Array
    mean_p_water: float | None = None
    odd: float | None = None


@dataclass(frozen=True)
class Found:
    """What a frame showed, where it lies beyond permanent water, and what was decided.

    Attributes:
        seen: the maps.
        beyond: bool ``(H, W)``, outside permanent water; None where that is not known.
        sight: what triage was told.
        decision: what triage said.
        tiles: those that may become chips for labelling, the most doubtful first.
        notes: what a person should know of the frame.
    """

    seen: Observation
    beyond: Flags | None
    sight: Sight
    decision: Decision
    tiles: list[Candidate]
    notes: tuple[str, ...]


def observe(
    segmenter: Segmenter, frame: OpenFrame, scene_id: bytes, sensitive: float | None = None
) -> Observation:
    """Segment a frame and keep what the product needs.

    Args:
        segmenter: what segments it.
        frame: the frame.
        scene_id: SHA-256 of its samples.
        sensitive: probability of the sensitive point; the bundle's own if None.
    """
    if sensitive is None:
        sensitive = segmenter.bundle.sensitive.water
    shape = (frame.height, frame.width)
    # Half precision: maps of a whole frame are the most that the runtime holds. Sums of it are
    # exact in float64 whatever their order: its steps are 2^-24 at least, a frame's pixels 2^27.
    entropy, epistemic = (np.empty(shape, np.float16) for _ in range(2))
    seen = Observation(np.empty(shape, np.uint8), np.empty(shape, bool), entropy, epistemic)
    total, count = 0.0, 0
    for part in segmenter.run(frame, scene_id):
        at = part.tile.window
        seen.classes[at] = part.classes
        seen.entropy[at] = part.maps.entropy
        seen.epistemic[at] = part.maps.epistemic
        p_water = part.maps.p_water.astype(np.float16)
        seen.possible[at] = p_water >= sensitive
        known = p_water[observed_pixels(part.classes)]
        total, count = total + float(known.sum(dtype=np.float64)), count + known.size
        # Not kept while the engine works on the next tile.
        del part, p_water, known
    seen = replace(seen, mean_p_water=total / count if count else None)
    oddity = segmenter.bundle.oddity
    if oddity is None:
        return seen
    found = survey(oddity, frame, seen.epistemic, observed_pixels(seen.classes))
    return replace(seen, odd=found.share(oddity.limit, MIN_CROPS))


@dataclass(frozen=True)
class Runtime:
    """What flies: a segmenter, the limits of triage and, where there are, reference and profile.

    A frame that lies beyond ``area``, where there is one, is passed over. ``judge`` says what
    becomes of a frame; a replay compares triage with other rules. With ``tables`` products are a
    fraction of the size; where flood was counted they are then *guided*, unless ``guided`` is
    false: only a ground that has the reference can decode them. See `onboard.product`.
    """

    segmenter: Segmenter
    limits: Limits
    reference: Reference | None = None
    profile: Profile | None = None
    max_pixels: int = MAX_PIXELS
    area: Area | None = None
    judge: Callable[[Sight, Limits, int], Decision] = decide
    tables: Tables | None = None
    guided: bool = True

    def fly(self, path: Path, outbox: Outbox, around: Around = PLAIN) -> Flown:
        """Process one frame once, and queue what it gives.

        Args:
            path: of the frame.
            outbox: what it gives goes there.
            around: what else is done on the way.

        Raises:
            FrameError: the frame cannot be used.
            EngineError: the engine fails.
            OutputError: the outbox cannot be written.
        """
        clock = Clock()
        model_id = self.segmenter.bundle.model_id
        with open_frame(path, self.segmenter.bundle.sensor, self.profile) as frame:
            _check_size(frame, self.max_pixels)
            acquired = frame.capture.milliseconds
            with clock.stage("hash"):
                scene_id = frame.scene_id()
            if outbox.seen(scene_id, model_id):
                seen = clock.seconds
                return Flown(path, None, None, frame.sample_bytes, 0, seen, scene_id=scene_id)
            if self.area is not None and meets(self.area, frame.georef) is False:
                around.keep(outbox, Entry(scene_id, model_id))
                size, seen = frame.sample_bytes, clock.seconds
                return Flown(path, ELSEWHERE, None, size, 0, seen, scene_id=scene_id)
            around.before()
            found = self._look(frame, scene_id, clock, _chips_today(outbox))
            around.after()
            packed, alert = b"", b""
            place = None
            if Outcome.ALERT in found.decision.outcomes:
                with clock.stage("product"):
                    packed, alert, place = self._pack(frame, scene_id, found, acquired)
            chips: list[Item] = []
            if Outcome.CHIP in found.decision.outcomes:
                with clock.stage("chips"):
                    chips = self._chips(frame, scene_id, found, acquired)
            value = found.decision.value
            entry = Entry(
                scene_id,
                model_id,
                products=(Item(packed, value, place, acquired),) if packed else (),
                alerts=(Item(alert, value, place, acquired),) if alert else (),
                chips=tuple(chips),
            )
            with clock.stage("store"):
                around.keep(outbox, entry)
            notes = (*frame.notes, *found.notes)
            product_id = packed[-ID_BYTES:] or None
            size, flags = frame.sample_bytes, condition_names(frame.conditions)
        seconds = clock.seconds
        done = (size, len(packed), seconds, notes, flags)
        return Flown(path, found.decision, product_id, *done, scene_id=scene_id, chips=len(chips))

    def look(self, frame: OpenFrame, scene_id: bytes) -> Found:
        """What `fly` finds in a frame; nothing is queued."""
        return self._look(frame, scene_id, Clock(), 0)

    def product(self, frame: OpenFrame, scene_id: bytes, found: Found) -> Product:
        """The product of what was found in a frame, whatever triage says of it."""
        return self._product(frame, scene_id, found, frame.capture.milliseconds)

    def _look(self, frame: OpenFrame, scene_id: bytes, clock: Clock, chips_today: int) -> Found:
        """Segment a frame and decide on it."""
        with clock.stage("segment"):
            seen = observe(self.segmenter, frame, scene_id, self.limits.sensitive_water)
        with clock.stage("triage"):
            beyond, notes = self._beyond(frame.georef)
            tiles = candidates(seen.epistemic, observed_pixels(seen.classes))
            sight = self._sight(seen, beyond, frame.georef, tiles)
            decision = self.judge(sight, self.limits, chips_today)
        return Found(seen, beyond, sight, decision, tiles, notes)

    def _beyond(self, georef: Georef) -> tuple[Flags | None, tuple[str, ...]]:
        """Where water would be no permanent water, bool ``(H, W)``; None where not known."""
        if self.reference is None:
            return None, ()
        beyond = self.reference.beyond(georef)
        if beyond is None:
            return None, ("the permanent-water reference does not cover it: no flood is counted",)
        return beyond, ()

    def _wet(self, seen: Observation, beyond: Flags | None) -> tuple[Flags, Flags]:
        """Where it is wet at the sensitive and at the balanced point, bool ``(H, W)``."""
        counted = observed_pixels(seen.classes)
        if beyond is not None:
            counted &= beyond
        return counted & seen.possible, counted & (seen.classes == WATER)

    def _sight(
        self,
        seen: Observation,
        beyond: Flags | None,
        georef: Georef,
        tiles: Sequence[Candidate],
    ) -> Sight:
        possible, likely = self._wet(seen, beyond)
        told = likely if likely.any() else possible
        entropy, epistemic = (
            mean_where(values, told) or 0.0 for values in (seen.entropy, seen.epistemic)
        )
        area = pixel_area_m2(georef)
        return Sight(
            pixels=seen.classes.size,
            observed=int(observed_pixels(seen.classes).sum()),
            wet_sensitive=int(possible.sum()),
            wet_balanced=int(likely.sum()),
            entropy=entropy,
            epistemic=epistemic,
            tile_epistemic=tiles[0].epistemic if tiles else 0.0,
            pixel_area_m2=self.segmenter.bundle.sensor.gsd_m**2 if area is None else area,
            flood=beyond is not None,
            odd=seen.odd,
        )

    def _pack(
        self, frame: OpenFrame, scene_id: bytes, found: Found, acquired: int | None
    ) -> tuple[bytes, bytes, tuple[float, float] | None]:
        """The product, empty where it is not sent, its alert, as bytes, and their place."""
        product = self._product(frame, scene_id, found, acquired)
        packed = b""
        if Outcome.PRODUCT in found.decision.outcomes:
            packed = pack(product, self.tables, self._permanent(found, frame.georef))
        possible, likely = self._wet(found.seen, found.beyond)
        alert = alerts.alert_for(
            product, packed[-ID_BYTES:] or None, found.sight, likely if likely.any() else possible
        )
        return packed, alerts.pack(alert), alert.place

    def _permanent(self, found: Found, grid: Georef) -> Flags | None:
        """What the mask is coded against, bool ``(H, W)``; None if it is coded alone.

        It is coded alone where the ground might see the reference elsewhere in the frame.
        """
        if self.tables is None or not self.guided or found.beyond is None:
            return None
        if self.reference is None or not self.reference.exact(grid):
            return None
        return ~found.beyond

    def _maps(self, seen: Observation) -> dict[str, Any]:
        """The reduced maps of uncertainty, and their levels."""
        observed, by = observed_pixels(seen.classes), self.tables
        if by is None:
            return {
                "entropy": quantise(seen.entropy, observed),
                "epistemic": quantise(seen.epistemic, observed, power=EPISTEMIC_POWER),
            }
        return {
            "block": by.block,
            "levels": by.levels,
            "entropy": grade(seen.entropy, observed, by.block, by.entropy),
            "epistemic": grade(seen.epistemic, observed, by.block, by.epistemic),
            "entropy_levels": by.entropy.values,
            "epistemic_levels": by.epistemic.values,
        }

    def _chips(
        self, frame: OpenFrame, scene_id: bytes, found: Found, acquired: int | None
    ) -> list[Item]:
        """The tiles that are worth most to the next training."""
        normalisation = self.segmenter.bundle.normalisation
        patches = [frame.read(one.row, one.col, one.height, one.width) for one, _ in found.tiles]
        choices = choose(
            [one.epistemic for one in found.tiles],
            [features(normalisation.apply(*patch), patch.valid) for patch in patches],
            found.decision.chips,
            found.decision.chip_epistemic,
        )
        items = []
        for choice in choices:
            chip = cut(
                frame,
                found.tiles[choice.which].tile,
                found.seen.classes,
                scene_id=scene_id,
                model_id=self.segmenter.bundle.model_id,
                acquired_ms=acquired,
                epistemic=found.tiles[choice.which].epistemic,
                worth=choice.worth,
            )
            place = alerts.middle(chip.georef)
            items.append(Item(pack_chip(chip), choice.worth, place, acquired))
        return items

    def _product(
        self, frame: OpenFrame, scene_id: bytes, found: Found, acquired: int | None
    ) -> Product:
        bundle, seen = self.segmenter.bundle, found.seen
        reference = self.reference if found.beyond is not None else None
        return Product(
            scene_id=scene_id,
            model_id=bundle.model_id,
            sensor=bundle.sensor.name,
            engine=self.segmenter.engine.name,
            seed=self.segmenter.seed,
            passes=self.segmenter.passes,
            acquired_ms=acquired,
            acquired_quality=frame.capture.quality,
            reference_version=None if reference is None else reference.version,
            water_threshold=bundle.balanced.water,
            cloud_threshold=bundle.balanced.cloud,
            operating_point="balanced",
            georef=frame.georef,
            geolocation_sigma_m=frame.capture.geolocation_sigma_m,
            acquired_sigma_s=frame.capture.time_sigma_s,
            conditions=frame.conditions,
            mask=seen.classes,
            **self._maps(seen),
            regions=divide(seen.classes, seen.entropy, seen.epistemic, found.beyond),
            statistics=summarise(
                seen.classes,
                seen.entropy,
                seen.epistemic,
                seen.mean_p_water,
                frame.georef,
                found.beyond,
            ),
        )


def _chips_today(outbox: Outbox) -> int:
    """Chips for labelling of the last 24 hours."""
    return outbox.queued_since(Kind.CHIP, outbox.clock() - DAY_MS)


def _check_size(frame: OpenFrame, max_pixels: int) -> None:
    """Refuse a frame that no product can describe, or too large, before any time is spent on it."""
    sides = (frame.height, frame.width)
    if max(sides) > MAX_SIDE or frame.height * frame.width > max_pixels:
        raise FrameError(
            f"{frame.path}: {frame.width}×{frame.height} pixels are more than can be flown "
            f"({MAX_SIDE} a side, {max_pixels} in all); cut the frame into parts"
        )
