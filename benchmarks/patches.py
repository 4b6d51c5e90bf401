"""Patches: how small the update of a model is that was trained a little further.

``python -m benchmarks.patches`` exports a finished run, trains it further, once whole and once its
last layers alone, exports both with the scales of the first, makes the two patches, and installs
each into slots that hold the first: signature and the hash of every file are verified and the
golden tile runs with the engine that flies. Without ``--run`` a short run of the shipped shape is
trained first, on generated chips, so that no data folder is needed. ``--write`` puts the figures
into docs/figures/patches.json and their table into docs/security.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from onboard import bundle as bundles
from onboard import files, patch, signing, slots
from onboard.errors import FloodsatError

if TYPE_CHECKING:
    from training.config import TrainConfig
    from training.start import Start

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "data_samples" / "bundle"
CHIPS = ROOT / "data_samples" / "chips"
SETTINGS = ROOT / "docs" / "shipped.toml"
KEY = ROOT / "data_samples" / "keys" / "demo.key"
PAGE = ROOT / "docs" / "security.md"
FIGURES = ROOT / "docs" / "figures" / "patches.json"
MARKS = ("<!-- patches -->", "<!-- end of patches -->")
ENGINE = "tflite-int8"
BOUNDS = {"whole": 0.40, "head": 0.05}
"""What is trained further, and the share of the INT8 file that its patch may have."""
FIRST_EPOCHS = 30
"""Of the run that is made where none is given: a step each, for the sample chips are few."""
EPOCHS, SAMPLE_EPOCHS = 2, 20
"""Of training further, on chip folders that were named and on the few sample chips. Either way
about half of the model file's bytes change."""
SEED = 1
GENTLY = 0.1
"""What learns further does so at this share of the run's learning rate."""


class Sized(NamedTuple):
    """One patch.

    Attributes:
        bytes: of its file.
        share: of the bytes of the new INT8 file of most passes, the one that frames run on.
        changed: share of that file's bytes that differ from the old one.
        installed: whether satellite software applied it to slots that hold the old bundle, and
            the slot then held the new bundle's every byte.
    """

    bytes: int
    share: float
    changed: float
    installed: bool


def measure(run: Path, chips: list[Path], epochs: int, work: Path) -> dict[str, Any]:
    """Train a finished run further in both ways, and make and apply the patches.

    Args:
        run: finished run folder; nothing is written into it.
        chips: chip folders that the further training sees.
        epochs: of it.
        work: empty folder for runs, bundles and slots.

    Raises:
        BundleError: a patch does not give the bundle that it was made for.
        ConfigError: ``run`` is no finished run.
        EngineError: an export breaks a bound of its parity.
    """
    from training import export
    from training.chips import ChipFolder
    from training.config import TrainConfig
    from training.start import Start

    record = export.Run.open(run).record
    old = _exported(run, work / "old", 1)
    config = dataclasses.replace(
        TrainConfig.from_dict(record["config"], str(run)), seed=SEED, epochs=epochs
    )
    config = dataclasses.replace(config, learning_rate=round(GENTLY * config.learning_rate, 9))
    sized = {}
    for name in BOUNDS:
        start = Start.open(run, head_only=name == "head")
        _train(chips, config, work / f"run-{name}", start)
        new = _exported(work / f"run-{name}", work / name, 2, old)
        sized[name] = _sized(old, new, work / f"{name}{patch.SUFFIX}", work / f"slots-{name}")
    models = bundles.load(old, [ENGINE]).content
    model = bundles.load(old, []).model_id.hex()
    return {
        "model_id": model,
        "shipped": model == bundles.load(SHIPPED, []).model_id.hex(),
        "trained_on": record["data"],
        "first_epochs": record["config"]["epochs"],
        "tuned_on": [
            {"name": f.name, "sha256": f.content_hash(), "chips": len(f.ids)}
            for f in map(ChipFolder.open, chips)
        ],
        "epochs": epochs,
        "learning_rate": config.learning_rate,
        "seed": SEED,
        "int8_bytes": {name: len(data) for name, data in models.items()},
        "patches": {name: one._asdict() for name, one in sized.items()},
    }


def first_run(work: Path, epochs: int = FIRST_EPOCHS) -> Path:
    """A short run of the shipped shape and settings on the sample chips."""
    from training.config import TrainConfig

    config = dataclasses.replace(TrainConfig.read(SETTINGS), epochs=epochs)
    return _train([CHIPS], config, work / "first", None)


