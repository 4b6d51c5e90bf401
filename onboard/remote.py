"""Remote: what lies in an object store or on a web server, named like a file.

``s3://bucket/key`` and ``https://host/path`` are paths: they join, have a name and a suffix, and
answer whether they exist. Rasters in them are read by GDAL, window by window, and need nothing
else; all other objects go through fsspec, which is imported when one is asked for and need not be
installed where only frames are read.

The user sets the variables that the tools of AWS know, and nothing twice: `gdal_options` and
`s3_options` say the same to either library.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path, PosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from onboard.errors import ConfigError, MissingPackageError, StoreError

S3 = "s3"
SCHEMES = (S3, "http", "https")
YES = ("YES", "TRUE", "ON", "1")

CONNECT_S, READ_S = 10, 30
TRIES = 3
"""Times that anything is asked for before a store counts as away."""


class Remote(PosixPath):
    """The address of an object, or of all objects that begin with it, as a path.

    Where files have folders, objects have names with slashes: a *folder* exists as soon as an
    object's name begins with it, and needs no making. An object is written in one piece and
    replaces an older one in one step.

    What asks a store raises `FileNotFoundError` where there is no such object, `StoreError` where
    the store does not answer or refuses, and `MissingPackageError` without fsspec.
    """

    def __str__(self) -> str:
        text = super().__str__()
        scheme, colon, rest = text.partition(":/")
        # Paths have one slash where an address has two; what is relative to one has neither.
        return f"{scheme}://{rest}" if colon and scheme in SCHEMES else text

    @property
    def scheme(self) -> str:
        """``s3``, ``http`` or ``https``."""
        return str(self).partition(":")[0]

    @property
    def gdal(self) -> str:
        """What GDAL calls it."""
        return gdal_name(str(self))

    def resolve(self, strict: bool = False) -> Remote:
        """Itself: an address is absolute."""
        return self

    def absolute(self) -> Remote:
        """Itself."""
        return self

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size, kind and, of an object in a store, when it was put there; all else is zero."""
        with _asking(self) as system:
            found = system.info(str(self))
        kind = stat.S_IFDIR if found["type"] == "directory" else stat.S_IFREG
        since = found.get("LastModified")
        when = int(since.timestamp()) if since else 0
        return os.stat_result((kind | 0o444, 0, 0, 1, 0, 0, found.get("size") or 0, 0, when, 0))

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is such an object, or one within."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is such an object."""
        return self.exists() and stat.S_ISREG(self.stat().st_mode)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is an object within."""
        return self.exists() and stat.S_ISDIR(self.stat().st_mode)

    # Path yields and opens what it is itself, and takes more options than an object has.
    def iterdir(self) -> Iterator[Remote]:  # type: ignore[override]
        """What lies directly within, as the store has it now."""
        with _asking(self) as system:
            found = system.ls(str(self), detail=False)
        for name in sorted(found):
            last = str(name).rstrip("/").rpartition("/")[2]
            # A store may hold an empty object in the name of the folder itself.
            if last and last != self.name:
                yield self / last

    def glob(self, pattern: str, **_: Any) -> Iterator[Remote]:  # type: ignore[override]
        """What lies directly within and has a name of that pattern; nothing where nothing is."""
        with contextlib.suppress(FileNotFoundError):
            yield from (one for one in self.iterdir() if fnmatch(one.name, pattern))

    def read_bytes(self) -> bytes:
        """The whole object."""
        with _asking(self) as system:
            return bytes(system.cat_file(str(self)))

    def read_text(self, encoding: Any = None, errors: Any = None, newline: Any = None) -> str:
        """The whole object as text."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def open(self, mode: str = "r", *_: Any, **options: Any) -> IO[Any]:  # type: ignore[override]
        """The whole object, to read in.

        Raises:
            StoreError: to write in; objects are written whole.
        """
        if set(mode) & set("wax+"):
            raise StoreError(f"{self}: is an object, written whole or not at all; use another path")
        data = io.BytesIO(self.read_bytes())
        if "b" in mode:
            return data
        return io.TextIOWrapper(
            data, encoding=options.get("encoding") or "utf-8", newline=options.get("newline")
        )

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: objects need no folder."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object; a store does not say whether there was one."""
        with _asking(self) as system:
            system.rm_file(str(self))

    def write_bytes(self, data: Any) -> int:
        """Put the object there whole, in the place of an older one."""
        with _asking(self) as system:
            system.pipe_file(str(self), bytes(data))
        return len(data)

    def upload(self, source: Path, sha256: str | None = None) -> None:
        """Put a local file there whole, in the place of an older object.

        Args:
            source: the file.
            sha256: of its content, hexadecimal, kept with the object for `sha256`.

        Raises:
            StoreError: the store has not all of it.
        """
        kept = {} if sha256 is None else {"Metadata": {"sha256": sha256}}
        with _asking(self) as system:
            system.put_file(str(source), str(self), **kept)
            size = system.info(str(self))["size"]
        if size != source.stat().st_size:
            raise StoreError(f"{self}: {size} of {source.stat().st_size} bytes came in; try again")

    def sha256(self) -> str | None:
        """What `upload` was told of the content; None without an object or without a word of it."""
        try:
            with _asking(self) as system:
                found = system.metadata(str(self)).get("sha256")
        except FileNotFoundError:
            return None
        return None if found is None else str(found)

    def check_bucket(self) -> None:
        """Find out whether anything can be there.

        Raises:
            StoreError: no such bucket, or not for us; or not the address of a store.
        """
        if self.scheme != S3:
            raise StoreError(f"{self}: cannot be written to; name a folder or s3://BUCKET/PREFIX")
        bucket = self.parts[1]
        try:
            with _asking(self) as system:
                system.info(bucket)
        except FileNotFoundError as error:
            raise StoreError(f"{self}: {error.strerror}; make the bucket, or mend its name") from (
                error
            )


