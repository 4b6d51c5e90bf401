from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from onboard.errors import ConfigError, DatasetError, OutputError
from onboard.network import Network
from onboard.normalise import Normalisation
from onboard.sensor import VNIR4
from tests.samples import CHIPS
from tests.training.chipsets import copied_samples, small_folder, write_chip
from training import fit
from training.chips import ChipFolder
from training.config import TrainConfig
from training.fit import Epoch
from training.splits import split_ids
from training.stream import ChipRef, TrainingStream, measure_normalisation

TINY = TrainConfig(epochs=2, batch_size=4, crop=64, widths=(2, 3, 3))
LEARNED = dataclasses.replace(
    TINY, learned_weights=True, learned_dropout=True, length_scale=1.0, weight_decay=0.0
)
FILES = ["checkpoint.npz", "config.toml", "curves.png", "held.npz", "history.csv"]
FILES += ["representative.npz", "run.json", "tensorboard", "weights.npz"]

pytestmark = pytest.mark.usefixtures("few_skies")


class StopError(Exception):
    pass


class Spy(TrainingStream):
    """Notes which batches of which epoch were asked for."""

    seen: ClassVar[list[tuple[int, int]]] = []

    def __getitem__(self, index: int) -> Any:
        self.seen.append((self.epoch, index))
        return super().__getitem__(index)


def stop(epoch: Epoch) -> None:
    raise StopError


def train(folder: Path, run: Path, config: TrainConfig = TINY, **callbacks: Any) -> None:
    fit.fit([ChipFolder.open(folder)], VNIR4, config, run, **callbacks)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Epoch], list[Any]]:
    """A run from start to end, with what it told."""
    run = tmp_path_factory.mktemp("whole") / "run"
    epochs: list[Epoch] = []
    steps: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "TrainingStream", Spy)
        train(CHIPS, run, on_epoch=epochs.append, on_step=lambda done, of: steps.append((done, of)))
    return run, epochs, steps


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is refused before a network is built."""

    def fail(*given: Any, **named: Any) -> None:
        pytest.fail("training began")

    monkeypatch.setattr(fit, "Trainer", fail)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def weights(run: Path) -> dict[str, Any]:
    with np.load(run / "weights.npz") as arrays:
        return dict(arrays)


def refused(kind: type[Exception], folder: Path, run: Path, *words: str) -> None:
    with pytest.raises(kind) as caught:
        train(folder, run)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_a_run_writes_what_it_found(whole: tuple[Path, list[Epoch], list[Any]]) -> None:
    run, epochs, steps = whole
    assert sorted(p.name for p in run.iterdir()) == FILES
    assert TrainConfig.read(run / "config.toml") == TINY
    record = json.loads((run / "run.json").read_text("utf-8"))
    folder = ChipFolder.open(CHIPS)
    assert record["data"] == [{"name": "synth", "sha256": folder.content_hash(), "chips": 12}]
    assert record["train_chips"] == len(split_ids(folder, "train"))
    assert record["calibration_chips"] == len(split_ids(folder, "calibration"))
    assert record["calibration"]["pixels"] > 10_000
    for point in ("balanced", "sensitive", "cloud"):
        assert 0 < record["calibration"][point] < 1
    with (run / "history.csv").open(encoding="utf-8", newline="") as lines:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]
    assert rows == [epoch.row for epoch in epochs]
    assert record["final"] == rows[-1]
    assert [(e.number, e.of) for e in epochs] == [(1, 2), (2, 2)]
    assert steps == [(1, 2), (2, 2)] * 2
    assert Spy.seen == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which rates and weights of the losses are learned too."""
    run = tmp_path_factory.mktemp("learned") / "run"
    train(CHIPS, run, LEARNED)
    return run


