"""One deterministic pass that says what twenty stochastic ones say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops
from scipy.special import expit

from onboard.uncertainty import bernoulli_entropy
from training import augment, scores
from training.chips import UNKNOWN, Chip
from training.lab.ground import Effort, Ground
from training.lab.learner import Learned, learn, say, silent
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict

TEACHING_PASSES = 20
NEAR = 0.01
RATE = 1e-3
LEAST, MOST = 1e-7, float(np.log(2)) - 1e-3
"""Nats: what the information is kept within, so that its logit is finite."""


def run(ground: Ground, effort: Effort) -> Outcome:
    """Distil mean and mutual information into one pass; compare with passes."""
    ways = ("20 passes", "one pass, distilled", "one pass, mean weights")
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for seed in range(1, effort.seeds + 1):
        learned = learn(ground.pool, effort, seed)
        many = say(learned, ground.judge, TEACHING_PASSES, seed)
        wrong = (many.mean >= 0.5) != many.true
        one = say(learned, ground.judge, 1, seed, silent)
        mean, information = _told(_distil(learned, ground.pool, effort, seed), learned, ground)
        maps = {
            ways[0]: (many.mean, many.entropy, many.epistemic),
            ways[1]: (mean, bernoulli_entropy(mean), information),
            ways[2]: (one.mean, one.entropy, np.zeros_like(one.mean)),
        }
        for way, (p, entropy, epistemic) in maps.items():
            found[way].append(
                {
                    "iou": scores.iou(p >= 0.5, many.true),
                    "entropy": scores.auroc(entropy, wrong),
                    "epistemic": scores.auroc(epistemic, wrong),
                    "likeness": _likeness(epistemic, many.epistemic),
                }
            )
    lost = {
        key: float(np.mean([f[key] for f in found[ways[0]]]))
        - float(np.mean([f[key] for f in found[ways[1]]]))
        for key in ("entropy", "epistemic")
    }
    return Outcome(
        question="Can one deterministic pass, taught by twenty, give their mean and their mutual "
        "information?",
        method="The trained network gives the mean and the mutual information of 20 passes on the "
        "training chips, turned and jittered. A copy of it with one more output map learns both "
        "(cross-entropy with the mean; squared error of the logit of the information), without "
        "masks. All maps are scored against the errors of the 20 passes, on other places. It "
        f"holds if by entropy and by information the AUROC is within {NEAR} of the 20 passes'.",
        source="The open question in Kendall's thesis and post of 2017, real-time epistemic "
        "uncertainty without sampling; Korattikara et al., Bayesian dark knowledge, NeurIPS 2015.",
        columns=["by", "IoU", "error AUROC by entropy", "by information", "likeness to 20 passes'"],
        rows=[[way] + [Measured.over([f[k] for f in v]) for k in v[0]] for way, v in found.items()],
        verdict=Verdict.of([abs(value) <= NEAR or value < 0 for value in lost.values()]),
        words=f"The distilled pass loses {lost['entropy']:+.3f} AUROC by entropy and "
        f"{lost['epistemic']:+.3f} by information.",
        panels=[
            Panel(
                "who points at errors",
                "",
                "error AUROC",
                [
                    Series(
                        name,
                        [float(i) for i in range(len(ways))],
                        [Measured.over([f[key] for f in found[way]]) for way in ways],
                    )
                    for key, name in (("entropy", "by entropy"), ("epistemic", "by information"))
                ],
                ticks=["20 passes", "distilled", "mean weights"],
            )
        ],
    )


def _likeness(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 else float("nan")


def _student(learned: Learned) -> keras.Model:
    """The network with masks of ones and one more map, the logit of the information / ln 2."""
    copy = keras.models.clone_model(learned.model)
    copy.set_weights(learned.model.get_weights())
    features = copy.get_layer("dec0_relu1").output
    extra = layers.Conv2D(
        4, 1, name="information", bias_initializer=keras.initializers.Constant(-5)
    )
    told = ops.nn.depth_to_space(extra(features), 2)
    return keras.Model(copy.inputs, ops.concatenate([copy.output[..., :1], told], axis=-1))


def _distil(learned: Learned, chips: Sequence[Chip], effort: Effort, seed: int) -> keras.Model:
    """Teach a student for half as many steps as the teacher learned."""
    keras.utils.set_random_seed(seed)
    student = _student(learned)
    steps = max(1, effort.steps // 2)
    schedule = keras.optimizers.schedules.CosineDecay(RATE, steps)
    student.compile(keras.optimizers.Adam(schedule), loss=_loss)
    rng = np.random.default_rng([seed, 11])
    for _ in range(steps):
        picks = [chips[i] for i in rng.integers(len(chips), size=6)]
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
    p, seen = [], learned.seen(tiles)
    for _ in range(TEACHING_PASSES):
        drawn = learned.noise(learned.network, len(tiles), tiles.shape[1], rng)
        p.append(expit(learned.corrected(seen, drawn)))
    passes = np.stack(p).astype(np.float32)
    mean = passes.mean(0)
    information = bernoulli_entropy(mean) - bernoulli_entropy(passes).mean(0)
    return np.stack([mean, np.clip(information, LEAST, MOST)], axis=-1)


def _loss(target: Any, said: Any) -> Any:
    """Cross-entropy with the mean, squared error of the information's logit."""
    share = target[..., 1] / float(np.log(2))
    logit = ops.log(share) - ops.log1p(-share)
    water = ops.softplus(said[..., 0]) - target[..., 0] * said[..., 0]
    return ops.mean(water) + 0.05 * ops.mean(ops.square(said[..., 1] - logit))


def _told(
    student: keras.Model, learned: Learned, ground: Ground
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Mean and information by the student over the labelled pixels of the judging chips."""
    mean, information = [], []
    for chip in ground.judge:
        known = chip.water != UNKNOWN
        out = np.asarray(student(_quiet(learned, learned.tile(chip)), training=False))[0]
        mean.append(expit(out[known, 0]))
        information.append(expit(out[known, 1]) * np.log(2))
    return np.concatenate(mean), np.concatenate(information)
