"""Channel: a radio link that loses frames and flips bits, the same way for the same seed.

For tests and rehearsals. Losses come alone or in bursts. Bursts follow the model of Gilbert and
Elliott: the link is either good, and every frame arrives, or bad, and none does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onboard.errors import ConfigError
from onboard.link import frames


@dataclass(frozen=True)
class ChannelReport:
    """What the channel did.

    Attributes:
        frames: frames that were sent (a piece at the end counts as one).
        frames_lost: frames that vanished.
        longest_burst: most frames lost in a row.
        frames_hit: frames that arrived with at least one wrong bit.
        bits_flipped: wrong bits in all.
    """

    frames: int
    frames_lost: int
    longest_burst: int
    frames_hit: int
    bits_flipped: int

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def impair(
    stream: bytes,
    seed: int,
    frame_loss: float = 0.0,
    bit_error_rate: float = 0.0,
    burst: float | None = None,
    frame_length: int = frames.DEFAULT_LENGTH,
) -> tuple[bytes, ChannelReport]:
    """Send a stream over the channel.

    Args:
        stream: frames with sync markers.
        seed: of the generator; the same seed loses the same frames and bits.
        frame_loss: mean share of frames lost, 0…1.
        bit_error_rate: chance of each remaining bit to be wrong, 0…1.
        burst: mean length of a loss in frames, at least 1; None loses each frame on its own.
        frame_length: of a frame without sync marker.

    Raises:
        ConfigError: a rate is out of range, or no such bursts can give this loss.
    """
    _check(frame_loss, bit_error_rate, burst)
    rng = np.random.Generator(np.random.Philox(seed))
    cadu = frames.cadu_length(frame_length)
    pieces = [stream[start : start + cadu] for start in range(0, len(stream), cadu)]
    lost = _losses(rng, len(pieces), frame_loss, burst)
    kept = b"".join(piece for piece, gone in zip(pieces, lost, strict=True) if not gone)
    errors = _errors(rng, 8 * len(kept), bit_error_rate)
    report = ChannelReport(
        frames=len(pieces),
        frames_lost=int(lost.sum()),
        longest_burst=_longest(lost),
        frames_hit=len(np.unique(errors // (8 * cadu))),
        bits_flipped=len(errors),
    )
    return _flip(kept, errors), report


def _check(frame_loss: float, bit_error_rate: float, burst: float | None) -> None:
    for name, rate in (("frame loss", frame_loss), ("bit error rate", bit_error_rate)):
        if not 0 <= rate <= 1:
            raise ConfigError(f"the {name} is {rate}; choose 0 to 1")
    if burst is None:
        return
    if burst < 1:
        raise ConfigError(f"the burst length is {burst}; choose at least 1 frame")
    if frame_loss < 1 and frame_loss > burst * (1 - frame_loss):
        least = frame_loss / (1 - frame_loss)
        raise ConfigError(f"a loss of {frame_loss} needs bursts of at least {least:.1f} frames")


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
