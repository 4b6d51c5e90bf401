"""The table of formats: what ``docs/formats.md`` says, and that no version lacks its file."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ground import memory
from ground.replay import result, scenario_file
from onboard import formats
from onboard.errors import ConfigError, DatasetError, OutputError
from onboard.formats import Format
from tests.onboard.test_formats import FILES, VECTORS, clear, unzipped
from tests.samples import ROOT
from training import run_record
from training.chips import ChipFolder

PAGE = ROOT / "docs" / "formats.md"
ELSEWHERE = {"product": VECTORS, "tables": ROOT / "onboard" / "known_tables"}
WRITTEN_ONLY = {"reception"}
MOST_BYTES = 300_000


def test_the_page_has_every_format() -> None:
    rows = re.findall(r"^\| ([a-z-]+) \| (\d+) \| ([\d, ]+|none) \|", PAGE.read_text("utf-8"), re.M)
    told = {name: (int(version), reads) for name, version, reads in rows}
    assert told == {
        one.name: (
            one.version,
            "none"
            if one.name in WRITTEN_ONLY
            else ", ".join(map(str, range(one.oldest, one.version + 1))),
        )
        for one in formats.ALL
    }


def test_every_version_of_every_format_has_a_file() -> None:
    for one in formats.ALL:
        for version in range(one.oldest, one.version + 1):
            folder = ELSEWHERE.get(one.name, FILES)
            pattern = "*.fst" if one.name == "tables" else f"{one.name}-v{version}*"
            assert list(folder.glob(pattern)) or one.name in WRITTEN_ONLY, (one.name, version)


def test_the_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in FILES.rglob("*") if path.is_file()) < MOST_BYTES


def test_transfers_1(tmp_path: Path) -> None:
    shutil.copy(FILES / "transfers-v1.state", tmp_path / memory.NAME)
    found = memory.load(tmp_path)
    assert (found.heard_ms, found.return_count, found.expected) == (7, 3, {0x1F2: 9})
    assert len(found.open) == 1


def test_replay_1(tmp_path: Path) -> None:
    assert result.read(unzipped("replay-v1.json.gz", tmp_path)).products


def test_scenario_1() -> None:
    assert scenario_file.load(FILES / "scenario-v1.toml").name


def test_chip_folder_1() -> None:
    found = ChipFolder.open(FILES / "chip-folder-v1")
    assert found.ids == ("00000",)


def test_run_1(tmp_path: Path) -> None:
    shutil.copy(FILES / "run-v1.json", tmp_path / run_record.NAME)
    assert run_record.read(tmp_path)["sensor"]["name"] == "vnir4"


def later(of: Format, folder: Path) -> Any:
    """Read a file whose version is one too high."""
    text = f"format = {of.version + 1}\n"
    if of is formats.TRANSFERS:
        body = (FILES / "transfers-v1.state").read_bytes()[: -memory.DIGEST]
        body = body[:4] + b"\x02" + body[5:]
        (folder / memory.NAME).write_bytes(body + hashlib.sha256(body).digest())
        return memory.load(folder)
    if of is formats.REPLAY:
        fields = json.loads(gzip.decompress((FILES / "replay-v1.json.gz").read_bytes()))
        (folder / result.NAME).write_text(json.dumps({**fields, "version": 2}), "utf-8")
        return result.read(folder / result.NAME)
    if of is formats.SCENARIO:
        old = (FILES / "scenario-v1.toml").read_text("utf-8")
        (folder / "s.toml").write_text(text + old, "utf-8")
        return scenario_file.load(folder / "s.toml")
    if of is formats.CHIP_FOLDER:
        made = folder / "chips"
        shutil.copytree(FILES / "chip-folder-v1", made)
        path = made / "dataset.toml"
        path.write_text(text + path.read_text("utf-8"), "utf-8")
        return ChipFolder.open(made)
    fields = json.loads((FILES / "run-v1.json").read_text("utf-8"))
    (folder / run_record.NAME).write_text(json.dumps({**fields, "format": 2}), "utf-8")
    return run_record.read(folder)


@pytest.mark.parametrize(
    ("of", "kind"),
    [
        (formats.TRANSFERS, OutputError),
        (formats.REPLAY, ConfigError),
        (formats.SCENARIO, ConfigError),
        (formats.CHIP_FOLDER, DatasetError),
        (formats.RUN, ConfigError),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_a_later_version_is_refused_in_one_line(
    of: Format, kind: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught:
        later(of, tmp_path)
    clear(caught.value, of)
    assert str(tmp_path) in str(caught.value)


def test_a_run_of_a_later_version_is_no_damaged_one(tmp_path: Path) -> None:
    """What reads runs must not wrap the line in one that says to train again."""
    from training.export import Run
    from training.finished import Finished
    from training.start import Start

    for number, reader in enumerate((Run.open, Start.open, Finished.open)):
        folder = tmp_path / str(number)
        folder.mkdir()
        fields = json.loads((FILES / "run-v1.json").read_text("utf-8"))
        (folder / run_record.NAME).write_text(json.dumps({**fields, "format": 2}), "utf-8")
        with pytest.raises(ConfigError) as caught:
            reader(folder)
        clear(caught.value, formats.RUN)
