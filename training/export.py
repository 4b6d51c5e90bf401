"""Export: from a run folder to a signed bundle.

The temperature is folded into the last linear layers; the model id is the hash of the result.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from onboard import bundle, engines, files, golden, signing
from onboard.errors import ConfigError, UnavailableError
from onboard.network import Network
from onboard.oddity import Oddity
from onboard.sensor import Sensor
from onboard.triage import Limits
from training import kept, oddity, parity, run_record
from training.folding import Weights
from training.placement import refuse_export
from training.targets import CHUNK, MAKERS, Frozen, Made, npz

GOLDEN_PASSES = 12
PROVENANCE = ("data", "train_chips", "versions", "config", "final")
RECORD = ("sensor", "network", "normalisation", "calibration", "kept", *PROVENANCE)


@dataclass(frozen=True)
class Run:
    """A finished run folder."""

    path: Path
    record: dict[str, Any]
    weights: Weights
    representative: list[kept.KeptChip]
    held: list[kept.KeptChip]

    @classmethod
    def open(cls, path: Path) -> Run:
        """Read a run folder.

        Raises:
            ConfigError: the folder is no finished run, or that of a network that cannot fly.
        """
        try:
            record = run_record.read(path)
            arrays = bundle.read_arrays((path / "weights.npz").read_bytes())
        except run_record.NewerRunError:
            raise
        except OSError as error:
            raise ConfigError(
                f"{path}: is no finished run ({error.filename}: {error.strerror}); "
                f"'floodsat train CHIPS --out {path}' makes one, or goes on with it"
            ) from error
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{path}: the run is damaged ({error}); train it again") from error
        missing = [key for key in RECORD if key not in record]
        if missing:
            raise ConfigError(f"{path}: the run has no {missing[0]}; train it to its end")
        if record["network"].get("teacher"):
            raise ConfigError(
                f"{path}: holds a teacher, which cannot fly; train without 'teacher = true'"
            )
        refuse_export(record["network"], str(path))
        chips = (kept.read(path / name) for name in (kept.REPRESENTATIVE, kept.HELD))
        return cls(path, record, arrays, *chips)

    @property
    def network(self) -> Network:
        """The network's shape."""
        return Network.from_json(self.record["network"])


def tempered(weights: Weights, temperature: float) -> Weights:
    """Weights whose water logits are divided by ``temperature``; cloud logits stay."""
    scaled = dict(weights)
    # Water and cloud take turns among the head's channels.
    divisor = np.resize(np.array([temperature, 1.0], np.float32), weights["head/bias"].shape)
    for name in ("head/kernel", "head/bias"):
        scaled[name] = (weights[name] / divisor).astype(np.float32)
    for name in weights:
        if name.startswith("correct_"):
            scaled[name] = (weights[name] / np.float32(temperature)).astype(np.float32)
    return scaled


def golden_image(sensor: Sensor) -> npt.NDArray[np.uint16]:
    """A generated image that walks the network through dark, vegetated, bright and noisy parts.

    Returns:
        uint16 ``(SIDE, SIDE, bands)``, reflectance in units of ``golden.SCALE``.
    """
    side, bands = golden.SIDE, len(sensor.bands)
    words = np.random.Philox(key=golden.SEED).random_raw(side * side * bands)
    noise = (words >> np.uint64(40)).astype(np.float32).reshape(side, side, bands) / 2**24
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    slope = np.linspace(0.04, 0.35, bands, dtype=np.float32)
    wave = 0.5 + 0.5 * np.sin(9 * x + 4 * y) * np.cos(7 * y - 3 * x)
    ground = slope * wave[..., None] + np.float32(0.02)
    cloud = np.clip(3 * (x + y) - 4.5, 0, 1)[..., None]
    mixed = ground * (1 - cloud) + np.float32(0.6) * cloud + np.float32(0.02) * noise
    return np.asarray(np.rint(mixed / golden.SCALE), np.uint16)


