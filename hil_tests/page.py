"""The report as one HTML page: nothing is fetched, and every printed page says the mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from hil_tests import charts
from hil_tests.record import FAILED, HARDWARE, PASSED, SKIPPED
from onboard import vpu_time

FRAME = Template((Path(__file__).with_name("page.html")).read_text("utf-8"))
IDENTITY = (
    ("Device", "device.full_name"),
    ("On the bus", "device.stick"),
    ("Chip", "device.chip"),
    ("Note", "device.note"),
    ("Computes in", "device.capabilities"),
    ("Engine", "device.engine"),
    ("OpenVINO", "versions.openvino"),
    ("Plugin", "versions.plugin"),
    ("Firmware", "versions.firmware"),
    ("USB, Mbit/s", "usb.speed_mbps"),
    ("Bundle", "bundle.name"),
    ("Model id", "bundle.model_id"),
    ("Passes a call", "bundle.passes"),
    ("Tile, px", "tile.size"),
    ("Chips", "chips.source"),
    ("FloodSat", "versions.floodsat"),
    ("Commit", "commit"),
    ("Host", "host.processor"),
    ("System", "host.system"),
    ("Kernel", "host.kernel"),
    ("Cores", "host.cores"),
    ("Python, numpy", "versions.python"),
    ("Counts", "counts"),
    ("Date", "date"),
)
NONE = "–"


def html(found: Mapping[str, Any]) -> str:
    """The page.

    Args:
        found: of `hil_tests.report.to_json`.
    """
    hardware = found["mode"] == HARDWARE
    return FRAME.substitute(
        mode=escape(found["mode"]),
        kind="hardware" if hardware else "software",
        verdict=_verdict(found["tests"]),
        subtitle=escape(f"{found['device']['full_name']} · {found['date']} · {found['commit']}"),
        tiles=_tiles(found),
        latency=_latency(found, hardware),
        temperature=_temperature(found, hardware),
        checks=_checks(found["checks"]),
        skipped=_skipped(found["skipped"]),
        identity=_identity(found),
    )


def text_of(value: Any) -> str:
    """A value as the page shows it, escaped; what is not there is a dash."""
    if value is None or value == "" or value == []:
        return NONE
    if isinstance(value, (list, tuple)):
        return escape(", ".join(str(v) for v in value))
    return escape(str(value))


def figure(value: float | None, form: str, unit: str = "") -> str:
    """A number with its unit; what was not measured is a dash."""
    if value is None:
        return NONE
    return escape(format(value, form)) + (f" <small>{escape(unit)}</small>" if unit else "")


def look_up(found: Mapping[str, Any], name: str) -> Any:
    """The value at a dotted name; None where there is none."""
    value: Any = found
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _verdict(tests: Mapping[str, Any]) -> str:
    passed, failed, skipped = (tests[o] for o in (PASSED, FAILED, SKIPPED))
    counts = f"{passed} passed, {failed} failed, {skipped} skipped"
    if not tests["complete"]:
        return f'<p class="verdict failed">Not the whole suite: {counts}</p>'
    if failed or not passed:
        return f'<p class="verdict failed">Failed: {counts}</p>'
    return f'<p class="verdict passed">All checks that ran passed: {counts}</p>'


def _tiles(found: Mapping[str, Any]) -> str:
    """The main figures."""
    latency = found["tile"]["latency_ms"] or {}
    agreement = found["mask"]["agreement"]
    entries: list[tuple[str, str]] = [
        ("a tile, median", figure(latency.get("median"), ".1f", "ms")),
        ("a tile, 95th percentile", figure(latency.get("p95"), ".1f", "ms")),
        ("two in flight", figure(found["tile"]["tiles_per_second"], ".2f", "tiles/s")),
        ("mask pixels as the reference", figure(agreement and 100 * agreement, ".3f", "%")),
        ("inferences", figure(found["inferences"]["done"], "d")),
        ("of these failed", figure(found["inferences"]["failed"], "d")),
    ]
    if found["temperature_c"]["max"] is not None:
        entries.append(("hottest", figure(found["temperature_c"]["max"], ".1f", "°C")))
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in entries)


def _latency(found: Mapping[str, Any], hardware: bool) -> str:
    latency = found["tile"]["latency_ms"]
    if not latency:
        return "<p>No latency was measured.</p>"
    marks = [
        charts.Mark(latency["median"], f"median {latency['median']:.4g}", "measured"),
        charts.Mark(latency["p95"], f"95 % {latency['p95']:.4g}", "measured"),
    ]
    predicted = found["prediction"] if hardware else None
    if predicted:
        central = predicted["tile_ms"]["central"]
        marks.append(charts.Mark(central, f"predicted {central:.4g}", "predicted"))
    shape = charts.Histogram(latency["histogram"]["edges"], latency["histogram"]["counts"])
    where = "the Myriad" if hardware else "this CPU; they say nothing of a Myriad's"
    # Only what is drawn is described: no prediction stands beside a CPU's times.
    return (
        charts.bars(shape, marks, "Histogram of the latency of a tile", "latency of a tile, ms")
        + f'<p class="note">{latency["count"]} calls of {text_of(found["bundle"]["passes"])} '
        f"passes, one in flight, from {latency['min']:.4g} to {latency['max']:.4g} ms. "
        f"Times of {where}.</p>" + (_predicted(predicted, latency) if predicted else "")
    )


def _predicted(predicted: Mapping[str, Any], latency: Mapping[str, Any]) -> str:
    rows = [("measured, median", latency["median"])]
    rows += [(f"predicted, {name}", predicted["tile_ms"][name]) for name in predicted["tile_ms"]]
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{value:.4g} ms</td></tr>'
        for name, value in rows
    )
    ratio = figure(predicted["measured_over_central"], ".2f")
    inside = "inside" if predicted["within"] else "outside"
    words = f"Measured over central: {ratio}; {inside} the range. The {escape(vpu_time.LABEL)}."
    return f'<table>{body}</table><p class="note">{words}</p>'


def _temperature(found: Mapping[str, Any], hardware: bool) -> str:
    """The chip's temperature: on hardware only, a CPU's is never asked."""
    if not hardware:
        return ""
    samples = [(float(s), float(c)) for s, c in found["temperature_c"]["samples"]]
    drawn = charts.line(samples, "The chip's temperature over time", ("time, s", "°C"))
    throttled = found["throttling"]
    words = "No thermal soak was run."
    if throttled:
        seen = "throttling was seen" if throttled["seen"] else "no throttling was seen"
        words = (
            f"In the soak {seen}: its last fifth took {throttled['ratio']:.2f} of its first's time."
        )
    return (
        f'<section class="half"><h2>Temperature</h2>{drawn or "<p>Not told.</p>"}'
        f'<p class="note">{escape(words)}</p></section>'
    )


def _checks(checks: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for check in checks:
        outcome = check["outcome"]
        notes = "".join(f"<li>{escape(note)}</li>" for note in check["notes"])
        more = f"<ul>{notes}</ul>" if notes else ""
        if outcome == FAILED:
            more += f"<pre>{escape(check['reason'])}</pre>"
        rows.append(
            f'<tr class="{escape(outcome)}"><td class="outcome"><span>{escape(outcome)}</span></td>'
            f"<td>{escape(check['title'])}<code>{escape(check['name'])}</code>{more}</td>"
            f'<td class="number">{check["seconds"]:.1f} s</td></tr>'
        )
    return "".join(rows)


def _skipped(skipped: Iterable[Mapping[str, Any]]) -> str:
    rows = [f"<li><code>{escape(s['check'])}</code> {escape(s['reason'])}</li>" for s in skipped]
    return f"<ul>{''.join(rows)}</ul>" if rows else "<p>Nothing was skipped.</p>"


def _identity(found: Mapping[str, Any]) -> str:
    return "".join(
        f'<tr><th scope="row">{escape(label)}</th><td>{text_of(look_up(found, name))}</td></tr>'
        for label, name in IDENTITY
    )
