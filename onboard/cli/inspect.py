"""``floodsat inspect``: what a bundle, a blob, a product, a chip or a raw chip holds."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.cli import options

if TYPE_CHECKING:
    from onboard.bundle import Bundle

UPLINK_BYTES = {"tflite-int8": 500_000, "myriad": 1_500_000}
"""What a target's files with manifest and signature may have, to fit into an uplink."""
SQLITE = b"SQLite format 3\0"
"""How a database begins (the file format of SQLite, section 1.3)."""


@click.command("inspect")
@click.argument("path", type=options.PATH)
@options.trust
@options.json_file
@click.option(
    "--reference", type=options.PATH, help="Permanent-water raster, which guided products need."
)
@options.flown
def command(
    path: Path,
    trust: tuple[Path, ...],
    json_file: Path | None,
    reference: Path | None,
    bundle: Path | None,
) -> None:
    """Verify PATH and show what it holds: a bundle's folder, a .blob, .fsp, .fsc or .fsr file.

    A .fsp file is a product, a .fsc file a chip for labelling, a .fsr file a raw chip.
    For a Myriad's blob this is the chip it is for, its resources and, of a bundle's blobs, how
    long a frame of 12 MP would take: a prediction of a model, never a measurement.
    """
    from onboard import bundle as bundles
    from onboard.cli import inspect_tables
    from onboard.files import write_text

    if bundle is not None:
        bundles.load(bundle, [bundles.COMMON], list(trust) or None).learn()
    if os.path.isdir(path):  # unlike Path.is_dir, false where one may not look
        found = _bundle(path, list(trust) or None)
        inspect_tables.bundle(found)
    else:
        found, show = _file(path, _read(path), reference)
        show(found)
    if json_file is not None:
        write_text(json_file, json.dumps(found, indent=1) + "\n")


def _file(
    path: Path, data: bytes, reference: Path | None
) -> tuple[dict[str, Any], Callable[[Mapping[str, Any]], None]]:
    """What a file holds, by its first bytes, and what shows it."""
    from onboard import chip, rawchip
    from onboard.cli import inspect_tables

    if data.startswith(b"\x7felf"):
        return _blob(path, data), inspect_tables.blob
    if data.startswith(chip.MAGIC):
        return _chip(path, data), inspect_tables.product
    _refuse_others(path, data)
    if data.startswith(rawchip.MAGIC):
        return _raw(path, data), inspect_tables.product
    return _product(path, data, reference), inspect_tables.product


def _refuse_others(path: Path, data: bytes) -> None:
    """Files of FloodSat that another command reads."""
    from onboard.errors import ProductError
    from onboard.link.frames import SYNC_MARKER

    if data.startswith(SYNC_MARKER):
        raise ProductError(
            f"{path}: is a stream of transfer frames; 'floodsat receive {path} --out DIR' takes "
            "the products out of it"
        )
    if data.startswith(SQLITE):
        raise ProductError(
            f"{path}: is a database, such as an outbox; 'floodsat downlink {path} --out STREAM "
            "--budget BYTES' sends what waits in one"
        )


def _bundle(path: Path, keys: list[Path] | None) -> dict[str, Any]:
    """Every set is verified, not only those of one engine."""
    from onboard import bundle

    first = bundle.load(path, [], keys)
    whole = bundle.load(path, list(first.sets), keys)
    sizes = {
        name: sum(len(whole.content[file]) for file in entry["files"])
        for name, entry in whole.sets.items()
    }
    signed = sum((path / name).stat().st_size for name in (bundle.MANIFEST, bundle.SIGNATURE))
    return {
        **whole.manifest,
        "signed_by": whole.key,
        "set_bytes": sizes,
        "uplink": {
            name: _uplink(size + signed, UPLINK_BYTES.get(name))
            for name, size in sizes.items()
            if name != bundle.COMMON
        },
        "blobs": {
            Path(file).stem: _flown_blob(whole, entry, file)
            for entry in whole.sets.values()
            for file in entry["files"]
            if file.endswith(".blob")
        },
    }


def _uplink(size: int, limit: int | None) -> dict[str, Any]:
    return {"bytes": size, "limit": limit, "holds": None if limit is None else size <= limit}


