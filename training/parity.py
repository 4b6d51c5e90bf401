"""Parity: what every engine of an export makes of real chips, against the float64 reference.

Each chip goes through every engine with the same masks. The report goes into the bundle; an export
whose engine breaks a bound fails, and names the layer that drifts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from onboard.bundle import COMMON, Bundle
from onboard.classes import WATER
from onboard.engines import Engine
from onboard.errors import EngineError
from onboard.uncertainty import Moments
from training import bounds, drift, half, mosaic, scores
from training.bounds import Figure, Figures, at_least, at_most, not_measured, unbounded
from training.chips import UNKNOWN
from training.comparison import SEED, Comparison, Pixels
from training.kept import KeptChip
from training.mosaic import Window

Report = dict[str, Any]
Check = Callable[[Comparison, str, Sequence[Moments]], Figures]

EMULATED = "myriad"
"""The target whose arithmetic no engine on the ground has."""
SIDE = 128
"""Most pixels of a chip that are compared, along one side; more would not fit small tiles."""
FEW = 12
"""Chips that are emulated with float16 accumulation, which takes longest."""
RAW_DN = 1e4
"""Digital numbers per reflectance, in a frame whose scale was forgotten."""


def report(
    bundle: Bundle,
    engines: Mapping[str, Engine],
    held: Sequence[KeptChip],
    on_target: Callable[[str], None] = lambda target: None,
) -> Report:
    """Measure every target of a bundle.

    Args:
        bundle: signed or not yet; its content holds the reference's weights and every set.
        engines: target → what runs it; ONNX files need none, a current OpenVINO judges them, and
            the VPU's arithmetic is emulated.
        held: real chips that no weight was fitted to.
        on_target: called with the name of what is measured next.

    Returns:
        Plain JSON types: ``passes`` and ``seed`` of the masks; ``chips``, the names of ``all`` and
        of the ``few`` on which float16 accumulation is emulated; and ``targets``: target → figure
        → ``value``, ``bound``, ``rule`` ("at most", "at least") and ``holds``, which is None
        where nothing is asked of the value, or where a ``note`` says why there is none. A figure
        that does not hold has the ``layer`` that drifts and its relative ``drift``. Differences
        from float32 carry both scores (``here``, ``float32``); the largest activation carries
        the ``frame`` it stands in and the largest of all ``layers``, None where it overflows.

    Raises:
        EngineError: there is no chip to compare on.
    """
    if not held:
        raise EngineError(
            f"{bundle.path}: the run holds no calibration chips to compare engines on; train it "
            "again with chips of calibration places"
        )
    tiles = [int(entry["tile"]) for entry in bundle.sets.values() if "tile" in entry]
    room = min([SIDE, *(tile - 2 * bundle.network.halo for tile in tiles)])
    shared = Comparison(bundle, engines, tuple(mosaic.cut(held, bundle.network, room)))
    targets = {}
    for target in bundle.sets:
        if target not in (COMMON, "reference"):
            on_target(target)
            targets[target] = _measure(shared, target)
    names = {"all": shared.windows, "few": _few(shared.windows)}
    return {
        "passes": shared.passes,
        "seed": SEED,
        "chips": {which: [window.name for window in these] for which, these in names.items()},
        "targets": targets,
    }


def check(found: Report) -> None:
    """Refuse an export that breaks a bound.

    Raises:
        EngineError: one does; names target, figure, value, bound and the layer that drifts.
    """
    broken = [
        (target, name, figure)
        for target, figures in found["targets"].items()
        for name, figure in figures.items()
        if figure["holds"] is False
    ]
    if not broken:
        return
    target, name, figure = broken[0]
    value = "not a number" if figure["value"] is None else f"{figure['value']:.6g}"
    more = f" (and {len(broken) - 1} more)" if broken[1:] else ""
    raise EngineError(
        f"target {target}: {name} is {value}, must be {figure['rule']} {figure['bound']:g}; the "
        f"layer that drifts is {figure['layer']}{more}; leave this target out, or train again"
    )


def _measure(shared: Comparison, target: str) -> Figures:
    if target == EMULATED:
        return _vpu(shared, target)
    if target not in CHECKS:
        return {"parity": not_measured("no bound is defined for this target")}
    return _by_engine(shared, target, CHECKS[target])


def _by_engine(shared: Comparison, target: str, measure: Check) -> Figures:
    try:
        engine = shared.engine(target)
    except EngineError as error:
        return {"parity": not_measured(str(error))}
    return measure(shared, target, shared.run(engine))


def _few(windows: Sequence[Window]) -> list[Window]:
    """`FEW` of them, evenly spread."""
    step = max(1.0, len(windows) / FEW)
    return [windows[int(i * step)] for i in range(min(FEW, len(windows)))]


def _float32(shared: Comparison, target: str, found: Sequence[Moments]) -> Figures:
    """A float32 engine against the reference."""
    figures = {}
    for part in ("p_water", "p_cloud"):
        errors = _differences(found, shared.exact, part)
        figure = at_most(max(errors), bounds.PROBABILITY)
        where = shared.windows[int(np.argmax(errors))]
        figure = shared.explain(figure, target, "float32", where)
        figures[f"{part}, largest difference"] = figure
    return figures


def _differences(a: Sequence[Moments], b: Sequence[Moments], part: str) -> list[float]:
    """Largest difference in one moment, by window; inf where one is no number."""
    found = []
    for one, other in zip(a, b, strict=True):
        largest = float(np.abs(getattr(one, part).astype(np.float64) - getattr(other, part)).max())
        found.append(largest if np.isfinite(largest) else float("inf"))
    return found


def _float16(shared: Comparison, target: str, found: Sequence[Moments]) -> Figures:
    """An engine with float16 weights against the reference."""
    return _agreement(shared, target, found, shared.windows, "")


def _agreement(
    shared: Comparison,
    target: str,
    found: Sequence[Moments],
    windows: Sequence[Window],
    accumulation: str,
) -> Figures:
    """How many pixels have the reference's class, over some of the windows."""
    numbers = {window.name: i for i, window in enumerate(shared.windows)}
    exact = [shared.exact[numbers[window.name]] for window in windows]
    a, b = (shared.pixels(moments, windows) for moments in (found, exact))
    same = a.classes == b.classes
    errors = _differences(found, exact, "p_water")
    figure = at_least(float(same.mean()), bounds.AGREEMENT, chips=len(windows))
    where = windows[int(np.argmax(errors))]
    return {
        "mask agreement": shared.explain(figure, target, "float16", where, accumulation),
        "p_water, largest difference": unbounded(max(errors), chips=len(windows)),
        "MI, correlation": unbounded(_correlation(a, b), chips=len(windows)),
    }


