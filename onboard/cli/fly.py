"""``floodsat fly``: the runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.cli import options

if TYPE_CHECKING:
    from onboard.runtime import Flown


@click.command("fly")
@options.scenes
@options.slots
@click.option("--outbox", required=True, type=options.PATH, help="SQLite file of the queue.")
@click.option(
    "--reference",
    type=options.PATH,
    help="Permanent-water raster; without it water is never called flood.",
)
@options.engine
@options.passes
@options.seed
@options.trust
@options.profile
@options.json_file
def command(
    scenes: tuple[Path, ...],
    slots: Path,
    outbox: Path,
    reference: Path | None,
    engine: str,
    passes: int | None,
    seed: int,
    trust: tuple[Path, ...],
    profile: Path | None,
    json_file: Path | None,
) -> None:
    """Run the active bundle over frames and queue what is worth sending.

    A frame that was processed with this model before is passed over. One that cannot be read is
    refused with its reason, the others are still flown, and the exit code is 2.
    """
    from onboard import files
    from onboard.errors import FrameError
    from onboard.outbox import Outbox

    if json_file is not None:
        files.make_folder(json_file.parent)
    runtime = make_runtime(slots, engine, passes, seed, list(trust) or None, reference, profile)
    files.make_folder(outbox.parent)
    rows: list[dict[str, Any]] = []
    refused = 0
    with Outbox(outbox) as box:
        for scene in scenes:
            try:
                flown = runtime.fly(scene, box)
            except FrameError as error:
                refused += 1
                rows.append({"scene": str(scene), "outcome": "refused", "reason": str(error)})
                click.echo(f"floodsat: {error}", err=True)
                continue
            rows.append(to_json(flown))
            click.echo(line(flown))
    if json_file is not None:
        files.write_text(json_file, json.dumps(rows, indent=1) + "\n")
    if refused:
        click.get_current_context().exit(2)


def make_runtime(
    slots: Path,
    engine: str,
    passes: int | None,
    seed: int,
    keys: list[Path] | None,
    reference: Path | None,
    profile: Path | None = None,
) -> Any:
    """The runtime with the active bundle, proved on its golden tile."""
    from onboard import engines, golden
    from onboard import slots as slot
    from onboard.profile import load
    from onboard.reference_water import PermanentWater
    from onboard.runtime import Runtime
    from onboard.segment import Segmenter

    camera = None if profile is None else load(profile)
    bundle = slot.load_active(slots, engine, keys)
    if camera is not None:
        camera.serve(bundle.sensor)
    loaded = engines.load(engine, bundle)
    golden.check(bundle, loaded, engine)
    segmenter = Segmenter(bundle, loaded, passes or bundle.passes, seed)
    known = PermanentWater(reference) if reference is not None else None
    return Runtime(segmenter, bundle.limits, known, camera)


def to_json(flown: Flown) -> dict[str, Any]:
    """What became of a frame, as plain JSON types."""
    decision = flown.decision
    return {
        "scene": str(flown.scene),
        "outcome": decision.text if decision else "seen before",
        "reason": decision.reason
        if decision
        else "the same samples were processed before with this model",
        "value": decision.value if decision else None,
        "product_id": flown.product_id.hex() if flown.product_id else None,
        "sample_bytes": flown.sample_bytes,
        "product_bytes": flown.product_bytes,
        "seconds": flown.seconds,
        "conditions": list(flown.conditions),
        "notes": list(flown.notes),
    }


def line(flown: Flown) -> str:
    """What became of a frame, for people."""
    row = to_json(flown)
    sizes = f", {flown.product_bytes} bytes" if flown.product_id else ""
    notes = "".join(f"; note: {note}" for note in flown.notes)
    return f"{flown.scene}: {row['outcome']}{sizes} ({row['reason']}){notes}"
