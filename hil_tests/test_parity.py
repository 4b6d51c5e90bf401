from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest

from hil_tests.bench import Bench, bytes_of
from onboard.segment import classify
from onboard.uncertainty import Moments, maps

Note = Callable[[str], None]
Exact = Callable[[int], Moments]
AGREEMENT = 0.999
"""Share of mask pixels that have to agree; `floodsat verify` allows as many to differ."""
SPREAD = 0.1
"""How far the mean variance of the passes may be from the reference's, as a share of it."""
LEAST_SPREAD = 1e-6
"""Mean variance of the passes below which a chip shows nothing of them."""


def variance(moments: Moments) -> float:
    """Mean over the pixels of the variance of the passes."""
    return float(np.mean(moments.p_water_2.astype(np.float64) - moments.p_water.astype(float) ** 2))


def test_moments(bench: Bench, exact: Exact, note: Note) -> None:
    """On chips, with the same masks, every moment is the reference's within the tolerance."""
    for index, chip in enumerate(bench.chips):
        found, wanted = bench.run(chip), exact(index)
        worst = {
            name: float(np.abs(array.astype(np.float64) - getattr(wanted, name)).max())
            for name, array in found._asdict().items()
        }
        words = ", ".join(f"{name} {value:.2g}" for name, value in worst.items())
        note(f"{chip.name}: largest differences {words}")
        assert max(worst.values()) <= bench.tolerance, chip.name


def test_mask(bench: Bench, exact: Exact, note: Note) -> None:
    """On chips the mask is the reference's."""
    same = pixels = 0
    seen = set()
    for index, chip in enumerate(bench.chips):
        found, wanted = (
            classify(maps(moments), chip.valid, bench.bundle.balanced)[chip.valid]
            for moments in (bench.run(chip), exact(index))
        )
        same += int(np.count_nonzero(found == wanted))
        pixels += found.size
        seen |= set(np.unique(wanted).tolist())
    assert len(seen) > 1, "the chips hold one class only; agreement would say nothing"
    bench.record.agreement = same / pixels
    note(f"{pixels - same} of {pixels} pixels differ")
    assert bench.record.agreement >= AGREEMENT


def test_passes_differ(bench: Bench, exact: Exact, note: Note) -> None:
    """The passes differ from each other, and together they have the reference's moments."""
    chip = bench.chips[0]
    drawn = bench.masks(chip, bench.chunk)
    each = []
    for index in range(bench.chunk):
        own = {site: mask[index : index + 1] for site, mask in drawn.items()}
        each.append(bench.engine().run(chip.tile, own).p_water.astype(np.float64))
    assert len({array.tobytes() for array in each}) == bench.chunk
    wanted = exact(0)
    assert variance(wanted) > LEAST_SPREAD
    together, alone = bench.run(chip), np.stack(each)
    note(f"mean variance {variance(together):.4g}, the reference's {variance(wanted):.4g}")
    assert np.abs(alone.mean(0) - together.p_water).max() <= bench.tolerance
    assert np.abs(alone.mean(0) - wanted.p_water).max() <= bench.tolerance
    assert np.abs((alone**2).mean(0) - wanted.p_water_2).max() <= bench.tolerance
    assert variance(together) == pytest.approx(variance(wanted), rel=SPREAD)
    assert float(alone.var(0).mean()) == pytest.approx(variance(wanted), rel=SPREAD)


def test_other_masks_give_other_moments(bench: Bench) -> None:
    """Masks reach the device: other ones give other moments."""
    chip = bench.chips[0]
    other = bench.masks(chip._replace(scene_id=bytes(32)), bench.chunk)
    first, second = bench.run(chip), bench.engine().run(chip.tile, other)
    assert bytes_of(first) != bytes_of(second)
    assert not np.array_equal(first.p_water, second.p_water)
    np.testing.assert_array_equal(first.p_cloud, second.p_cloud)


def test_determinism(bench: Bench, note: Note) -> None:
    """The same masks give the same bytes, every time."""
    chip = bench.chips[0]
    digests = set()
    for _ in range(bench.counts.same):
        digests.add(hashlib.sha256(bytes_of(bench.run(chip))).hexdigest())
        assert len(digests) == 1
    note(f"{bench.counts.same} times SHA-256 {digests.pop()}")
