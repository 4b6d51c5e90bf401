from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from onboard import bundle, masks
from onboard.errors import ConfigError
from onboard.mirror import mirror
from onboard.network import Network
from onboard.uncertainty import Maps, Moments, combine, maps
from tests.onboard.test_engines import random_weights
from tests.samples import BUNDLE, CHIPS, ROOT
from tests.training.operations import operations
from training import quantise, scores, tflite_model
from training.chips import UNKNOWN, ChipFolder
from training.kept import KeptChip
from training.splits import split_ids

FLIGHT = ROOT / ".venv-flight" / "bin" / "python"
SMALL = Network(bands=2, widths=(3, 4, 5))
SIZE = 2 * SMALL.halo + 2 * SMALL.stride
PASSES = 10
NUMBERS = {"FLOAT32", "FLOAT16", "INT8"}


def small_model(passes: int) -> Any:
    weights = {k: v.astype(np.float32) for k, v in random_weights(SMALL, 3).items()}
    return tflite_model.build(SMALL, weights, passes, SIZE)


def noise(count: int, side: int, bands: int) -> list[KeptChip]:
    rng = np.random.default_rng(7)
    unknown = np.full((side, side), UNKNOWN, np.uint8)
    images = rng.normal(size=(count, side, side, bands)).astype(np.float32)
    return [KeptChip(f"noise/{i}", image, unknown, unknown) for i, image in enumerate(images)]


def small_int8(passes: int) -> bytes:
    return quantise.int8(small_model(passes), SMALL, noise(5, 32, SMALL.bands), SIZE)


def runner(content: bytes) -> Any:
    model = Interpreter(model_content=content, num_threads=1)
    model.allocate_tensors()
    return model.get_signature_runner()


def call(content: bytes, tile: Any, drawn: masks.Masks) -> Moments:
    given = {f"mask_{name}": mask for name, mask in drawn.items()}
    out = runner(content)(tile=tile[None].astype(np.float32), **given)
    return Moments(*(out[name][0, ..., 0] for name in Moments._fields))


@pytest.mark.parametrize("passes", [1, 3, 10])
def test_the_trunk_computes_in_8_bits_and_nothing_else_does(passes: int) -> None:
    found = operations(small_int8(passes))
    trunk = [op for op in found if "INT8" in op.reads and op.kind == "CONV_2D"]
    # Two in every block of the encoder; the deep, the skip and the last one in the decoder's.
    assert len(trunk) == 2 * (SMALL.depth + 1) + 3 * SMALL.depth
    assert all(op.reads == ("INT8", "INT8", "INT32") and op.gives == "INT8" for op in trunk)
    assert not [op for op in trunk if "head" in op.name]
    # One way in for the tile, and no way back in for anything else.
    assert [op.reads for op in found if op.kind == "QUANTIZE"] == [("FLOAT32",)]
    moves = {"MAX_POOL_2D", "STRIDED_SLICE", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "ADD"}
    moves |= {"QUANTIZE", "DEQUANTIZE"}
    for op in found:
        if op not in trunk and op.kind not in moves:
            assert NUMBERS & {*op.reads, op.gives} == {"FLOAT32"}, op
    after = found[max(i for i, op in enumerate(found) if "INT8" in op.reads) + 1 :]
    assert {"LOGISTIC", "LOG", "SUB"} <= {op.kind for op in after}


@pytest.mark.parametrize("passes", [1, 3, 10])
def test_heads_masks_and_corrections_read_float32(passes: int) -> None:
    found = operations(small_int8(passes))
    heads = [op for op in found if "head_" in op.name and op.kind == "CONV_2D"]
    assert len(heads) == 2
    assert all(op.reads == ("FLOAT32",) * 3 for op in heads)
    masked = [op for op in found if op.kind == "MUL" and op.reads == ("FLOAT32",) * 2]
    assert len(masked) >= len(SMALL.sites)
    model = Interpreter(model_content=small_int8(passes))
    for detail in (*model.get_input_details(), *model.get_output_details()):
        assert detail["dtype"] is np.float32, detail["name"]


