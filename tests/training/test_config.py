from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard.errors import ConfigError
from training.config import MAX_LEVELS, TrainConfig
from training.placement import LOGIT, PLACEMENTS

SHARES = st.floats(0, 1)
WEIGHTS = st.floats(0, 1e6)

CONFIGS = st.builds(
    TrainConfig,
    seed=st.integers(0, 2**32 - 1),
    epochs=st.integers(1, 10**6),
    batch_size=st.integers(1, 4096),
    crop=st.integers(1, 16).map(lambda n: 32 * n),
    learning_rate=st.floats(0, 1e30, exclude_min=True),
    weight_decay=WEIGHTS,
    length_scale=WEIGHTS,
    log_floor=SHARES,
    learned_weights=st.booleans(),
    teacher=st.booleans(),
    placement=st.sampled_from(PLACEMENTS),
    heteroscedastic=st.booleans(),
    widths=st.lists(st.integers(1, 512), min_size=2, max_size=MAX_LEVELS).map(tuple),
    dropout=st.floats(0, 1, exclude_max=True),
    dice_weight=WEIGHTS,
    cloud_weight=WEIGHTS,
    label_smoothing=st.floats(0, 0.5, exclude_max=True),
    taught=SHARES,
    rescale=SHARES,
    clouds=SHARES,
    average=st.floats(0, 1, exclude_max=True),
).filter(lambda c: not c.teacher or (c.placement == LOGIT and not c.heteroscedastic))


def read(folder: Path, text: str) -> TrainConfig:
    path = folder / "c.toml"
    path.write_text(text, "utf-8")
    return TrainConfig.read(path)


@given(config=CONFIGS)
def test_written_settings_read_back(
    tmp_path_factory: pytest.TempPathFactory, config: TrainConfig
) -> None:
    assert read(tmp_path_factory.getbasetemp(), config.to_toml()) == config


def test_every_default_reads_back(tmp_path: Path) -> None:
    text = TrainConfig().to_toml()
    assert read(tmp_path, text) == TrainConfig()
    names = [field.name for field in dataclasses.fields(TrainConfig)]
    assert [line.split(" = ")[0] for line in text.splitlines()] == names


@pytest.mark.parametrize("line", TrainConfig().to_toml().splitlines())
def test_each_setting_reads_alone(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, line) == TrainConfig()


def test_what_is_not_named_keeps_its_default(tmp_path: Path) -> None:
    assert read(tmp_path, "epochs = 3") == dataclasses.replace(TrainConfig(), epochs=3)


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    assert read(tmp_path, "weight_decay = 0") == dataclasses.replace(
        TrainConfig(), weight_decay=0.0
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", "unknown setting 'epoch'; see train --dump-config"),
        ("epochs = ", "cannot be read as TOML"),
        ("epochs = 1.5", "epochs = 1.5 should be a whole number"),
        ("epochs = true", "epochs = True should be a whole number"),
        ("epochs = '3'", "epochs = '3' should be a whole number"),
        ("dropout = true", "dropout = True should be a number"),
        ("widths = 8", "widths = 8 should be a list of whole numbers"),
        ("widths = [8, 1.5]", "should be a list of whole numbers"),
        ("widths = [8, 'x']", "should be a list of whole numbers"),
        ("widths = [8, true]", "should be a list of whole numbers"),
        ("seed = -1", "seed = -1 is out of range; choose 0 to"),
        ("seed = 4294967296", "is out of range"),
        ("epochs = 0", "is out of range; choose 1 or more"),
        ("batch_size = 0", "is out of range"),
        ("learning_rate = 0", "is out of range"),
        ("learning_rate = inf", "is out of range"),
        ("learning_rate = nan", "is out of range"),
        ("weight_decay = -0.1", "is out of range"),
        ("widths = []", "is out of range; choose 2 to"),
        ("widths = [8]", "is out of range"),
        ("widths = [8, 0]", "is out of range"),
        ("widths = [8, 8, 8, 8, 8, 8, 8]", "is out of range"),
        ("crop = 100", "is out of range; choose a multiple of the network's stride, 8"),
        ("crop = 0", "is out of range"),
        ("dropout = 1.0", "is out of range"),
        ("dice_weight = -1", "is out of range"),
        ("cloud_weight = inf", "is out of range"),
        ("label_smoothing = 0.5", "is out of range"),
        ("rescale = 1.1", "is out of range"),
        ("clouds = -0.1", "is out of range"),
        ("average = 1", "is out of range"),
    ],
)
def test_bad_settings(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(tmp_path / "c.toml"))
    assert "\n" not in message


@pytest.mark.parametrize("name", ["nothing.toml", "."])
def test_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        TrainConfig.read(tmp_path / name)
