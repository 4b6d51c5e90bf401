"""Addresses as paths, and what either library is told of a store; no store is asked."""

from __future__ import annotations

import builtins
import pickle
from pathlib import Path
from typing import Any

import pytest

from onboard.errors import ConfigError, MissingPackageError, StoreError
from onboard.remote import Remote, gdal_options, place, s3_options


@pytest.mark.parametrize(
    "text", ["s3://bucket/a/b c.tif", "s3://bucket", "https://host:8/a?x=1", "http://h/a.json"]
)
def test_an_address_stays_as_it_was_written(text: str) -> None:
    found = place(text)
    assert isinstance(found, Remote)
    assert str(found) == text
    assert str(place(text + "/")) == text
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), str(again)) == (Remote, text)


def test_an_address_joins_like_a_path() -> None:
    folder = place("s3://bucket/year")
    file = folder / "day" / "f.tif"
    assert isinstance(file, Remote)
    assert str(file) == "s3://bucket/year/day/f.tif"
    assert (file.stem, file.suffix, file.name) == ("f", ".tif", "f.tif")
    assert str(file.parent.parent) == str(folder)
    assert str(file.with_suffix(".json")) == "s3://bucket/year/day/f.json"
    assert str(file.relative_to(folder)) == "day/f.tif"
    assert file.resolve() is file
    assert file.gdal == "/vsis3/bucket/year/day/f.tif"
    assert place("https://host/f.tif").gdal == "/vsicurl/https://host/f.tif"  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["f.tif", "/a/b", "s3:/a/b", "c://a", "folder/s3://x"])
def test_everything_else_is_a_path(text: str) -> None:
    assert type(place(text)) is type(Path(text))


@pytest.mark.parametrize("text", ["s3://", "s3:///a", "s3://b//a", "s3://b/./a", "https:///"])
def test_an_address_without_sense(text: str) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        place(text)


def test_both_libraries_are_told_of_the_same_store() -> None:
    environ = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000/", "AWS_REGION": "eu-central-1"}
    gdal, s3 = gdal_options(environ), s3_options(environ)
    assert gdal["AWS_S3_ENDPOINT"] == "127.0.0.1:9000"
    assert (gdal["AWS_HTTPS"], gdal["AWS_VIRTUAL_HOSTING"]) == ("NO", "FALSE")
    assert s3["endpoint_url"] == "http://127.0.0.1:9000"
    assert s3["config_kwargs"]["s3"] == {"addressing_style": "path"}
    assert s3["client_kwargs"] == {"region_name": "eu-central-1"}
    assert not s3["anon"]
    own = {**environ, "AWS_ENDPOINT_URL_S3": "https://store:1"}
    assert gdal_options(own)["AWS_S3_ENDPOINT"] == "store:1"
    assert s3_options(own)["endpoint_url"] == "https://store:1"


def test_amazon_needs_no_endpoint() -> None:
    assert not [name for name in gdal_options({}) if name.startswith("AWS_")]
    assert s3_options({})["endpoint_url"] is None
    assert "s3" not in s3_options({})["config_kwargs"]
    assert s3_options({"AWS_NO_SIGN_REQUEST": "YES"})["anon"]


def test_what_the_user_says_to_gdal_stands() -> None:
    own = {"AWS_S3_ENDPOINT": "other", "GDAL_HTTP_MAX_RETRY": "9", "AWS_ENDPOINT_URL": "http://a"}
    found = gdal_options(own)
    assert "AWS_S3_ENDPOINT" not in found
    assert "GDAL_HTTP_MAX_RETRY" not in found


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://a", "http://a/minio"])
def test_an_endpoint_without_sense(endpoint: str) -> None:
    for options in (gdal_options, s3_options):
        with pytest.raises(ConfigError, match="write http://HOST:PORT"):
            options({"AWS_ENDPOINT_URL": endpoint})


def test_writing_needs_a_whole_object_and_a_store() -> None:
    with pytest.raises(StoreError, match="written whole"):
        place("s3://bucket/a").open("w")
    with pytest.raises(StoreError, match="s3://BUCKET"):
        place("https://host/a").check_bucket()  # type: ignore[attr-defined]


def test_without_fsspec_one_line_says_so(monkeypatch: Any) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.partition(".")[0] in ("fsspec", "s3fs"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"^s3://bucket/a: needs .*floodsat\[archive\]"):
        place("s3://bucket/a").read_bytes()
