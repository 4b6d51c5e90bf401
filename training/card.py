"""The model card: what a bundle was trained on, so that its users know what it never saw."""

from __future__ import annotations

from pathlib import Path

from onboard.errors import ConfigError
from training.export import Run


def read_card(path: Path) -> str:
    """A card written by hand.

    Raises:
        ConfigError: unreadable.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a model card ({error})") from error


def default_card(run: Run, name: str) -> str:
    """A card of what the run folder knows."""
    record = run.record
    data = "\n".join(
        f"- {d['name']}: {d['chips']} chips in all, SHA-256 `{d['sha256'][:16]}…`"
        for d in record["data"]
    )
    settings = "\n".join(f"- {k}: {v}" for k, v in record["config"].items())
    calibration = record["calibration"]
    rates = ", ".join(f"{site.rate:g} at 1/{site.stride}" for site in run.network.sites)
    return f"""# Model card: {name}

MC-dropout U-Net for the bands {", ".join(record["sensor"]["bands"])}; widths
{record["network"]["widths"]}; dropout in the corrections: {rates}.

## Trained on

{data}

{record["train_chips"]} chips trained the weights, {record["calibration_chips"]} chose the
temperature ({calibration["temperature"]}) and the thresholds: balanced
{calibration["balanced"]}, sensitive {calibration["sensitive"]}, cloud {calibration["cloud"]}.
The terms of the data sets apply to what may be done with the weights.

## Settings

{settings}

## Not known

Figures on places that training never saw come from `floodsat evaluate`.
"""