def is_address(text: str) -> bool:
    """Whether a text names an object, not a file."""
    return text.partition("://")[0] in SCHEMES and "://" in text


def gdal_name(address: str) -> str:
    """What GDAL calls an object."""
    return f"/vsis3/{address[5:]}" if address.startswith("s3://") else f"/vsicurl/{address}"


def address_of(name: str) -> str:
    """The address of what GDAL calls so; a file's name is left as it is."""
    if name.startswith("/vsis3/"):
        return "s3://" + name[len("/vsis3/") :]
    return name[len("/vsicurl/") :] if name.startswith("/vsicurl/") else name


def is_far(name: str) -> bool:
    """Whether GDAL has to ask a store or a web server for what it calls so."""
    return name.startswith(("/vsis3/", "/vsicurl/"))


def place(text: str) -> Path:
    """The path or the address that a text names.

    Raises:
        ConfigError: an address without a bucket or host, or with empty steps.
    """
    if not is_address(text):
        return Path(text)
    address = Remote(text.rstrip("/"))
    if len(address.parts) < 2 or str(address) != text.rstrip("/"):
        raise ConfigError(
            f"{text}: is no address of an object; write s3://BUCKET/KEY or https://HOST/PATH, "
            "without empty or dotted steps"
        )
    return address


def gdal_options(environ: Mapping[str, str]) -> dict[str, str]:
    """What GDAL has to be told so that it reads where the tools of AWS would.

    Args:
        environ: variables of the environment; what it says to GDAL itself is left to it.

    Raises:
        ConfigError: an endpoint that GDAL cannot have.
    """
    found = {
        # Nothing is known of a prefix but what is asked for: no listing, no files beside.
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        # An object may be replaced between two frames of one process.
        "CPL_VSIL_CURL_NON_CACHED": "/vsis3/:/vsicurl/",
        "GDAL_HTTP_CONNECTTIMEOUT": str(CONNECT_S),
        "GDAL_HTTP_LOW_SPEED_TIME": str(READ_S),
        "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
        "GDAL_HTTP_MAX_RETRY": str(TRIES - 1),
        "GDAL_HTTP_RETRY_DELAY": "1",
    }
    endpoint = _endpoint(environ)
    if endpoint is not None:
        parts = urlsplit(endpoint)
        found["AWS_S3_ENDPOINT"] = parts.netloc
        found["AWS_HTTPS"] = "YES" if parts.scheme == "https" else "NO"
        found["AWS_VIRTUAL_HOSTING"] = "FALSE"
    return {name: value for name, value in found.items() if name not in environ}


