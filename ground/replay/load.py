"""Load: something that the ground sends up, from the scenario's words to the bytes and back.

A bundle or a patch goes up with the telecommand that installs it. All of it is signed with the
mission's key of the replay, as `onboard.commands` and `onboard.patch` want it. Telecommands go up
over a link that repeats what is lost (COP-1, CCSDS 232.1-B), so they arrive whole; a corrupted
one is one that was damaged before it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ground.replay.log import FlightLog, UplinkLog
from ground.replay.scenario import Scenario, Uplink
from onboard import bundle as bundles
from onboard import commands, files, patch, signing
from onboard.commands import Code, Command

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ground.replay.craft import Craft

FLIPS = 64
"""Bits that are wrong in a corrupted upload."""
_DAY_MS = 86_400_000


@dataclass
class Load:
    """One upload.

    Attributes:
        uplink: what the scenario says of it.
        log: what became of it.
        seed: of the bits that are wrong, where it is corrupted.
        command: the bytes of its telecommand.
        content: path below the folder of the uplink → bytes that go with it.
    """

    uplink: Uplink
    log: UplinkLog
    seed: int
    command: bytes = b""
    content: dict[str, bytes] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the bundle or patch is called on board."""
        return f"upload-{self.log.count}"

    def prepare(
        self, craft: Craft, key: Ed25519PrivateKey, trust: signing.PublicKeys, end_ms: int
    ) -> None:
        """Make the bytes, once: a patch is made from what is on board when it first goes up."""
        if self.command:
            return
        uplink, log = self.uplink, self.log
        if uplink.kind == "command":
            code = next(one for one in Code if one.text == uplink.command)
            arguments = dict(uplink.arguments)
        else:
            code, arguments = Code.INSTALL, {"name": self.name}
            self.content = self._content(craft, key, trust)
        command = Command(code, log.count, log.asked_ms, end_ms + _DAY_MS, arguments)
        self.command = commands.make(command, key)
        if uplink.corrupted:
            self._corrupt()
        log.bytes = len(self.command) + sum(map(len, self.content.values()))
        log.left = log.bytes

    def deliver(self, craft: Craft) -> None:
        """Lay what came up where the service looks; the telecommand last."""
        for name, data in self.content.items():
            files.write_bytes(craft.folders.bundles / name, data)
        files.write_bytes(craft.folders.commands / self._file, self.command)

    def settle(self, events: list[tuple[str, dict[str, Any]]], now_ms: int) -> None:
        """Take from what the service told what became of it."""
        for event, given in events:
            if event == "command" and given["count"] == self.log.count:
                done = given["status"] == "DONE"
                self.log.outcome = "done" if done else self._failed
                self.log.text, self.log.done_ms = given["text"], now_ms
            elif event == "command refused" and given["name"] == self._file:
                self.log.outcome, self.log.text = "refused", given["reason"]
                self.log.done_ms = now_ms

    @property
    def _failed(self) -> str:
        """A bundle that is not acceptable was refused; another command failed."""
        return "failed" if self.uplink.kind == "command" else "refused"

    @property
    def _file(self) -> str:
        return f"{self.log.count:06}{commands.SUFFIX}"

    def _content(
        self, craft: Craft, key: Ed25519PrivateKey, trust: signing.PublicKeys
    ) -> dict[str, bytes]:
        path = self.uplink.path
        assert path is not None
        sets = patch.sets_of(craft.engine)
        if self.uplink.kind == "bundle":
            held = bundles.load(path, [*sets, bundles.COMMON], trust)
            whole = {name: (path / name).read_bytes() for name in _SEALS}
            return {f"{self.name}/{n}": data for n, data in {**whole, **held.content}.items()}
        if path.is_file():
            return {self.name: path.read_bytes()}
        return {self.name: patch.make(craft.active(), path, sets, key, trust)}

    def _corrupt(self) -> None:
        """Flip bits in the largest part."""
        name = max(self.content, key=lambda one: len(self.content[one]), default=None)
        data = self.command if name is None else self.content[name]
        wrong = np.frombuffer(data, np.uint8).copy()
        rng = np.random.Generator(np.random.Philox(self.seed))
        at = rng.integers(0, 8 * len(wrong), FLIPS)
        np.bitwise_xor.at(wrong, at // 8, (1 << (at % 8)).astype(np.uint8))
        if name is None:
            self.command = wrong.tobytes()
        else:
            self.content[name] = wrong.tobytes()


_SEALS = (bundles.MANIFEST, bundles.SIGNATURE)


def loads(scenario: Scenario, log: FlightLog) -> list[Load]:
    """Everything that a scenario sends up, in order of time; its logs go into ``log``."""
    found = []
    for count, uplink in enumerate(scenario.uplinks, 1):
        asked = round(uplink.time.timestamp() * 1000)
        one = UplinkLog(uplink.kind, uplink.name, asked, count=count)
        log.uplinks.append(one)
        found.append(Load(uplink, one, scenario.seed + count))
    return found


def check(scenario: Scenario, trust: signing.PublicKeys) -> None:
    """Refuse uploads that no satellite could take, before anything runs.

    Raises:
        FloodsatError: a bundle is damaged, not signed by a trusted key, or without the engine's
            files.
    """
    for uplink in scenario.uplinks:
        if uplink.path is not None and uplink.path.is_dir():
            sets = [*patch.sets_of(scenario.onboard.engine), bundles.COMMON]
            bundles.load(uplink.path, sets, trust)
