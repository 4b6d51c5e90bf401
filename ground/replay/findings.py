"""Findings: the logs of the flights, held against the truth, as the result of a replay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from ground.replay import accounted, metrics, orbit, pictures, result
from ground.replay.accounted import Account
from ground.replay.atlas import Atlas
from ground.replay.checks import Plan
from ground.replay.craft import MASK_SEED
from ground.replay.decoded import unpacker
from ground.replay.log import ContactLog, FlightLog, FrameLog, ItemLog
from ground.replay.metrics import Seen
from ground.replay.pictures import Pictures
from ground.replay.result import Place
from ground.replay.scenario import Span, StrategyName
from ground.replay.scenes import Scene, Truth, is_generated
from ground.replay.strategies import RULES, TITLES
from onboard import files
from onboard.classes import CLOUD, LAND, NODATA, WATER
from onboard.link import alerts
from onboard.outbox import Kind
from onboard.triage import Outcome

TRACK = timedelta(days=1)
CONTACTS = "contacts"
_FREE_OF_COST = (
    "Bytes are counted with the same packets and transfer frames, in the same contacts, first in "
    "first out; nothing runs. The store on board is endless, what the channel loses is repeated "
    "at once, and the ground's network takes no time: a bound from below."
)


@dataclass
class Played:
    """All that a replay is drawn from; one entry a frame, in order of time, where there are many.

    Attributes:
        plan: what was played.
        passes: of the network over a frame.
        scenes: the frames' files.
        truths: what is really in them.
        footprints: their corners.
        atlas: permanent water.
        logs: of the strategies that flew.
    """

    plan: Plan
    passes: int
    scenes: tuple[Scene, ...]
    truths: tuple[Truth | None, ...]
    footprints: tuple[tuple[Place, ...], ...]
    atlas: Atlas
    logs: dict[StrategyName, FlightLog] = field(default_factory=dict)

    @property
    def shown(self) -> StrategyName:
        """The strategy whose contacts, products and so on are shown."""
        return list(self.logs)[-1]


def found(
    played: Played, out: Path, cache: Path, tell: Callable[[int, int], None] = lambda done, of: None
) -> result.Replay:
    """What came of it; pictures and streams of the strategy that is shown go into ``out``.

    Args:
        played: what there is.
        out: the replay's folder.
        cache: where pictures are kept.
        tell: takes how many products are drawn, and of how many.
    """
    log, scenario = played.logs[played.shown], played.plan.scenario
    seen = [
        _seen(frame, truth) for frame, truth in zip(log.frames.values(), played.truths, strict=True)
    ]
    floods = [(one.taken_ms, one.flood_km2) for one in seen if one.flood_km2]
    drawn = list(_products(played, log, out, cache, tell))
    rgb = {product.frame: one.rgb for product, one in drawn if one is not None}
    return result.Replay(
        software=_software(),
        span=_span(played.plan),
        stations=tuple(
            result.Station(
                one.name,
                (one.longitude, one.latitude),
                one.height_m,
                one.elevation_mask_deg,
                one.down_bps,
                one.up_bps,
            )
            for one in scenario.stations
        ),
        track=_track(played.plan),
        off=tuple(
            result.Off(ms_of(one.span.start), ms_of(one.span.end), one.reason, one.safe)
            for one in played.plan.off
        ),
        models=tuple(_models(log)),
        shown=played.shown,
        contacts=tuple(_contact(one, log, out) for one in log.contacts),
        frames=tuple(replace(one, rgb=rgb.get(one.number)) for one in _frames(played, log, seen)),
        products=tuple(product for product, _ in drawn),
        alerts=tuple(_alerts(log, seen)),
        losses=_losses(played.plan, log),
        uplinks=tuple(_uplinks(log)),
        strategies=tuple(_strategy(name, played, seen) for name in scenario.strategies),
        photographed=metrics.summed(floods),
        flood_limit_km2=metrics.FLOOD_KM2,
        settings=_settings(played),
        warnings=played.plan.warnings,
    )


def ms_of(when: datetime) -> int:
    """UTC milliseconds since 1970."""
    return round(when.timestamp() * 1000)


def _software() -> str:
    try:
        return version("floodsat")
    except PackageNotFoundError:
        return "of a checkout"


def _span(plan: Plan) -> result.Span:
    scenario = plan.scenario
    return result.Span(
        scenario.path.stem,
        scenario.name,
        scenario.seed,
        ms_of(scenario.span.start),
        ms_of(scenario.span.end),
        scenario.satellite,
        (scenario.tle.first, scenario.tle.second),
        ms_of(scenario.tle.epoch),
    )


def _track(plan: Plan) -> tuple[result.TrackPoint, ...]:
    """The ground track of the first day: more of it is a net in which nobody sees anything."""
    span = plan.scenario.span
    first = Span(span.start, min(span.end, span.start + TRACK))
    points = orbit.track(plan.orbit, first)
    start = ms_of(plan.orbit.origin)
    return tuple(
        result.TrackPoint(
            start + round(1000 * float(at)), (round(float(lon), 3), round(float(lat), 3)), bool(day)
        )
        for at, lat, lon, day in zip(
            points.seconds, points.latitude, points.longitude, points.day, strict=True
        )
    )


def _models(log: FlightLog) -> Iterator[result.Flying]:
    for since, model_id in log.models:
        came = [one for one in log.uplinks if one.done_ms is not None and one.done_ms <= since]
        title = came[-1].name if came and since > log.models[0][0] else "at launch"
        yield result.Flying(since, model_id.hex(), title)


def _contact(one: ContactLog, log: FlightLog, out: Path) -> result.Contact:
    stream = None
    if one.stream:
        stream = f"{CONTACTS}/{one.number:04}.bin"
        files.write_bytes(out / stream, one.stream)
        assert one.begin_ms is not None
        after = np.array(one.arrived_ms, np.int64) - one.begin_ms
        files.write_bytes(out / f"{CONTACTS}/{one.number:04}.ms", after.astype("<u4").tobytes())
    whole = (log.items[key] for key in one.whole if key in log.items)
    return result.Contact(
        one.number,
        one.station,
        one.aos_ms,
        one.los_ms,
        round(one.max_elevation_deg, 2),
        one.begin_ms,
        one.capacity_bytes,
        one.sent_bytes,
        one.by_kind,
        one.items,
        one.frames_sent,
        one.frames_lost,
        one.frames_bad,
        one.up_bytes,
        tuple(item.key.hex() for item in whole if item.kind is not Kind.ALERT),
        stream,
        one.note,
    )


# --- frames and what is in them ---


def _seen(frame: FrameLog, truth: Truth | None) -> Seen:
    right = None
    if truth is not None and frame.mask is not None:
        right = float((truth.flood & (frame.mask == WATER)).sum()) * truth.pixel_km2
    decision = frame.flown.decision if frame.flown else None
    return Seen(
        frame.number,
        frame.taken_ms,
        None if truth is None else truth.flood_km2,
        right,
        decision is not None and Outcome.ALERT in decision.outcomes,
        frame.done_ms is not None,
    )


def _frames(played: Played, log: FlightLog, seen: Sequence[Seen]) -> Iterator[result.Frame]:
    every = zip(log.frames.values(), seen, played.truths, played.footprints, strict=True)
    for frame, one, truth, corners in every:
        capture = frame.scene.capture
        decision = frame.flown.decision if frame.flown else None
        yield result.Frame(
            number=frame.number,
            name=capture.name,
            target=capture.target,
            taken_ms=frame.taken_ms,
            place=(capture.longitude, capture.latitude),
            footprint=corners,
            sun_elevation_deg=round(capture.sun_elevation_deg, 2),
            off_nadir_deg=round(capture.off_nadir_deg, 2),
            sample_bytes=frame.scene.sample_bytes,
            begun_ms=frame.begun_ms,
            done_ms=frame.done_ms,
            attempts=frame.attempts,
            decision="" if decision is None else decision.text,
            reason=frame.refused if decision is None else decision.reason,
            model_id=frame.model_id.hex(),
            flood_km2=_rounded(one.flood_km2),
            flood_all_km2=_rounded(frame.scene.flood_all_km2),
            cloud=_cloud(frame, truth),
            iou=_iou(frame, truth),
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _cloud(frame: FrameLog, truth: Truth | None) -> float | None:
    """Share of what is not observed, by the truth, else by the mask."""
    classes = frame.mask if truth is None else truth.classes
    return None if classes is None else round(float(np.isin(classes, (CLOUD, NODATA)).mean()), 4)


def _iou(frame: FrameLog, truth: Truth | None) -> float | None:
    """Intersection over union of water where both observed; None where neither has any."""
    if truth is None or frame.mask is None:
        return None
    surface = (LAND, WATER)
    both = np.isin(frame.mask, surface) & np.isin(truth.classes, surface)
    said, true = both & (frame.mask == WATER), both & (truth.classes == WATER)
    either = int((said | true).sum())
    return round(float((said & true).sum()) / either, 4) if either else None


# --- products and alerts ---


def _products(
    played: Played,
    log: FlightLog,
    out: Path,
    cache: Path,
    tell: Callable[[int, int], None],
) -> Iterator[tuple[result.Product, Pictures | None]]:
    every = [one for one in log.items.values() if one.kind is not Kind.ALERT]
    for count, one in enumerate(every, 1):
        plain = result.Product(
            id=one.key.hex(),
            kind=one.kind.value,
            frame=one.frame,
            queued_ms=one.queued_ms,
            bytes=len(one.data),
            first_ms=one.first_ms,
            last_ms=one.last_ms,
            whole_ms=one.whole_ms,
            sent_bytes=one.sent_bytes,
            value=round(one.value, 6),
        )
        if one.kind is Kind.PRODUCT:
            yield _mapped(plain, one, played, out, cache)
        else:
            yield plain, None
        tell(count, len(every))


def _mapped(
    plain: result.Product, item: ItemLog, played: Played, out: Path, cache: Path
) -> tuple[result.Product, Pictures | None]:
    """A product with what its mask says, and with its pictures where it came home."""
    product = unpacker(cache)(item.data, played.atlas)
    truth = played.truths[item.frame - 1]
    said = product.statistics
    right = None
    if truth is not None:
        right = float((truth.flood & (product.mask == WATER)).sum()) * truth.pixel_km2
    plain = replace(
        plain,
        water_km2=_km2(said.water_area_m2),
        flood_km2=_km2(said.flood_area_m2),
        right_km2=_rounded(right),
    )
    if item.whole_ms is None:
        return plain, None
    drawn = pictures.draw(item.data, played.scenes[item.frame - 1], played.atlas, cache, out)
    west, south = np.min(played.footprints[item.frame - 1], axis=0)
    east, north = np.max(played.footprints[item.frame - 1], axis=0)
    mapped = replace(
        plain,
        mask=drawn.mask,
        entropy=drawn.entropy,
        truth=drawn.truth,
        polygons=drawn.polygons,
        bounds=(float(west), float(south), float(east), float(north)),
    )
    return mapped, drawn


def _km2(square_metres: float | None) -> float | None:
    return None if square_metres is None else round(square_metres / 1e6, 4)


def _alerts(log: FlightLog, seen: Sequence[Seen]) -> Iterator[result.Alert]:
    for one in log.items.values():
        if one.kind is not Kind.ALERT:
            continue
        told, frame = alerts.unpack(one.data), seen[one.frame - 1]
        place = None if told.place is None else (told.place[1], told.place[0])
        dry = frame.flood_km2 is None or frame.dry
        yield result.Alert(
            one.frame,
            one.queued_ms,
            one.whole_ms,
            place,
            _km2(told.area_m2),
            told.flood,
            round(told.confidence or 0.0, 4),
            None if frame.flood_km2 is None else not dry,
        )


# --- ledger, uplinks, settings ---


def _losses(plan: Plan, log: FlightLog) -> tuple[result.Loss, ...]:
    lost = [result.Loss(**asdict(one)) for one in log.losses]
    lost += [
        result.Loss(
            ms_of(one.capture.time), "frame", one.capture.name, None, 0, "not taken", one.reason
        )
        for one in plan.missed
    ]
    return tuple(sorted(lost, key=lambda one: (one.at_ms, one.what, one.name, one.cause)))


def _uplinks(log: FlightLog) -> Iterator[result.Uplink]:
    for one in log.uplinks:
        yield result.Uplink(
            one.kind,
            one.name,
            one.bytes,
            one.asked_ms,
            one.begun_ms,
            one.up_ms,
            one.done_ms,
            one.heard_ms,
            one.outcome,
            one.text,
        )


def _settings(played: Played) -> dict[str, str]:
    scenario = played.plan.scenario
    onboard = scenario.onboard
    made = sum(is_generated(one) for one in played.scenes)
    every = len(played.scenes)
    frames = "generated, with their truth" if made == every else "files"
    if 0 < made < every:
        frames = f"generated: {made}, files: {every - made}"
    limits = ", ".join(f"{name} = {value:g}" for name, value in onboard.limits.items())
    return {
        "frames": frames,
        "engine": onboard.engine,
        "passes": str(played.passes),
        "seed of the dropout masks": str(MASK_SEED),
        "time on board": onboard.timing,
        "outbox": f"{onboard.quota_mb} MiB",
        "sendings of alerts and class-1 files": str(onboard.sendings),
        "limits of triage": limits or "the bundle's",
        "masks": "coded by themselves: whoever receives the streams needs no reference",
    }


# --- strategies ---


def _strategy(name: StrategyName, played: Played, seen: Sequence[Seen]) -> result.Strategy:
    log = played.logs.get(name)
    return _counted(name, played, seen) if log is None else _flew(name, log, seen)


def _flew(name: StrategyName, log: FlightLog, seen: Sequence[Seen]) -> result.Strategy:
    maps = _times(log, [Kind.PRODUCT])
    told = {one.number for one in seen if one.told}
    words = _times(log, [Kind.ALERT, Kind.PRODUCT])
    went = [one for one in log.items.values() if one.first_ms is not None]
    return _scored(
        name,
        result.REAL,
        RULES[name].note,
        seen,
        # Of all masks, the ground finds by the same triage which of them show flood.
        {number: when for number, when in words.items() if name != "masks" or number in told},
        maps,
        Account(
            maps,
            sum(one.sent_bytes for one in log.contacts),
            sum(len(one.data) for one in went),
            sum(bool(one.items) for one in log.contacts),
            log.waiting_bytes,
        ),
    )


def _times(log: FlightLog, kinds: Iterable[Kind]) -> dict[int, int]:
    """Number of a frame → when the first of these of it was whole on the ground."""
    found: dict[int, int] = {}
    wanted = set(kinds)
    for one in log.items.values():
        if one.kind in wanted and one.whole_ms is not None:
            found[one.frame] = min(one.whole_ms, found.get(one.frame, one.whole_ms))
    return found


def _counted(name: StrategyName, played: Played, seen: Sequence[Seen]) -> result.Strategy:
    """A strategy that brings whole frames home."""
    lossless = name == "lossless"
    taken = [
        accounted.Frame(
            one.number, one.taken_ms, scene.lossless_bytes if lossless else scene.sample_bytes
        )
        for one, scene in zip(seen, played.scenes, strict=True)
    ]
    log = played.logs[played.shown]
    account = accounted.account(taken, log.contacts, played.plan.scenario.stations)
    how = (
        "Each frame is a GeoTIFF with Zstandard over horizontal differences, its size measured. "
        if lossless
        else "Each frame is its samples as stored. "
    )
    told = {one.number for one in seen if one.told}
    words = {number: when for number, when in account.whole_ms.items() if number in told}
    note = how + _FREE_OF_COST
    return _scored(name, result.ACCOUNTED, note, seen, words, account.whole_ms, account)


def _scored(
    name: StrategyName,
    how: str,
    note: str,
    seen: Sequence[Seen],
    words: Mapping[int, int],
    maps: Mapping[int, int],
    account: Account,
) -> result.Strategy:
    scores = metrics.score(seen, words, maps)
    return result.Strategy(
        name=name,
        title=TITLES[name],
        how=how,
        note=note,
        file_bytes=account.file_bytes,
        sent_bytes=account.sent_bytes,
        contacts=account.contacts,
        waiting_bytes=account.waiting_bytes,
        **{one: getattr(scores, one) for one in scores.__dataclass_fields__},
    )
