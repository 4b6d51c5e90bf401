from __future__ import annotations

import os

import pytest

from onboard.errors import FrameError, OutputError
from onboard.inbox import MAX_NAME, Inbox

SCENE = b"\xab" * 32


@pytest.fixture
def inbox(tmp_path):
    return Inbox(tmp_path / "in", 1000, 1000)


def put(inbox, name, data=b"frame", age=0):
    path = inbox.folder / name
    path.write_bytes(data)
    os.utime(str(path), ns=(10**18 - age, 10**18 - age))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_whole_frames_are_seen_the_oldest_first(inbox, tmp_path):
    put(inbox, "b.tif")
    put(inbox, "a.TIFF", age=5)
    put(inbox, "old.tif", age=9)
    for name in (".c.tif", "d.tif.part", "e.json", "f", ".tif"):
        put(inbox, name)
    (inbox.folder / "folder.tif").mkdir()
    (inbox.folder / "link.tif").symlink_to(tmp_path / "elsewhere.tif")
    os.mkfifo(str(inbox.folder / "pipe.tif"))
    assert [path.name for path in inbox.waiting()] == ["old.tif", "a.TIFF", "b.tif"]


def test_a_frame_that_is_done_takes_its_companions_along(inbox):
    path = put(inbox, "a.tif")
    put(inbox, "a.json")
    put(inbox, "ab.json")
    inbox.done(path, SCENE)
    assert names(inbox.folder) == ["ab.json", "done", "refused"]
    assert names(inbox.folder / "done") == ["abababababab-a.json", "abababababab-a.tif"]


def test_a_refused_frame_has_its_reason_beside_it(inbox):
    inbox.refuse(put(inbox, "a.tif"), "a.tif: is\n no frame " + "x" * 1000)
    assert names(inbox.folder / "refused") == ["a.tif", "a.tif.reason.txt"]
    text = (inbox.folder / "refused" / "a.tif.reason.txt").read_text("utf-8")
    assert text.startswith("a.tif: is no frame xxx")
    assert len(text) < 510
    # Whatever was cut short can be done again.
    inbox.refuse(put(inbox, "a.tif"), "again")
    assert (inbox.folder / "refused" / "a.tif.reason.txt").read_text("utf-8") == "again\n"


def test_names_of_any_length_and_bytes(inbox):
    for name in ("n" * 250 + ".tif", os.fsdecode(b"\xff\xfe.tif"), "Fluß ü.tif"):
        path = put(inbox, name)
        assert len(inbox.file_id(path)) == 32
        (inbox.refuse if "ü" in name else lambda p, _: inbox.done(p, SCENE))(path, "why")
    assert inbox.waiting() == []
    assert all(len(os.fsencode(name)) <= MAX_NAME for name in names(inbox.folder / "done"))


def test_what_is_kept_is_bounded_and_the_first_goes_first(inbox):
    for number in range(5):
        inbox.done(put(inbox, f"{number}.tif", bytes(400)), bytes([number]) * 32)
    inbox.refuse(put(inbox, "r.tif", bytes(2000)), "too large")
    assert inbox.tidy() == 3 * 400 + 2000
    assert names(inbox.folder / "done") == ["030303030303-3.tif", "040404040404-4.tif"]
    assert names(inbox.folder / "refused") == ["r.tif.reason.txt"]
    assert inbox.empty_done() == 800


def test_a_file_is_known_by_name_size_and_time(inbox):
    first = inbox.file_id(put(inbox, "a.tif"))
    assert inbox.file_id(put(inbox, "a.tif")) == first
    assert inbox.file_id(put(inbox, "a.tif", age=1)) != first
    assert inbox.file_id(put(inbox, "b.tif")) != first
    assert inbox.file_id(put(inbox, "a.tif", b"longer")) != first
    with pytest.raises(FrameError, match=r"a\.tif: is gone"):
        inbox.file_id(inbox.folder / "not-a.tif")


def test_a_frame_that_is_gone_is_no_trouble(inbox):
    inbox.done(inbox.folder / "gone.tif", SCENE)


def test_what_a_kill_left_half_written_is_removed(inbox):
    (inbox.folder / "refused" / ".part-x.txt").touch()
    put(inbox, ".part-of-a-writer")
    Inbox(inbox.folder, 0, 0)
    assert names(inbox.folder / "refused") == []
    assert names(inbox.folder) == [".part-of-a-writer", "done", "refused"]


def test_an_inbox_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write there"):
        Inbox(tmp_path / "file", 0, 0)