def test_every_output_channel_of_a_kernel_has_its_own_scale() -> None:
    model = Interpreter(model_content=small_int8(1))
    kernels = [
        d
        for d in model.get_tensor_details()
        if d["dtype"] is np.int8 and d["quantization_parameters"]["scales"].size > 1
    ]
    assert len(kernels) == 2 * (SMALL.depth + 1) + 3 * SMALL.depth
    for detail in kernels:
        assert detail["quantization_parameters"]["scales"].shape == (detail["shape"][0],)
        assert set(detail["quantization_parameters"]["zero_points"]) == {0}


def test_float16_halves_the_kernels_of_the_trunk_only() -> None:
    model = small_model(3)
    half = operations(quantise.float16(model))
    full = operations(tflite_model.convert(model))
    widened = [op for op in half if "FLOAT16" in op.reads]
    assert len(widened) == 2 * (SMALL.depth + 1) + 3 * SMALL.depth
    assert {(op.kind, op.gives) for op in widened} == {("DEQUANTIZE", "FLOAT32")}
    assert [op for op in half if op not in widened] == full


def test_float16_computes_nearly_the_same() -> None:
    model, tile = small_model(3), noise(1, SIZE, SMALL.bands)[0].tile
    drawn = masks.draw(SMALL, 5, bytes(32), bytes(32), range(3))
    full = call(tflite_model.convert(model), tile, drawn)
    half = call(quantise.float16(model), tile, drawn)
    for name, array in half._asdict().items():
        difference = np.abs(array - getattr(full, name)).max()
        assert 0 < difference < 2e-3, name


def test_float16_of_kernels_that_are_equal() -> None:
    """The converter stores equal tensors once."""
    weights = {k: np.ones_like(v, np.float32) for k, v in random_weights(SMALL, 3).items()}
    model = tflite_model.build(SMALL, weights, 2, SIZE)
    tile, drawn = np.zeros((SIZE, SIZE, SMALL.bands)), masks.ones(SMALL, 2)
    full = call(tflite_model.convert(model), tile, drawn)
    half = call(quantise.float16(model), tile, drawn)
    for name, array in half._asdict().items():
        assert np.abs(array - getattr(full, name)).max() < 1e-3, name


def test_without_chips_there_are_no_ranges() -> None:
    with pytest.raises(ConfigError, match="tflite-int8: the run keeps no representative chips"):
        quantise.int8(small_model(1), SMALL, [], SIZE)


