"""Log: what a simulated flight leaves behind, filled while it runs.

Times are UTC milliseconds since 1970, as everywhere on board.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ground.replay.scenes import Scene
from onboard.arrays import Array
from onboard.outbox import Kind
from onboard.product import ID_BYTES
from onboard.runtime import Flown


class Clock:
    """The simulated time.

    Attributes:
        now_ms: UTC milliseconds since 1970.
    """

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """The time."""
        return self.now_ms

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.now_ms / 1000

    def advance(self, now_ms: int) -> None:
        """Go on to a time; never back."""
        self.now_ms = max(self.now_ms, now_ms)


@dataclass
class FrameLog:
    """One frame on board; `ground.replay.result.Frame` has the words.

    Attributes:
        flown: what became of it; None where it was never done.
        refused: why it could not be used, or ``""``.
        mask: uint8 ``(H, W)``, what the network said; None where it never ran over it.
    """

    number: int
    scene: Scene
    begun_ms: int | None = None
    done_ms: int | None = None
    attempts: int = 0
    flown: Flown | None = None
    model_id: bytes = b""
    refused: str = ""
    mask: Array | None = None

    @property
    def taken_ms(self) -> int:
        """When it was taken."""
        return round(self.scene.capture.time.timestamp() * 1000)


@dataclass
class ItemLog:
    """One alert, product or chip; `ground.replay.result.Product` has the words."""

    kind: Kind
    frame: int
    data: bytes
    value: float
    queued_ms: int
    first_ms: int | None = None
    last_ms: int | None = None
    whole_ms: int | None = None
    sent_bytes: int = 0

    @property
    def key(self) -> bytes:
        """What tells it from any other: a file's id, an alert's bytes."""
        return key_of(self.kind, self.data)


def key_of(kind: Kind, data: bytes) -> bytes:
    """What tells an item from any other, on board and on the ground."""
    return data if kind is Kind.ALERT else data[-ID_BYTES:]


@dataclass
class ContactLog:
    """One contact; `ground.replay.result.Contact` has the words.

    Attributes:
        end_ms: when sending must end: at the loss of signal, or before it where power goes.
        stream: what arrived.
        arrived_ms: when each frame of it was there.
        whole: keys of items that were whole in this contact.
    """

    number: int
    station: str
    aos_ms: int
    los_ms: int
    max_elevation_deg: float
    begin_ms: int | None = None
    end_ms: int = 0
    capacity_bytes: int = 0
    stream: bytes = b""
    arrived_ms: tuple[int, ...] = ()
    sent_bytes: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    frames_sent: int = 0
    frames_lost: int = 0
    frames_bad: int = 0
    up_bytes: int = 0
    whole: list[bytes] = field(default_factory=list)
    note: str = ""


@dataclass
class UplinkLog:
    """Something that goes up; `ground.replay.result.Uplink` has the words."""

    kind: str
    name: str
    asked_ms: int
    bytes: int = 0
    left: int = 0
    count: int = 0
    begun_ms: int | None = None
    up_ms: int | None = None
    done_ms: int | None = None
    heard_ms: int | None = None
    outcome: str = "waiting"
    text: str = ""


@dataclass
class LossLog:
    """A line of the ledger; `ground.replay.result.Loss` has the words."""

    at_ms: int
    what: str
    name: str
    frame: int | None
    bytes: int
    cause: str
    reason: str


@dataclass
class FlightLog:
    """Everything of one flight.

    Attributes:
        frames: by number, from 1.
        items: by `ItemLog.key`, in the order in which they were queued.
        contacts: in order of time.
        uplinks: in order of time.
        losses: in no order.
        models: (since when, model id) in order of time.
        waiting_bytes: of what was not wholly sent at the end.
    """

    frames: dict[int, FrameLog] = field(default_factory=dict)
    items: dict[bytes, ItemLog] = field(default_factory=dict)
    contacts: list[ContactLog] = field(default_factory=list)
    uplinks: list[UplinkLog] = field(default_factory=list)
    losses: list[LossLog] = field(default_factory=list)
    models: list[tuple[int, bytes]] = field(default_factory=list)
    waiting_bytes: int = 0

    def lose(
        self,
        at_ms: int,
        what: str,
        name: str,
        cause: str,
        reason: str,
        frame: int | None = None,
        size: int = 0,
    ) -> None:
        """Enter a line into the ledger."""
        self.losses.append(LossLog(at_ms, what, name, frame, size, cause, reason))