def test_what_is_learned_beside_the_weights_is_told(learned: Path) -> None:
    record = json.loads((learned / "run.json").read_text("utf-8"))
    rates = Network.from_json(record["network"]).rates
    assert rates is not None
    assert all(0 < rate < 1 and abs(rate - 0.2) > 1e-5 for rate in rates)
    final = record["final"]
    assert [final[f"rate_s{stride}"] for stride in (8, 4, 2)] == pytest.approx(rates, abs=1e-4)
    for name in ("water_weight", "cloud_weight"):
        assert final[name] > 0
        assert abs(final[name] - 1) > 1e-5
    assert not any("rate_logit" in name or "log_variance" in name for name in weights(learned))


def test_learned_rates_survive_an_interruption_and_a_second_calibration(
    learned: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    with pytest.raises(StopError):
        train(CHIPS, again, LEARNED, on_epoch=stop)
    for _ in range(2):
        train(CHIPS, again, LEARNED)
        assert (again / "run.json").read_bytes() == (learned / "run.json").read_bytes()


def test_the_weights_were_trained(whole: tuple[Path, list[Epoch], list[Any]]) -> None:
    run = whole[0]
    for name, array in weights(run).items():
        assert array.dtype == np.float32, name
        assert np.isfinite(array).all(), name
        if name.endswith("moving_mean"):
            assert np.abs(array).max() > 0, name
        if name.endswith(("gamma", "moving_variance")):
            assert (array != 1).any(), name


def test_a_seed_gives_the_same_run_twice_even_if_interrupted(
    whole: tuple[Path, list[Epoch], list[Any]], tmp_path: Path
) -> None:
    run, epochs, _ = whole
    again = tmp_path / "again"
    with pytest.raises(StopError):
        train(CHIPS, again, on_epoch=stop)
    assert not (again / "weights.npz").exists()
    rest: list[Epoch] = []
    train(CHIPS, again, on_epoch=rest.append)
    assert rest == epochs[1:]
    first, second = weights(run), weights(again)
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], name)
    for name in ("run.json", "history.csv", "config.toml"):
        assert (run / name).read_bytes() == (again / name).read_bytes(), name


def test_a_finished_run_stays_as_it_is(whole: tuple[Path, list[Epoch], list[Any]]) -> None:
    before = content(whole[0])
    train(CHIPS, whole[0], on_epoch=stop)
    assert content(whole[0]) == before


def test_a_run_from_before_a_setting_came_to_be_goes_on(
    whole: tuple[Path, list[Epoch], list[Any]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole[0], run)
    record = json.loads((run / "run.json").read_text("utf-8"))
    del record["config"]["placement"]
    (run / "run.json").write_text(json.dumps(record), "utf-8")
    train(CHIPS, run)
    with pytest.raises(ConfigError, match=r"other settings or data \(config\)"):
        train(CHIPS, run, dataclasses.replace(TINY, placement="every"))


def test_the_stream_depends_on_seed_and_epoch_alone() -> None:
    folder = ChipFolder.open(CHIPS)
    refs = [ChipRef(folder, chip) for chip in folder.ids[:3]]
    network = Network(widths=TINY.widths)
    plain = Normalisation((0.1,) * 4, (0.1,) * 4)

    def batch(seed: int, epoch: int) -> tuple[Any, Any]:
        config = TrainConfig(seed=seed, batch_size=4, crop=32, widths=TINY.widths)
        stream = TrainingStream(refs, VNIR4, network, plain, config)
        stream.epoch = epoch
        assert len(stream) == 1
        return stream[0]

    first, same, later, other = batch(1, 0), batch(1, 0), batch(1, 1), batch(2, 0)
    assert set(first[0]) == {"tile", "mask_s8", "mask_s4", "mask_s2"}
    assert first[0]["tile"].shape == (4, 32, 32, 4), "a short batch is filled up"
    assert first[1].shape == (4, 32, 32, 2)
    for name, array in first[0].items():
        np.testing.assert_array_equal(array, same[0][name])
    np.testing.assert_array_equal(first[1], same[1])
    assert (first[0]["tile"] != later[0]["tile"]).any()
    assert (first[0]["tile"] != other[0]["tile"]).any()


def test_normalisation_is_measured_over_all_chips(tmp_path: Path) -> None:
    folder = ChipFolder.open(small_folder(tmp_path / "c", count=5, side=12))
    refs = [ChipRef(folder, chip) for chip in folder.ids]
    found = measure_normalisation(refs, VNIR4)
    pixels = np.concatenate([ref.read(VNIR4).reflectance[::4, ::4].reshape(-1, 4) for ref in refs])
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.spread, pixels.std(axis=0), atol=1e-5)
    logs = np.log(np.maximum(pixels, 0) + 0.03)
    found = measure_normalisation(refs, VNIR4, floor=0.03)
    assert found.floor == 0.03
    np.testing.assert_allclose(found.mean, logs.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.spread, logs.std(axis=0), atol=1e-5)


