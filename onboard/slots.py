"""Slots: the two places a bundle can live on board, and which of them is used.

A slots folder holds ``a/``, ``b/`` and the file ``active`` with the letter of the slot in use.
A new bundle goes into the idle slot, proves itself on its golden tile, and only then one atomic
rename makes it the active one; the old one stays for a roll-back.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from onboard import bundle as bundles
from onboard import engines, files, golden
from onboard.errors import BundleError

SLOTS = ("a", "b")
ACTIVE = "active"


def active(slots: Path) -> str | None:
    """The letter of the slot in use, or None in an empty folder.

    Raises:
        BundleError: the marker is damaged.
    """
    try:
        letter = (slots / ACTIVE).read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{slots / ACTIVE}: cannot be read; flash a bundle again") from error
    if letter not in SLOTS:
        raise BundleError(f"{slots / ACTIVE}: names no slot ({letter!r}); flash a bundle again")
    return letter


def load_active(slots: Path, engine: str, keys: Iterable[Path] | None) -> bundles.Bundle:
    """The bundle in use, verified.

    Raises:
        BundleError: nothing is installed, or it is damaged.
    """
    letter = active(slots)
    if letter is None:
        raise BundleError(f"{slots}: holds no bundle; 'floodsat flash BUNDLE --slots {slots}'")
    return bundles.load(slots / letter, [engines.set_of(engine), bundles.COMMON], keys)


def install(path: Path, slots: Path, engine: str, keys: list[Path] | None) -> str:
    """Verify a bundle, copy it into the idle slot, test it there and make it active.

    Only the engine's own set and the common one are copied.

    Returns:
        The slot's letter.

    Raises:
        BundleError: the bundle is not acceptable.
        EngineError: its golden tile fails on this machine.
        OutputError: the slots folder cannot be written.
    """
    bundle = bundles.load(path, [engines.set_of(engine), bundles.COMMON], keys)
    files.make_folder(slots)
    idle = "b" if active(slots) == "a" else "a"
    with files.replacing_folder(slots / idle) as part:
        for name in (bundles.MANIFEST, bundles.SIGNATURE):
            (part / name).write_bytes((path / name).read_bytes())
        for name, data in bundle.content.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(data)
        copied = bundles.load(part, [engines.set_of(engine), bundles.COMMON], keys)
        golden.check(copied, engines.load(engine, copied), engine)
    files.write_text(slots / ACTIVE, idle + "\n")
    return idle


def rollback(slots: Path, engine: str, keys: list[Path] | None) -> str:
    """Make the other slot active again, after verifying it.

    Raises:
        BundleError: there is nothing to go back to, or it is damaged.
    """
    other = "b" if active(slots) == "a" else "a"
    if not (slots / other).is_dir():
        raise BundleError(f"{slots}: has no earlier bundle to go back to; flash one")
    bundles.load(slots / other, [engines.set_of(engine), bundles.COMMON], keys)
    files.write_text(slots / ACTIVE, other + "\n")
    return other
