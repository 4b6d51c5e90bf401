"""Recipe: how every frame of a job is segmented, small enough to travel with each of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import onboard
from onboard import bundle as bundles
from onboard import engines
from onboard.bundle import Bundle
from onboard.errors import BundleError, ConfigError
from onboard.profile import Profile
from onboard.profile import load as load_profile
from onboard.segment import Segmenter

if TYPE_CHECKING:
    from onboard import signing


class Ready(NamedTuple):
    """What a recipe is on the machine that follows it: a network in memory, and the camera."""

    segmenter: Segmenter
    camera: Profile | None


@dataclass(frozen=True)
class Recipe:
    """A bundle and its settings.

    Attributes:
        bundle: its folder, by a path that every worker reaches it by.
        manifest: SHA-256 of its manifest, hexadecimal, verified where the job was started.
        model_id: hexadecimal.
        engine: one of `onboard.engines.LOADERS`.
        passes: T.
        seed: of the dropout masks.
        profile: the camera's calibration; None for frames of reflectance.
        profile_id: SHA-256 of that file, hexadecimal, or empty.
        version: FloodSat's, where the job was started.
    """

    bundle: Path
    manifest: str
    model_id: str
    engine: str
    passes: int
    seed: int
    profile: Path | None = None
    profile_id: str = ""
    version: str = onboard.__version__

    @classmethod
    def of(
        cls,
        bundle: Path,
        engine: str,
        passes: int | None = None,
        seed: int = 0,
        trust: signing.Trust = None,
        profile: Path | None = None,
    ) -> Recipe:
        """Verify a bundle and take it; ``passes`` are its own where not given.

        Raises:
            BundleError: it is damaged, signed by nobody trusted, or without the engine's files.
            ConfigError: a key or the profile cannot be read.
        """
        loaded = bundles.load(bundle, [engines.set_of(engine)], trust)
        camera = None if profile is None else load_profile(profile)
        return cls(
            bundle.resolve(),
            bundles.manifest_id(bundles.read_manifest(bundle)),
            loaded.model_id.hex(),
            engine,
            passes or loaded.passes,
            seed,
            None if profile is None else profile.resolve(),
            "" if camera is None else camera.identity.hex(),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """What an item of the catalogue says of them; the same settings make the same maps."""
        return {
            "floodsat:model_id": self.model_id,
            "floodsat:engine": self.engine,
            "floodsat:passes": self.passes,
            # As text: readers of JSON keep 53 bits of a number, a seed has 64.
            "floodsat:seed": str(self.seed),
            "floodsat:profile": self.profile_id or None,
        }

    def check(self) -> None:
        """Refuse a machine that would not do what the one that started the job does.

        Raises:
            ConfigError: it has another version of FloodSat, or another profile.
            BundleError: it finds no bundle by that path, or another one.
        """
        if self.version != onboard.__version__:
            raise ConfigError(
                f"runs FloodSat {onboard.__version__}, the job was started by {self.version}; "
                "install the same version on every machine"
            )
        self._load([])
        self._camera()

    def ready(self) -> Ready:
        """The network in memory, loaded once by each thread: engines are not for two at a time.

        Raises:
            BundleError: see `check`.
            ConfigError: see `check`.
            EngineError: the engine cannot run here.
        """
        kept: tuple[Recipe, Ready] | None = getattr(_KEPT, "ready", None)
        if kept is None or kept[0] != self:
            self.check()
            loaded = self._load([engines.set_of(self.engine)])
            engine = engines.load(self.engine, loaded)
            made = Ready(Segmenter(loaded, engine, self.passes, self.seed), self._camera())
            _KEPT.ready = kept = (self, made)
        return kept[1]

    def _load(self, sets: list[str]) -> Bundle:
        found = bundles.manifest_id(bundles.read_manifest(self.bundle))
        if found != self.manifest:
            raise BundleError(
                f"{self.bundle}: is another bundle there than where the job was started; "
                "name one that all machines share"
            )
        return bundles.load(self.bundle, sets, installed=self.manifest)

    def _camera(self) -> Profile | None:
        if self.profile is None:
            return None
        camera = load_profile(self.profile)
        if camera.identity.hex() != self.profile_id:
            raise ConfigError(
                f"{self.profile}: is another profile there than where the job was started; "
                "name one that all machines share"
            )
        return camera


_KEPT = threading.local()
