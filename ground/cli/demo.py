"""``floodsat demo``: the main job, a sample scene to a flood map and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from onboard import samples as shipped


@click.command("demo")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    default=shipped.FOLDER,
    show_default="those that come with FloodSat",
    help="A folder such as data_samples.",
)
def command(out: Path, samples: Path) -> None:
    """Fly the sample frame over a lossy link to its map, and replay a day of a mission.

    Both end in OUT/index.html.
    """
    from rich.console import Console

    from ground import demo

    console = Console(highlight=False)
    with console.status("flash, fly, downlink, lose, receive, map …") as status:

        def tell(stage: str, done: int, of: int) -> None:
            status.update(f"replay: {stage}, {done} of {of} …")

        summary = demo.run(demo.Samples.under(samples), out, tell)
    for line in lines(summary):
        console.print(line, soft_wrap=True)
    console.print(f"[bold]page[/bold]     {(out / 'index.html').resolve()}", soft_wrap=True)
    console.print(f"[bold]map[/bold]      {(out / 'maps' / 'flood.tif').resolve()}", soft_wrap=True)


def lines(summary: dict[str, Any]) -> list[str]:
    """The summary for a terminal."""
    link, scores, area = summary["link"], summary["accuracy"], summary["flood_area_km2"]
    flooded = "" if area is None else f" ({area:.0f} km²)"
    return [
        f"frame    {summary['raw_frame_bytes']:,} bytes raw",
        f"sent     {summary['sent_bytes']:,} bytes in {link['sendings']} copies: "
        f"1/{summary['ratio']:.0f} of the frame (one product: {summary['product_bytes']:,} bytes)",
        f"link     {link['frames_lost']} of {link['frames_sent']} transfer frames lost, "
        f"{link['products_whole']} product whole and verified, {link['alerts']} alert",
        f"ground   flood {summary['flood_fraction_of_observed']:.1%} of what was observed"
        f"{flooded}, cloud {summary['cloud_fraction']:.1%}",
        f"sure     mean entropy {summary['mean_entropy']:.3f} nats of 0.693, "
        f"{summary['mean_epistemic']:.4f} of it epistemic",
        f"truth    water IoU {scores['iou']:.3f}, precision {scores['precision']:.3f}, "
        f"recall {scores['recall']:.3f}, cloud IoU {scores['cloud_iou']:.3f}",
        f"time     {sum(summary['seconds'].values()):.1f} s",
    ]
