"""An S3-compatible store on loopback that counts what it gives away, and can be made to fail."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    # Waiting is not what is tested.
    "GDAL_HTTP_RETRY_DELAY": "0.01",
    "AWS_EC2_METADATA_DISABLED": "true",
    # A proxy of the machine leads out, not to its own loopback.
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
ANYONE = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
FOREIGN = (
    "AWS_CONFIG_FILE",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
)


class Asked(NamedTuple):
    """One request and how many bytes were sent for it."""

    method: str
    path: str
    sent: int


class Store:
    """The server.

    Attributes:
        url: its endpoint.
        log: every request since `forget`.
        broken_after: requests that are still answered before all others get the status 503.
    """

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._serve, threaded=True, request_handler=_Mute
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.log: list[Asked] = []
        self.broken_after: int | None = None
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def forget(self) -> None:
        self.log.clear()
        self.broken_after = None

    def sent(self, key: str) -> int:
        """Bytes of the objects whose names end with ``key`` that were given away."""
        return sum(one.sent for one in self.log if one.method == "GET" and one.path.endswith(key))

    def _serve(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if self.broken_after is not None and len(self.log) >= self.broken_after:
            self.log.append(Asked(method, path, 0))
            start("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        # The same objects are on the web, for whoever does not sign; signatures are not checked.
        environ.setdefault("HTTP_AUTHORIZATION", ANYONE)
        answer = self._app(environ, start)
        # Before the last byte is out: who has it all may look at the count at once.
        chunks = list(answer)
        self.log.append(Asked(method, path, sum(map(len, chunks))))
        return chunks


class _Mute(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        pass


@contextmanager
def store_running() -> Iterator[Store]:
    """A store with the empty buckets ``frames`` and ``maps``, and the environment that finds it."""
    store = Store()
    with pytest.MonkeyPatch.context() as patch:
        for name in FOREIGN:
            patch.delenv(name, raising=False)
        for name, value in {**VARIABLES, "AWS_ENDPOINT_URL": store.url}.items():
            patch.setenv(name, value)
        import s3fs

        # What another server of this process held is still there.
        with urlopen(Request(f"{store.url}/moto-api/reset", method="POST"), timeout=60) as answer:
            answer.read()
        system = s3fs.S3FileSystem(endpoint_url=store.url)
        for bucket in ("frames", "maps"):
            system.mkdir(bucket)
        try:
            yield store
        finally:
            s3fs.S3FileSystem.clear_instance_cache()
            store.close()
