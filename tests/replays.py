"""A small replay for tests of what is drawn from one: invented figures, the right shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ground.replay import result
from ground.replay.result import Latency, Place, Replay, Strategy
from onboard import files

START = 1_790_000_000_000
MINUTE = 60_000
SIDE = 64
TLE = (
    "1 46292U 20061W   26263.50000000  .00001000  00000-0  60000-4 0  9990",
    "2 46292  97.5000 300.0000 0005000  90.0000 270.0000 15.10000000000010",
)
TITLES = {
    "raw": "raw frames",
    "lossless": "frames, compressed without loss",
    "masks": "all masks",
    "flagged": "flagged masks",
    "prioritised": "flagged masks, the most certain and largest floods first",
}


def example(folder: Path | None = None) -> Replay:
    """Six frames, three contacts, everything that a page must be able to show.

    Args:
        folder: where ``replay.json`` and its pictures are written; nowhere where it is None.
    """
    replay = Replay(
        software="0.0.0",
        span=result.Span(
            "example",
            "An example: <three> contacts & six frames",
            7,
            START,
            START + 360 * MINUTE,
            "ΦSat-1",
            TLE,
            START - 2 * 86_400_000,
        ),
        stations=(
            result.Station("Svalbard", (15.4, 78.2), 450.0, 5.0, 2e6, 64e3),
            result.Station("Matera", (16.7, 40.6), 500.0, 10.0, 1e6, 0.0),
        ),
        track=tuple(
            result.TrackPoint(START + i * MINUTE, _below(i), i % 95 < 58) for i in range(361)
        ),
        off=(
            result.Off(START + 40 * MINUTE, START + 70 * MINUTE, "in the Earth's shadow", False),
            result.Off(START + 200 * MINUTE, START + 250 * MINUTE, "safe mode: star tracker", True),
        ),
        models=(
            result.Flying(START, "11" * 32, "as launched"),
            result.Flying(START + 190 * MINUTE, "22" * 32, "retrained"),
        ),
        shown="prioritised",
        contacts=_contacts(),
        frames=tuple(_frame(number) for number in range(1, 7)),
        products=tuple(_product(number) for number in (1, 2, 4)),
        alerts=(
            _alert(1, 110, 40.0, True),
            _alert(2, 110, 12.5, True),
            _alert(3, None, 0.4, False),
            _alert(4, 302, 31.0, True),
        ),
        losses=(
            _loss(15, "frame", "Delta 2", 5, "not worth it", "too little was observed: 81 %"),
            _loss(205, "contact", "contact 2", None, "unused", "safe mode: star tracker"),
            _loss(230, "product", "9f0e1d2c3b4a", 2, "evicted", "lowest priority: quota full"),
            _loss(360, "frame", "Delta 3", 6, "waiting", "not begun at the end"),
        ),
        uplinks=(
            _uplink("patch", "retrained model, damaged", 100, "refused", "does not verify"),
            _uplink("patch", "retrained model", 180, "done", "slot b is active"),
            result.Uplink("command", "set-limit min_wet 0.01", 118, START + 320 * MINUTE),
        ),
        strategies=tuple(_strategy(name) for name in TITLES),
        photographed=_steps((10, 40.0), (12, 52.5), (130, 83.5)),
        flood_limit_km2=0.5,
        settings={"engine": "tflite", "passes": "10", "sendings": "2"},
        warnings=("the TLE is 2 days old at the start",),
    )
    if folder is not None:
        for product in replay.products:
            _write_pictures(folder, product)
        for frame in replay.frames:
            _picture(folder / str(frame.rgb), frame.number, rgba=False)
        result.write(replay, folder)
    return replay


def _below(minute: int) -> Place:
    angle = minute / 95 * 2 * np.pi
    latitude = float(np.degrees(np.arcsin(np.sin(np.radians(97.5)) * np.sin(angle))))
    longitude = float(np.degrees(np.arctan2(-0.13 * np.sin(angle), np.cos(angle)))) - minute / 4
    return round((longitude + 540) % 360 - 180, 3), round(latitude, 3)


def _contacts() -> tuple[result.Contact, ...]:
    def contact(number: int, at: int, station: str, **given: object) -> result.Contact:
        aos = START + at * MINUTE
        fields: dict[str, object] = {"begin_ms": aos, "capacity_bytes": 75_000_000, **given}
        return result.Contact(number, station, aos, aos + 8 * MINUTE, 41.5, **fields)  # type: ignore[arg-type]

    sent = {"alert": 300, "product": 60_000, "chip": 9_000, "state": 200}
    counts = {"alert": 3, "product": 1, "chip": 1, "state": 1}
    return (
        contact(
            1,
            105,
            "Svalbard",
            sent_bytes=70_250,
            by_kind=sent,
            items=counts,
            frames_sent=62,
            frames_lost=3,
            frames_bad=1,
            up_bytes=40_300,
            whole=("0101010101010101",),
        ),
        contact(2, 202, "Svalbard", begin_ms=None, capacity_bytes=0, note="safe mode"),
        contact(3, 300, "Matera", sent_bytes=41_000, by_kind={"product": 40_000}, frames_sent=37),
    )


def _frame(number: int) -> result.Frame:
    west, south = 90.0 + number / 5, 24.0
    ring = ((0, 0), (0.15, 0), (0.15, 0.14), (0, 0.14), (0, 0))
    done = number != 6
    return result.Frame(
        number=number,
        name=f"Delta {(number + 1) // 2}",
        target="Delta",
        taken_ms=START + (10 if number < 4 else 130) * MINUTE + number * 1000,
        place=(west + 0.075, south + 0.07),
        footprint=tuple((west + dx, south + dy) for dx, dy in ring),
        sun_elevation_deg=48.0,
        off_nadir_deg=3.5,
        sample_bytes=2_097_152,
        begun_ms=START + 12 * MINUTE if done else None,
        done_ms=START + 13 * MINUTE if done else None,
        attempts=2 if number == 4 else int(done),
        decision="" if not done else "nothing" if number == 5 else "alert, product",
        reason="flood was seen: 3 % not observed (at most 70 %)" if done else "",
        model_id=("11" if number < 4 else "22") * 32 if done else "",
        flood_km2=(40.0, 12.5, 0.0, 31.0, 5.0, 0.0)[number - 1],
        flood_all_km2=(44.0, 12.5, 0.0, 33.0, 25.0, 0.0)[number - 1],
        cloud=0.05,
        iou=0.9 if number < 3 else None,
        rgb=f"frames/{number}.png",
    )


def _product(number: int) -> result.Product:
    west, south = 90.0 + number / 5, 24.0
    whole = number != 2
    at = START + (14 if number < 4 else 131) * MINUTE
    name = f"products/{number:02}"
    return result.Product(
        id=f"{number:02}" * 16,
        kind="product",
        frame=number,
        queued_ms=at,
        bytes=31_000,
        first_ms=START + 105 * MINUTE if whole else None,
        last_ms=START + 106 * MINUTE if whole else None,
        whole_ms=START + (106 if number == 1 else 301) * MINUTE if whole else None,
        sent_bytes=62_500 if whole else 0,
        value=30.2,
        water_km2=60.0,
        flood_km2=38.5,
        right_km2=36.0,
        mask=f"{name}_mask.png" if whole else None,
        entropy=f"{name}_entropy.png" if whole else None,
        truth=f"{name}_truth.png" if whole else None,
        polygons=f"{name}.geojson" if whole else None,
        bounds=(west, south, west + 0.15, south + 0.14) if whole else None,
    )


def _alert(frame: int, heard: int | None, area: float, true: bool) -> result.Alert:
    return result.Alert(
        frame=frame,
        queued_ms=START + 14 * MINUTE,
        heard_ms=None if heard is None else START + heard * MINUTE,
        place=(90.1 + frame / 5, 24.05),
        area_km2=area,
        flood=True,
        confidence=0.85,
        true=true,
    )


def _loss(at: int, what: str, name: str, frame: int | None, cause: str, reason: str) -> result.Loss:
    return result.Loss(START + at * MINUTE, what, name, frame, 31_000, cause, reason)


def _uplink(kind: str, name: str, at: int, outcome: str, text: str) -> result.Uplink:
    up = START + (at + 6) * MINUTE
    return result.Uplink(
        kind, name, 210_000, START + at * MINUTE, up - MINUTE, up, up + 1000, up, outcome, text
    )


def _strategy(name: str) -> Strategy:
    which = list(TITLES).index(name)
    seconds = tuple(6000.0 / (which + 1) + 300.0 * i for i in range(3))
    real = which >= 2
    return Strategy(
        name=name,
        title=TITLES[name],
        how=result.REAL if real else result.ACCOUNTED,
        note="" if real else "bytes counted with the same packets and frames",
        file_bytes=(12_000_000, 7_000_000, 190_000, 93_000, 93_000)[which],
        sent_bytes=(12_600_000, 7_300_000, 210_000, 111_000, 111_000)[which],
        contacts=3 if which < 2 else 2,
        alert=Latency(3, 1 if which < 2 else 0, seconds[1], seconds[2], seconds),
        map=Latency(2, 1, seconds[1] + 60, seconds[1] + 60, (seconds[0] + 60, seconds[1] + 60)),
        known=_steps((110 - 4 * which, 36.0), (302 - 9 * which, 65.0)),
        floods=4,
        missed=1,
        missed_by_choice=int(real),
        false_alarms=1,
        waiting_bytes=0 if real else 3_000_000,
    )


def _steps(*steps: tuple[int, float]) -> result.Series:
    return tuple((START + at * MINUTE, value) for at, value in steps)


def _write_pictures(folder: Path, product: result.Product) -> None:
    for path in (product.mask, product.entropy, product.truth):
        if path is not None:
            _picture(folder / path, product.frame, rgba=True)
    if product.polygons is not None:
        files.write_text(
            folder / product.polygons, '{"type": "FeatureCollection", "features": []}\n'
        )


def _picture(path: Path, seed: int, rgba: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 4 if rgba else 3), np.uint8)
    Image.fromarray(pixels).save(path)
