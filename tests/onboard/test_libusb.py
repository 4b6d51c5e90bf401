from __future__ import annotations

import ctypes
import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from onboard import libusb


def package(monkeypatch: pytest.MonkeyPatch, path: Any) -> None:
    """Make the package give ``path``, or be absent if that is an ImportError."""

    def import_module(name: str) -> Any:
        assert name == libusb.PACKAGE
        if isinstance(path, ImportError):
            raise path
        return SimpleNamespace(get_library_path=lambda: path)

    monkeypatch.setattr(importlib, "import_module", import_module)


def test_the_machines_own_is_taken_first(monkeypatch: pytest.MonkeyPatch) -> None:
    package(monkeypatch, AssertionError("not asked"))
    assert libusb.preload("libc.so.6")


def test_the_packages_is_taken_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    real = ctypes.CDLL

    def library(name: str, mode: int = 0) -> Any:
        loaded.append((name, mode))
        return real(name, mode=mode)

    monkeypatch.setattr(ctypes, "CDLL", library)
    package(monkeypatch, "libc.so.6")
    assert libusb.preload("libno-such.so.0")
    assert loaded == [
        ("libno-such.so.0", ctypes.RTLD_GLOBAL),
        ("libc.so.6", ctypes.RTLD_GLOBAL),
    ]


@pytest.mark.parametrize("path", [ImportError("no package"), None, "/no/such/library.so"])
def test_without_either_it_is_quiet(monkeypatch: pytest.MonkeyPatch, path: Any) -> None:
    package(monkeypatch, path)
    assert not libusb.preload("libno-such.so.0")


def test_the_real_package_serves_the_plugin() -> None:
    pytest.importorskip(libusb.PACKAGE, reason="the flight environment has it")
    assert libusb.preload("libno-such.so.0")
    assert libusb.preload()
