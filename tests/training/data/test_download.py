from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from onboard.errors import FetchError, OutputError
from tests.training.data.mirror import Mirror, serving
from training.data.download import Client, Digest, Remote

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Mirror(files={"/f": CONTENT})) as served:
        yield served


def remote_of(mirror: Mirror, **more: object) -> Remote:
    return Remote("f", f"{mirror.url}/f", **more)  # type: ignore[arg-type]


def client(attempts: int = 3) -> Client:
    return Client(attempts=attempts, pause_s=0.0, timeout_s=5.0)


SHA = Digest("sha256", hashlib.sha256(CONTENT).hexdigest())
MD5 = Digest("md5", hashlib.md5(CONTENT).hexdigest())
GIT = Digest("git", hashlib.sha1(f"blob {len(CONTENT)}\0".encode() + CONTENT).hexdigest())


@pytest.mark.parametrize("digest", [None, SHA, MD5, GIT])
def test_a_file_is_brought_and_verified(
    mirror: Mirror, tmp_path: Path, digest: Digest | None
) -> None:
    told: list[int] = []
    target = tmp_path / "deep" / "f"
    found = client().fetch(remote_of(mirror, size=len(CONTENT), digest=digest), target, told.append)
    assert target.read_bytes() == CONTENT
    assert found == (SHA.value, len(CONTENT))
    assert told[-1] == len(CONTENT)
    assert sorted(told) == told
    assert [p.name for p in target.parent.iterdir()] == ["f"]


def test_what_broke_off_goes_on_where_it_stopped(mirror: Mirror, tmp_path: Path) -> None:
    mirror.breaks["/f"] = [100_000, 200_000]
    client().fetch(remote_of(mirror, size=len(CONTENT)), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert mirror.asked("/f") == ["", "bytes=100000-", "bytes=300000-"]


def test_a_file_left_by_a_killed_process_goes_on(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT[:1234])
    client().fetch(remote_of(mirror, size=len(CONTENT), digest=SHA), tmp_path / "f")
    assert mirror.asked("/f") == ["bytes=1234-"]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_without_a_checksum_or_a_version_it_starts_again(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"who knows what")
    client().fetch(remote_of(mirror), tmp_path / "f")
    assert mirror.asked("/f") == [""]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_another_version_is_not_glued_on(mirror: Mirror, tmp_path: Path) -> None:
    mirror.breaks["/f"] = [1000]
    other = CONTENT[::-1]

    class Changing(Client):
        def _open(self, url: str, headers: dict[str, str]) -> object:  # type: ignore[override]
            if headers.get("Range"):
                mirror.files["/f"] = other
            return super()._open(url, headers)

    Changing(3, 0.0, 5.0).fetch(remote_of(mirror), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == other


def test_a_server_that_knows_no_ranges(mirror: Mirror, tmp_path: Path) -> None:
    mirror.ranges = False
    mirror.breaks["/f"] = [1000]
    client().fetch(remote_of(mirror, size=len(CONTENT), digest=SHA), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_whole_files_are_not_asked_for_again(mirror: Mirror, tmp_path: Path) -> None:
    remote = remote_of(mirror, size=len(CONTENT), digest=SHA)
    (tmp_path / "f").write_bytes(CONTENT)
    client().fetch(remote, tmp_path / "f")
    (tmp_path / "f").replace(tmp_path / "f.part")
    client().fetch(remote, tmp_path / "f")
    assert mirror.requests == []


def test_a_part_that_is_too_long_or_wrong(mirror: Mirror, tmp_path: Path) -> None:
    remote = remote_of(mirror, size=len(CONTENT), digest=SHA)
    for rubbish in (CONTENT + b"x", b"x" * len(CONTENT), b"x" * 10):
        (tmp_path / "f.part").write_bytes(rubbish)
        client().fetch(remote, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_without_a_list(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT + b"x")
    client().fetch(remote_of(mirror, digest=SHA), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_passing_errors_are_tried_again_and_a_bounded_number_of_times(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirror.statuses["/f"] = [503, 429]
    client(3).fetch(remote_of(mirror), tmp_path / "f")
    mirror.statuses["/f"] = [503] * 9
    mirror.requests.clear()
    with pytest.raises(FetchError, match=r"status 503.*3 times in a row; run the same command"):
        client(3).fetch(remote_of(mirror), tmp_path / "g")
    assert len(mirror.requests) == 3


def test_wrong_content_is_never_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.lies["/f"] = b"y" * len(CONTENT)
    with pytest.raises(FetchError, match="checksum or size is not the published one"):
        client(2).fetch(remote_of(mirror, size=len(CONTENT), digest=SHA), tmp_path / "f")
    assert list(tmp_path.glob("f")) == []
    mirror.lies["/f"] = b"y"
    with pytest.raises(FetchError, match="has 1 bytes, but 512000 by the source's own list"):
        client(2).fetch(remote_of(mirror, size=len(CONTENT)), tmp_path / "f")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_will_not_pass_is_told_at_once(mirror: Mirror, tmp_path: Path, status: int) -> None:
    mirror.statuses["/f"] = [status] * 5
    with pytest.raises(FetchError, match=f"the server answers {status}"):
        client().fetch(remote_of(mirror), tmp_path / "f")
    assert len(mirror.requests) == 1


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/f", "gs://bucket/f"])
def test_other_kinds_of_address(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match="is no http or https address"):
        client().fetch(Remote("f", url), tmp_path / "f")


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Mirror()) as gone:
        url = gone.url
    with pytest.raises(FetchError, match="2 times in a row"):
        client(2).fetch(Remote("f", f"{url}/f"), tmp_path / "f")
    with pytest.raises(FetchError, match="2 times in a row"):
        client(2).answer(f"{url}/api")


def test_an_answer_that_is_no_json(mirror: Mirror) -> None:
    with pytest.raises(FetchError, match="is no JSON"):
        client().answer(f"{mirror.url}/f")


def test_a_target_in_a_file(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(OutputError, match="cannot write there"):
        client().fetch(remote_of(mirror), tmp_path / "file" / "f")
