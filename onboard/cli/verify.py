"""``floodsat verify``: whether a product is what its frame and its bundle give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from onboard.cli import options

if TYPE_CHECKING:
    from onboard.bundle import Bundle
    from onboard.engines import Engine
    from onboard.product import Product
    from onboard.reference_water import PermanentWater
    from onboard.scene import OpenFrame
    from onboard.verify import Result


@click.command("verify")
@click.argument("product", type=options.PATH)
@click.option("--scene", required=True, type=options.PATH, help="The frame that it was made of.")
@click.option("--bundle", required=True, type=options.PATH, help="The bundle that made it.")
@click.option(
    "--reference", type=options.PATH, help="Permanent-water raster, where the product names one."
)
@click.option(
    "--engine",
    type=click.Choice(options.ENGINES),
    help="What runs the network; the product's own by default, or the nearest that runs here.",
)
@options.profile
@options.trust
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    help="Another seed than the product says, to find out which one made it.",
)
@click.option(
    "--passes",
    type=click.IntRange(1, 65_535),
    help="Another number of passes than the product says, likewise.",
)
@click.option("--exact", is_flag=True, help="Confirm nothing but bit for bit.")
@click.option(
    "--out", type=options.PATH, help="Folder for a map of the differences, where there are any."
)
@options.json_file
def command(
    product: Path,
    scene: Path,
    bundle: Path,
    reference: Path | None,
    engine: str | None,
    profile: Path | None,
    trust: tuple[Path, ...],
    seed: int | None,
    passes: int | None,
    exact: bool,
    out: Path | None,
    json_file: Path | None,
) -> None:
    """Recompute PRODUCT (.fsp) from its frame and its bundle, and compare.

    Ends with 0 where it is confirmed, bit for bit or within what rounding does between engines,
    with 1 where it does not match, with 2 where it cannot be verified with what was given.
    """
    import json

    from onboard.files import write_text

    asked = Asked(product, scene, bundle, reference, engine, profile, list(trust) or None)
    done = run(asked, seed, passes, out)
    show(done)
    if json_file is not None:
        write_text(json_file, json.dumps(done.to_json(), indent=1) + "\n")
    if not done.confirmed or (exact and not done.exact):
        click.get_current_context().exit(1)


class Asked(NamedTuple):
    """What is to be verified with what."""

    product: Path
    scene: Path
    bundle: Path
    reference: Path | None
    engine: str | None
    profile: Path | None
    keys: list[Path] | None


class Done(NamedTuple):
    """A verification.

    Attributes:
        asked: with what.
        sent: the product.
        bundle: name and version of the bundle, in words.
        engine: that recomputed it, as products name it; "" where nothing was recomputed.
        result: the verdict.
        written: the map of the differences, or None.
        notes: what a person should know.
    """

    asked: Asked
    sent: Product
    bundle: str
    engine: str
    result: Result
    written: Path | None
    notes: tuple[str, ...]

    @property
    def confirmed(self) -> bool:
        """Whether the product is what its frame gives."""
        from onboard.verify import Verdict

        return self.result.verdict is not Verdict.DIFFERS

    @property
    def exact(self) -> bool:
        """Whether it is that bit for bit."""
        from onboard.verify import Verdict

        return self.result.verdict is Verdict.SAME

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "product": self.sent.product_id.hex(),
            "scene_id": self.sent.scene_id.hex(),
            "model_id": self.sent.model_id.hex(),
            "frame": str(self.asked.scene),
            "bundle": self.bundle,
            "engine": {"product": self.sent.engine, "here": self.engine},
            "seed": self.sent.seed,
            "passes": self.sent.passes,
            "confirmed": self.confirmed,
            **self.result.to_json(),
            "map": None if self.written is None else str(self.written),
            "notes": list(self.notes),
        }


def run(asked: Asked, seed: int | None, passes: int | None, out: Path | None) -> Done:
    """Verify one product.

    Args:
        asked: what with what.
        seed: instead of the product's.
        passes: likewise.
        out: folder for a map of the differences.

    Raises:
        FloodsatError: one of the files cannot be used, or no engine runs here.
    """
    from onboard import verify
    from onboard.frames import open_frame
    from onboard.profile import load
    from onboard.segment import Segmenter

    _learn_tables(asked)
    sent = read_product(asked.product, asked.reference)
    reference = _reference(asked, sent)
    camera = None if asked.profile is None else load(asked.profile)
    loaded, engine, notes = _open(asked, sent)
    label = f"{loaded.name}, version {loaded.version}"
    with open_frame(asked.scene, loaded.sensor, camera) as frame:
        scene_id = frame.scene_id()
        result = verify.foreign(sent, scene_id, loaded.model_id, loaded.sensor.name)
        if result is not None:
            return Done(asked, sent, label, "", result, None, tuple(notes))
        segmenter = Segmenter(
            loaded,
            engine,
            sent.passes if passes is None else passes,
            sent.seed if seed is None else seed,
        )
        result, written = _compare(asked, segmenter, frame, sent, reference, out, notes)
    return Done(asked, sent, label, engine.name, result, written, tuple(notes))


def _compare(
    asked: Asked,
    segmenter: Any,
    frame: OpenFrame,
    sent: Product,
    reference: PermanentWater | None,
    out: Path | None,
    notes: list[str],
) -> tuple[Result, Path | None]:
    """Recompute and compare; ``notes`` get what triage would have said."""
    from rich.console import Console

    from onboard import verify
    from onboard.recompute import recompute
    from onboard.verify_map import write_difference

    with Console(stderr=True).status(f"{sent.passes} passes over {asked.scene.name} …"):
        again = recompute(segmenter, frame, sent.scene_id, sent, reference)
    result = verify.verify(sent, again)
    if "product" not in again.found.decision.text:
        notes.append(
            "by the bundle's own limits no product would have been sent "
            f"({again.found.decision.reason}): a command had changed the limits"
        )
    notes.extend(again.found.notes)
    written = None
    if out is not None and result.differ:
        written = out / f"{sent.stem}_difference.tif"
        write_difference(written, sent, again.moved, result.allowed)
    return result, written


def _learn_tables(asked: Asked) -> None:
    """Make the bundle's coding tables known, by which its products are decoded."""
    from onboard import bundle as bundles

    bundles.load(asked.bundle, [bundles.COMMON], asked.keys).learn()


