"""Outlines: a plane of bits in few bytes, by a net that sees what is known around each pixel.

Pixels are taken in an order in which what lies above or left of a pixel is known before it: in
*stripes* of ``STRIPE`` rows and, within one, by *steps*. A pixel of row r (of its stripe) and
column c belongs to step ``c + SLOPE · r``. No pixel of a step sees another of it, so a decoder
works on up to ``STRIPE`` pixels at once.

Of a pixel the net sees the bits of its plane that came before it (`BEFORE`), which pixels around
it another plane has settled already (`AROUND`) and, where both sides have it, the
permanent-water reference around it (`GUIDE`).

Where all bits before a pixel agree, and the guide around it does too, the pixel is *quiet*: it is
taken to be as those bits are, and nothing is spent on it. Quiet pixels that are not so are
*surprises*; where they lie comes first. An area without outlines costs neither bytes nor time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from onboard.arrays import Array, Bytes, Flags
from onboard.entropy import Reader, Writer
from onboard.errors import ProductError
from onboard.nets import Net

STRIPE = 256
SLOPE = 4
AT_ONCE = 1 << 13
"""Pixels that an encoder looks at together: what the net sees of one is 0.5 kB."""

Offsets = list[tuple[int, int]]


def _rows(spans: dict[int, tuple[int, int]]) -> Offsets:
    return [(row, col) for row, (a, b) in spans.items() for col in range(a, b + 1)]


BEFORE: Offsets = _rows(
    {0: (-7, -1), -1: (-7, 3), -2: (-6, 6), -3: (-5, 5), -4: (-4, 4), -5: (-3, 3)}
)
"""Row and column offsets of the bits before; of the row above at most SLOPE - 1 to the right."""
AROUND: Offsets = _rows(dict.fromkeys(range(-2, 3), (-2, 2)))
GUIDE: Offsets = _rows(dict.fromkeys(range(-3, 4), (-3, 3)))
ABOVE, BELOW, SIDE = 5, 3, 7
"""Rows and columns that a plane is padded by: the farthest that a net looks."""


class Known(NamedTuple):
    """What both sides know of a plane before its bits; both uint8 (H, W) of 0 and 1.

    Attributes:
        closed: 1 where another plane settled the pixel; its bit is 0 and is not coded.
        guide: the permanent-water reference, or None.
    """

    closed: Bytes
    guide: Bytes | None = None


def inputs(guided: bool) -> int:
    """How many bits a net for planes with or without a guide sees."""
    return len(BEFORE) + len(AROUND) + (len(GUIDE) if guided else 0)


def encode(writer: Writer, bits: Bytes, known: Known, net: Net) -> None:
    """Write a plane.

    Args:
        writer: where to.
        bits: uint8 (H, W) of 0 and 1; 0 where closed.
        known: what the decoder will know as well.
        net: of `inputs` inputs.
    """
    canvas = _Canvas(known, bits)
    stripes = [_Stripe(canvas, top) for top in range(0, canvas.height, STRIPE)]
    _write_surprises(writer, np.concatenate([one.surprises for one in stripes]), bits.size)
    for one in stripes:
        for start in range(0, one.active.size, AT_ONCE):
            at = one.active[start : start + AT_ONCE]
            writer.bits(canvas.bits[at], net.chances(canvas.seen_by_offsets(at)))


def contexts(bits: Bytes, known: Known) -> tuple[Array, Bytes]:
    """What a net would see of a plane, float32 (n, inputs), and the bits it should tell."""
    canvas = _Canvas(known, bits)
    at = np.concatenate([_Stripe(canvas, top).active for top in range(0, canvas.height, STRIPE)])
    return canvas.seen(at), canvas.bits[at]


def decode(reader: Reader, known: Known, net: Net) -> Bytes:
    """Undo `encode`: uint8 (H, W).

    Raises:
        ProductError: what is read makes no sense.
    """
    canvas = _Canvas(known)
    canvas.flip(_read_surprises(reader, canvas.height * canvas.shape[1]))
    for at in canvas.steps():
        before = canvas.bits[at[:, None] + canvas.before]
        total = before.sum(axis=1, dtype=np.int32)
        alike = (total == 0) | (total == len(BEFORE))
        value = (total == len(BEFORE)) ^ canvas.flips[at]
        quiet = alike if canvas.calm is None else alike & canvas.calm[at]
        is_open = canvas.closed[at] == 0
        canvas.bits[at] = value & is_open
        active = np.flatnonzero(is_open & ~quiet)
        if active.size:
            own = at[active]
            canvas.bits[own] = reader.bits(net.chances(canvas.seen(own, before[active])))
    return canvas.inner(canvas.bits)


class _Canvas:
    """A plane with a margin, as flat arrays, and offsets into them."""

    def __init__(self, known: Known, bits: Bytes | None = None) -> None:
        margin = ((ABOVE, BELOW), (SIDE, SIDE))
        self.shape = known.closed.shape
        self.height = self.shape[0]
        self.width = self.shape[1] + 2 * SIDE
        self.closed = np.pad(known.closed, margin, constant_values=1).ravel()
        blank = np.zeros(self.closed.size, np.uint8)
        self.bits = blank if bits is None else np.pad(bits, margin).ravel()
        self.flips = np.zeros(self.closed.size, bool) if bits is None else np.zeros(0, bool)
        self.before, self.around, self.guides = (
            np.array([row * self.width + col for row, col in offsets], np.int64)
            for offsets in (BEFORE, AROUND, GUIDE)
        )
        self.guide = self.calm = None
        if known.guide is not None:
            self.guide = np.pad(known.guide, margin, mode="edge").ravel()
            self.calm = _calm(self.guide, self.width)

    def inner(self, flat: Bytes) -> Bytes:
        """A flat array without its margin."""
        whole = flat.reshape(-1, self.width)
        return np.ascontiguousarray(whole[ABOVE : ABOVE + self.height, SIDE:-SIDE])

    def places(self, rows: Array, cols: Array) -> Array:
        """Flat places of pixels."""
        return np.asarray((rows + ABOVE) * self.width + cols + SIDE)

    def flip(self, pixels: Array) -> None:
        """Mark surprises, given as pixels counted row by row."""
        self.flips[self.places(*np.divmod(pixels, self.shape[1]))] = True

    def seen(self, at: Array, before: Bytes | None = None) -> Array:
        """What the net sees of the pixels at ``at``: float32 (n, inputs)."""
        parts = [self.bits[at[:, None] + self.before] if before is None else before]
        parts.append(self.closed[at[:, None] + self.around])
        if self.guide is not None:
            parts.append(self.guide[at[:, None] + self.guides])
        seen: Array = np.concatenate(parts, axis=1).astype(np.float32)
        return seen

    def seen_by_offsets(self, at: Array) -> Array:
        """The same as `seen`, offset by offset: faster for many pixels, slower for few."""
        planes = [(self.bits, self.before), (self.closed, self.around)]
        if self.guide is not None:
            planes.append((self.guide, self.guides))
        seen = np.empty((sum(offsets.size for _, offsets in planes), at.size), np.float32)
        which = 0
        for plane, offsets in planes:
            for offset in offsets.tolist():
                seen[which] = plane[at + offset]
                which += 1
        return seen.T

    def steps(self) -> Iterator[Array]:
        """Flat places of the pixels of each step, from the top down."""
        width = self.shape[1]
        for top in range(0, self.height, STRIPE):
            rows = min(STRIPE, self.height - top)
            for step in range(width + SLOPE * (rows - 1)):
                first = max(0, -(-(step - width + 1) // SLOPE))
                last = min(rows - 1, step // SLOPE)
                start = (top + first + ABOVE) * self.width + SIDE + step - SLOPE * first
                count = last - first + 1
                yield start + (self.width - SLOPE) * np.arange(count)


def _calm(guide: Bytes, width: int) -> Flags:
    """Where the guide is the same all around: bool, flat; it means nothing in the margin."""
    whole = guide.reshape(-1, width)
    calm = np.zeros(whole.shape, bool)
    reach = max(row for row, _ in GUIDE)
    # Some rows at a time, so that they stay in the processor's cache.
    for top in range(reach, len(whole) - reach, STRIPE):
        part = whole[top - reach : top + STRIPE + reach]
        rows, cols = len(part) - 2 * reach, width - 2 * reach
        across = part[:, :cols].copy()
        for col in range(1, 2 * reach + 1):
            across += part[:, col : col + cols]
        total = across[:rows].copy()
        for row in range(1, 2 * reach + 1):
            total += across[row : row + rows]
        inside = calm[top : top + rows, reach : reach + cols]
        np.logical_or(total == 0, total == len(GUIDE), out=inside)
    return calm.ravel()


class _Stripe:
    """What an encoder has to say of one stripe.

    Attributes:
        active: flat places of the pixels that the net is asked about, in order.
        surprises: pixels, counted row by row, that are not as all before them.
    """

    def __init__(self, canvas: _Canvas, top: int) -> None:
        rows = min(STRIPE, canvas.height - top)
        width = canvas.shape[1]
        whole = canvas.bits.reshape(-1, canvas.width)
        total = np.zeros((rows, width), np.uint8)
        for row, col in BEFORE:
            total += whole[top + ABOVE + row :, SIDE + col :][:rows, :width]
        inside = slice(top + ABOVE, top + ABOVE + rows), slice(SIDE, SIDE + width)
        is_open = canvas.closed.reshape(-1, canvas.width)[inside] == 0
        quiet = (total == 0) | (total == len(BEFORE))
        if canvas.calm is not None:
            quiet &= canvas.calm.reshape(-1, canvas.width)[inside]
        wrong = quiet & is_open & (whole[inside] != (total == len(BEFORE)))
        self.surprises = np.flatnonzero(wrong) + top * width
        at_row, at_col = np.nonzero(is_open & ~quiet)
        order = np.argsort((at_col + SLOPE * at_row) * STRIPE + at_row, kind="stable")
        self.active = canvas.places(at_row + top, at_col)[order]


# --- surprises ------------------------------------------------------------------------------


def _write_surprises(writer: Writer, pixels: Array, size: int) -> None:
    """How many there are, and the gaps between them in Rice code."""
    writer.number(pixels.size)
    if not pixels.size:
        return
    gaps = np.diff(pixels, prepend=-1) - 1
    width = _rice_width(size, pixels.size)
    for gap in gaps.tolist():
        writer.even(np.array([1] * (gap >> width) + [0], np.int32))
        writer.fixed(gap & ((1 << width) - 1), width)


def _read_surprises(reader: Reader, size: int) -> Array:
    count = reader.number()
    # Each takes a bit at least: no more of them are read than the bytes can hold.
    if count > min(size, reader.size):
        raise ProductError(f"a plane names {count} surprises, more than it can hold")
    pixels = np.empty(count, np.int64)
    width = _rice_width(size, count) if count else 0
    at = -1
    for which in range(count):
        high = 0
        while reader.even(1)[0]:
            high += 1
            if high << width > size:
                raise ProductError("a plane's surprises run past its last pixel")
        at += 1 + (high << width) + reader.fixed(width)
        if at >= size:
            raise ProductError("a plane's surprises run past its last pixel")
        pixels[which] = at
    return pixels


def _rice_width(size: int, count: int) -> int:
    """Bits of a gap's remainder: log2 of 0.7 of the mean gap, which is best for even spread."""
    return max(0, (7 * size // (10 * count)).bit_length() - 1)