def _int8(shared: Comparison, target: str, found: Sequence[Moments]) -> Figures:
    """An engine in integers against the float32 one."""
    a, b = (shared.pixels(m, shared.windows) for m in (found, shared.float32))
    figures = _scores(shared, a, b)
    figures["MI, correlation"] = at_least(_correlation(a, b), bounds.CORRELATION)
    errors = _differences(found, shared.float32, "p_water")
    where = shared.windows[int(np.argmax(errors))]
    figures = {n: shared.explain(f, target, "int8", where) for n, f in figures.items()}
    content = shared.tflite(target)
    error = drift.mask_error(content, {site.name: site.keep for site in shared.network.sites})
    bits = drift.logit_bits(content)
    return {
        **figures,
        "mask values, relative error": at_most(error, bounds.MASK_VALUE, layer="mask inputs"),
        "logits, bits": at_least(bits, bounds.LOGIT_BITS, layer="logit"),
        "p_water, largest difference": unbounded(max(errors)),
    }


def _correlation(a: Pixels, b: Pixels) -> float:
    """Pearson's, of the mutual information; NaN where one of them is the same everywhere."""
    x, y = (p.epistemic.astype(np.float64) - p.epistemic.mean(dtype=np.float64) for p in (a, b))
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / scale if scale else float("nan")


