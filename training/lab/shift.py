"""Frames that get worse by degrees: uncertainty must rise before accuracy falls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from onboard.sensor import VNIR4
from training import corruptions
from training.chips import Chip
from training.lab.ground import Effort, Ground
from training.lab.learner import Learned, gradient, learn, say
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict

Image = npt.NDArray[np.float32]
Spoil = Callable[[Image, float, np.random.Generator], Image]
DEGREES = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)
QUICK_DEGREES = (0.0, 0.25, 0.5, 1.0)
DROP = 0.02
"""Loss of IoU that counts."""
RISE = 0.05
"""Relative growth of the uncertainty that counts."""
FGSM = "FGSM"


def noise(image: Image, degree: float, rng: np.random.Generator) -> Image:
    """White noise, up to a standard deviation of 0.05 in reflectance."""
    return np.asarray(image + rng.normal(0, 0.05 * degree, image.shape), np.float32)


def blur(image: Image, degree: float, rng: np.random.Generator) -> Image:
    """A Gaussian point spread, up to a sigma of 4 pixels."""
    return np.asarray(ndimage.gaussian_filter(image, (4 * degree, 4 * degree, 0)), np.float32)


def striping(image: Image, degree: float, rng: np.random.Generator) -> Image:
    """Every column with a gain of its own, up to a spread of 30 %."""
    return np.asarray(image * np.exp(rng.normal(0, 0.3 * degree, image.shape[1:])), np.float32)


def dead_band(image: Image, degree: float, rng: np.random.Generator) -> Image:
    """The near infrared fades into its own mean."""
    out = image.copy()
    nir = VNIR4.bands.index("nir")
    out[..., nir] += degree * (image[..., nir].mean() - image[..., nir])
    return out


def haze(image: Image, degree: float, rng: np.random.Generator) -> Image:
    """Aerosol of an optical depth up to 0.8, by the law of `training.corruptions.haze`."""
    return corruptions.hazy(image, 0.8 * degree, VNIR4.bands)


def misregistration(image: Image, degree: float, rng: np.random.Generator) -> Image:
    """The near infrared lies off, up to 4 pixels along the rows."""
    out = image.copy()
    nir = VNIR4.bands.index("nir")
    out[..., nir] = ndimage.shift(image[..., nir], (0, 4 * degree), order=1, mode="nearest")
    return out


def wrong_gain(image: Image, degree: float, rng: np.random.Generator) -> Image:
    """All bands brighter, up to three times."""
    return np.asarray(image * 3.0**degree, np.float32)


SPOILS: dict[str, Spoil] = {
    "noise": noise,
    "blur": blur,
    "striping": striping,
    "dead band": dead_band,
    "haze": haze,
    "misregistration": misregistration,
    "wrong gain": wrong_gain,
}
FGSM_STEP = 0.15
"""Largest step of the attack, in spreads of the normalised input."""

Course = dict[float, list[dict[str, float]]]


def run(ground: Ground, effort: Effort) -> Outcome:
    """Train, then judge chips that were spoiled by degrees."""
    courses = _courses(ground, effort, QUICK_DEGREES if effort.quick else DEGREES)
    warned = {name: _warned(course) for name, course in courses.items()}
    fair = {name: early for name, early in warned.items() if name != FGSM}
    return Outcome(
        question="When a frame gets worse by degrees, does uncertainty rise before accuracy falls?",
        method="Chips of other places are spoiled by growing degrees (0…1; what 1 is stands in the "
        "code of each spoil). The figures are IoU, mean entropy and mean mutual information, over "
        f"the same pixels. A spoil holds if at the first degree where the IoU has lost {DROP} or "
        f"more, the mean entropy or the mutual information has grown by {RISE:.0%} or more "
        "already, or the IoU never loses so much. The attack (FGSM, which follows the gradient of "
        "the loss of the deterministic pass) is listed but has no say: a model is not made to "
        "know that it is attacked.",
        source="Ovadia et al., Can you trust your model's uncertainty?, NeurIPS 2019; Goodfellow "
        "et al. 2015 (FGSM).",
        columns=[
            "spoil",
            "IoU, as it was",
            "IoU at 1",
            "entropy at 1 over as it was",
            "mutual information at 1 over as it was",
            "uncertainty rises first",
        ],
        rows=[
            [name, _at(course, 0.0, "iou"), _at(course, 1.0, "iou")]
            + [_growth(course, 1.0, key) for key in ("mean_entropy", "mean_epistemic")]
            + [{True: "yes", False: "no"}[warned[name]]]
            for name, course in courses.items()
        ],
        verdict=Verdict.of(list(fair.values())),
        words=f"Uncertainty warns in time for {sum(fair.values())} of {len(fair)} spoils"
        + (
            f"; not for {', '.join(n for n, ok in fair.items() if not ok)}"
            if not all(fair.values())
            else ""
        )
        + f". Under the attack it {'does' if warned[FGSM] else 'does not'}.",
        panels=[
            _panel(courses, "iou", "IoU"),
            _panel(courses, "mean_entropy", "mean entropy, nats"),
            _panel(courses, "mean_epistemic", "mean mutual information, nats"),
        ],
    )


def _courses(ground: Ground, effort: Effort, degrees: Sequence[float]) -> dict[str, Course]:
    """Figures of every spoil, and of the attack, by degree."""
    courses: dict[str, Course] = {name: {} for name in (*SPOILS, FGSM)}
    for seed in range(1, effort.seeds + 1):
        learned = learn(ground.pool, effort, seed)
        attacks = [_attacked(learned, chip) for chip in ground.judge]
        for name, course in courses.items():
            for degree in degrees:
                chips = [
                    attack(degree) if name == FGSM else _spoiled(chip, SPOILS[name], degree)
                    for chip, attack in zip(ground.judge, attacks, strict=True)
                ]
                said = say(learned, chips, effort.passes, seed)
                course.setdefault(degree, []).append(
                    said.figures("iou", "mean_entropy", "mean_epistemic")
                )
    return courses


def _spoiled(chip: Chip, spoil: Spoil, degree: float) -> Chip:
    rng = np.random.default_rng(int.from_bytes(chip.id.encode()[-6:], "little"))
    return replace(chip, reflectance=spoil(chip.reflectance, degree, rng))


def _attacked(learned: Learned, chip: Chip) -> Callable[[float], Chip]:
    """The chip after a step of the sign of the gradient, by degree."""
    step = np.sign(gradient(learned, chip))
    tile, norm = learned.tile(chip)[0], learned.normalisation
    mean, spread = (np.asarray(v, np.float32) for v in (norm.mean, norm.spread))

    def attack(degree: float) -> Chip:
        moved = (tile + FGSM_STEP * degree * step) * spread + mean
        seen = np.exp(moved) - norm.floor if norm.floor else moved
        return replace(chip, reflectance=np.asarray(seen, np.float32))

    return attack


def _warned(course: Course) -> bool:
    """Whether uncertainty has grown where the IoU has first fallen, by means over the seeds."""
    start = _at(course, 0.0, "iou").mean
    for degree in sorted(course):
        if start - _at(course, degree, "iou").mean >= DROP:
            return any(
                _growth(course, degree, key).mean >= 1 + RISE
                for key in ("mean_entropy", "mean_epistemic")
            )
    return True


def _at(course: Course, degree: float, key: str) -> Measured:
    return Measured.over([figures[key] for figures in course[degree]])


def _growth(course: Course, degree: float, key: str) -> Measured:
    pairs = zip(course[degree], course[0.0], strict=True)
    return Measured.over([now[key] / before[key] for now, before in pairs])


def _panel(courses: dict[str, Course], key: str, label: str) -> Panel:
    series = [
        Series(name, sorted(course), [_at(course, degree, key) for degree in sorted(course)])
        for name, course in courses.items()
    ]
    return Panel(label, "degree", label, series)
