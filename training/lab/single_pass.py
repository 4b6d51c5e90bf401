"""One deterministic pass that says what twenty stochastic ones say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops
from scipy.special import expit

from onboard.network import STEM_STRIDE
from onboard.uncertainty import bernoulli_entropy
from training import augment, scores
from training.chips import UNKNOWN, Chip
from training.closed_form import Linear, Linearised, of_normal
from training.lab.ground import Effort, Ground
from training.lab.learner import Floats, Learned, Said, learn, say, silent
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict

TEACHING_PASSES = 20
NEAR = 0.01
RATE = 1e-3
BATCH = 12
LEAST, MOST = 1e-7, float(np.log(2)) - 1e-3
"""Nats: what the information is kept within, so that its logit is finite."""

MANY = f"{TEACHING_PASSES} passes"
STUDENTS = {"one pass, a head taught": False, "one pass, all of it taught": True}
"""Ways to teach, and whether the network itself learns, or a head on its features alone."""
QUIET, CLOSED = "one pass, mean weights", "closed form"
WAYS = (MANY, *STUDENTS, QUIET, CLOSED)
SCORES = ("entropy", "epistemic")
KEYS = ("iou", *SCORES, "likeness")


class Maps(NamedTuple):
    """What a way says of the labelled pixels of the judging chips, each ``(N,)``.

    Attributes:
        mean: probability of water.
        entropy: of the mean, nats.
        epistemic: mutual information, nats.
    """

    mean: Floats
    entropy: Floats
    epistemic: Floats


def run(ground: Ground, effort: Effort) -> Outcome:
    """Distil mean and mutual information into one pass; compare with passes."""
    seeds = [_figures(ground, effort, seed) for seed in range(1, effort.seeds + 1)]
    found = {way: [figures[way] for figures in seeds] for way in WAYS}
    lost = {way: [_mean(found, MANY, k) - _mean(found, way, k) for k in SCORES] for way in STUDENTS}
    best = min(lost, key=lambda way: max(lost[way]))
    return Outcome(
        question="Can one deterministic pass, taught by twenty, give their mean and their mutual "
        "information?",
        method=f"The trained network gives the mean and the mutual information of {MANY} on the "
        "training chips, turned and jittered. Two students learn from it, without masks, for as "
        "many steps: one is a copy of the network with one more output map, and all of it learns "
        "(cross-entropy with the mean; squared error of the logit of the information); the other "
        "leaves the network as it is, whose pass with masks of one is its mean, and learns two "
        "convolutions on its features that give the information. All maps are scored against the "
        f"errors of the {MANY}, on other places. It holds if one student's AUROCs, by entropy and "
        f"by information, are both at most {NEAR} below those of the {MANY}; in part if one of "
        "the better student's is. Beside them, with no say: one pass with the mean weights, and "
        "the closed form of the logit's variance (`training/closed_form.py`), which samples "
        "nothing and stands for infinitely many passes, at more work on board than twenty. A first "
        "form of this experiment, with one student, all of it taught for half as many steps from "
        "half as many crops, had not held (it lost 0.013 by entropy and 0.057 by information); the "
        "rest was added after that.",
        source="The open question in Kendall's thesis and post of 2017, real-time epistemic "
        "uncertainty without sampling; Korattikara et al., Bayesian dark knowledge, NeurIPS 2015.",
        columns=["by", "IoU", "error AUROC by entropy", "by information", "likeness to 20 passes'"],
        rows=[[way] + [_cell([f[k] for f in v]) for k in KEYS] for way, v in found.items()],
        verdict=Verdict.of([value <= NEAR for value in lost[best]]),
        words="Against "
        + f"{MANY}, AUROC by entropy and by information change by "
        + "; ".join(
            f"{-values[0]:+.3f} and {-values[1]:+.3f} ({way})" for way, values in lost.items()
        )
        + f". The {MANY} have {_mean(found, MANY, 'epistemic'):.3f} by information, the closed "
        f"form {_mean(found, CLOSED, 'epistemic'):.3f}.",
        panels=[_panel(found)],
    )


def _figures(ground: Ground, effort: Effort, seed: int) -> dict[str, dict[str, float]]:
    """What every way is worth with the network of one seed, in the order of `WAYS`."""
    learned = learn(ground.pool, effort, seed)
    many = say(learned, ground.judge, TEACHING_PASSES, seed)
    told = {MANY: Maps(many.mean, many.entropy, many.epistemic)}
    for way, whole in STUDENTS.items():
        student = _distil(learned, ground.pool, effort, seed, whole)
        told[way] = _told(student, learned, ground)
    one = say(learned, ground.judge, 1, seed, silent)
    told[QUIET] = Maps(one.mean, one.entropy, np.zeros_like(one.mean))
    told[CLOSED] = _closed(learned, ground)
    return {way: _scored(maps, many) for way, maps in told.items()}


def _panel(found: dict[str, list[dict[str, float]]]) -> Panel:
    series = [
        Series(
            name,
            [float(i) for i in range(len(WAYS))],
            [Measured.over([f[key] for f in found[way]]) for way in WAYS],
        )
        for key, name in zip(SCORES, ("by entropy", "by information"), strict=True)
    ]
    ticks = ["20\npasses", "head\ntaught", "all\ntaught", "mean\nweights", "closed\nform"]
    return Panel("who points at errors", "", "error AUROC", series, ticks=ticks)


def _scored(maps: Maps, many: Said) -> dict[str, float]:
    return {
        "iou": scores.iou(maps.mean >= 0.5, many.true),
        "entropy": scores.auroc(maps.entropy, many.wrong),
        "epistemic": scores.auroc(maps.epistemic, many.wrong),
        "likeness": _likeness(maps.epistemic, many.epistemic),
    }


def _mean(found: dict[str, list[dict[str, float]]], way: str, key: str) -> float:
    return float(np.mean([figures[key] for figures in found[way]]))


def _cell(values: list[float]) -> Measured | str:
    """A figure over the seeds; a map without information is like none."""
    return Measured.over(values) if np.isfinite(values).all() else "none"


def _likeness(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 else float("nan")


def _student(learned: Learned, whole: bool) -> keras.Model:
    """The network with masks of ones and one more map, the logit of the information / ln 2.

    Args:
        learned: the teacher.
        whole: whether the network learns; else a head learns on the features of all its sites.
    """
    copy = keras.models.clone_model(learned.model)
    copy.set_weights(learned.model.get_weights())
    copy.trainable = whole
    start = keras.initializers.Constant(-5)
    x = copy.get_layer("dec0_relu1").output
    if not whole:
        deep = [copy.get_layer(f"skip{level}").output for level in range(learned.network.depth)]
        lifted = [
            layers.UpSampling2D(2**level)(one) if level else one for level, one in enumerate(deep)
        ]
        x = layers.Concatenate()([x, *lifted])
        x = layers.Conv2D(16, 3, padding="same", activation="relu", name="information_in")(x)
    extra = layers.Conv2D(STEM_STRIDE**2, 1, name="information", bias_initializer=start)
    told = ops.nn.depth_to_space(extra(x), STEM_STRIDE)
    return keras.Model(copy.inputs, ops.concatenate([copy.output[..., :1], told], axis=-1))


def _distil(
    learned: Learned, chips: Sequence[Chip], effort: Effort, seed: int, whole: bool
) -> keras.Model:
    """Teach a student for as many steps as the teacher learned."""
    keras.utils.set_random_seed(seed)
    student = _student(learned, whole)
    schedule = keras.optimizers.schedules.CosineDecay(RATE, effort.steps)
    student.compile(keras.optimizers.Adam(schedule), loss=_loss)
    rng = np.random.default_rng([seed, 11])
    for _ in range(effort.steps):
        picks = [chips[i] for i in rng.integers(len(chips), size=BATCH)]
        cut = [augment.flip(augment.crop(c, effort.crop, rng), rng) for c in picks]
        tiles = np.concatenate([learned.tile(_jittered(chip, rng)) for chip in cut])
        student.train_on_batch(_quiet(learned, tiles), _targets(learned, tiles, rng))
    return student


def _jittered(chip: Chip, rng: np.random.Generator) -> Chip:
    from dataclasses import replace

    return replace(chip, reflectance=augment.radiometry(chip.reflectance, rng))


def _quiet(learned: Learned, tiles: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    rest = silent(learned.network, len(tiles), tiles.shape[1], np.random.default_rng(0))
    return {"tile": tiles, **rest}


def _targets(
    learned: Learned, tiles: npt.NDArray[np.float32], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Mean and information of the teacher's passes, ``(N, H, W, 2)``."""
    # All passes of a crop one after the other, each by masks of its own.
    seen = [ops.repeat(one, TEACHING_PASSES, axis=0) for one in learned.seen(tiles)]
    count = len(tiles) * TEACHING_PASSES
    drawn = learned.noise(learned.network, count, tiles.shape[1], rng)
    logits = learned.corrected(seen, drawn)
    passes = expit(logits).reshape(len(tiles), TEACHING_PASSES, *logits.shape[1:]).swapaxes(0, 1)
    mean = passes.mean(0)
    information = bernoulli_entropy(mean) - bernoulli_entropy(passes).mean(0)
    return np.stack([mean, np.clip(information, LEAST, MOST)], axis=-1)