def test_the_same_bytes_in_every_process() -> None:
    code = (
        "import hashlib; from tests.training import test_quantise as t; "
        "made = (t.small_int8(2), t.quantise.float16(t.small_model(2))); "
        "print(*(hashlib.sha256(content).hexdigest() for content in made))"
    )
    made = (small_int8(2), quantise.float16(small_model(2)))
    found = [hashlib.sha256(content).hexdigest() for content in made]
    environment = {**os.environ, "PYTHONHASHSEED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert said.stdout.decode().split() == found
    assert (small_int8(2), quantise.float16(small_model(2))) == made


def test_one_pass_and_many_share_their_trunk() -> None:
    """Ranges depend on the chips only, so that p_cloud is the same in both files."""
    tile = noise(1, SIZE, SMALL.bands)[0].tile
    one = call(small_int8(1), tile, masks.ones(SMALL, 1))
    three = call(small_int8(3), tile, masks.ones(SMALL, 3))
    assert np.array_equal(one.p_cloud, three.p_cloud)
    assert np.abs(one.p_water - three.p_water).max() <= 1e-6


@pytest.mark.parametrize(("side", "size", "count"), [(4, 12, 3), (5, 12, 2), (12, 12, 1)])
def test_mosaics_hold_whole_chips_side_by_side(side: int, size: int, count: int) -> None:
    chips = [chip.tile for chip in noise(count * (size // side) ** 2, side, 2)]
    found = list(quantise.mosaics(chips, size))
    assert [mosaic.shape for mosaic in found] == [(size, size, 2)] * count
    per = size // side
    cell = -(-size // per)
    pad = (cell - side) // 2
    for i, chip in enumerate(chips):
        row, col = divmod(i % per**2, per)
        top, left = row * cell + pad, col * cell + pad
        assert np.array_equal(found[i // per**2][top : top + side, left : left + side], chip)


def test_a_mosaic_mirrors_fills_up_and_takes_the_middle() -> None:
    chips = [chip.tile for chip in noise(3, 4, 1)]
    (full,) = quantise.mosaics(chips, 8)
    assert np.array_equal(full[4:, 4:], chips[0])
    (wider,) = quantise.mosaics(chips[:1], 6)
    assert np.array_equal(wider, chips[0][np.ix_(mirror(-1, 6, 4), mirror(-1, 6, 4))])
    (middle,) = quantise.mosaics(chips[:1], 2)
    assert np.array_equal(middle, chips[0][1:3, 1:3])


@pytest.fixture(scope="module")
def shipped() -> bundle.Bundle:
    return bundle.load(BUNDLE, ["reference"])


def size_for(shipped: bundle.Bundle, side: int) -> int:
    return side + 2 * shipped.network.halo


def kept(shipped: bundle.Bundle, folder: ChipFolder, ids: Sequence[str]) -> list[KeptChip]:
    found = []
    for chip in (folder.read(i, shipped.sensor) for i in ids):
        tile = shipped.normalisation.apply(chip.reflectance, np.ones(chip.water.shape, bool))
        found.append(KeptChip(f"{folder.name}/{chip.id}", tile, chip.water, chip.cloud))
    return found


def generated(shipped: bundle.Bundle) -> tuple[list[KeptChip], list[KeptChip]]:
    folder = ChipFolder.open(CHIPS)
    chips = kept(shipped, folder, folder.ids)
    return chips[::2], chips[1::2]


def real(shipped: bundle.Bundle, data_folder: Path) -> tuple[list[KeptChip], list[KeptChip]]:
    folder = ChipFolder.open(data_folder / "dfc24")
    train, calibration = (split_ids(folder, split) for split in ("train", "calibration"))
    return kept(shipped, folder, train[::4]), kept(shipped, folder, calibration)


def look(shipped: bundle.Bundle, content: bytes, chips: Sequence[KeptChip]) -> Maps:
    """Maps of all chips ``(N, H, W)``, 30 passes."""
    side, run = len(chips[0].tile), runner(content)
    around = mirror(-shipped.network.halo, size_for(shipped, side), side)
    drawn = masks.draw(shipped.network, 3, shipped.model_id, bytes(32), range(3 * PASSES))
    found = []
    for chip in chips:
        parts = []
        for start in range(0, 3 * PASSES, PASSES):
            given = {f"mask_{k}": v[start : start + PASSES] for k, v in drawn.items()}
            out = run(tile=chip.tile[np.ix_(around, around)][None], **given)
            parts.append((PASSES, Moments(*(out[f][0, ..., 0].copy() for f in Moments._fields))))
        found.append(combine(parts))
    return maps(Moments(*(np.stack(arrays) for arrays in zip(*found, strict=True))))


def figures(shipped: bundle.Bundle, found: Maps, chips: Sequence[KeptChip]) -> Any:
    """Water IoU, expected calibration error and error AUROC by entropy."""
    water = np.stack([chip.water for chip in chips])
    known = water != UNKNOWN
    true, p = water[known] == 1, found.p_water[known]
    said = p >= shipped.balanced.water
    return np.array(
        [
            scores.iou(said, true),
            scores.calibration_error(p, true),
            scores.auroc(found.entropy[known], said != true),
        ]
    )


def correlation(a: Any, b: Any) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def models(
    shipped: bundle.Bundle, representative: list[KeptChip], passes: int = PASSES
) -> dict[str, bytes]:
    size = size_for(shipped, len(representative[0].tile))
    model = tflite_model.build(shipped.network, shipped.weights(), passes, size)
    return {
        "float32": tflite_model.convert(model),
        "float16": quantise.float16(model),
        "int8": quantise.int8(model, shipped.network, representative, size),
    }


@pytest.fixture(scope="module")
def made(shipped: bundle.Bundle) -> dict[str, bytes]:
    return models(shipped, generated(shipped)[0])


def as_good(shipped: bundle.Bundle, made: dict[str, bytes], judged: list[KeptChip]) -> None:
    found = {name: look(shipped, content, judged) for name, content in made.items()}
    wanted = figures(shipped, found["float32"], judged)
    for name in ("int8", "float16"):
        difference = np.abs(figures(shipped, found[name], judged) - wanted)
        assert (difference <= [0.005, 0.005, 0.01]).all(), (name, difference)
        assert correlation(found[name].epistemic, found["float32"].epistemic) >= 0.95, name


def test_quantised_files_are_as_good(shipped: bundle.Bundle, made: dict[str, bytes]) -> None:
    as_good(shipped, made, generated(shipped)[1])


def test_quantised_files_are_as_good_on_real_chips(
    shipped: bundle.Bundle, data_folder: Path
) -> None:
    representative, judged = real(shipped, data_folder)
    as_good(shipped, models(shipped, representative), judged)


def test_what_is_brighter_than_the_chips_does_not_saturate(shipped: bundle.Bundle) -> None:
    first, second = generated(shipped)
    clear = [chip for chip in first + second if not (chip.cloud == 1).any()]
    assert clear
    fade = np.linspace(0, 1, len(clear[0].tile), dtype=np.float32)[None, :, None]
    # Reflectance of about 1.2, as of cloud tops in the sun.
    bright = [chip._replace(tile=chip.tile + fade * (6.5 - chip.tile)) for chip in clear]
    made = models(shipped, clear)
    full, small = (look(shipped, made[name], bright) for name in ("float32", "int8"))
    assert np.abs(full.p_cloud - small.p_cloud).mean() <= 0.01
    assert correlation(full.epistemic, small.epistemic) >= 0.95


@pytest.mark.parametrize("name", ["float16", "int8"])
def test_equal_masks_leave_nothing_unknown(
    shipped: bundle.Bundle, made: dict[str, bytes], name: str
) -> None:
    """No rounding gets between the passes and their means."""
    _, judged = generated(shipped)
    one = masks.draw(shipped.network, 1, shipped.model_id, bytes(32), [4])
    same = {site: np.repeat(mask, PASSES, axis=0) for site, mask in one.items()}
    around = mirror(-shipped.network.halo, size_for(shipped, 128), 128)
    tile = judged[0].tile[np.ix_(around, around)]
    assert maps(call(made[name], tile, same)).epistemic.max() <= 1e-5


def test_both_int8_files_fit_the_uplink(shipped: bundle.Bundle, made: dict[str, bytes]) -> None:
    single = models(shipped, generated(shipped)[0], 1)
    # Half a megabyte, less what the manifest and its signature may take.
    assert len(single["int8"]) + len(made["int8"]) <= 480_000


@pytest.mark.skipif(not FLIGHT.is_file(), reason="no flight environment: make flight-env")
@pytest.mark.parametrize("name", ["float16", "int8"])
def test_the_flight_runtime_says_the_same(
    shipped: bundle.Bundle, made: dict[str, bytes], name: str, tmp_path: Path
) -> None:
    content, (_, judged) = made[name], generated(shipped)
    (tmp_path / "model.tflite").write_bytes(content)
    around = mirror(-shipped.network.halo, size_for(shipped, 128), 128)
    tile = judged[0].tile[np.ix_(around, around)]
    drawn = masks.draw(shipped.network, 3, shipped.model_id, bytes(32), range(PASSES))
    given = {f"mask_{site}": mask for site, mask in drawn.items()}
    np.savez(tmp_path / "in.npz", tile=tile[None], **given)
    code = (
        "import numpy as np; from tflite_runtime.interpreter import Interpreter; "
        "model = Interpreter('model.tflite'); model.allocate_tensors(); "
        "np.savez('out.npz', **model.get_signature_runner()(**np.load('in.npz')))"
    )
    subprocess.run([str(FLIGHT), "-c", code], cwd=tmp_path, check=True, capture_output=True)
    found, wanted = np.load(tmp_path / "out.npz"), call(content, tile, drawn)
    for part, array in wanted._asdict().items():
        # Two runtimes may round an activation to neighbouring steps.
        difference = np.abs(found[part][0, ..., 0] - array)
        assert difference.mean() <= 1e-3, part
        assert difference.max() <= 0.05, part
