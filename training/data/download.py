"""Bringing files over HTTP: resumed where they stopped, verified, with bounded retries.

A file grows as ``NAME.part``; ``NAME.part.etag`` says which version of it that is. Both survive
``kill -9``: the next call asks for the missing bytes only (RFC 9110, sections 13.1.5 and 14.2).
What the source publishes of it, size and checksum, is checked before it gets its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from onboard import __version__, files
from onboard.errors import FetchError, FloodsatError, OutputError

BLOCK = 1 << 16
PROGRESS = 1 << 20
LONGEST_PAUSE = 60.0
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Statuses that may go away by themselves."""


class Digest(NamedTuple):
    """A published checksum.

    Attributes:
        kind: ``git`` is the SHA-1 of a blob, which counts its header too.
        value: lower-case hexadecimal.
    """

    kind: Literal["md5", "sha256", "git"]
    value: str


class Remote(NamedTuple):
    """A file at its source.

    Attributes:
        name: its path there.
        url: its address.
        size: bytes, if published.
        digest: its checksum, if published.
    """

    name: str
    url: str
    size: int | None = None
    digest: Digest | None = None


class Fetched(NamedTuple):
    """A file that was brought.

    Attributes:
        sha256: of its bytes, hexadecimal.
        size: in bytes.
    """

    sha256: str
    size: int


class _PassingError(Exception):
    """What may go better next time.

    ``wait_s`` is what the server asks for; ``beyond`` that it has nothing behind what is here.
    """

    def __init__(self, text: str, wait_s: float = 0.0, beyond: bool = False) -> None:
        super().__init__(text)
        self.wait_s, self.beyond = wait_s, beyond