def export(
    run: Run,
    out: Path,
    key: Path,
    name: str,
    version: int,
    card: str,
    targets: tuple[str, ...] = (),
    on_target: Callable[[str], None] = lambda target: None,
    on_note: Callable[[str], None] = lambda note: None,
    scales: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Make a bundle.

    Args:
        run: a finished run.
        out: the bundle's folder, replaced in one step.
        key: private key that signs it.
        name: of the bundle.
        version: of the bundle, counts up.
        card: model card, Markdown.
        targets: which of `training.targets.MAKERS` to make; if none is named, all that can be
            made here.
        on_target: called with the name of what is made next.
        on_note: called with a line on each target that cannot be made here, and how it could.
        scales: file name → an older INT8 file whose scales are taken over, so that a patch from
            it is small.

    Raises:
        ConfigError: the key is unreadable.
        EngineError: an engine breaks a bound of the parity report.
        UnavailableError: a target that was named cannot be made here.
        OutputError: ``out`` cannot be written, or holds files that are no bundle.
    """
    signing.read_private(key)
    _check_free(out)
    weights = tempered(run.weights, run.record["calibration"]["temperature"])
    frozen = Frozen(run.network, weights, run.representative, scales)
    made: dict[str, Made] = {}
    for target in targets or MAKERS:
        on_target(target)
        try:
            made[target] = MAKERS[target](frozen)
        except UnavailableError as error:
            if targets:
                raise
            on_note(f"left out: {error}")
    manifest = _manifest(run, name, version, weights, made)
    own = _unsigned(manifest, weights, made, out)
    running = {
        t: engines.load(t, own) for t in made if t in engines.LOADERS and t != parity.EMULATED
    }
    manifest["parity"] = parity.report(own, running, run.held, lambda t: on_target(f"{t}: parity"))
    parity.check(manifest["parity"])
    try:
        manifest["oddity"] = _oddity(run, own, running).to_json()
    except ConfigError as error:
        on_note(f"left out: {error}")
    on_target("golden tile")
    common = {bundle.GOLDEN: _golden(own, running), bundle.CARD: card.encode("utf-8")}
    sets = {target: one.files for target, one in made.items()}
    bundle.write(out, manifest, {**sets, bundle.COMMON: common}, key)


def _manifest(
    run: Run, name: str, version: int, weights: Weights, made: dict[str, Made]
) -> dict[str, Any]:
    """Everything that a bundle says of itself but the files' hashes."""
    calibration = run.record["calibration"]
    return {
        "name": name,
        "version": version,
        "model_id": bundle.weights_id(weights).hex(),
        "sensor": run.record["sensor"],
        "network": run.record["network"],
        "normalisation": run.record["normalisation"],
        "passes": CHUNK,
        "chunk": CHUNK,
        "temperature": calibration["temperature"],
        "thresholds": {
            point: {"water": calibration[point], "cloud": calibration["cloud"]}
            for point in ("balanced", "sensitive")
        },
        "triage": Limits().to_json(),
        "provenance": {k: run.record[k] for k in PROVENANCE},
        "sets": {target: one.details for target, one in made.items()},
    }


def _check_free(out: Path) -> None:
    """Before minutes of work: ``out`` is new, empty or a bundle, and can be written."""
    bundle.ours_to_replace(out)
    files.make_folder(out.parent)


def _unsigned(
    manifest: dict[str, Any], weights: Weights, made: dict[str, Made], out: Path
) -> bundle.Bundle:
    """The bundle in memory before it is signed, the reference's weights in it."""
    content = {bundle.WEIGHTS: npz(weights)}
    for one in made.values():
        content.update(one.files)
    return bundle.Bundle(out, manifest, "", content)


def _oddity(run: Run, own: bundle.Bundle, running: dict[str, engines.Engine]) -> Oddity:
    """The score of how unlike the training a crop is, with what a quick engine says of it."""
    engine = running.get("tflite") or engines.load("reference", own)
    return oddity.fit_kept(run.representative, run.held, own, engine)


def _golden(own: bundle.Bundle, running: dict[str, engines.Engine]) -> bytes:
    """Golden image and its moments by the reference and by every engine made, float32."""
    image = golden_image(own.sensor)
    everyone = dict(running)
    if {"reference", "myriad"} & own.sets.keys() or not running:
        # Engines without moments of their own are held to the reference's.
        everyone["reference"] = engines.load("reference", own)
    moments = {
        f"{name}/{part}": golden.coarse(array) if name in golden.COARSE else array.astype("<f4")
        for name, engine in everyone.items()
        for part, array in golden.run(own, engine, image, GOLDEN_PASSES)._asdict().items()
    }
    arrays: dict[str, Any] = {"image": image, "passes": np.int64(GOLDEN_PASSES), **moments}
    # Not compressed: then a patch finds what stayed the same, and noise does not compress.
    return npz(arrays)
