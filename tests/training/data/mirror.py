"""Small copies of public data sets in their own layouts, served from loopback, faults on order."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from tests.samples import write_frame
from training.data.sources import S2_BANDS, SEN1FLOODS11, WORLDFLOODS

REVISION = "0123456789abcdef0123456789abcdef01234567"
HAND = "v1.1/data/flood_events/HandLabeled"


@dataclass
class Mirror:
    """What a server holds, what it was asked, and how it misbehaves.

    Attributes:
        files: path → content.
        requests: each path that was asked for, with the Range header or "".
        statuses: path → answers to give before the content.
        breaks: path → bytes after which the connection is cut, once each.
        holds: path → bytes after which nothing more comes until `go` is set.
        lies: path → other content than listed.
        ranges: whether Range is understood.
        page: most entries of a list on one page.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    breaks: dict[str, list[int]] = field(default_factory=dict)
    holds: dict[str, int] = field(default_factory=dict)
    lies: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    page: int = 1000
    url: str = ""
    held: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def asked(self, ending: str) -> list[str]:
        """The Range headers of the requests for a path."""
        return [span for path, span in self.requests if path.endswith(ending)]

    def counts(self) -> Counter[str]:
        """How often each file was asked for."""
        return Counter(path for path, _ in self.requests if path.endswith(".tif"))


@contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    """Serve a mirror on a free port of 127.0.0.1."""

    class Handler(_Handler):
        own = mirror

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    mirror.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield mirror
    finally:
        mirror.go.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    own: Mirror
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        path = unquote(where.path)
        self.own.requests.append((path, self.headers.get("Range") or ""))
        waiting = self.own.statuses.get(path)
        if waiting:
            self._send(waiting.pop(0), b"", {"Retry-After": "0"})
        elif path.startswith("/storage/v1/b/"):
            self._bucket(parse_qs(where.query))
        elif path.startswith("/api/datasets/"):
            self._hub(path, parse_qs(where.query))
        else:
            self._file(path)

    def _file(self, path: str) -> None:
        content = self.own.lies.get(path, self.own.files.get(path))
        if content is None:
            self._send(404, b"", {})
            return
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        headers = {"ETag": tag}
        span, wanted = self.headers.get("Range"), self.headers.get("If-Range")
        start = 0
        if span and self.own.ranges and wanted in (None, tag):
            start = int(span.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self._send(416, b"", {})
                return
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(206 if start else 200, content[start:], headers, path)

    def _bucket(self, query: dict[str, list[str]]) -> None:
        """Google Cloud Storage, Objects: list."""
        prefix, start = query["prefix"][0], int(query.get("pageToken", ["0"])[0])
        root = f"/{SEN1FLOODS11.store}/"
        names = sorted(p.removeprefix(root) for p in self.own.files if p.startswith(root + prefix))
        entries = [
            {
                "kind": "storage#object",
                "name": name,
                "size": str(len(self.own.files[root + name])),
                "md5Hash": base64.b64encode(
                    hashlib.md5(self.own.files[root + name]).digest()
                ).decode(),
            }
            for name in names[start : start + self.own.page]
        ]
        answer: dict[str, Any] = {"kind": "storage#objects", "items": entries}
        if start + self.own.page < len(names):
            answer["nextPageToken"] = str(start + self.own.page)
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _hub(self, path: str, query: dict[str, list[str]]) -> None:
        """The Hub's API: a revision, and the tree of a folder."""
        api = f"/api/datasets/{WORLDFLOODS.store}"
        if path == f"{api}/revision/main":
            self._send(200, json.dumps({"sha": REVISION}).encode(), {})
            return
        folder = path.removeprefix(f"{api}/tree/{REVISION}/")
        root = f"/datasets/{WORLDFLOODS.store}/resolve/{REVISION}/"
        names = sorted(p.removeprefix(root) for p in self.own.files if p.startswith(root + folder))
        start = int(query.get("cursor", ["0"])[0])
        entries: list[dict[str, Any]] = [{"type": "directory", "path": folder, "size": 0}]
        for name in names[start : start + self.own.page]:
            content = self.own.files[root + name]
            blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            entry = {"type": "file", "path": name, "size": len(content), "oid": blob}
            if name.endswith(".tif"):
                entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
            entries.append(entry)
        headers = {}
        if start + self.own.page < len(names):
            following = f"{self.own.url}{path}?cursor={start + self.own.page}"
            headers["Link"] = f'<{following}>; rel="next"'
        self._send(200, json.dumps(entries).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str], path: str = "") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        breaks = self.own.breaks.get(path)
        if breaks:
            self.wfile.write(body[: breaks.pop(0)])
            self.close_connection = True
            return
        if path in self.own.holds:
            self.wfile.write(body[: self.own.holds.pop(path)])
            self.wfile.flush()
            self.own.held.set()
            self.own.go.wait(60)
            self.close_connection = True
            return
        self.wfile.write(body)


def sen1floods11_mirror(folder: Path, chips: dict[str, int], side: int = 96) -> Mirror:
    """Event → how many chips, in the layout of the bucket."""
    mirror, rng = Mirror(), np.random.default_rng(1)
    for event, count in chips.items():
        for number in range(count):
            stem = f"{event}_{100 + number}"
            image = rng.integers(1, 5000, (13, side, side)).astype(np.uint16)
            label = rng.integers(-1, 2, (1, side, side)).astype(np.int16)
            for part, samples in (("S2Hand", image), ("LabelHand", label)):
                path = write_frame(folder / f"{stem}_{part}.tif", samples, bands=None)
                name = f"/{SEN1FLOODS11.store}/{HAND}/{part}/{stem}_{part}.tif"
                mirror.files[name] = path.read_bytes()
    mirror.files[f"/{SEN1FLOODS11.store}/{HAND}/S1Hand/x_S1Hand.tif"] = b"radar"
    return mirror


def worldfloods_mirror(
    folder: Path, scenes: dict[str, str], height: int = 150, width: int = 200
) -> Mirror:
    """Scene → its published part, in the layout of the repository; 15 bands with names."""
    mirror, rng = Mirror(), np.random.default_rng(2)
    root = f"/datasets/{WORLDFLOODS.store}/resolve/{REVISION}"
    names = (*S2_BANDS.values(), "QA60", "probability")
    for stem, part in scenes.items():
        image = rng.integers(1, 5000, (15, height, width)).astype(np.uint16)
        label = rng.integers(0, 3, (2, height, width)).astype(np.uint8)
        meta = json.dumps({"satellite date": "2018-09-17T10:00:00", "gtversion": "v2"}).encode()
        tif = write_frame(folder / f"{stem}.tif", image, bands=names)
        gt = write_frame(folder / f"{stem}_gt.tif", label, bands=None)
        mirror.files[f"{root}/{part}/S2/{stem}.tif"] = tif.read_bytes()
        mirror.files[f"{root}/{part}/gt/{stem}.tif"] = gt.read_bytes()
        mirror.files[f"{root}/{part}/meta/{stem}.json"] = meta
        mirror.files[f"{root}/{part}/PERMANENTWATERJRC/{stem}.tif"] = b"not wanted"
    return mirror
