"""A run's course: its history as TensorBoard events and as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tensorboard.summary import Writer

from onboard import files

Row = dict[str, float]

FOLDER = "tensorboard"
PICTURE = "curves.png"
COLOURS = {"loss": "#555555", "water_iou": "#0b61a4", "cloud_iou": "#d55e00"}


def log(run: Path, row: Row) -> None:
    """Append one epoch to the run's TensorBoard events: ``tensorboard --logdir RUN``."""
    writer = Writer(str(run / FOLDER))
    for name, value in row.items():
        if name != "epoch":
            writer.add_scalar(name, value, step=int(row["epoch"]))
    writer.close()


def draw(run: Path, history: Sequence[Row]) -> None:
    """Draw loss and scores over the epochs into ``RUN/curves.png``."""
    figure = Figure(figsize=(8, 3.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for name, colour in COLOURS.items():
        axes = left if name == "loss" else right
        axes.plot(epochs, [row[name] for row in history], color=colour, label=name)
    left.set(xlabel="epoch", title="Training loss")
    right.set(xlabel="epoch", title="IoU on the calibration places", ylim=(0, 1))
    right.legend(["water", "cloud"], frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    files.write_bytes(run / PICTURE, buffer.getvalue())
