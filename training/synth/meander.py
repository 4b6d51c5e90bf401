"""A *meandering river*: a course that has wandered, with its old beds and cut-off bends.

The bank-erosion law is that of Howard and Knutson (1984), "Sufficient conditions for river
meandering": a bend moves outwards at a rate given by its own curvature and, with more weight, by
the curvature upstream, which fades over a few widths.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from training.synth.canvas import Floats
from training.synth.ribbon import normals

LOCAL_WEIGHT = -1.0
UPSTREAM_WEIGHT = 2.5
MEMORY_WIDTHS = 2.5
STEP_WIDTHS = 0.22
SPACING_WIDTHS = 0.7
NECK_WIDTHS = 1.4


@dataclass
class River:
    """A river and what it left behind; lines are (n, 2) metres.

    Attributes:
        width_m: width of the channel.
        course: where it flows now.
        past: earlier courses, oldest first, evenly spaced in time.
        oxbows: bends that were cut off, oldest first, with the step of the cut.
        steps: steps that were run.
    """

    width_m: float
    course: Floats
    past: list[Floats] = field(default_factory=list)
    oxbows: list[tuple[Floats, int]] = field(default_factory=list)
    steps: int = 0


def wander(
    rng: np.random.Generator,
    start: tuple[float, float],
    end: tuple[float, float],
    width_m: float,
    steps: int,
    keep_every: int = 6,
) -> River:
    """Let a river of ``width_m`` wander for ``steps`` steps; its ends, near the points, hold."""
    waves = 2 * np.pi * rng.standard_normal((6, 2)) / (22.0 * width_m)
    phases = 2 * np.pi * rng.random(6)
    river = River(width_m, _resample(_first_course(rng, start, end, width_m), width_m))
    for step in range(steps):
        river.course = _resample(_erode(river.course, width_m, waves, phases), width_m)
        if step % 2 == 1:
            _cut_necks(river, step)
        if step % keep_every == 0 and step > steps - 40 * keep_every:
            river.past.append(river.course)
    river.steps = steps
    return river


def _first_course(
    rng: np.random.Generator, start: tuple[float, float], end: tuple[float, float], width_m: float
) -> Floats:
    """A nearly straight line with waves of many lengths."""
    ends = np.array([start, end], np.float64)
    length = float(np.hypot(*(ends[1] - ends[0])))
    count = max(int(length / (SPACING_WIDTHS * width_m)), 12)
    t = np.linspace(0.0, 1.0, count)
    line = ends[0] + t[:, None] * (ends[1] - ends[0])
    sway = np.zeros(count)
    for wavelength in np.geomspace(8 * width_m, max(length, 16 * width_m), 9):
        phase, size = rng.random() * 2 * np.pi, rng.random()
        sway += size * 0.045 * wavelength * np.sin(2 * np.pi * t * length / wavelength + phase)
    return np.asarray(line + normals(line) * sway[:, None])


def _resample(line: Floats, width_m: float) -> Floats:
    """Even spacing along the line. Rounded, so that no machine's last bit can grow."""
    lengths = np.hypot(*np.diff(line, axis=0).T)
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    count = max(int(at[-1] / (SPACING_WIDTHS * width_m)), 12)
    even = np.linspace(0.0, at[-1], count)
    xy = np.stack([np.interp(even, at, line[:, i]) for i in (0, 1)], axis=1)
    return np.asarray(np.round(xy, 5))


def _erode(line: Floats, width_m: float, waves: Floats, phases: Floats) -> Floats:
    """One step outwards; the waves make some banks softer than others."""
    first = np.gradient(line, axis=0)
    second = np.gradient(first, axis=0)
    speed = np.hypot(first[:, 0], first[:, 1])
    curvature = (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / speed**3
    here = np.clip(width_m * curvature, -0.7, 0.7)
    reach = np.arange(0, 5 * MEMORY_WIDTHS, SPACING_WIDTHS)
    memory = np.exp(-reach / MEMORY_WIDTHS)
    upstream = np.convolve(here, memory / memory.sum())[: len(here)]
    rate = LOCAL_WEIGHT * here + UPSTREAM_WEIGHT * upstream
    away = line[:, :1] * waves[:, 0] + line[:, 1:] * waves[:, 1] + phases
    rate *= np.clip(0.8 + 0.35 * np.sin(away).sum(axis=1), 0.15, 1.7)
    hold = np.minimum(np.arange(len(line)), np.arange(len(line))[::-1]) / 6.0
    rate *= np.minimum(hold, 1.0)
    return np.asarray(line - normals(line) * (STEP_WIDTHS * width_m * rate)[:, None])


def _cut_necks(river: River, step: int) -> None:
    """Where two reaches nearly touch the river takes the short way and leaves an oxbow."""
    while True:
        pairs = cKDTree(river.course).query_pairs(
            NECK_WIDTHS * river.width_m, output_type="ndarray"
        )
        far = pairs[pairs[:, 1] - pairs[:, 0] > 8]
        if len(far) == 0:
            return
        i, j = far[np.lexsort((far[:, 1], far[:, 0]))[0]]
        river.oxbows.append((river.course[i + 1 : j], step))
        river.course = np.concatenate([river.course[: i + 1], river.course[j:]])
