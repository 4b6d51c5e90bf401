from __future__ import annotations

import random

import pytest

from ground import memory as memories
from ground.memory import Memory
from ground.reassembly import Done, Key, Reassembly
from onboard.errors import OutputError
from onboard.link import cfdp

DATA = random.Random(1).randbytes(5000)


def station():
    """One file whole, one half there, one refused, each in both classes."""
    files = Reassembly()
    for acknowledged in (False, True):
        base = 10 * acknowledged
        whole = cfdp.pdus(DATA, "a", base, acknowledged=acknowledged)
        half = cfdp.pdus(DATA, "b", base + 1, acknowledged=acknowledged)
        for unit in [*whole, *half[1:3], half[-1]]:
            files.add(unit, 7)
        for data in (DATA, DATA[::-1]):
            files.add(cfdp.pdus(data, "c", base + 2, acknowledged=acknowledged)[1], 7)
    return files


def there_and_back(memory, folder):
    memories.save(memory, folder)
    return memories.load(folder)


def test_a_new_folder_has_an_empty_memory(tmp_path):
    assert memories.load(tmp_path) == Memory()
    assert memories.load(tmp_path / "none") == Memory()


def test_what_is_kept_comes_back(tmp_path):
    memory = Memory(heard_ms=123, return_count=16383)
    memory.keep(station())
    assert list(memory.open) == [Key(1, 1), Key(1, 11)]
    # A class-1 file that was refused may come whole in its next sending.
    assert list(memory.former) == [Key(1, 0), Key(1, 10), Key(1, 12)]
    back = there_and_back(memory, tmp_path)
    assert (back.heard_ms, back.return_count, back.former) == (123, 16383, memory.former)
    for key, one in memory.open.items():
        other = back.open[key]
        assert (other.metadata, other.eof) == (one.metadata, one.eof)
        assert other.acknowledged is one.acknowledged
        assert other.segments.runs() == one.segments.runs()


@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_file_is_put_together_over_two_receptions(tmp_path, acknowledged):
    units = cfdp.pdus(DATA, "a", 3, acknowledged=acknowledged)
    first, memory = Reassembly(), Memory()
    for unit in units[::2]:
        assert first.add(unit) is None
    memory.keep(first)
    back, second = there_and_back(memory, tmp_path), Reassembly()
    second.resume(back.open, back.former)
    files = [second.add(unit) for unit in units[1::2]]
    assert [file.data for file in files if file] == [DATA]


def test_repeats_of_what_is_whole_are_not_kept_and_not_lost(tmp_path):
    units = cfdp.pdus(DATA, "a", 3)
    memory = Memory(former={})
    files = Reassembly()
    for unit in units:
        files.add(unit)
    memory.keep(files)
    second = Reassembly()
    second.resume(memory.open, memory.former)
    for unit in units[1:]:
        second.add(unit)
    assert second.unfinished() == []
    memory.keep(second)
    assert memory.open == {}
    assert memory.former[Key(1, 3)].seal is not None


def test_all_of_it_again_is_delivered_again():
    """So that a product that was lost from the folder can be received anew."""
    units = cfdp.pdus(DATA, "a", 3)
    files, memory = Reassembly(), Memory()
    for unit in units:
        files.add(unit)
    memory.keep(files)
    second = Reassembly()
    second.resume(memory.open, memory.former)
    assert [file.data for unit in units if (file := second.add(unit))] == [DATA]


def test_the_number_of_ends_is_bounded(monkeypatch):
    monkeypatch.setattr(memories, "MAX_DONE", 3)
    files, memory = Reassembly(), Memory()
    files.former.update({Key(1, n): Done(b"s" * 12, 0, 0, False) for n in range(9)})
    memory.keep(files)
    assert [key.sequence for key in memory.former] == [6, 7, 8]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "version", "folder"])
def test_a_damaged_memory_is_told_and_nothing_is_lost(tmp_path, damage):
    memory = Memory()
    memory.keep(station())
    memories.save(memory, tmp_path)
    path = tmp_path / memories.NAME
    data = bytearray(path.read_bytes())
    if damage == "folder":
        path.unlink()
        path.mkdir()
        assert memories.load(tmp_path) == Memory()
        return
    if damage == "cut":
        data = data[:-1]
    elif damage == "flipped":
        data[50] ^= 1
    elif damage == "empty":
        data = bytearray()
    else:
        data[4] += 1
    path.write_bytes(data)
    with pytest.raises(OutputError, match=r"transfers\.state: what is known .* move it away"):
        memories.load(tmp_path)
    assert path.read_bytes() == data
