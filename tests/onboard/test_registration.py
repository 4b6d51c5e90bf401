"""Band registration on frames whose shift is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from onboard.registration import (
    MARGIN,
    Found,
    Peak,
    agree,
    margin_of,
    measure,
    patches_of,
    peak_of,
    resample,
)
from tests.samples import crop

FINER = 4
"""Ground is shifted by whole pixels on a grid so much finer, then averaged: no interpolation of
ours takes part in making the truth."""


def coarsened(plane: Any, by: int) -> Any:
    height, width = (n // by * by for n in plane.shape)
    parts = plane[:height, :width].reshape(height // by, by, width // by, by)
    return parts.mean(axis=(1, 3))


def fractal(side: int, seed: int) -> Any:
    """Ground with structure at every scale, mean 0 and spread 1, float64 ``(side, side)``."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((side, side))) / np.maximum(f, 0.01)).real
    return (field - field.mean()) / field.std()


def pair(shift: tuple[int, int], seed: int = 0, noise: float = 0.02) -> tuple[Any, Any]:
    """A reference and a band whose content lies off by ``shift`` quarters of a pixel.

    The band's contrast is turned round over half of the ground, as between water and vegetation.
    """
    side = (128 + 2 * MARGIN) * FINER
    pad = 10 * FINER
    ground = fractal(side + 2 * pad, seed)
    turned = np.where(fractal(side + 2 * pad, seed + 1000) > 0, ground, -ground)
    reference = coarsened(ground[pad:-pad, pad:-pad], FINER)
    row, col = pad - shift[0], pad - shift[1]
    band = coarsened(turned[row : row + side, col : col + side], FINER)
    rng = np.random.default_rng(seed)
    spoilt = [p + noise * rng.standard_normal(p.shape) for p in (reference, band)]
    return spoilt[0], spoilt[1]


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, -2), (3, 5), (-7, 12), (12, -12), (-30, 26)])
def test_a_known_shift_is_found_though_contrast_turns_round(shift: tuple[int, int]) -> None:
    errors = []
    for seed in range(3):
        found = peak_of(*pair(shift, seed))
        assert found.height > 0.2
        errors.append(np.hypot(found.rows - shift[0] / FINER, found.cols - shift[1] / FINER))
    assert max(errors) < 0.15


def test_noise_alone_has_no_peak() -> None:
    rng = np.random.default_rng(0)
    heights = [peak_of(*rng.standard_normal((2, 144, 144))).height for _ in range(40)]
    # What `MIN_PEAK` must keep out.
    assert max(heights) < 0.08


def frame_of(planes: Any, valid: Any = None) -> Any:
    def look(row: int, col: int, height: int, width: int) -> Any:
        at = slice(row, row + height), slice(col, col + width)
        flags = np.ones(planes.shape[1:], bool) if valid is None else valid
        return planes[(slice(None), *at)], flags[at]

    return look


def test_a_frame_of_which_half_is_cloud(tmp_path: Path) -> None:
    ground = fractal(512, 5)
    band = np.roll(ground, (2, -1), (0, 1))
    band[:, :250] = np.random.default_rng(1).standard_normal((512, 250))
    planes = np.stack([ground, band])
    zero, found = measure(frame_of(planes), (512, 512), 2, 0, 3.0)
    assert zero.found is Found.ALIGNED
    assert found.found is Found.SHIFTED
    assert found.correction == pytest.approx((2.0, -1.0), abs=0.05)


def test_patches_with_missing_data_are_passed_over() -> None:
    """The rim of a nodata wedge stands still while the ground moves."""
    ground = fractal(512, 6)
    planes = np.stack([ground, np.roll(ground, (0, 2), (0, 1))])
    valid = np.ones((512, 512), bool)
    valid[:, 350:] = False
    planes[:, :, 350:] = 0
    _, found = measure(frame_of(planes, valid), (512, 512), 2, 0, 3.0)
    assert found.correction == pytest.approx((0.0, 2.0), abs=0.05)
    _, found = measure(frame_of(planes, np.zeros((512, 512), bool)), (512, 512), 2, 0, 3.0)
    assert found.found is Found.UNSURE
    assert found.correction == (0.0, 0.0)


@pytest.mark.parametrize(
    ("peaks", "found"),
    [
        ([Peak(1.0, 1.0, 0.5)] * 3, Found.SHIFTED),
        ([Peak(1.0, 1.0, 0.5)] * 2, Found.UNSURE),  # too few
        ([Peak(1.0, 1.0, 0.05)] * 9, Found.UNSURE),  # too faint
        ([Peak(0.05, -0.05, 0.5)] * 3, Found.ALIGNED),
        # A quarter of a pixel that the patches do not agree upon is no shift.
        ([Peak(0.25 + d, 0.0, 0.5) for d in (-0.3, -0.3, 0.0, 0.0, 0.3, 0.3)], Found.ALIGNED),
        ([Peak(3.0, 0.0, 0.5)] * 3, Found.SHIFTED),
        ([Peak(3.01, 0.0, 0.5)] * 3, Found.TOO_FAR),
        ([Peak(1.0, 0.0, 0.5)] * 4 + [Peak(-6.0, 7.0, 0.5)] * 2, Found.SHIFTED),
        ([Peak(i * 1.5, 0.0, 0.5) for i in range(9)], Found.UNSURE),  # no two agree
    ],
)
def test_when_patches_agree(peaks: Any, found: Found) -> None:
    assert agree(peaks, 3.0).found is found


