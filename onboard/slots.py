"""Slots: the places where a bundle lives on board, and which of them is used.

A slots folder holds ``a/``, ``b/``, ``golden/`` and the file ``active`` with the name of the one
in use. A new bundle goes into the idle one of ``a`` and ``b``, proves itself on its golden tile,
and only then one atomic rename makes it the active one; the old one stays for a roll-back.

``golden`` is written once, before launch, and never again by anything: it is what starts when
neither ``a`` nor ``b`` does. Every start is counted before it is tried and forgotten when the
first frame is done, so a bundle that brings the software down is left after `FAILED_STARTS`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from onboard import bundle as bundles
from onboard import control, copies, engines, files, golden, keyring, signing
from onboard.bundle import Bundle
from onboard.engines import Engine
from onboard.errors import BundleError, EngineError, UnavailableError

SLOTS = ("a", "b")
GOLDEN = "golden"
ALL = (*SLOTS, GOLDEN)
ACTIVE = "active"
STARTS = "starts"
SIGNED = "{}.sig"
"""Beside the hash of a slot's manifest, that of its signature is noted under this name."""
OTHER = "other"
FAILED_STARTS = 3

Load = Callable[[str, Bundle], Engine]


@dataclass(frozen=True)
class Started:
    """What a start came to.

    Attributes:
        slot: that is in use now.
        bundle: verified.
        engine: with the bundle's model; its golden tile came out right.
        notes: lines on what was wrong, for telemetry; empty after a smooth start.
    """

    slot: str
    bundle: Bundle
    engine: Engine
    notes: tuple[str, ...]


def active(slots: Path) -> str | None:
    """The name of the slot in use, or None in an empty folder.

    Raises:
        BundleError: the marker is damaged.
    """
    try:
        letter = (slots / ACTIVE).read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{slots / ACTIVE}: cannot be read; flash a bundle again") from error
    if letter not in ALL:
        raise BundleError(f"{slots / ACTIVE}: names no slot ({letter!r}); flash a bundle again")
    return letter


def load(slots: Path, slot: str, engine: str, keys: signing.Trust = None) -> Bundle:
    """The bundle in a slot, verified by its signature or as what was installed there.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    state = control.read(slots).control
    trusted = keyring.trusted(slots, state, keys)
    pin = state.installed.get(slot, "")
    return bundles.load(slots / slot, [engines.set_of(engine), bundles.COMMON], trusted, pin)


def load_active(slots: Path, engine: str, keys: signing.Trust = None) -> Bundle:
    """The bundle in use, verified.

    Raises:
        BundleError: nothing is installed, or it is damaged.
    """
    letter = active(slots)
    if letter is None:
        raise BundleError(f"{slots}: holds no bundle; 'floodsat flash BUNDLE --slots {slots}'")
    return load(slots, letter, engine, keys)


# --- starting ---


def start(
    slots: Path, engine: str, keys: signing.Trust = None, load_engine: Load = engines.load
) -> Started:
    """Start the active bundle, or, where it fails, the other one, or the golden one.

    A slot is left when `FAILED_STARTS` of its starts in a row did not come to `good`, be it that
    the bundle is damaged, its golden tile fails, or the process did not live to tell. What is
    started is the active slot from then on.

    Args:
        slots: the slots folder. Nobody may be installing there meanwhile.
        engine: what runs the network.
        keys: as the command line names them; see `onboard.keyring.trusted`.
        load_engine: makes an engine of a name and a bundle.

    Raises:
        BundleError: no slot starts, for the reasons named.
        UnavailableError: the engine cannot run here, whatever the bundle.
    """
    notes = _tidied(slots)
    reasons: list[str] = []
    for slot in _attempts(slots):
        try:
            bundle = load(slots, slot, engine, keys)
            running = _proved(bundle, engine, load_engine)
        except UnavailableError:
            _count(slots, slot, 0)
            raise
        except (BundleError, EngineError) as error:
            reasons.append(f"slot {slot}: {error}")
            continue
        if _active_or_none(slots) != slot:
            files.write_text(slots / ACTIVE, slot + "\n")
            notes.append(f"slot {slot} is active now")
        return Started(slot, bundle, running, (*dict.fromkeys(reasons), *notes))
    if not any((slots / slot).is_dir() for slot in ALL):
        raise BundleError(f"{slots}: holds no bundle; 'floodsat flash BUNDLE --slots {slots}'")
    # Next time all are tried again: the fault may have been a passing one.
    copies.write(slots, STARTS, {})
    raise BundleError(f"{slots}: no slot starts: {'; '.join(dict.fromkeys(reasons))}")


def good(slots: Path, slot: str) -> None:
    """The software runs well from ``slot``: forget its failed starts.

    Call it when the golden tile came out right and the first frame is done, or there is none.
    """
    if failed_starts(slots).get(slot, 0):
        _count(slots, slot, 0)


def failed_starts(slots: Path) -> dict[str, int]:
    """Slot → starts in a row that did not come to `good`."""
    values = copies.read(slots, STARTS).values or {}
    return {slot: int(values.get(slot, 0)) for slot in ALL}


def _attempts(slots: Path) -> Iterator[str]:
    """The slot of every attempt that is left, each counted before it is made."""
    first = _active_or_none(slots)
    order = [first] if first else []
    order += [slot for slot in ALL if slot != first]
    there = [slot for slot in order if (slots / slot).is_dir()]
    failed = failed_starts(slots)
    if there and all(failed[slot] >= FAILED_STARTS for slot in there):
        copies.write(slots, STARTS, {})
    for slot in there:
        while failed_starts(slots)[slot] < FAILED_STARTS:
            _count(slots, slot, failed_starts(slots)[slot] + 1)
            yield slot


def _count(slots: Path, slot: str, failed: int) -> None:
    copies.write(slots, STARTS, {**failed_starts(slots), slot: failed})


def _active_or_none(slots: Path) -> str | None:
    """The active slot; None where the marker is damaged, which is no reason not to start."""
    with contextlib.suppress(BundleError):
        return active(slots)
    return None


def _proved(bundle: Bundle, engine: str, load_engine: Load) -> Engine:
    """The engine with the bundle's model, after the golden tile."""
    running = load_engine(engine, bundle)
    try:
        golden.check(bundle, running, engine)
    except BaseException:
        _let_go(running)
        raise
    return running


