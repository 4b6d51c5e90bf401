"""``python -m training.refit BUNDLE KEY CHIPS…``: fit the oddity score of a bundle anew.

The network stays as it is, and every file of it; the manifest gets the new score, and the bundle is
signed again. What an export does with the chips that a run kept is done here with the same choice
of chips from their folders, so that no run folder is needed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from onboard import bundle as bundles
from onboard import engines
from onboard.bundle import Bundle
from onboard.cli import options
from onboard.errors import FloodsatError
from onboard.oddity import Oddity
from training import kept, oddity
from training.card import read_card
from training.chips import ChipFolder
from training.fit import chip_refs, deciders


def fitted(bundle: Bundle, folders: Sequence[ChipFolder], by_place: bool = False) -> Oddity:
    """The score by the chips that an export would have kept; ``by_place`` takes one of a place.

    Raises:
        ConfigError: too few whole crops.
        DatasetError: unusable chips.
    """
    train, held = chip_refs(folders, bundle.sensor)
    if by_place:
        first = {(ref.folder.name, ref.folder.groups[ref.id]): ref for ref in reversed(train)}
        train = [ref for ref in train if ref in first.values()]
    judging = deciders(held, bundle.sensor)
    judges = [ref for ref, judge in zip(held, judging, strict=True) if judge]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "kept.npz"
        chips: list[list[kept.KeptChip]] = []
        for refs in (train, judges):
            kept.keep(path, refs, bundle.sensor, bundle.normalisation)
            chips.append(kept.read(path))
    representative, crops = chips
    return oddity.fit_kept(representative, crops, bundle, engines.load("tflite", bundle))


def reseal(path: Path, key: Path, score: Oddity, card: str | None) -> None:
    """Put the score, and a card if there is one, into a bundle and sign it.

    Raises:
        BundleError: the bundle is unusable.
        ConfigError: the key is.
    """
    manifest = json.loads(bundles.read_manifest(path))
    content = bundles.load(path, list(manifest["sets"])).content
    sets = {
        name: {file: content[file] for file in entry["files"]}
        for name, entry in manifest["sets"].items()
    }
    if card is not None:
        sets[bundles.COMMON][bundles.CARD] = card.encode("utf-8")
    details = {
        name: {field: value for field, value in entry.items() if field != "files"}
        for name, entry in manifest["sets"].items()
    }
    rest = {name: value for name, value in manifest.items() if name != "format"}
    bundles.write(path, {**rest, "sets": details, "oddity": score.to_json()}, sets, key)


@click.command()
@click.argument("bundle", type=options.PATH)
@click.argument("key", type=options.PATH)
@click.argument("chips", metavar="CHIPS...", nargs=-1, required=True, type=options.PATH)
@click.option("--card", type=options.PATH, help="Model card to put in too.")
@click.option("--by-place", is_flag=True, help="Densities by one chip of every place.")
def command(
    bundle: Path, key: Path, chips: tuple[Path, ...], card: Path | None, by_place: bool
) -> None:
    """Fit the oddity score of BUNDLE anew on CHIPS, and sign it with KEY."""
    try:
        text = None if card is None else read_card(card)
        loaded = bundles.load(bundle, ["tflite"])
        score = fitted(loaded, [ChipFolder.open(path) for path in chips], by_place)
        reseal(bundle, key, score, text)
    except FloodsatError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    click.echo(f"{bundle}: scores oddity by {score.crops} calibration crops")


if __name__ == "__main__":
    command()
