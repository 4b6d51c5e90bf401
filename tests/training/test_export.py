from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import bundle, engines, golden, masks
from onboard.engines import reference
from onboard.errors import ConfigError, FloodsatError, OutputError
from onboard.network import Network
from onboard.sensor import VNIR4, Sensor
from tests.samples import DEMO_KEY
from tests.training.runs import WIDTHS, finished_run, random_weights, record
from training import export, targets
from training.card import default_card, read_card
from training.config import MAX_LEVELS

QUICK = ("tflite", "reference")
SETS = [*QUICK, bundle.COMMON]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> export.Run:
    return export.Run.open(finished_run(tmp_path_factory.mktemp("run") / "run"))


@pytest.fixture(scope="module")
def small_tiles() -> Any:
    """Converting is quicker for them, and nothing else changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "TILE", 160)
        patch.setattr(export, "CHUNK", 3)
        patch.setattr(targets, "CHUNK", 3)
        yield


@pytest.fixture(scope="module")
def made(run: export.Run, small_tiles: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "bundle"
    export.export(run, out, DEMO_KEY, "small", 3, "# A card", QUICK)
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_bundle_says_what_was_trained(made: Path, run: export.Run) -> None:
    found = bundle.load(made, SETS)
    assert (found.name, found.version, found.sensor) == ("small", 3, VNIR4)
    assert found.network == run.network
    assert found.normalisation.to_json() == run.record["normalisation"]
    assert (found.balanced.water, found.sensitive.water) == (0.4, 0.2)
    assert found.balanced.cloud == found.sensitive.cloud == 0.6
    assert found.model_id == bundle.weights_id(found.weights())
    assert found.manifest["provenance"]["config"] == run.record["config"]
    assert (made / bundle.CARD).read_text("utf-8") == "# A card"


@pytest.mark.parametrize("name", ["tflite", "reference"])
def test_the_golden_tile_passes(made: Path, name: str) -> None:
    found = bundle.load(made, [name, bundle.COMMON])
    assert golden.check(found, engines.load(name, found), name) <= golden.TOLERANCE[name]
    expected = found.golden()
    mean, square = (expected[f"{name}/{part}"] for part in ("p_water", "p_water_2"))
    assert np.ptp(mean) > 0.05
    assert (square > mean**2 + 1e-6).any()
    # Each engine has its own, and no two engines are far apart.
    other = expected["reference/p_water"]
    assert (name == "reference") == np.array_equal(mean, other)
    np.testing.assert_allclose(mean, other, atol=1e-5)


def test_the_same_run_gives_the_same_bytes(made: Path, run: export.Run, tmp_path: Path) -> None:
    out = tmp_path / "again"
    steps: list[str] = []
    export.export(run, out, DEMO_KEY, "small", 3, "# A card", QUICK, on_target=steps.append)
    assert content(out) == content(made)
    assert steps == ["tflite", "reference", "tflite: parity", "golden tile"]
    assert [p.name for p in tmp_path.iterdir()] == ["again"], "nothing lies about"


def test_an_uplink_set_verifies_alone(made: Path, tmp_path: Path) -> None:
    for name, others in (("tflite", "reference"), ("reference", "tflite")):
        part = Path(shutil.copytree(made, tmp_path / name))
        shutil.rmtree(part / others)
        found = bundle.load(part, [name, bundle.COMMON])
        golden.check(found, engines.load(name, found), name)


def test_one_target_alone(run: export.Run, tmp_path: Path) -> None:
    out = tmp_path / "b"
    export.export(run, out, DEMO_KEY, "small", 1, "", targets=("reference",))
    assert set(bundle.load(out, ["reference"]).sets) == {"reference", bundle.COMMON}
    first = content(out)
    export.export(run, out, DEMO_KEY, "small", 2, "", targets=("reference",))
    assert bundle.load(out, ["reference"]).version == 2, "a bundle may be replaced"
    assert set(content(out)) == set(first)


def test_folding_the_temperature_divides_the_water_logits() -> None:
    network, weights = Network(4, WIDTHS, 0.2), random_weights(3)
    tile = np.random.default_rng(0).normal(0, 1, (16, 24, 4))
    drawn = masks.draw(network, 1, b"m" * 32, b"s" * 32, range(3))

    def logits(given: dict[str, Any]) -> tuple[Any, Any]:
        base, features = reference.trunk(network, given, tile)
        return np.stack(reference.water_logits(network, given, base, features, drawn)), base[..., 1]

    plain, folded = logits(weights), logits(export.tempered(weights, 1.7))
    np.testing.assert_allclose(folded[0], plain[0] / 1.7, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(folded[1], plain[1])
    assert np.abs(plain[0]).max() > 0.1


def test_a_temperature_of_one_changes_nothing() -> None:
    weights = random_weights()
    same = export.tempered(weights, 1.0)
    assert bundle.weights_id(same) == bundle.weights_id(weights)


@pytest.mark.parametrize("bands", [("blue", "green", "red", "nir"), ("red",), ("x",) * 13])
def test_the_golden_image_walks_through_dark_and_bright(bands: tuple[str, ...]) -> None:
    sensor = Sensor("s", bands)
    image = export.golden_image(sensor)
    assert image.dtype == np.uint16
    assert image.shape == (golden.SIDE, golden.SIDE, len(bands))
    np.testing.assert_array_equal(image, export.golden_image(sensor))
    reflectance = image * golden.SCALE
    assert reflectance.min() < 0.06
    assert reflectance.max() > 0.55


def test_the_deepest_network_still_fits_the_tile() -> None:
    halo = [Network(widths=(1,) * levels).halo for levels in (MAX_LEVELS, MAX_LEVELS + 1)]
    assert 2 * halo[0] < 512 <= 2 * halo[1]


def test_a_card_of_what_the_run_knows(run: export.Run, tmp_path: Path) -> None:
    card = default_card(run, "small")
    for word in ("# Model card: small", "blue, green, red, nir", "1.25", "nothing: 0 chips"):
        assert word in card
    with pytest.raises(ConfigError, match="cannot be read as a model card"):
        read_card(tmp_path / "none.md")


def drop_weights(folder: Path) -> None:
    (folder / "weights.npz").unlink()


def halve_weights(folder: Path) -> None:
    data = (folder / "weights.npz").read_bytes()
    (folder / "weights.npz").write_bytes(data[: len(data) // 2])


def empty_weights(folder: Path) -> None:
    (folder / "weights.npz").write_bytes(b"")


def break_record(folder: Path) -> None:
    (folder / "run.json").write_text("{", "utf-8")


def unfinished(folder: Path) -> None:
    rest = {k: v for k, v in record().items() if k not in ("calibration", "final")}
    (folder / "run.json").write_text(json.dumps(rest), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (drop_weights, "is no finished run"),
        (shutil.rmtree, "is no finished run"),
        (unfinished, "the run has no calibration; train it to its end"),
        (halve_weights, "the run is damaged"),
        (empty_weights, "the run is damaged"),
        (break_record, "the run is damaged"),
    ],
)
def test_a_run_that_cannot_be_exported(tmp_path: Path, spoil: Any, words: str) -> None:
    folder = finished_run(tmp_path / "run")
    spoil(folder)
    with pytest.raises(ConfigError, match=words) as caught:
        export.Run.open(folder)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


def refused(run: export.Run, out: Path, key: Path, words: str) -> None:
    """It is refused before anything is made."""
    begun: list[str] = []
    with pytest.raises(FloodsatError, match=words) as caught:
        export.export(run, out, key, "small", 1, "", on_target=begun.append)
    assert "\n" not in str(caught.value)
    assert begun == []


def test_a_missing_key(run: export.Run, tmp_path: Path) -> None:
    refused(run, tmp_path / "b", tmp_path / "no.key", "no.key: is no readable private key")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way(run: export.Run, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine", "utf-8")
    refused(run, tmp_path / "b", DEMO_KEY, "is a file; name a folder")
    refused(run, tmp_path / "b" / "c", DEMO_KEY, "cannot write there")
    assert content(tmp_path) == {"b": b"mine"}


def test_a_folder_of_something_else_is_never_replaced(run: export.Run, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("mine", "utf-8")
    refused(run, tmp_path / "b", DEMO_KEY, "holds other files; choose an empty or a new folder")
    assert content(tmp_path) == {"b/thesis.txt": b"mine"}


def test_a_failure_leaves_the_old_bundle(
    run: export.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "b"
    export.export(run, out, DEMO_KEY, "small", 1, "", targets=("reference",))
    before = content(tmp_path)

    def fail(manifest: bytes, key: object) -> bytes:
        raise OutputError("the disk is full")

    monkeypatch.setattr("onboard.signing.sign", fail)
    with pytest.raises(OutputError, match="full"):
        export.export(run, out, DEMO_KEY, "small", 2, "", targets=("reference",))
    assert content(tmp_path) == before