def _let_go(running: Engine) -> None:
    """Some engines hold a device or a process."""
    close = getattr(running, "close", None)
    if close is not None:
        close()


def _tidied(slots: Path) -> list[str]:
    """Mend what power cuts and upsets left; lines on it."""
    if not slots.is_dir():
        return []
    notes = [f"{name}: left by a power cut; removed" for name in files.tidy(slots)]
    notes += control.repair(slots)
    notes += copies.repair(slots, STARTS)
    notes += copies.repair(slots / keyring.FOLDER, keyring.NAME)
    return notes


# --- installing ---


def install(path: Path, slots: Path, engine: str, keys: signing.Trust = None) -> str:
    """Verify a bundle, copy it into the idle slot, test it there and make it active.

    Only the engine's own set and the common one are copied.

    Returns:
        The slot's letter.

    Raises:
        BundleError: the bundle is not acceptable: unsigned or wrongly signed, damaged, of
            another format, for another sensor, or older than what was installed before.
        EngineError: its golden tile fails on this machine.
        OutputError: the slots folder cannot be written.
    """
    bundle = _acceptable(path, slots, engine, keys)
    _check_version(bundle, slots)
    _make_ready(slots, keys)
    idle = "b" if _active_or_none(slots) == "a" else "a"
    _put(bundle, slots, idle, engine, keys)
    _count(slots, idle, 0)
    files.write_text(slots / ACTIVE, idle + "\n")
    _remember_version(slots, bundle)
    return idle


def install_golden(path: Path, slots: Path, engine: str, keys: signing.Trust = None) -> None:
    """Put a bundle into the golden slot, once.

    Raises:
        BundleError: there is one already, or the bundle is not acceptable.
        EngineError: its golden tile fails on this machine.
        OutputError: the slots folder cannot be written.
    """
    if (slots / GOLDEN).exists():
        raise BundleError(
            f"{slots / GOLDEN}: the golden bundle is written once and never again; flash without "
            "--golden"
        )
    bundle = _acceptable(path, slots, engine, keys)
    _make_ready(slots, keys)
    _put(bundle, slots, GOLDEN, engine, keys)


def _acceptable(path: Path, slots: Path, engine: str, keys: signing.Trust) -> Bundle:
    bundle = _signed(path, slots, engine, keys)
    _check_sensor(bundle, slots)
    return bundle


