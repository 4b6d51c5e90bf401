"""Result: what a replay found, and its file ``replay.json``.

The page, the tables and the plots are drawn from this and nothing else. Times are UTC
milliseconds since 1970, durations seconds, places degrees WGS 84 (longitude, latitude), areas
km², paths relative to the folder that holds ``replay.json``. What is ``None`` is not known or did
not happen.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from onboard import files, formats
from onboard.errors import ConfigError

NAME = "replay.json"
FORMAT = "floodsat replay"
VERSION = formats.REPLAY.version
REAL, ACCOUNTED = "real code", "accounted"

Place = tuple[float, float]
"""Longitude and latitude, degrees."""
Series = tuple[tuple[int, float], ...]
"""Steps of a quantity: (since when, how much), in order of time."""


@dataclass(frozen=True)
class Span:
    """The scenario that was replayed.

    Attributes:
        name, title: of the scenario; the title is for people.
        seed: of everything that is drawn.
        start_ms, end_ms: what was replayed.
        satellite: its name.
        tle: the two lines.
        tle_epoch_ms: their time.
    """

    name: str
    title: str
    seed: int
    start_ms: int
    end_ms: int
    satellite: str
    tle: tuple[str, str]
    tle_epoch_ms: int


@dataclass(frozen=True)
class Station:
    """A ground station.

    Attributes:
        name: unique in the scenario.
        place: longitude, latitude.
        height_m: over the ellipsoid.
        mask_deg: least elevation of a contact.
        down_bps, up_bps: bits per second; 0 up is no return path.
    """

    name: str
    place: Place
    height_m: float
    mask_deg: float
    down_bps: float
    up_bps: float


@dataclass(frozen=True)
class TrackPoint:
    """A sample of the ground track.

    Attributes:
        at_ms: when.
        place: below the satellite.
        day: whether the ground there is in daylight.
    """

    at_ms: int
    place: Place
    day: bool


@dataclass(frozen=True)
class Off:
    """A time in which the payload had no power.

    Attributes:
        begin_ms, end_ms: from and to.
        reason: such as ``safe mode: ...``; for people.
        safe: whether it is a safe mode and not the plan.
    """

    begin_ms: int
    end_ms: int
    reason: str
    safe: bool


@dataclass(frozen=True)
class Flying:
    """A model, and since when it ran.

    Attributes:
        since_ms: first frame at or after this.
        model_id: SHA-256 of its weights, hexadecimal.
        title: for people.
    """

    since_ms: int
    model_id: str
    title: str


@dataclass(frozen=True)
class Contact:
    """A contact of the strategy that is shown (`Replay.shown`).

    Attributes:
        number: from 1, in order of time, all stations together.
        station: its name.
        aos_ms, los_ms: acquisition and loss of signal.
        max_elevation_deg: over the horizon.
        begin_ms: when sending began; None where nothing could be sent, see ``note``.
        capacity_bytes: what the rate allows from ``begin_ms`` to the loss of signal.
        sent_bytes: bytes of transfer frames that were sent.
        by_kind: kind → bytes of packets; kinds are ``alert``, ``product``, ``chip``, ``state``.
        items: kind → how many items of which anything was sent.
        frames_sent, frames_lost, frames_bad: transfer frames; bad ones arrived with wrong bits.
        up_bytes: that came up.
        whole: short ids of products and chips that were whole on the ground in this contact.
        stream: file of what arrived, whole transfer frames with sync markers; None where nothing.
        note: why it was not used, or ``""``.
    """

    number: int
    station: str
    aos_ms: int
    los_ms: int
    max_elevation_deg: float
    begin_ms: int | None = None
    capacity_bytes: int = 0
    sent_bytes: int = 0
    by_kind: dict[str, int] = dataclasses.field(default_factory=dict)
    items: dict[str, int] = dataclasses.field(default_factory=dict)
    frames_sent: int = 0
    frames_lost: int = 0
    frames_bad: int = 0
    up_bytes: int = 0
    whole: tuple[str, ...] = ()
    stream: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Frame:
    """A frame that was taken.

    Attributes:
        number: from 1, in order of time.
        name: for people; of the target and the day.
        target: name of its place; frames of one target show one place.
        taken_ms: when.
        place: of its middle.
        footprint: its corners, closed, counter-clockwise.
        sun_elevation_deg: over its middle.
        off_nadir_deg: of the view.
        sample_bytes: of the raw samples.
        begun_ms, done_ms: when the network ran over it, the last time; None where it never did.
        attempts: how often it was begun: more than once where power went.
        decision: ``alert, product, chip`` and so on; ``""`` where it was never done.
        reason: every figure that decided beside its limit.
        model_id: that looked at it, hexadecimal; ``""`` where none did.
        flood_km2: flood in the clear part of the frame by the truth; None without a truth.
        flood_all_km2: the same, under clouds too.
        cloud: share of cloud and nodata, 0…1, by the truth, else by the mask.
        iou: of water between mask and truth where both observed; None where not known.
        rgb: picture in natural colours.
    """

    number: int
    name: str
    target: str
    taken_ms: int
    place: Place
    footprint: tuple[Place, ...]
    sun_elevation_deg: float
    off_nadir_deg: float
    sample_bytes: int
    begun_ms: int | None = None
    done_ms: int | None = None
    attempts: int = 0
    decision: str = ""
    reason: str = ""
    model_id: str = ""
    flood_km2: float | None = None
    flood_all_km2: float | None = None
    cloud: float | None = None
    iou: float | None = None
    rgb: str | None = None


@dataclass(frozen=True)
class Product:
    """A product or a chip that was queued on board.

    Attributes:
        id: hexadecimal.
        kind: ``product`` or ``chip``.
        frame: number of its frame.
        queued_ms: when.
        first_ms: when its first bit was sent; None where it never was.
        last_ms: when the last bit was sent that anybody sent of it.
        whole_ms: when it was whole and verified on the ground; None where it never was.
        bytes: of the file.
        sent_bytes: of all packets that carried it, repeats counted.
        value: by which it was queued.
        water_km2, flood_km2: by its mask; flood is None where there was no reference.
        right_km2: of that flood, what is flood by the truth; None without a truth.
        mask, entropy, truth: pictures, transparent where nothing is to be shown; those that were
            never whole have none.
        polygons: GeoJSON file.
        bounds: west, south, east, north of the pictures.
    """

    id: str
    kind: str
    frame: int
    queued_ms: int
    bytes: int
    first_ms: int | None = None
    last_ms: int | None = None
    whole_ms: int | None = None
    sent_bytes: int = 0
    value: float = 0.0
    water_km2: float | None = None
    flood_km2: float | None = None
    right_km2: float | None = None
    mask: str | None = None
    entropy: str | None = None
    truth: str | None = None
    polygons: str | None = None
    bounds: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Alert:
    """An alert.

    Attributes:
        frame: number of its frame.
        queued_ms: when.
        heard_ms: when it was whole on the ground; None where it never was.
        place: of the water it tells of; None where not known.
        area_km2: that it tells of; None where not known.
        flood: whether it speaks of flood, not only of water.
        confidence: 0…1.
        true: whether the truth shows flood there; None without a truth.
    """

    frame: int
    queued_ms: int
    heard_ms: int | None
    place: Place | None
    area_km2: float | None
    flood: bool
    confidence: float
    true: bool | None


@dataclass(frozen=True)
class Loss:
    """A line of the ledger: what did not go on its way, and why.

    Attributes:
        at_ms: when that was decided.
        what: ``frame``, ``product``, ``chip``, ``alert``, ``contact`` or ``command``.
        name: short id, or the frame's name.
        frame: number of its frame, or None.
        bytes: that this freed or cost.
        cause: one word: ``not worth it``, ``evicted``, ``dropped``, ``refused``, ``interrupted``,
            ``unused``, ``not whole``, ``waiting`` (at the end).
        reason: for people.
    """

    at_ms: int
    what: str
    name: str
    frame: int | None
    bytes: int
    cause: str
    reason: str


@dataclass(frozen=True)
class Uplink:
    """Something that was sent up.

    Attributes:
        kind: ``command``, ``patch`` or ``bundle``.
        name: for people.
        bytes: that went up.
        asked_ms: from when on it waited on the ground.
        begun_ms, up_ms: when its first and its last bit went up; None where it did not.
        done_ms: when it was carried out or refused on board.
        heard_ms: when its acknowledgement was on the ground.
        outcome: ``done``, ``refused``, ``failed`` or ``waiting``.
        text: what the satellite said.
    """

    kind: str
    name: str
    bytes: int
    asked_ms: int
    begun_ms: int | None = None
    up_ms: int | None = None
    done_ms: int | None = None
    heard_ms: int | None = None
    outcome: str = "waiting"
    text: str = ""


@dataclass(frozen=True)
class Latency:
    """How long after the acquisition something was on the ground, seconds.

    Attributes:
        n: how many came.
        never: how many were due and had not come at the end.
        median_s, p90_s: within which at least half, or nine of ten, of all that were due had
            come; what never came counts as late without end. None where so many had not come.
        seconds: each of them, sorted.
    """

    n: int
    never: int
    median_s: float | None
    p90_s: float | None
    seconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Strategy:
    """One way to bring news home, over the same frames, contacts and link.

    Attributes:
        name: ``raw``, ``lossless``, ``masks``, ``flagged`` or ``prioritised``.
        title: for people.
        how: `REAL` where the code that flies and receives ran; `ACCOUNTED` where only bytes were
            counted.
        note: what was counted how.
        file_bytes: of the files and alerts that were sent, each once.
        sent_bytes: of all transfer frames.
        contacts: in which anything was sent.
        alert: acquisition to the first word of a flood, over frames with flood by the truth.
        map: acquisition to the map, over the same frames.
        known: flooded area that maps on the ground show rightly, km² over time.
        floods: frames with flood by the truth.
        missed: of these, no alert and no map had come at the end.
        missed_by_choice: of the missed, those that the satellite (or the network on the ground)
            looked at and held for dry or unusable.
        false_alarms: frames of which a word of flood came though the truth shows none.
        waiting_bytes: that were still to be sent at the end.
        false_maps: of the false alarms, those with a map, which says that the satellite was sure.
    """

    name: str
    title: str
    how: str
    note: str
    file_bytes: int
    sent_bytes: int
    contacts: int
    alert: Latency
    map: Latency
    known: Series
    floods: int
    missed: int
    missed_by_choice: int
    false_alarms: int
    waiting_bytes: int
    false_maps: int = 0


@dataclass(frozen=True)
class Replay:
    """A whole replay.

    Attributes:
        software: version of FloodSat.
        span: the scenario.
        stations: of the scenario.
        track: ground track of the first day, once a minute.
        off: times without power.
        models: that flew, in order.
        shown: name of the strategy that contacts, products, alerts, losses and uplinks are of.
        contacts, frames, products, alerts, losses, uplinks: in order of time.
        strategies: in the order of the scenario.
        photographed: flooded area in the clear part of all frames taken so far by the truth, km².
        flood_limit_km2: from here on a frame counts as one with flood.
        settings: engine, passes, sendings and so on, name → text.
        warnings: for people.
    """

    software: str
    span: Span
    stations: tuple[Station, ...]
    track: tuple[TrackPoint, ...]
    off: tuple[Off, ...]
    models: tuple[Flying, ...]
    shown: str
    contacts: tuple[Contact, ...]
    frames: tuple[Frame, ...]
    products: tuple[Product, ...]
    alerts: tuple[Alert, ...]
    losses: tuple[Loss, ...]
    uplinks: tuple[Uplink, ...]
    strategies: tuple[Strategy, ...]
    photographed: Series
    flood_limit_km2: float
    settings: dict[str, str]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As JSON, the same text for the same replay; numbers that are no number are refused."""
        fields = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        return json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write(replay: Replay, folder: Path) -> Path:
    """Write ``replay.json`` into a folder in one step.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / NAME
    files.write_text(path, replay.to_json())
    return path


def read(path: Path) -> Replay:
    """Read a ``replay.json``.

    Raises:
        ConfigError: it is missing, no replay, or of another version.
    """
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: is no readable replay ({error}); run 'floodsat replay'") from (
            error
        )
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise ConfigError(f"{path}: is no replay; name the replay.json of 'floodsat replay'")
    version = fields.pop("version", None)
    formats.REPLAY.check(version, f"{path}:", ConfigError, "run 'floodsat replay' again")
    try:
        return _built(Replay, fields)
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(
            f"{path}: does not hold what a replay holds ({error}); run 'floodsat replay' again"
        ) from error


T = TypeVar("T")


def _built(kind: type[T], fields: Any) -> T:
    """A dataclass of what JSON made of it."""
    if not isinstance(fields, dict):
        raise TypeError(f"{kind.__name__} is {fields!r}")
    hints = typing.get_type_hints(kind)
    unknown = sorted(fields.keys() - hints.keys())
    if unknown:
        raise KeyError(f"{kind.__name__} has no {unknown[0]}")
    return kind(**{name: _value(hints[name], value) for name, value in fields.items()})


def _value(hint: Any, value: Any) -> Any:
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _value(next(a for a in of if a is not type(None)), value)
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        kinds = of[:1] * len(value) if of[-1] is Ellipsis else of
        return tuple(_value(one, part) for one, part in zip(kinds, value, strict=True))
    if origin is dict:
        return {str(key): _value(of[1], part) for key, part in dict(value).items()}
    if dataclasses.is_dataclass(hint):
        return _built(typing.cast(type[Any], hint), value)
    allowed = (int, float) if hint is float else (hint,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and hint is not bool):
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return value
