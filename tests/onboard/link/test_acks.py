from __future__ import annotations

from pathlib import Path

import pytest

from onboard.acks import KEPT, PASSES, Acks
from onboard.errors import StreamError
from onboard.link import acks, downlink
from onboard.link.acks import Ack, Status
from onboard.outbox import Outbox

ACK = Ack(7, 5, Status.FAILED, 1_700_000_000_000, "slots: there is no golden bundle")


def test_an_acknowledgement_comes_back() -> None:
    assert acks.unpack(acks.pack(ACK)) == ACK
    assert acks.pack(ACK)[:15].hex() == "010105000000070000018bcfe56800"


def test_a_long_or_strange_text_is_cut() -> None:
    found = acks.unpack(acks.pack(Ack(1, 1, Status.DONE, 0, "é" * 200)))
    assert found.text == "?" * acks.MAX_TEXT


@pytest.mark.parametrize(
    "data", [b"", b"\x02" + bytes(14), b"\x01\x09" + bytes(13), b"\x01" + bytes(14) + b"\xff"]
)
def test_what_is_no_acknowledgement(data: bytes) -> None:
    with pytest.raises(StreamError, match="acknowledgement"):
        acks.unpack(data)


def test_each_goes_down_in_several_passes(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.sqlite") as box:
        Acks(box).put(ACK)
        Acks(box).put(Ack(7, 5, Status.DONE, 0, "a second word on it"))
        for _ in range(PASSES):
            assert [acks.unpack(due.data) for due in Acks(box).due()] == [ACK]
            made = downlink.fill(box, 10_000, now_ms=1_700_000_000_000)
            assert made.acknowledged == (7,)
            made.commit(box)
        assert Acks(box).due() == []
        assert downlink.fill(box, 10_000).acknowledged == ()


def test_the_newest_are_kept(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.sqlite") as box:
        store = Acks(box)
        for count in range(1, KEPT + 3):
            store.put(Ack(count, 5, Status.DONE, 0, ""))
        assert [due.number for due in store.due()] == list(range(3, KEPT + 3))