@pytest.mark.usefixtures("untrained")
def test_other_settings_in_the_same_folder(
    whole: tuple[Path, list[Epoch], list[Any]], tmp_path: Path
) -> None:
    run = whole[0]
    before = content(run)
    for change in ({"seed": 2}, {"widths": (2, 3)}, {"epochs": 3}, {"dropout": 0.1}):
        config = TrainConfig(**{**vars(TINY), **change})
        with pytest.raises(ConfigError, match="holds a run with other settings or data"):
            train(CHIPS, run, config)
    other = copied_samples(tmp_path / "chips")
    (other / "labels" / "00000.tif").write_bytes((other / "labels" / "00001.tif").read_bytes())
    refused(ConfigError, other, run, str(run), "other settings or data (data)", "new folder")
    assert content(run) == before


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_folder_with_a_broken_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, "utf-8")
    refused(ConfigError, CHIPS, tmp_path, "run.json: is no record of a run", "new folder")
    assert content(tmp_path) == {"run.json": text.encode()}


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_broken_checkpoint(
    whole: tuple[Path, list[Epoch], list[Any]], tmp_path: Path, kept: float
) -> None:
    for name, data in content(whole[0]).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    data = (tmp_path / "checkpoint.npz").read_bytes()
    (tmp_path / "checkpoint.npz").write_bytes(data[: round(kept * len(data))])
    refused(ConfigError, CHIPS, tmp_path, "checkpoint.npz: is damaged", "delete it")


def test_training_that_diverges_stops(tmp_path: Path) -> None:
    config = TrainConfig(**{**vars(TINY), "widths": (2, 3), "learning_rate": 1e30, "batch_size": 1})
    steps: list[tuple[int, int]] = []
    with pytest.raises(DatasetError) as caught:
        train(CHIPS, tmp_path / "run", config, on_step=lambda *step: steps.append(step))
    assert len(steps) < steps[0][1], "no step after the one that failed"
    for word in ("the loss became nan in epoch", "new folder", "learning_rate below 1e+30"):
        assert word in str(caught.value)
    assert not (tmp_path / "run" / "weights.npz").exists()


def labelled_as(folder: Path, split: str, value: float) -> None:
    """Every chip of a split gets one sample value throughout, and no label if it is finite."""
    for chip in split_ids(ChipFolder.open(folder), split):
        write_chip(
            folder,
            chip,
            np.full((4, 32, 32), value, np.float32),
            np.full((32, 32), 255 if np.isfinite(value) else 0, np.uint8),
        )


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("split", ["train", "calibration"])
def test_absurd_pixels_are_found_before_training(tmp_path: Path, split: str) -> None:
    folder = copied_samples(tmp_path / "chips")
    labelled_as(folder, split, np.inf)
    refused(DatasetError, folder, tmp_path / "run", "images", "NaN or infinity")
    assert not list((tmp_path / "run").glob("*")), "nothing half-written"


@pytest.mark.usefixtures("untrained")
def test_unlabelled_calibration_chips_are_found_before_training(tmp_path: Path) -> None:
    folder = copied_samples(tmp_path / "chips")
    labelled_as(folder, "calibration", 3.0)
    refused(DatasetError, folder, tmp_path / "run", str(folder), "labelled land or water")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("untrained")
def test_too_few_places(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "chips", count=2)
    refused(DatasetError, folder, tmp_path / "run", str(folder), "chips of more groups")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("untrained")