def _flown_blob(loaded: Bundle, entry: dict[str, Any], file: str) -> dict[str, Any]:
    """A blob of a bundle: header, the compiler's report, whether it holds, and the prediction."""
    from onboard import vpu, vpu_time
    from onboard.errors import BundleError, EngineError
    from onboard.tiles import Tiling

    chip = Path(file).stem
    if chip not in vpu.CHIPS:
        raise BundleError(f"{loaded.path / file}: is for no chip known here; update FloodSat")
    info = vpu.check_blob(loaded.content[file], chip, str(loaded.path / file))
    found: dict[str, Any] = {"chip": chip, "header": info._asdict(), "fault": None}
    report = entry.get("resources", {}).get(chip, {})
    try:
        vpu.check_resources(report, chip)
    except EngineError as error:
        found["fault"] = str(error)
    except (KeyError, ValueError):
        found["fault"] = "the manifest has no full report of resources; export the bundle again"
        return found
    network = loaded.network
    tiling = Tiling(*vpu_time.FRAME, entry["tile"], network.halo, network.stride)
    calls = -(-vpu_time.PASSES // int(entry["passes"]))
    found["prediction"] = {
        "passes": vpu_time.PASSES,
        **vpu_time.predict(report, chip, tiling, calls),
    }
    return found


def _blob(path: Path, data: bytes) -> dict[str, Any]:
    from onboard import vpu
    from onboard.errors import BundleError

    try:
        info = vpu.read_blob(data)
        return {"path": str(path), "chip": info.chip, "header": info._asdict()}
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error


def _read(path: Path) -> bytes:
    from onboard.bundle import MAX_FILE_BYTES
    from onboard.errors import ProductError

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ProductError(f"{path}: is larger than any such file; give another one")
        return path.read_bytes()
    except OSError as error:
        raise ProductError(
            f"{path}: cannot be read ({error.strerror}); name a bundle's folder, a .blob, "
            ".fsp, .fsc or .fsr file"
        ) from error


def _chip(path: Path, data: bytes) -> dict[str, Any]:
    from onboard import chip
    from onboard.errors import ProductError

    try:
        found = chip.unpack(data)
    except ProductError as error:
        raise ProductError(f"{path}: {error}") from error
    fields = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    for name in ("samples", "mask"):
        shape = "×".join(str(n) for n in fields[name].shape)
        fields[name] = f"{shape} {fields[name].dtype.name}"
    fields["georef"] = dataclasses.asdict(found.georef)
    plain = {k: v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}
    return {"file": "a chip for labelling", **plain, "bytes": len(data)}


def _raw(path: Path, data: bytes) -> dict[str, Any]:
    from onboard import rawchip
    from onboard.errors import ProductError

    try:
        found = rawchip.unpack(data)
    except ProductError as error:
        raise ProductError(f"{path}: {error}") from error
    shape = "×".join(str(n) for n in found.samples.shape)
    return {
        "file": "a raw chip",
        "raw_id": found.raw_id.hex(),
        "scene_id": found.scene_id.hex(),
        "row": found.row,
        "col": found.col,
        "bands": list(found.bands),
        "samples": f"{shape} {found.samples.dtype.name}",
        "bytes": len(data),
    }


def _product(path: Path, data: bytes, reference: Path | None) -> dict[str, Any]:
    from onboard.conditions import condition_names
    from onboard.errors import ProductError
    from onboard.product import MAX_BYTES, unpack
    from onboard.reference_water import PermanentWater

    if len(data) > MAX_BYTES:
        raise ProductError(f"{path}: is larger than any product; give a .fsp file")
    known = None if reference is None else PermanentWater(reference)
    try:
        product = unpack(data, known)
    except ProductError as error:
        raise ProductError(f"{path}: {error}") from error
    fields = {f.name: getattr(product, f.name) for f in dataclasses.fields(product)}
    for name in ("mask", "entropy", "epistemic"):
        fields[name] = "×".join(str(n) for n in fields[name].shape)
    fields["georef"] = dataclasses.asdict(product.georef)
    fields["statistics"] = dataclasses.asdict(product.statistics)
    fields["acquired_quality"] = product.acquired_quality.text
    fields["regions"] = [one._asdict() for one in product.region_table]
    fields["conditions"] = list(condition_names(product.conditions))
    plain = {k: v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}
    return {**plain, "subject": product.subject, "bytes": len(data)}
