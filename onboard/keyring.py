"""Key slots: the two public keys that the satellite trusts, and who may change them.

Slot 1 is for the recovery key, which stays locked away; slot 2 for the key of daily operations.
Either signs bundles, patches and commands, and changes slot 2; slot 1 is changed by its own key
alone. So a stolen operations key is revoked with the recovery key, and cannot take the satellite
over. The last key cannot be revoked.

What the slots held when the satellite was made ready lies in ``keys/`` of the slots folder,
written once; what commands made of them in `onboard.control`; both twice. Without either, the
public demo key stands in slot 1, and everybody can sign.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from onboard import copies, files, signing
from onboard.control import KEY_SLOTS, Control
from onboard.errors import CommandError, ConfigError

FOLDER = "keys"
NAME = "provisioned"
EMPTY = ""


def provision(folder: Path, public: signing.PublicKeys) -> None:
    """Fill the key slots of a slots folder, once.

    Args:
        folder: the slots folder.
        public: one or two keys: the recovery key first.

    Raises:
        ConfigError: the slots are filled already, or there are too many keys.
        OutputError: the folder cannot be written.
    """
    if not 1 <= len(public) <= KEY_SLOTS:
        raise ConfigError(f"--trust: {len(public)} keys for {KEY_SLOTS} key slots; give 1 or 2")
    if (folder / FOLDER).exists():
        raise ConfigError(
            f"{folder / FOLDER}: the key slots are filled; 'floodsat command rotate-key' changes "
            "one by a signed command"
        )
    raw = [signing.raw(key) for key in public.values()]
    with files.replacing_folder(folder / FOLDER) as part:
        copies.write(part, NAME, {"keys": raw + [EMPTY] * (KEY_SLOTS - len(raw))})


def slots_of(folder: Path, control: Control) -> tuple[str, ...]:
    """What the key slots hold: raw public keys in hexadecimal, `EMPTY` for an empty slot.

    Raises:
        ConfigError: what was provisioned is damaged twice.
    """
    if control.keys is not None:
        return control.keys
    if not (folder / FOLDER).exists():
        return (_raw(signing.DEMO_KEY), *[EMPTY] * (KEY_SLOTS - 1))
    values = copies.read(folder / FOLDER, NAME).values
    if values is None:
        raise ConfigError(f"{folder / FOLDER}: both copies are damaged; make the slots folder anew")
    return tuple(values["keys"])


def trusted(folder: Path, control: Control, given: signing.Trust = None) -> signing.PublicKeys:
    """The keys that count on board, by id.

    Args:
        folder: the slots folder.
        control: what commands have changed.
        given: what the command line trusts. It counts while the key slots are empty; later it
            must name nothing but what they hold.

    Raises:
        ConfigError: a key is unreadable, or ``given`` names a key that is in no slot.
    """
    named = None if given is None else signing.trusted(given)
    if control.keys is None and not (folder / FOLDER).exists() and named is not None:
        return named
    held = [signing.from_raw(raw) for raw in slots_of(folder, control) if raw]
    keys = {signing.key_id(key): key for key in held}
    for name in named or ():
        if name not in keys:
            raise ConfigError(
                f"--trust: key {name} is in no key slot of {folder}; leave the option out, or "
                "rotate the key by a signed command"
            )
    return keys


def changed(held: tuple[str, ...], slot: int, new: str, signer: str) -> tuple[str, ...]:
    """The key slots after a command.

    Args:
        held: before.
        slot: 1 or 2.
        new: raw public key in hexadecimal, or `EMPTY` to revoke what is there.
        signer: id of the key that signed the command.

    Raises:
        CommandError: the signer may not, the key is not fit, or it would be the last one.
    """
    top = held[0]
    if slot == 1 and top and _id(top) != signer:
        raise CommandError("key slot 1 is changed by its own key alone")
    if not new and not held[slot - 1]:
        raise CommandError(f"key slot {slot} is empty")
    if new and new in held:
        raise CommandError("that key is on board already")
    if new and new == _raw(signing.DEMO_KEY):
        raise CommandError("that is the demo key, whose private half is public")
    if new:
        _id(new)
    after = (*held[: slot - 1], new, *held[slot:])
    if not any(after):
        raise CommandError("the last key cannot be revoked")
    return after


def with_keys(control: Control, keys: tuple[str, ...]) -> Control:
    """The control with other key slots."""
    return dataclasses.replace(control, keys=keys)


def _raw(path: Path) -> str:
    (key,) = signing.read_public([path]).values()
    return signing.raw(key)


def _id(raw: str) -> str:
    return signing.key_id(signing.from_raw(raw))