def read_product(path: Path, reference: Path | None = None) -> Product:
    """A product's file; ``reference`` is permanent water, which guided products need.

    Raises:
        ProductError: it cannot be read, or is no whole product.
    """
    from onboard.errors import ProductError
    from onboard.product import MAX_BYTES, unpack
    from onboard.reference_water import PermanentWater
    from onboard.toml import read_bytes

    data = read_bytes(path, "a product's .fsp file", ProductError, MAX_BYTES)
    known = None if reference is None else PermanentWater(reference)
    try:
        return unpack(data, known)
    except ProductError as error:
        raise ProductError(f"{path}: {error}") from error


def _reference(asked: Asked, sent: Product) -> PermanentWater | None:
    """The reference that the product names.

    Raises:
        ConfigError: it is not given, or is another one.
    """
    from onboard.errors import ConfigError
    from onboard.reference_water import PermanentWater

    named = sent.reference_version
    if named is None:
        return None
    if asked.reference is None:
        raise ConfigError(
            f"{asked.product}: counts flood against the permanent-water reference {named.hex()}; "
            "name its file with --reference"
        )
    reference = PermanentWater(asked.reference)
    if reference.version != named:
        raise ConfigError(
            f"{asked.reference}: is version {reference.version.hex()} of the permanent-water "
            f"reference, the product counts against {named.hex()}; give that one"
        )
    return reference


