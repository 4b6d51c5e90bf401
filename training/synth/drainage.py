"""*Drainage*: which way water runs off a terrain, and the streams that it gathers into.

Priority-flood (Barnes, Lehman and Mulla 2014) on a coarse grid: every cell gets the neighbour
through which it drains, so no pit can swallow a stream.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from training.synth.canvas import Flags, Floats

Cells = NDArray[np.int64]


def route(height_m: Floats, outlets: Flags) -> tuple[Cells, Cells]:
    """Drain every cell to an outlet.

    Args:
        height_m: (rows, cols) terrain.
        outlets: (rows, cols) where water leaves; the border is added when there is none.

    Returns:
        receivers: (rows·cols,) the flat index of the cell each drains into, itself at outlets.
        upstream: (rows·cols,) number of cells that drain through each, itself included.
    """
    rows, cols = height_m.shape
    flat = height_m.ravel().tolist()
    receivers = [-1] * (rows * cols)
    starts = np.flatnonzero(outlets.ravel() if outlets.any() else _border(rows, cols))
    heap = [(flat[i], i) for i in starts.tolist()]
    for _, i in heap:
        receivers[i] = i
    heapq.heapify(heap)
    order = []
    while heap:
        level, i = heapq.heappop(heap)
        order.append(i)
        for j in _neighbours(i, rows, cols):
            if receivers[j] < 0:
                receivers[j] = i
                heapq.heappush(heap, (max(level, flat[j]), j))
    upstream = [1] * (rows * cols)
    for i in reversed(order):
        if receivers[i] != i:
            upstream[receivers[i]] += upstream[i]
    return np.array(receivers), np.array(upstream)


def _border(rows: int, cols: int) -> Flags:
    edge = np.ones((rows, cols), np.bool_)
    edge[1:-1, 1:-1] = False
    return edge.ravel()


def _neighbours(i: int, rows: int, cols: int) -> list[int]:
    row, col = divmod(i, cols)
    return [
        r * cols + c
        for r in range(max(row - 1, 0), min(row + 2, rows))
        for c in range(max(col - 1, 0), min(col + 2, cols))
        if (r, c) != (row, col)
    ]


def streams(receivers: Cells, upstream: Cells, least: int) -> list[Cells]:
    """Chains of flat indices, head to mouth, of cells that gather at least ``least`` cells.

    A chain ends with the cell where it joins another or reaches an outlet.
    """
    wet = upstream >= least
    inside = np.flatnonzero(wet & (receivers != np.arange(len(receivers))))
    fed = np.zeros(len(receivers), np.bool_)
    fed[receivers[inside]] = True
    heads = inside[~fed[inside]]
    seen = np.zeros(len(receivers), np.bool_)
    chains = []
    for head in heads:
        chain, at = [int(head)], int(head)
        while not seen[at] and receivers[at] != at:
            seen[at] = True
            at = int(receivers[at])
            chain.append(at)
        chains.append(np.array(chain))
    return chains