def _train(chips: list[Path], config: TrainConfig, out: Path, start: Start | None) -> Path:
    from onboard.sensor import VNIR4
    from training.chips import ChipFolder
    from training.fit import fit

    fit([ChipFolder.open(path) for path in chips], VNIR4, config, out, start=start)
    return out


def _exported(run: Path, out: Path, version: int, old: Path | None = None) -> Path:
    """The INT8 bundle of a run, with the scales of an older bundle if one is given."""
    from training import export
    from training.card import default_card

    finished = export.Run.open(run)
    scales = {} if old is None else bundles.load(old, [ENGINE]).content
    card = default_card(finished, "floodsat")
    export.export(finished, out, KEY, "floodsat", version, card, (ENGINE,), scales=scales)
    return out


def _sized(old: Path, new: Path, file: Path, folder: Path) -> Sized:
    """Make a patch and install it as a satellite does."""
    data = patch.make(old, new, patch.sets_of(ENGINE), signing.read_private(KEY), None)
    files.write_bytes(file, data)
    slots.install(old, folder, ENGINE)
    patch.install(file, folder, ENGINE)
    wanted = bundles.load(new, [ENGINE, bundles.COMMON])
    found = slots.load_active(folder, ENGINE)
    same = (found.manifest, found.content) == (wanted.manifest, wanted.content)
    name = max(bundles.load(new, [ENGINE]).content, key=lambda one: (new / one).stat().st_size)
    before, after = ((path / name).read_bytes() for path in (old, new))
    differ = sum(a != b for a, b in zip(before, after, strict=True))
    return Sized(len(data), round(len(data) / len(after), 4), round(differ / len(after), 4), same)


def table(found: dict[str, Any]) -> str:
    """Markdown."""
    which = "the shipped model" if found["shipped"] else "a short run of the shipped shape"
    whole = max(found["int8_bytes"].values())
    rows = [
        f"`python -m benchmarks.patches --write`: {which} (model {found['model_id'][:12]}, trained "
        f"for {found['first_epochs']} epochs on {_named(found['trained_on'])}), trained further "
        f"for {found['epochs']} epochs on {_named(found['tuned_on'])}, learning rate "
        f"{found['learning_rate']:g}, seed {found['seed']}; test places left out. A patch "
        "holds all that changes: both model files, manifest, signature, golden tile and model "
        f"card. Its share is of the {whole} bytes of the larger INT8 file alone, the one of most "
        "passes.",
        "",
        "| trained further | bytes of that file that changed | patch | share | at most |",
        "|---|---|---|---|---|",
    ]
    texts = {"whole": "the whole network", "head": "the last layers alone"}
    for name, one in found["patches"].items():
        rows.append(
            f"| {texts[name]} | {one['changed']:.1%} | {one['bytes']} bytes | {one['share']:.1%} "
            f"| {BOUNDS[name]:.0%} |"
        )
    installed = all(one["installed"] for one in found["patches"].values())
    said = "Both were" if installed else "NOT both were"
    rows += ["", f"{said} installed into slots that held the older bundle, every hash verified."]
    return "\n".join(rows)


def _named(data: list[dict[str, Any]]) -> str:
    """Data sets; training sees those of their chips that the splits leave to it."""
    return ", ".join(f"{one['name']} ({one['chips']} chips in all)" for one in data)


def write(found: dict[str, Any], page: Path = PAGE, figures: Path = FIGURES) -> None:
    """Write the figures, and their table between the marks of the page."""
    start, end = MARKS
    text = f"{start}\n{table(found)}\n{end}"
    old = page.read_text("utf-8")
    files.write_text(page, re.sub(f"{start}.*{end}", lambda _: text, old, flags=re.DOTALL))
    files.write_text(figures, json.dumps(found, indent=1) + "\n")


def main() -> None:
    """The command."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chips", type=Path, nargs="*", help="chip folders to train further on")
    parser.add_argument("--run", type=Path, help="finished run; by default a short one is made")
    parser.add_argument("--epochs", type=int, help="of training further")
    parser.add_argument("--write", action="store_true", help="put the figures into the docs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        try:
            run = given.run or first_run(work)
            epochs = given.epochs or (EPOCHS if given.chips else SAMPLE_EPOCHS)
            found = measure(run, given.chips or [CHIPS], epochs, work)
        except FloodsatError as error:
            parser.exit(2, f"{error}\n")
    print(table(found))
    if given.write:
        write(found)


if __name__ == "__main__":
    main()