def _scores(shared: Comparison, a: Pixels, b: Pixels) -> Figures:
    """How far the accuracy of ``a`` lies from that of ``b``, on labelled pixels."""
    labels = np.concatenate([window.water.ravel() for window in shared.windows])
    known = labels != UNKNOWN
    limits = {"water IoU": bounds.IOU, "ECE": bounds.ECE, "error AUROC": bounds.AUROC}
    if not known.any():
        return {f"{n}, difference": not_measured("the chips have no labels") for n in limits}
    threshold = shared.bundle.balanced.water
    mine, float32 = (
        _accuracy(Pixels(*(x[known] for x in p)), labels[known] == 1, threshold) for p in (a, b)
    )
    figures = {}
    for name, limit in limits.items():
        if np.isnan(float32[name]):
            figures[f"{name}, difference"] = not_measured("undefined on these chips")
            continue
        both = {"here": bounds.plain(mine[name]), "float32": float32[name]}
        figures[f"{name}, difference"] = at_most(abs(mine[name] - float32[name]), limit, **both)
    return figures


def _accuracy(p: Pixels, true: npt.NDArray[np.bool_], threshold: float) -> dict[str, float]:
    wrong = (p.p_water >= threshold) != true
    return {
        "water IoU": scores.iou(p.classes == WATER, true),
        "ECE": scores.calibration_error(p.p_water, true),
        "error AUROC": scores.auroc(p.entropy, wrong),
    }


def _vpu(shared: Comparison, target: str) -> Figures:
    """The ONNX graph in float32, as a CPU falls back to it, then the VPU's arithmetic."""
    fallback = _by_engine(shared, target, _float32)
    figures = {f"ONNX in float32, {k}": v for k, v in fallback.items()}
    chosen = {"float32": shared.windows, "float16": _few(shared.windows)}
    largest: dict[str, dict[str, float]] = {}
    for accumulation in half.ACCUMULATIONS:
        made = []
        for window in chosen[accumulation]:
            one = shared.emulate(window.tile, accumulation)
            made.append(one.moments)
            _raise(largest, "chips", one.largest)
        own = _agreement(shared, target, made, chosen[accumulation], accumulation)
        figures.update({f"{k}, {accumulation} accumulation": v for k, v in own.items()})
        for name, tile in _frames(shared).items():
            _raise(largest, name, shared.emulate(tile, accumulation).largest)
    return {**figures, "largest activation": _largest(largest)}


def _frames(shared: Comparison) -> dict[str, npt.NDArray[np.float32]]:
    """Windows that should not be, clipped as every input is, by name."""
    normalisation = shared.bundle.normalisation
    chip = shared.windows[0].tile
    spread, mean = (np.asarray(v, np.float32) for v in (normalisation.spread, normalisation.mean))
    reflectance = chip * spread + mean
    limit = np.float32(normalisation.limit)
    rows, cols = np.indices(chip.shape[:2])
    signs = np.where((rows + cols) % 2, -limit, limit).astype(np.float32)
    return {
        "raw DN": normalisation.apply(reflectance * RAW_DN, np.ones(chip.shape[:2], bool)),
        "saturated": np.full_like(chip, limit),
        "alternating extremes": np.repeat(signs[..., None], chip.shape[2], axis=2),
    }


def _raise(largest: dict[str, dict[str, float]], frame: str, found: Mapping[str, float]) -> None:
    """Take what is larger, by tensor."""
    own = largest.setdefault(frame, {})
    for name, value in found.items():
        both = (own.get(name, 0.0), value)
        # A number beyond the range says more than a narrow accumulator's infinity.
        told = [v for v in both if half.FLOAT16_MAX < v < float("inf")]
        own[name] = max(told or both)


def _largest(largest: Mapping[str, Mapping[str, float]]) -> Figure:
    """The largest activation of all frames; where some overflow, the first that does."""
    names = list(next(iter(largest.values())))
    over = [
        (frame, name)
        for name in names
        for frame, own in largest.items()
        if not own[name] <= half.FLOAT16_MAX
    ]
    every = [(frame, name) for frame in largest for name in names]
    frame, layer = over[0] if over else max(every, key=lambda key: largest[key[0]][key[1]])
    return at_most(
        largest[frame][layer],
        half.FLOAT16_MAX,
        layer=layer,
        frame=frame,
        layers={name: bounds.plain(max(own[name] for own in largest.values())) for name in names},
    )


CHECKS: dict[str, Check] = {
    "tflite": _float32,
    "onnx": _float32,
    "openvino": _float32,
    "tflite-f16": _float16,
    "tflite-int8": _int8,
}