def s3_options(environ: Mapping[str, str]) -> dict[str, Any]:
    """The same for s3fs; credentials it finds by itself."""
    virtual = environ.get("AWS_VIRTUAL_HOSTING", "").upper()
    endpoint = _endpoint(environ)
    path_style = virtual not in YES if endpoint is not None or virtual else False
    client = {}
    if "AWS_REGION" in environ and "AWS_DEFAULT_REGION" not in environ:
        client["region_name"] = environ["AWS_REGION"]
    return {
        "anon": environ.get("AWS_NO_SIGN_REQUEST", "").upper() in YES,
        "endpoint_url": endpoint,
        "client_kwargs": client,
        "config_kwargs": {
            "connect_timeout": CONNECT_S,
            "read_timeout": READ_S,
            "retries": {"total_max_attempts": TRIES, "mode": "standard"},
            **({"s3": {"addressing_style": "path"}} if path_style else {}),
        },
        # What others put there a moment ago counts.
        "use_listings_cache": False,
    }


def _endpoint(environ: Mapping[str, str]) -> str | None:
    """The store's address, where it is not Amazon's."""
    name = "AWS_ENDPOINT_URL_S3" if environ.get("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
    found = environ.get(name)
    if not found:
        return None
    parts = urlsplit(found)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise ConfigError(f"{name}: is {found!r}; write http://HOST:PORT or https://HOST:PORT")
    return found.rstrip("/")


@contextlib.contextmanager
def _asking(path: Remote) -> Iterator[Any]:
    """Yield the file system of an address; its errors become ours."""
    system = _system(path)
    try:
        yield system
    except FileNotFoundError as error:
        # s3fs gives the bare name for a key, and the store's words for a bucket.
        said = str(error)
        why = said if " " in said else "there is no such object"
        raise FileNotFoundError(errno.ENOENT, why, str(path)) from error
    except PermissionError as error:
        raise StoreError(
            f"{path}: the store refuses ({_said(error)}); check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and what they may do there"
        ) from error
    except _troubles() as error:
        raise StoreError(_trouble(path, error)) from error


def _trouble(path: Remote, error: BaseException) -> str:
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return (
            f"{path}: no credentials for the store; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_NO_SIGN_REQUEST=YES where it is public"
        )
    return (
        f"{path}: the store does not answer as it should ({_said(error)}); check "
        "AWS_ENDPOINT_URL and the network, then run it again"
    )


def _said(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0]


def _system(path: Remote) -> Any:
    try:
        import fsspec

        if path.scheme != S3:
            return fsspec.filesystem(path.scheme)
        system = fsspec.filesystem(S3, **s3_options(os.environ))
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: needs the packages fsspec and s3fs, which are not installed here; "
            "pip install 'floodsat[archive]'"
        ) from error
    system.retries = TRIES
    return system


def _troubles() -> tuple[type[BaseException], ...]:
    """What fsspec's file systems raise; only asked for when they are there."""
    import asyncio

    from aiohttp import ClientError
    from botocore.exceptions import BotoCoreError
    from botocore.exceptions import ClientError as BotoClientError

    # On Python 3.9 a timeout of asyncio's is no OSError.
    return (OSError, ClientError, BotoCoreError, BotoClientError, asyncio.TimeoutError)
