"""Oddity: generated crops with one thing wrong, and how the score tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import bundle, oddity
from onboard.arrays import Array
from onboard.bundle import Bundle
from onboard.oddity import KINDS, SIDE, Density, Oddity, Tail, crop_origins, measure, survey
from onboard.runtime import observe
from onboard.scene import ArrayFrame, Frame
from onboard.segment import Segmenter
from onboard.sensor import VNIR4
from onboard.uncertainty import Moments
from tests.crops import crop
from tests.samples import BUNDLE, write_frame


def everywhere(count: int = 1) -> Array:
    return np.ones((count, SIDE, SIDE), bool)


def density(values: Array) -> Density:
    spread = np.cov(values.T) + 1e-3 * np.eye(values.shape[1])
    return Density(values.mean(axis=0), np.linalg.inv(spread))


@pytest.fixture(scope="module")
def fitted() -> Oddity:
    """Fitted by hand on generated crops; the ground's fitting is tested with training."""
    features = measure(np.stack([crop(seed) for seed in range(60)]), everywhere(60))
    start = Oddity(density(features.levels), density(features.texture), {}, Tail(0.6, 0.5), 2.0, 60)
    values = start.values(features, np.linspace(1e-4, 1e-3, 60))
    tails = {
        kind: Tail(float(np.quantile(value, 0.75)), max(0.2, float(value.std())))
        for kind, value in values.items()
    }
    return Oddity(start.levels, start.texture, tails, Tail(0.6, 0.5), 2.0, 60)


def score(oddity: Oddity, image: Array, mi: float | None = None) -> float:
    found = oddity.score(image, everywhere()[0], mi)
    assert found is not None
    return found


def shifted(image: Array) -> Array:
    image = image.copy()
    image[3:, :, 3] = image[:-3, :, 3]
    return image


def saturated(image: Array) -> Array:
    return np.minimum(image, np.quantile(image, 0.9))


def dead(image: Array) -> Array:
    image = image.copy()
    image[..., 1] = 0.07
    return image


WRONG: dict[str, Callable[[Array], Array]] = {
    "levels": lambda image: 0.5 * image + 0.15,
    "texture": lambda image: image[..., ::-1],
    "stuck": saturated,
    "registration": shifted,
}


@pytest.mark.parametrize("kind", WRONG)
def test_each_kind_finds_what_it_is_for(fitted: Oddity, kind: str) -> None:
    good = np.stack([crop(seed) for seed in range(100, 120)])
    bad = np.stack([WRONG[kind](image) for image in good])
    usual = fitted.decades(measure(good, everywhere(20)))[kind]
    found = fitted.decades(measure(bad, everywhere(20)))[kind]
    assert found.min() > usual.max()


@pytest.mark.parametrize("change", [*WRONG.values(), dead, lambda image: image * 0.02])
def test_what_is_wrong_scores_above_the_limit(
    fitted: Oddity, change: Callable[[Array], Array]
) -> None:
    image = crop(200)
    assert score(fitted, image, 5e-4) < fitted.limit < score(fitted, change(image), 5e-4)


def test_the_network_can_speak_too(fitted: Oddity) -> None:
    silent, sure, unsure = (score(fitted, crop(201), mi) for mi in (None, 1e-4, 0.3))
    assert silent == sure
    assert unsure > silent + 1


def test_pixels_without_data_do_not_count(fitted: Oddity) -> None:
    image = crop(202)
    valid = everywhere()[0]
    valid[:40] = False
    hidden = image.copy()
    hidden[:40] = 0.0
    # The registration sees a straight edge in every band at one place, and nothing else sees it.
    whole, part = measure(image[None], valid[None]), measure(hidden[None], valid[None])
    for name in ("levels", "texture", "stuck"):
        assert np.array_equal(getattr(whole, name), getattr(part, name))
    usual = fitted.score(hidden, valid)
    assert usual is not None
    assert usual < fitted.limit


def test_reflectance_below_zero_counts_as_zero() -> None:
    image = crop(216) - np.float32(0.04)
    assert (image < 0).mean() > 0.1
    below, clipped = (measure(x[None], everywhere()) for x in (image, np.maximum(image, 0)))
    for name in below._fields:
        assert np.array_equal(getattr(below, name), getattr(clipped, name)), name


