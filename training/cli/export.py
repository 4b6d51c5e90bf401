"""``floodsat export``: make a signed bundle of a finished run."""

from __future__ import annotations

from pathlib import Path

import click

from onboard.cli import options


@click.command("export")
@click.argument("run", type=options.PATH)
@click.option("--out", required=True, type=options.PATH, help="Folder of the bundle.")
@click.option("--key", required=True, type=options.PATH, help="Private key that signs it.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    type=click.Choice(
        ["tflite", "tflite-f16", "tflite-int8", "reference", "openvino", "onnx", "myriad"]
    ),
    help="What to make, may be given several times; by default all that can be made here.",
)
@click.option("--name", default="floodsat", show_default=True, help="Name of the bundle.")
@click.option("--bundle-version", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--scales-of",
    "older",
    type=options.PATH,
    help="Bundle whose INT8 scales are taken over, so that 'floodsat patch' makes a small patch.",
)
@options.trust
@click.option(
    "--card", type=options.PATH, help="Model card, Markdown; made from the run if absent."
)
def command(
    run: Path,
    out: Path,
    key: Path,
    targets: tuple[str, ...],
    name: str,
    bundle_version: int,
    older: Path | None,
    trust: tuple[Path, ...],
    card: Path | None,
) -> None:
    """Freeze the finished run RUN for the engines and sign it."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from onboard import bundle
    from training import export
    from training.card import default_card, read_card

    finished = export.Run.open(run)
    text = read_card(card) if card is not None else default_card(finished, name)
    export.export(
        finished,
        out,
        key,
        name,
        bundle_version,
        text,
        targets,
        lambda target: click.echo(f"making {target} …"),
        lambda note: click.echo(note, err=True),
        {} if older is None else bundle.load(older, ["tflite-int8"], list(trust) or None).content,
    )
    public = key.with_suffix(".pub")
    # A key of one's own is trusted where it is named; the demo's is by default.
    trusted = f" --trust {public}" if public.is_file() else ""
    click.echo(f"{out}: signed; 'floodsat inspect {out}{trusted}' shows it")