def test_patches_cover_a_frame_and_stay_within() -> None:
    for size in ((3000, 4000), (512, 512), (288, 288), (200, 180), (96, 100), (50, 300)):
        side, places = patches_of(size)
        full = side + 2 * MARGIN
        assert len(places) >= 3
        for row, col in places:
            assert 0 <= row <= size[0] - full
            assert 0 <= col <= size[1] - full
    assert len(patches_of((3000, 4000))[1]) == 25
    assert patches_of((40, 4000))[1] == []
    assert patches_of((90, 90))[1] == []


@given(
    shift=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_resampling_reproduces_a_plane_anywhere(
    shift: tuple[float, float], size: tuple[int, int]
) -> None:
    margin = margin_of([shift])
    rows, cols = np.mgrid[0 : size[0] + 2 * margin, 0 : size[1] + 2 * margin].astype(np.float32)
    plane = 3 + rows * np.float32(0.5) - cols * np.float32(0.25)
    found, valid = resample(plane, np.ones(plane.shape, bool), shift, margin)
    inner = plane[margin : margin + size[0], margin : margin + size[1]]
    assert valid.all()
    np.testing.assert_allclose(found, inner + 0.5 * shift[0] - 0.25 * shift[1], atol=2e-5)


def test_resampling_uses_no_missing_sample() -> None:
    plane = np.ones((20, 20), np.float32)
    valid = np.ones((20, 20), bool)
    plane[10, 10], valid[10, 10] = np.nan, False
    found, good = resample(plane, valid, (0.5, 0.0), 5)
    assert np.argwhere(~good).tolist() == [[r, 5] for r in (3, 4, 5, 6)]
    assert np.isfinite(found[good]).all()


def test_a_zero_shift_changes_nothing() -> None:
    plane = np.random.default_rng(0).standard_normal((12, 12)).astype(np.float32)
    found, _ = resample(plane, np.ones(plane.shape, bool), (0.0, 0.0), 2)
    np.testing.assert_array_equal(found, plane[2:-2, 2:-2])
    assert margin_of([(0.0, 0.0), (0.0, 0.0)]) == 0


def test_the_committed_frame() -> None:
    """Shifts of every quarter pixel on generated ground, between all bands and red."""
    errors = []
    for row, col, shift in ((40, 60, (1, -3)), (300, 240, (5, 2)), (180, 350, (-6, 7))):
        side, by = (128 + 2 * MARGIN) * 2, 2
        planes = crop(side + 40, side + 40, row, col).astype(np.float64)
        reference = coarsened(planes[2, 20:-20, 20:-20], by)
        for band in (0, 1, 3):
            cut = planes[band, 20 - shift[0] :, 20 - shift[1] :][:side, :side]
            found = peak_of(reference, coarsened(cut, by))
            errors.append(np.hypot(found.rows - shift[0] / by, found.cols - shift[1] / by))
    assert max(errors) < 0.15


def real_planes(path: Path) -> Any:
    with rasterio.open(str(path)) as data:
        return data.read([1, 2, 3, 4]).astype(np.float64)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_real_scenes_with_known_shifts(data_folder: Path) -> None:
    """Landsat and Sentinel-2 bands against red, moved by whole pixels and then coarsened.

    What the bands lie off by themselves is measured first and counts as no error.
    """
    files = sorted((data_folder / "clouds" / "images").glob("*.tif"))
    files += sorted((data_folder / "scenes").glob("*.tif"))
    rng = np.random.default_rng(1)
    by, side = 2, (128 + 2 * MARGIN) * 2
    errors = []
    for path in files:
        planes = real_planes(path)
        height, width = planes.shape[1:]
        if min(height, width) < side + 24:
            continue
        for _ in range(4):
            row = int(rng.integers(12, height - side - 12))
            col = int(rng.integers(12, width - side - 12))
            down, right = (int(v) for v in rng.integers(-7, 8, 2))
            part = planes[:, row - 8 : row + side + 8, col - 8 : col + side + 8]
            if (part == 0).all(axis=0).any():
                continue
            reference = coarsened(planes[2, row : row + side, col : col + side], by)
            for band in (0, 1, 3):
                own, moved = (
                    peak_of(
                        reference,
                        coarsened(planes[band, row - a : row - a + side, col - b :][:, :side], by),
                    )
                    for a, b in ((0, 0), (down, right))
                )
                error = (moved.rows - own.rows - down / by, moved.cols - own.cols - right / by)
                errors.append(float(np.hypot(*error)))
    assert len(errors) >= 30
    # docs/frames.md says these.
    print(f"{len(errors)} pairs, median {np.median(errors):.3f} px, max {max(errors):.3f} px")
    assert np.median(errors) < 0.03
    assert np.percentile(errors, 90) < 0.1
