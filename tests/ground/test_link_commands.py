"""``downlink`` and ``receive``, contact after contact, with nothing between them but files."""

from __future__ import annotations

import json
import random
import shutil
import socket
import threading

import pytest
from click.testing import CliRunner

import ground.delivery
from ground.channel import Channel, Conditions
from ground.cli.receive import command as receive
from onboard.alone import alone
from onboard.cli.downlink import command as downlink
from onboard.errors import ConfigError, OutputError, StreamError
from onboard.link import frames, returns
from onboard.outbox import Cause, Item, Outbox
from onboard.product import pack
from tests.products import noisy_product

CADU = frames.cadu_length()
BUDGET = str(12 * CADU)


def no_maps(sheet, folder, stem, rgb=None):
    """Draws nothing."""
    told = {"datetime": None, "floodsat:subject": sheet.labels.subject}
    return [], {"id": stem, "properties": told, "assets": {}}


@pytest.fixture(autouse=True)
def _maps(monkeypatch):
    monkeypatch.setattr(ground.delivery, "write_sheet", no_maps)


@pytest.fixture
def made(tmp_path):
    """Four products, queued."""
    return queue(tmp_path, [pack(noisy_product(seed, 150)) for seed in range(1, 5)])


def queue(folder, products):
    with Outbox(folder / "outbox.db") as outbox:
        for seed, data in enumerate(products):
            outbox.record(bytes([seed]) * 32, b"m" * 32, [Item(data, 1.0)])
    return products