def _open(asked: Asked, sent: Product) -> tuple[Bundle, Engine, list[str]]:
    """The bundle with an engine that passed its golden tile, and notes on the choice.

    The engine of the product comes first; one that does not run here is stood in for as in flight.
    """
    from onboard import engines, verify
    from onboard.errors import BundleError, EngineError

    if asked.engine is not None:
        return (*_start(asked, asked.engine), [])
    own = verify.engine_key(sent.engine)
    if own not in engines.LOADERS:
        note = f"the product's engine {sent.engine} is not known here; {engines.DEFAULT} recomputes"
        return (*_start(asked, engines.DEFAULT), [note])
    try:
        return (*_start(asked, own), [])
    except (EngineError, BundleError) as error:
        other = engines.STANDS_IN[own]
        why = str(error).split(";")[0]
        opened = _start(asked, _runs_here(other))
        note = f"{own}, the product's engine, is not at hand ({why}); {opened[1].name} recomputes"
        return (*opened, [note])


def _runs_here(name: str) -> str:
    """An engine's name, or that of one that runs in every environment."""
    from onboard import engines

    return name if name in ("tflite", "reference") else engines.DEFAULT


def _start(asked: Asked, name: str) -> tuple[Bundle, Engine]:
    from onboard import bundle as bundles
    from onboard import engines, golden

    sets = [engines.set_of(name), bundles.COMMON]
    loaded = bundles.load(asked.bundle, sets, asked.keys)
    engine = engines.load(name, loaded)
    golden.check(loaded, engine, name)
    return loaded, engine


# --- for people -----------------------------------------------------------------------------


def show(done: Done) -> None:
    """Print a verification."""
    from rich.console import Console

    console = Console(highlight=False)
    for line in lines(done):
        console.print(line, soft_wrap=True, markup=False)


def lines(done: Done) -> list[str]:
    """A verification for a terminal."""
    sent, result = done.sent, done.result
    grid = sent.georef
    told = [
        f"product  {sent.stem} ({sent.subject}, {grid.width}×{grid.height} pixels, "
        f"seed {sent.seed}, {sent.passes} passes)",
        f"frame    {done.asked.scene}",
        f"bundle   {done.asked.bundle} ({done.bundle})",
        f"engine   {_engines(sent.engine, done.engine)}",
        f"verdict  {_verdict(done)}",
    ]
    for one in result.findings:
        told.append(f"differs  {one.what}: product {one.sent}; here {one.here}; {one.cure}")
    if result.box is not None:
        top, left, bottom, right = result.box
        told.append(f"where    rows {top} to {bottom}, columns {left} to {right}, from 0")
    if done.written is not None:
        told.append(f"map      {done.written}")
    return told + [f"note     {note}" for note in done.notes]


def _engines(sent: str, here: str) -> str:
    if not here:
        return f"{sent}; nothing was recomputed"
    return f"{sent}, the same here" if sent == here else f"{sent}; here {here}"


def _verdict(done: Done) -> str:
    from onboard.verify import Verdict

    result = done.result
    if result.verdict is Verdict.SAME:
        return f"{result.verdict.value}: the mask, both maps of uncertainty and every figure"
    if result.verdict is Verdict.DIFFERS:
        return f"{result.verdict.value} (see what differs)"
    if not result.differ:
        blocks = ", ".join(f"{count} blocks of {name}" for name, count in result.blocks.items())
        what = f"the mask is the same, {blocks} and the last digits of the means are not"
    else:
        what = (
            f"{result.differ} of {result.pixels} pixels differ, all at a threshold: "
            f"the largest |p − threshold| is {result.furthest:.2g}"
        )
    same = done.sent.engine == done.engine
    why = (
        "another instruction set or number of threads than made it; on the machine that made it "
        "they would be the same bits"
        if same
        else f"two engines may differ by {result.allowed:.2g}"
    )
    return f"{result.verdict.value}: {what}; {why}"
