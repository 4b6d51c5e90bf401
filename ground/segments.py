"""Segments: the pieces of a file that arrived, by offset."""

from __future__ import annotations

from bisect import bisect_right


class Segments:
    """Pieces of a file by offset, never overlapping, holding only what arrived."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[bytes] = []
        self.held = 0

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, offset: int, data: bytes) -> bool:
        """Merge a piece; False where it contradicts what is there."""
        holes: list[tuple[int, bytes]] = []
        at, end = offset, offset + len(data)
        index = max(bisect_right(self._starts, offset) - 1, 0)
        while index < len(self._starts) and self._starts[index] < end:
            start, piece = self._starts[index], self._pieces[index]
            index += 1
            low, high = max(start, offset), min(start + len(piece), end)
            if low >= high:
                continue
            if piece[low - start : high - start] != data[low - offset : high - offset]:
                return False
            if at < low:
                holes.append((at, data[at - offset : low - offset]))
            at = high
        if at < end:
            holes.append((at, data[at - offset :]))
        self._insert(holes)
        return True

    def _insert(self, holes: list[tuple[int, bytes]]) -> None:
        for start, piece in holes:
            index = bisect_right(self._starts, start)
            self._starts.insert(index, start)
            self._pieces.insert(index, piece)
            self.held += len(piece)

    @property
    def end(self) -> int:
        """Where the last piece ends."""
        return self._starts[-1] + len(self._pieces[-1]) if self._starts else 0

    def joined(self) -> bytes:
        """All pieces, one behind the other."""
        return b"".join(self._pieces)

    def runs(self) -> list[tuple[int, bytes]]:
        """What is there as (offset, bytes), pieces that touch joined."""
        found: list[tuple[int, list[bytes]]] = []
        end = -1
        for start, piece in zip(self._starts, self._pieces, strict=True):
            if start == end:
                found[-1][1].append(piece)
            else:
                found.append((start, [piece]))
            end = start + len(piece)
        return [(start, b"".join(pieces)) for start, pieces in found]

    def gaps(self, end: int) -> list[tuple[int, int]]:
        """What is missing of the first ``end`` bytes, as (start, end)."""
        found: list[tuple[int, int]] = []
        at = 0
        for start, piece in zip(self._starts, self._pieces, strict=True):
            if at < min(start, end):
                found.append((at, min(start, end)))
            at = start + len(piece)
        return [*found, (at, end)] if at < end else found