def test_too_little_data_is_not_scored(fitted: Oddity) -> None:
    valid = everywhere()[0]
    valid[: SIDE // 2 + 8] = False
    assert fitted.score(crop(203), valid) is None


def test_crops_do_not_depend_on_their_neighbours(fitted: Oddity) -> None:
    images = np.stack([crop(seed) for seed in (204, 205, 206)])
    together = fitted.combined(measure(images, everywhere(3)))
    alone = [fitted.score(image, everywhere()[0]) for image in images]
    assert np.allclose(together, alone, rtol=0, atol=1e-9)


def test_flat_and_strange_input_gives_numbers(fitted: Oddity) -> None:
    for value in (0.0, 1.0, -0.5, 1e4):
        found = score(fitted, np.full((SIDE, SIDE, 4), value, np.float32), 0.0)
        assert np.isfinite(found)
        assert found > fitted.limit


@pytest.mark.parametrize("bands", [1, 2, 5])
def test_any_number_of_bands(bands: int) -> None:
    image = np.stack([crop(207)[..., 0]] * bands, axis=-1)
    features = measure(image[None], everywhere())
    assert features.levels.shape == (1, bands * len(oddity.LEVELS))
    assert np.isfinite(np.concatenate([f.ravel() for f in features])).all()


def test_parameters_survive_json(fitted: Oddity) -> None:
    again = Oddity.from_json(json.loads(json.dumps(fitted.to_json())))
    features = measure(crop(208)[None], everywhere())
    assert np.allclose(again.combined(features), fitted.combined(features), rtol=1e-4)
    assert again.to_json() == fitted.to_json()


def test_a_frame_is_scored_crop_by_crop(fitted: Oddity) -> None:
    image = np.concatenate([crop(209), crop(210), crop(211)], axis=1)[:, : 2 * SIDE + 40]
    image[:, SIDE : 2 * SIDE] = shifted(image[:, SIDE : 2 * SIDE])
    valid = np.ones(image.shape[:2], bool)
    found = survey(fitted, ArrayFrame(image, valid), np.full(valid.shape, 5e-4))
    last = image[:, -SIDE:]
    alone = [
        score(fitted, part, 5e-4) for part in (image[:, :SIDE], image[:, SIDE:][:, :SIDE], last)
    ]
    assert np.allclose(found.score, [alone], rtol=0, atol=1e-9)
    assert KINDS[found.kind[0, 1]] == "registration"
    assert found.share(fitted.limit) == np.mean(np.array(alone) > fitted.limit)


def test_what_is_not_observed_is_not_judged(fitted: Oddity) -> None:
    image = np.concatenate([crop(213), np.full((SIDE, SIDE, 4), 0.7, np.float32)], axis=1)
    observed = np.ones(image.shape[:2], bool)
    cloudy = survey(fitted, ArrayFrame(image), observed=observed)
    observed[:, SIDE:] = False
    told = survey(fitted, ArrayFrame(image), np.where(observed, 5e-4, 9.0), observed)
    assert cloudy.share(fitted.limit) == 0.5
    assert told.share(fitted.limit) == 0.0
    assert np.isnan(told.score[0, 1])
    assert told.epistemic[0, 0] == pytest.approx(5e-4)
    half = observed.copy()
    half[:, SIDE - 60 :] = False
    part = survey(fitted, ArrayFrame(image), np.where(half, 5e-4, 9.0), half)
    assert part.score[0, 0] < fitted.limit


def test_a_frame_without_data_has_no_share(fitted: Oddity) -> None:
    image = np.zeros((SIDE, SIDE, 4), np.float32)
    found = survey(fitted, ArrayFrame(image, np.zeros((SIDE, SIDE), bool)))
    assert np.isnan(found.score).all()
    assert found.share(fitted.limit) is None


def test_a_frame_smaller_than_a_crop_is_mirrored(fitted: Oddity) -> None:
    image, observed = crop(212)[:100, :110], np.ones((100, 110), bool)
    found = survey(fitted, ArrayFrame(image), np.full(observed.shape, 5e-4), observed)
    assert found.score.shape == (1, 1)
    assert found.epistemic[0, 0] == pytest.approx(5e-4)
    assert np.isfinite(found.score).all()


@pytest.mark.parametrize(
    ("size", "origins"),
    [(1, [0]), (128, [0]), (129, [0, 1]), (256, [0, 128]), (300, [0, 128, 172])],
)
def test_crops_cover_a_side(size: int, origins: list[int]) -> None:
    assert crop_origins(size) == origins


def test_a_bundle_carries_it_or_not(fitted: Oddity, tmp_path: Path) -> None:
    assert Bundle(tmp_path, {}, "key", {}).oddity is None
    carried = Bundle(tmp_path, {"oddity": fitted.to_json()}, "key", {}).oddity
    assert carried is not None
    assert carried.to_json() == fitted.to_json()


@pytest.mark.parametrize("factor", [1.0, 0.02])
def test_the_runtime_tells_triage_the_share(fitted: Oddity, tmp_path: Path, factor: float) -> None:
    # Eight crops: of fewer nothing is told.
    image = np.concatenate([crop(214), crop(215)] * 4, axis=1)
    samples = np.rint(np.clip(image * factor, 0, None) / VNIR4.scale).astype(np.uint16)
    write_frame(tmp_path / "f.tif", samples.transpose(2, 0, 1))
    plain = bundle.load(BUNDLE, ["reference"])
    own = replace(plain, manifest={**plain.manifest, "oddity": fitted.to_json()})
    bare = replace(plain, manifest={k: v for k, v in plain.manifest.items() if k != "oddity"})
    with Frame(tmp_path / "f.tif", VNIR4) as frame:
        found, silent = (
            observe(Segmenter(one, Sure(), 0, 0), frame, frame.scene_id()) for one in (own, bare)
        )
    assert found.odd == (0.0 if factor == 1 else 1.0)
    assert silent.odd is None


class Sure:
    """An engine that sees clear, dry land everywhere."""

    name = "sure"
    tile_size = None

    def run(self, tile: Array, masks: Any) -> Moments:
        nothing = np.zeros(tile.shape[:2], np.float32)
        return Moments(nothing, nothing, nothing, nothing)