def run(command, *arguments):
    result = CliRunner().invoke(command, [str(one) for one in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def contact(folder, number, channel=None, *more):
    """One contact; the figures of both ends."""
    stream, up, before = (folder / f"{name}.bin" for name in (number, f"up-{number}", "before"))
    before = folder / f"up-{number - 1}.bin"
    known = ["--return", before] if before.is_file() else []
    options = ["--out", stream, "--budget", BUDGET, "--class", 2, "--json", folder / "down.json"]
    run(downlink, folder / "outbox.db", *options, *known, *more)
    if channel is not None:
        stream.write_bytes(channel.send(stream.read_bytes())[0])
    told = ["--return", up, "--json", folder / "up.json"]
    if stream.stat().st_size:
        run(receive, stream, "--out", folder / "out", *told)
    return json.loads((folder / "down.json").read_text())


def there(folder):
    return sorted(path.read_bytes() for path in (folder / "out").glob("*.fsp"))


def test_files_that_no_contact_holds_arrive_over_a_nasty_link(tmp_path, made):
    channel = Channel(3, Conditions(0.2, 1e-5, 3.0, duplicate=0.05, reorder=0.1, delay=0.05))
    for number in range(1, 80):
        figures = contact(tmp_path, number, channel)
        assert figures["bytes"] <= int(BUDGET)
        if number > 4 and figures["open"] == 0 and figures["waiting"] == 0:
            break
    assert there(tmp_path) == sorted(made)
    with Outbox(tmp_path / "outbox.db") as outbox:
        assert [one.cause for one in outbox.left()] == [Cause.SENT] * 4


def test_without_losses_everything_goes_down_once(tmp_path, made):
    units = 0
    for number in range(1, 9):
        figures = contact(tmp_path, number)
        units += sum(one["units"] for one in figures["sent"])
        if figures["heard"]["delivered"] and not figures["open"]:
            break
    assert there(tmp_path) == sorted(made)
    assert units == sum(-(-len(data) // 1024) + 2 for data in made)


def test_a_return_that_never_comes_costs_only_what_asks_for_it(tmp_path, made):
    for number in range(1, 9):
        contact(tmp_path, number)
        (tmp_path / f"up-{number}.bin").unlink()
    # All went down; what goes now are EOFs.
    assert there(tmp_path) == sorted(made)
    figures = contact(tmp_path, 9)
    assert all(one["units"] <= 1 for one in figures["sent"])
    assert figures["open"] == 4
    assert contact(tmp_path, 10)["heard"]["delivered"] == 4


def test_a_receive_folder_that_is_lost_is_filled_again(tmp_path, made):
    contact(tmp_path, 1)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "up-1.bin").unlink()
    for number in range(2, 40):
        if contact(tmp_path, number)["open"] == 0 and number > 4:
            break
    assert there(tmp_path) == sorted(made)


def test_an_outbox_made_anew_uses_the_same_numbers_for_other_files(tmp_path, made):
    """Whatever the ground remembers of the old one, everything arrives and nothing wrong does."""
    for number in (1, 2):
        contact(tmp_path, number)
    for path in tmp_path.glob("outbox.db*"):
        path.unlink()
    others = [pack(noisy_product(seed, 140)) for seed in range(11, 13)]
    queue(tmp_path, [*made[::-1], *others])
    for number in range(3, 60):
        figures = contact(tmp_path, number)
        if number > 6 and figures["open"] == 0 and figures["waiting"] == 0:
            break
    assert there(tmp_path) == sorted(made + others)
    with Outbox(tmp_path / "outbox.db") as outbox:
        assert [one.cause for one in outbox.left()] == [Cause.SENT] * 6


def test_the_same_recording_twice_gives_the_same_answers(tmp_path, made):
    contact(tmp_path, 1)
    first = (tmp_path / "up-1.bin").read_bytes()
    up = tmp_path / "again.bin"
    output = run(receive, tmp_path / "1.bin", "--out", tmp_path / "out", "--return", up)
    again = up.read_bytes()
    assert f"{up}: {len(again)} bytes to send up" in output
    one, two = (returns.unpack(data).answers for data in (first, again))
    assert set(one) == set(two)


def test_what_was_lost_between_two_streams_is_counted_by_the_next(tmp_path, made):
    contact(tmp_path, 1)
    stream = tmp_path / "2.bin"
    run(downlink, tmp_path / "outbox.db", "--out", stream, "--budget", BUDGET, "--class", 2)
    run(receive, stream, "--out", tmp_path / "other", "--json", tmp_path / "f.json")
    sent = json.loads((tmp_path / "f.json").read_text())["report"]["packets"]["cfdp"]
    stream.write_bytes(stream.read_bytes()[3 * CADU :])
    run(receive, stream, "--out", tmp_path / "out", "--json", tmp_path / "f.json")
    report = json.loads((tmp_path / "f.json").read_text())["report"]
    assert not any(report["packets_lost"].values())
    assert 0 < report["packets_lost_before"]["cfdp"] == sent - report["packets"]["cfdp"]
    # A recording that comes again has lost nothing.
    run(receive, stream, "--out", tmp_path / "out", "--json", tmp_path / "f.json")
    report = json.loads((tmp_path / "f.json").read_text())["report"]
    assert not any(report["packets_lost_before"].values())


def test_downlink_says_what_it_heard(tmp_path, made):
    contact(tmp_path, 1, None)
    options = ["--out", tmp_path / "2.bin", "--budget", BUDGET, "--class", 2]
    output = run(downlink, tmp_path / "outbox.db", *options, "--return", tmp_path / "up-1.bin")
    assert "files delivered: 1, refused: 0; units asked for again: 0" in output
    assert "files not yet acknowledged: " in output


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (["--return", "none.bin"], StreamError, "none.bin: cannot be read"),
        (["--return", "noise.bin"], StreamError, "noise.bin: no acknowledgement in 999 bytes"),
        (["--budget", "5"], ConfigError, "--budget 5"),
    ],
)
def test_bad_options_change_nothing(tmp_path, made, monkeypatch, options, error, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise.bin").write_bytes(random.Random(1).randbytes(999))
    with pytest.raises(error, match=words):
        run(downlink, "outbox.db", "--out", "1.bin", "--budget", BUDGET, "--class", 2, *options)
    assert not (tmp_path / "1.bin").exists()
    with Outbox(tmp_path / "outbox.db") as outbox:
        assert outbox.counters == {}


def test_a_class_that_is_none():
    result = CliRunner().invoke(downlink, ["o", "--out", "x", "--budget", "9", "--class", "3"])
    assert result.exit_code == 2


def test_a_damaged_memory_stops_the_reception_and_is_left_alone(tmp_path, made):
    contact(tmp_path, 1)
    path = tmp_path / "out" / "transfers.state"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OutputError, match="move it away"):
        run(receive, tmp_path / "1.bin", "--out", tmp_path / "out")


def test_two_receptions_into_one_folder(tmp_path, made):
    contact(tmp_path, 1)
    before = (tmp_path / "out" / "transfers.state").read_bytes()
    said = "another reception is at work there"
    with alone(tmp_path / "out", "reception"), pytest.raises(OutputError, match=said):
        run(receive, tmp_path / "1.bin", "--out", tmp_path / "out")
    assert (tmp_path / "out" / "transfers.state").read_bytes() == before


def test_a_reception_that_is_cut_short_leaves_the_state_before_it(tmp_path, made, monkeypatch):
    """Killed after the products and before the state: the recording is received again."""
    contact(tmp_path, 1)
    state = (tmp_path / "out" / "transfers.state").read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ground.memory.save", killed)
    with pytest.raises(AssertionError):
        contact(tmp_path, 2)
    assert (tmp_path / "out" / "transfers.state").read_bytes() == state
    monkeypatch.undo()
    monkeypatch.setattr(ground.delivery, "write_sheet", no_maps)
    run(receive, tmp_path / "2.bin", "--out", tmp_path / "out", "--return", tmp_path / "up-2.bin")
    for number in range(3, 9):
        contact(tmp_path, number)
    assert there(tmp_path) == sorted(made)


def test_receive_listens_to_datagrams(tmp_path, made):
    options = ["--out", tmp_path / "1.bin", "--budget", 200 * CADU, "--sendings", 1]
    run(downlink, tmp_path / "outbox.db", *options)
    stream = (tmp_path / "1.bin").read_bytes()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = threading.Event()

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as radio:
            while not stop.wait(0.01):
                for start in range(0, len(stream), CADU):
                    radio.sendto(stream[start : start + CADU], ("127.0.0.1", port))
                    if stop.wait(0.001):
                        return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        listen = ["--seconds", "5", "--idle-seconds", "1"]
        run(receive, f"udp://127.0.0.1:{port}", "--out", tmp_path / "out", *listen)
    finally:
        stop.set()
        thread.join()
    assert there(tmp_path) == sorted(made)
