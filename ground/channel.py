"""Channel: a radio link that mistreats frames, the same way for the same seed.

For tests and rehearsals. It loses, doubles, reorders and delays frames, and flips bits. Losses
come alone or in bursts. Bursts follow the model of Gilbert and Elliott: the link is either good,
and every frame arrives, or bad, and none does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onboard.errors import ConfigError
from onboard.link import frames


@dataclass(frozen=True)
class Conditions:
    """What a channel does to frames.

    Attributes:
        frame_loss: mean share of frames lost, 0…1.
        bit_error_rate: chance of each remaining bit to be wrong, 0…1.
        burst: mean length of a loss in frames, at least 1; None loses each frame on its own.
        duplicate: share of the frames that arrive which arrive twice, 0…1.
        reorder: share of them that arrive up to ``span`` frames late, 0…1.
        span: see ``reorder``; at least 1.
        delay: share of them that arrive in the next sending, at its beginning, 0…1.
    """

    frame_loss: float = 0.0
    bit_error_rate: float = 0.0
    burst: float | None = None
    duplicate: float = 0.0
    reorder: float = 0.0
    span: int = 8
    delay: float = 0.0


@dataclass(frozen=True)
class ChannelReport:
    """What the channel did.

    Attributes:
        frames: frames that were sent (a piece at the end counts as one).
        frames_lost: frames that vanished.
        longest_burst: most frames lost in a row.
        frames_hit: frames that arrived with at least one wrong bit.
        bits_flipped: wrong bits in all.
        frames_duplicated: frames that arrived twice.
        frames_moved: frames that arrived late.
        frames_delayed: frames kept for the next sending.
    """

    frames: int
    frames_lost: int
    longest_burst: int
    frames_hit: int
    bits_flipped: int
    frames_duplicated: int = 0
    frames_moved: int = 0
    frames_delayed: int = 0

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


class Piece(NamedTuple):
    """A frame on its way: its place in its sending, and its bytes."""

    origin: int
    data: bytes


class Channel:
    """A link over several sendings: what one delays arrives with the next.

    Args:
        seed: of the generator; the same seed does the same to the same sendings.
        conditions: what it does.
        frame_length: of a frame without sync marker.

    Attributes:
        origins: of what arrived in the last sending, for each frame its place among the frames
            that were sent, from 0; -1 where an earlier sending had it.

    Raises:
        ConfigError: a rate is out of range, or no such bursts can give this loss.
    """

    def __init__(
        self, seed: int, conditions: Conditions, frame_length: int = frames.DEFAULT_LENGTH
    ) -> None:
        _check(conditions)
        self.conditions = conditions
        self._rng = np.random.Generator(np.random.Philox(seed))
        self._cadu = frames.cadu_length(frame_length)
        self._delayed: list[Piece] = []
        self.origins: list[int] = []

    def send(self, stream: bytes) -> tuple[bytes, ChannelReport]:
        """Send frames with sync markers; what arrives, and what was done."""
        how, rng, cadu = self.conditions, self._rng, self._cadu
        starts = range(0, len(stream), cadu)
        pieces = [Piece(at, stream[start : start + cadu]) for at, start in enumerate(starts)]
        lost = _losses(rng, len(pieces), how.frame_loss, how.burst)
        arriving = [piece for piece, gone in zip(pieces, lost, strict=True) if not gone]
        arriving, delayed = self._hold(arriving)
        arriving, doubled = self._double(arriving)
        arriving, moved = self._move(arriving)
        self.origins = [piece.origin for piece in arriving]
        kept = b"".join(piece.data for piece in arriving)
        errors = _errors(rng, 8 * len(kept), how.bit_error_rate)
        report = ChannelReport(
            frames=len(pieces),
            frames_lost=int(lost.sum()),
            longest_burst=_longest(lost),
            frames_hit=len(np.unique(errors // (8 * cadu))),
            bits_flipped=len(errors),
            frames_duplicated=doubled,
            frames_moved=moved,
            frames_delayed=delayed,
        )
        return _flip(kept, errors), report

    def _chosen(self, count: int, share: float) -> NDArray[np.bool_]:
        # Nothing is drawn for what is off, so that a seed means what it meant without it.
        return self._rng.random(count) < share if share else np.zeros(count, bool)

    def _hold(self, pieces: list[Piece]) -> tuple[list[Piece], int]:
        held = self._chosen(len(pieces), self.conditions.delay)
        late = [piece._replace(origin=-1) for piece in self._delayed]
        self._delayed = [pieces[at] for at in np.flatnonzero(held)]
        return late + [pieces[at] for at in np.flatnonzero(~held)], len(self._delayed)

    def _double(self, pieces: list[Piece]) -> tuple[list[Piece], int]:
        twice = self._chosen(len(pieces), self.conditions.duplicate)
        found = [one for at, one in enumerate(pieces) for _ in range(1 + int(twice[at]))]
        return found, int(twice.sum())

    def _move(self, pieces: list[Piece]) -> tuple[list[Piece], int]:
        moved = self._chosen(len(pieces), self.conditions.reorder)
        if not moved.any():
            return pieces, 0
        by = self._rng.integers(1, self.conditions.span + 1, len(pieces))
        places = np.arange(len(pieces)) + np.where(moved, by + 0.5, 0.0)
        return [pieces[at] for at in np.argsort(places, kind="stable")], int(moved.sum())


def impair(
    stream: bytes,
    seed: int,
    frame_loss: float = 0.0,
    bit_error_rate: float = 0.0,
    burst: float | None = None,
    frame_length: int = frames.DEFAULT_LENGTH,
) -> tuple[bytes, ChannelReport]:
    """Send one stream over a channel that loses frames and flips bits; see `Conditions`.

    Raises:
        ConfigError: a rate is out of range, or no such bursts can give this loss.
    """
    return Channel(seed, Conditions(frame_loss, bit_error_rate, burst), frame_length).send(stream)


def flip_bits(data: bytes, rate: float, seed: int) -> bytes:
    """``data`` with each bit wrong by chance, at ``rate``."""
    rng = np.random.Generator(np.random.Philox(seed))
    return _flip(data, _errors(rng, 8 * len(data), rate))


def _check(how: Conditions) -> None:
    rates = {
        "frame loss": how.frame_loss,
        "bit error rate": how.bit_error_rate,
        "share of doubled frames": how.duplicate,
        "share of late frames": how.reorder,
        "share of delayed frames": how.delay,
    }
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise ConfigError(f"the {name} is {rate}; choose 0 to 1")
    if how.span < 1:
        raise ConfigError(f"the span of late frames is {how.span}; choose at least 1 frame")
    if how.burst is None:
        return
    if how.burst < 1:
        raise ConfigError(f"the burst length is {how.burst}; choose at least 1 frame")
    if how.frame_loss < 1 and how.frame_loss > how.burst * (1 - how.frame_loss):
        least = how.frame_loss / (1 - how.frame_loss)
        raise ConfigError(f"a loss of {how.frame_loss} needs bursts of at least {least:.1f} frames")


def _losses(
    rng: np.random.Generator, count: int, loss: float, burst: float | None
) -> NDArray[np.bool_]:
    draws = rng.random(count + 1)
    if burst is None or loss in (0, 1):
        return draws[:count] < loss
    leave, enter = 1 / burst, loss / (burst * (1 - loss))
    lost = np.zeros(count, bool)
    bad = draws[count] < loss
    for index in range(count):
        lost[index] = bad
        bad = draws[index] >= leave if bad else draws[index] < enter
    return lost


def _longest(lost: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _errors(rng: np.random.Generator, bits: int, rate: float) -> NDArray[np.int64]:
    """Sorted positions of the wrong bits, by geometric gaps between them."""
    if not bits or not rate:
        return np.zeros(0, np.int64)
    if rate == 1:
        return np.arange(bits)
    found: list[NDArray[np.int64]] = []
    last = -1
    while last < bits:
        gaps = rng.geometric(rate, size=1024)
        # A gap can be as large as an int64; beyond the end any value will do.
        where = last + np.cumsum(np.minimum(gaps, bits + 1))
        found.append(where)
        last = int(where[-1])
    positions = np.concatenate(found)
    return positions[positions < bits]


def _flip(data: bytes, positions: NDArray[np.int64]) -> bytes:
    values = np.frombuffer(data, np.uint8).copy()
    np.bitwise_xor.at(values, positions // 8, (0x80 >> (positions % 8)).astype(np.uint8))
    return values.tobytes()