def test_one_place_only(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "chips", count=5)
    rows = "".join(f"{chip},here\n" for chip in range(5))
    (folder / "index.csv").write_text("id,group\n" + rows, "utf-8")
    refused(DatasetError, folder, tmp_path / "run", str(folder), "all chips are of one place")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("untrained")
def test_a_file_where_the_run_should_go(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine", "utf-8")
    refused(OutputError, CHIPS, tmp_path / "run", "cannot write there")
    assert content(tmp_path) == {"run": b"mine"}


def test_real_chips_decide_on_water_where_there_are_any(tmp_path: Path) -> None:
    generated = ChipFolder.open(CHIPS)
    real = ChipFolder.open(small_folder(tmp_path / "real"))
    write_chip(real.path, "1", np.ones((4, 8, 8), np.uint16), np.full((8, 8), 2, np.uint8))
    made = [ChipRef(generated, chip) for chip in generated.ids[:2]]
    assert fit.deciders(made, VNIR4) == [True, True]
    cloudy = ChipRef(real, "1")
    assert fit.deciders([*made, cloudy], VNIR4) == [True, True, False]
    assert fit.deciders([*made, cloudy, ChipRef(real, "0")], VNIR4) == [False] * 3 + [True]


def test_a_run_can_be_looked_at(whole: tuple[Path, list[Epoch], list[Any]]) -> None:
    """Curves as a picture, and TensorBoard events of every epoch."""
    finished = whole[0]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    history = (finished / "history.csv").read_text("utf-8").splitlines()[1:]
    steps = sorted({event.step for event in events.Tensors("water_iou")})
    assert steps == list(range(1, len(history) + 1))


def test_a_finer_chip_is_seen_as_the_sensor_sees_it(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "fine", count=1, side=48)
    image = np.tile(np.repeat([1000, 3000], 24), (4, 48, 1)).astype(np.uint16)
    label = np.tile(np.repeat([0, 1], 24), (48, 1)).astype(np.uint8)
    write_chip(folder, "0", image, label)
    toml = (folder / "dataset.toml").read_text("utf-8")
    for gsd, side in ((10, 16), (30, 48), (29, 48), (90, 48)):
        text = toml.replace("gsd_m = 30", f"gsd_m = {gsd}")
        (folder / "dataset.toml").write_text(text, "utf-8")
        chip = ChipRef(ChipFolder.open(folder), "0").read(VNIR4)
        assert chip.water.shape == (side, side), gsd
        assert chip.water[0].tolist() == [0] * (side // 2) + [1] * (side // 2)
        assert chip.reflectance[0, 0, 0] == pytest.approx(0.1, abs=1e-3)
        assert chip.reflectance[0, -1, 0] == pytest.approx(0.3, abs=1e-3)


def test_folders_of_differing_bands_and_gsd_train_together(tmp_path: Path) -> None:
    """One with an infrared band more, in another order, and at 10 m."""
    folder = small_folder(tmp_path / "other", count=12, side=96)
    text = (folder / "dataset.toml").read_text("utf-8")
    text = text.replace(
        '["blue", "green", "red", "nir"]', '["nir", "swir1", "red", "green", "blue"]'
    )
    (folder / "dataset.toml").write_text(
        text.replace("gsd_m = 30", "gsd_m = 10").replace('"small"', '"other"'), "utf-8"
    )
    rng = np.random.default_rng(0)
    for chip in range(12):
        image = rng.integers(100, 4000, (5, 96, 96), dtype=np.uint16)
        write_chip(folder, str(chip), image, rng.integers(0, 2, (96, 96), dtype=np.uint8))
    run = tmp_path / "run"
    config = TrainConfig(epochs=1, batch_size=6, crop=32, widths=(2, 3, 3))
    fit.fit([ChipFolder.open(CHIPS), ChipFolder.open(folder)], VNIR4, config, run)
    record = json.loads((run / "run.json").read_text("utf-8"))
    assert [each["name"] for each in record["data"]] == ["synth", "other"]
    assert (run / "weights.npz").is_file()