def _signed(path: Path, slots: Path, engine: str, keys: signing.Trust) -> Bundle:
    trusted = keyring.trusted(slots, control.read(slots).control, keys)
    return bundles.load(path, [engines.set_of(engine), bundles.COMMON], trusted)


def _make_ready(slots: Path, keys: signing.Trust) -> None:
    """Whom the first flash is told to trust, the satellite trusts from then on."""
    files.make_folder(slots)
    fresh = not any((slots / name).exists() for name in (*ALL, keyring.FOLDER))
    if fresh and keys is not None:
        keyring.provision(slots, signing.trusted(keys))


def _put(bundle: Bundle, slots: Path, slot: str, engine: str, keys: signing.Trust) -> None:
    """Copy a bundle into a slot, test the copy, and note what is installed there."""
    with files.replacing_folder(slots / slot) as part:
        for name in (bundles.MANIFEST, bundles.SIGNATURE):
            (part / name).write_bytes((bundle.path / name).read_bytes())
        for name, data in bundle.content.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(data)
        _let_go(_proved(_signed(part, slots, engine, keys), engine, engines.load))
        pins = {
            slot: bundles.manifest_id((part / bundles.MANIFEST).read_bytes()),
            SIGNED.format(slot): bundles.manifest_id((part / bundles.SIGNATURE).read_bytes()),
        }
        if slot == GOLDEN:
            _make_read_only(part)
    state = control.read(slots).control
    control.write(slots, dataclasses.replace(state, installed={**state.installed, **pins}))


def _make_read_only(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _check_sensor(bundle: Bundle, slots: Path) -> None:
    """The camera does not change in orbit."""
    for slot in (GOLDEN, *SLOTS):
        sensor = _manifest_of(slots, slot)
        if sensor is not None and sensor.sensor != bundle.sensor:
            raise BundleError(
                f"{bundle.path}: is for the sensor {bundle.sensor.name}, this satellite has "
                f"{sensor.sensor.name}; train and export it for that one"
            )


def _check_version(bundle: Bundle, slots: Path) -> None:
    """What is older than anything that was ever installed needs a command that allows it."""
    state = control.read(slots).control
    there = (_manifest_of(slots, slot) for slot in SLOTS)
    newest = max([state.newest, *(one.version for one in there if one is not None)])
    if bundle.version >= newest:
        return
    manifest = bundles.manifest_id((bundle.path / bundles.MANIFEST).read_bytes())
    if state.allowed != manifest:
        raise BundleError(
            f"{bundle.path}: has version {bundle.version}, and {newest} was installed before; "
            f"'floodsat command allow-older {bundle.path}' makes the command that allows it"
        )


def _manifest_of(slots: Path, slot: str) -> Bundle | None:
    """What a slot says of itself, if that is signed or was installed; its files are not read."""
    state = control.read(slots).control
    trusted = keyring.trusted(slots, state)
    with contextlib.suppress(BundleError):
        return bundles.load(slots / slot, [], trusted, state.installed.get(slot, ""))
    return None


def _remember_version(slots: Path, bundle: Bundle) -> None:
    state = control.read(slots).control
    newest = max(state.newest, bundle.version)
    control.write(slots, dataclasses.replace(state, newest=newest, allowed=""))


# --- rolling back ---


def rollback_target(slots: Path, to: str = OTHER) -> str:
    """The slot that a roll-back means.

    Args:
        slots: the slots folder.
        to: a slot, or ``other``: of ``a`` and ``b`` the one that is not in use.

    Raises:
        BundleError: there is no bundle in it.
    """
    slot = to if to != OTHER else "b" if _active_or_none(slots) == "a" else "a"
    if not (slots / slot).is_dir():
        raise BundleError(f"{slots}: has no earlier bundle to go back to in slot {slot}; flash one")
    return slot


def rollback(slots: Path, engine: str, keys: signing.Trust = None, to: str = OTHER) -> str:
    """Make another slot active again, after verifying it; its version does not matter.

    Raises:
        BundleError: there is nothing to go back to, or it is damaged.
    """
    slot = rollback_target(slots, to)
    load(slots, slot, engine, keys)
    _count(slots, slot, 0)
    files.write_text(slots / ACTIVE, slot + "\n")
    return slot