class Client:
    """Gets files and answers; one attempt after another.

    Args:
        attempts: how often in a row without a megabyte of progress.
        pause_s: before the second attempt; doubles each time, to a minute at most.
        timeout_s: without a byte.
    """

    def __init__(self, attempts: int = 6, pause_s: float = 1.0, timeout_s: float = 60.0) -> None:
        self._attempts, self._pause_s, self._timeout_s = attempts, pause_s, timeout_s

    def answer(self, url: str) -> tuple[Any, str | None]:
        """A JSON answer, and the address of the next page if there is one (RFC 8288).

        Raises:
            FetchError: it cannot be had, or is no JSON.
        """

        def once() -> tuple[Any, str | None]:
            with self._open(url, {}) as response:
                content = _read_all(response)
                link = response.headers.get("Link") or ""
            following = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', link)
            return json.loads(content), following[1] if following else None

        try:
            found: tuple[Any, str | None] = self._again(url, once, lambda: 0)
        except ValueError as error:
            raise FetchError(f"{url}: is no JSON ({error}); try again later") from error
        return found

    def fetch(
        self, remote: Remote, target: Path, on_bytes: Callable[[int], None] = lambda done: None
    ) -> Fetched:
        """Bring ``remote`` to ``target``, or the rest of it.

        Args:
            remote: what.
            target: where to; a whole file there is verified and kept.
            on_bytes: told how many bytes are there.

        Raises:
            FetchError: it cannot be had, or is not what the source publishes.
            OutputError: the folder cannot be written.
        """
        files.make_folder(target.parent)
        part = target.with_name(target.name + ".part")
        if target.exists():
            target.replace(part)
        found: Fetched = self._again(
            remote.url, lambda: _attempt(self._open, remote, part, on_bytes), lambda: _size(part)
        )
        _etag(part).unlink(missing_ok=True)
        part.replace(target)
        return found

    def _again(self, url: str, once: Callable[[], Any], progress: Callable[[], int]) -> Any:
        failures, before = 0, progress()
        while True:
            try:
                return once()
            except _PassingError as error:
                failures = 1 if progress() - before >= PROGRESS else failures + 1
                before = progress()
                if failures >= self._attempts:
                    raise FetchError(
                        f"{url}: cannot be had ({error}), {failures} times in a row; run the same "
                        "command again later, it goes on where it stopped"
                    ) from error
                time.sleep(
                    min(max(self._pause_s * 2 ** (failures - 1), error.wait_s), LONGEST_PAUSE)
                )

    def _open(self, url: str, headers: dict[str, str]) -> HTTPResponse:
        """Open an address; raises `_PassingError` or `FetchError`."""
        own = {"User-Agent": f"floodsat/{__version__}", "Accept-Encoding": "identity", **headers}
        if urlsplit(url).scheme not in ("http", "https"):
            raise FetchError(f"{url}: is no http or https address; correct --base-url")
        request = urllib.request.Request(url, headers=own)
        try:
            response: HTTPResponse = urllib.request.urlopen(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416 or error.code in PASSING:
                    beyond = error.code == 416
                    raise _PassingError(f"status {error.code}", _wait(error), beyond) from error
                raise FetchError(
                    f"{url}: the server answers {error.code} ({error.reason}); see whether the set "
                    "has moved"
                ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _PassingError(_reason(error)) from error
        if url.startswith("https:") and not response.url.startswith("https:"):
            response.close()
            raise FetchError(f"{url}: leads to an address without encryption; do not use it")
        return response


def _attempt(
    open_url: Callable[[str, dict[str, str]], HTTPResponse],
    remote: Remote,
    part: Path,
    on_bytes: Callable[[int], None],
) -> Fetched:
    """Bring what is missing of ``part`` by one request, and verify the whole."""
    have = _size(part)
    if remote.size is None or have != remote.size:
        headers = _range(remote, part, have)
        try:
            with open_url(remote.url, headers) as response:
                _receive(response, remote, part, have if headers else 0, on_bytes)
        except _PassingError as error:
            if error.beyond:
                part.unlink(missing_ok=True)
            raise
    return _verified(remote, part)


def _range(remote: Remote, part: Path, have: int) -> dict[str, str]:
    """The headers that ask for the rest, where it is sure to be the rest of the same file."""
    if not have or (remote.size is not None and have > remote.size):
        return {}
    etag = _etag(part)
    if etag.exists():
        return {"Range": f"bytes={have}-", "If-Range": etag.read_text("ascii", "replace")}
    # A published checksum would find two versions glued together.
    return {"Range": f"bytes={have}-"} if remote.digest else {}


def _receive(
    response: HTTPResponse, remote: Remote, part: Path, have: int, on_bytes: Callable[[int], None]
) -> None:
    if response.status == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != have:
            part.unlink(missing_ok=True)
            raise _PassingError("the server sent another part than was asked for")
        total = None if span[2] == "*" else int(span[2])
    else:
        have = 0
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
    if remote.size is not None and total is not None and total != remote.size:
        raise FetchError(
            f"{remote.url}: has {total} bytes, but {remote.size} by the source's own list; try "
            "again later"
        )
    tag = response.headers.get("ETag", "")
    with _writing(part):
        if tag and not tag.startswith("W/") and tag.isascii():
            files.write_text(_etag(part), tag)
        elif not have:
            _etag(part).unlink(missing_ok=True)
    _append(response, part, have, on_bytes)
    if total is not None and _size(part) < total:
        raise _PassingError(f"the connection broke after {_size(part)} of {total} bytes")


def _append(response: HTTPResponse, part: Path, have: int, on_bytes: Callable[[int], None]) -> None:
    with _writing(part), part.open("ab" if have else "wb", buffering=0) as out:
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _PassingError(_reason(error)) from error
            if not block:
                return
            out.write(block)
            have += len(block)
            on_bytes(have)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the disk says into one line; a full one keeps what is there for the next time."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FloodsatError):
            raise
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another "
            "place, and run the command again"
        ) from error


def _verified(remote: Remote, part: Path) -> Fetched:
    """Size and SHA-256 of a whole file that is what its source publishes."""
    size = _size(part)
    sums = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    sums["git"] = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    wanted = {"sha256"} | ({remote.digest.kind} if remote.digest else set())
    with part.open("rb") as content:
        while block := content.read(1 << 20):
            for kind in wanted:
                sums[kind].update(block)
    wrong = remote.size is not None and size != remote.size
    if remote.digest is not None:
        wrong |= sums[remote.digest.kind].hexdigest() != remote.digest.value
    if wrong:
        part.unlink()
        raise _PassingError("its checksum or size is not the published one")
    return Fetched(sums["sha256"].hexdigest(), size)


def _read_all(response: HTTPResponse) -> bytes:
    try:
        return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(_reason(error)) from error


def _wait(error: urllib.error.HTTPError) -> float:
    """Seconds of a Retry-After header (RFC 9110, section 10.2.3); its form as a date is rare."""
    asked = error.headers.get("Retry-After") or ""
    return float(asked) if asked.isdigit() else 0.0


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None)
    return str(inner or error) or type(error).__name__


def _etag(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