def _loss(target: Any, said: Any) -> Any:
    """Cross-entropy with the mean, squared error of the information's logit."""
    share = target[..., 1] / float(np.log(2))
    logit = ops.log(share) - ops.log1p(-share)
    water = ops.softplus(said[..., 0]) - target[..., 0] * said[..., 0]
    return ops.mean(water) + 0.05 * ops.mean(ops.square(said[..., 1] - logit))


def _told(student: keras.Model, learned: Learned, ground: Ground) -> Maps:
    """Mean and information by the student."""
    mean, information = [], []
    for chip in ground.judge:
        known = chip.water != UNKNOWN
        out = np.asarray(student(_quiet(learned, learned.tile(chip)), training=False))[0]
        mean.append(expit(out[known, 0]))
        information.append(expit(out[known, 1]) * np.float32(np.log(2)))
    p = np.concatenate(mean)
    return Maps(p, bernoulli_entropy(p), np.concatenate(information))


def _closed(learned: Learned, ground: Ground) -> Maps:
    """The same by the closed form of the teacher."""
    linearised, found = Linearised(learned.model, learned.network), []
    for chip in ground.judge:
        known = chip.water != UNKNOWN
        whole = linearised(learned.tile(chip)[0])
        linear = Linear(whole.base[known], whole.parts[known], whole.variance)
        p = of_normal(linear.mean(), linear.spread())
        found.append((p.mean, p.entropy, p.epistemic))
    return Maps(*(np.concatenate(part) for part in zip(*found, strict=True)))
