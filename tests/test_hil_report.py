"""The report of the hardware-in-the-loop suite, from records made here; no device is opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hil_tests import charts, chips, device, page, record, report
from hil_tests.record import HARDWARE, SOFTWARE, UNUSED, Check, Record, Tally
from hil_tests.terminal import Terminal
from onboard import bundle
from onboard.engines.plugin_2021 import Plugin
from onboard.errors import DatasetError, EngineError, OutputError, UnavailableError
from tests.samples import BUNDLE, CHIPS, ROOT, SAMPLES

DOCS = (ROOT / "docs" / "hil.md").read_text("utf-8")
STICK, OTHER = "1.2-ma2480", "1.3-ma2480"
EVIL = '<script>alert("&")</script>'


def facts(mode: str = SOFTWARE) -> dict[str, Any]:
    device_facts = {"full_name": "A device", "stick": "", "chip": "", "capabilities": ["FP16"]}
    return {
        "mode": mode,
        "date": "2026-11-21 12:00 UTC",
        "commit": "0123abc",
        "counts": "reduced",
        "device": {"name": "CPU", "engine": "an engine", **device_facts},
        "versions": {"openvino": "2021.4.2", "plugin": "a plugin", "firmware": None},
        "host": {"processor": "a processor", "system": "a system", "kernel": "a kernel"},
        "usb": {"speed_mbps": None},
        "bundle": {"name": "floodsat 1", "model_id": "ab" * 32, "passes": 10},
        "tile": {"size": 512},
        "chips": {"source": "generated", "names": []},
    }


def made(mode: str = SOFTWARE, **more: Any) -> Record:
    checks = [
        Check("test_a.py::test_one", "One holds.", "passed", 0.5, "", ("a figure",)),
        Check("test_a.py::test_two", "Two holds.", "failed", 1.5, "assert 1 == 2", ()),
        Check("test_b.py::test_three", "Three holds.", "skipped", 0.0, "no Myriad", ()),
    ]
    latencies = [0.1 + 0.001 * i for i in range(20)]
    filled = {"checks": checks, "tally": Tally(60, 1), "latencies_s": latencies, **more}
    return Record(facts=facts(mode), **filled)


def on_hardware() -> Record:
    return made(
        HARDWARE,
        temperatures=[(0.0, 40.5), (10.0, 55.25), (20.0, 52.0)],
        predicted_ms={"best": 20.0, "central": 100.0, "worst": 300.0},
        soak_s=[0.1] * 10 + [0.15] * 10,
        agreement=0.9995,
    )


class Tags(HTMLParser):
    """Whether tags are balanced, and what would be fetched."""

    VOID = frozenset({"meta", "line", "rect", "polyline", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(text: str) -> Tags:
    parser = Tags()
    parser.feed(text)
    assert parser.open == []
    return parser


def names_in_the_form() -> list[str]:
    """The keys that the form of docs/hil.md names."""
    form = DOCS.split("## The form")[1].split("\n```\n")[1]
    cells = [line.split("|")[3] for line in form.splitlines() if line.startswith("|")]
    found = [name.strip() for cell in cells[2:] for name in cell.split(",")]
    return [name for name in found if name != "–"]


def test_every_key_of_the_form_is_in_the_report() -> None:
    names = names_in_the_form()
    assert len(names) > 20
    found = report.to_json(on_hardware(), True)
    for name in names:
        value: Any = found
        for part in name.split("."):
            assert part in value, name
            value = value[part]


def test_the_figures() -> None:
    found = report.to_json(on_hardware(), True)
    assert found["tile"]["latency_ms"]["median"] == pytest.approx(109.5)
    assert found["tile"]["latency_ms"]["p95"] == pytest.approx(118.0)
    assert sum(found["tile"]["latency_ms"]["histogram"]["counts"]) == 20
    assert found["inferences"] == {"done": 60, "failed": 1}
    assert (found["temperature_c"]["first"], found["temperature_c"]["max"]) == (40.5, 55.25)
    assert found["tests"] == {"passed": 1, "failed": 1, "skipped": 1, "complete": True}
    assert found["skipped"] == [{"check": "test_b.py::test_three", "reason": "no Myriad"}]
    assert found["prediction"]["measured_over_central"] == pytest.approx(1.095)
    assert found["prediction"]["within"]
    assert found["throttling"] == {"seen": True, "ratio": pytest.approx(1.5)}
    assert json.loads(json.dumps(found)) == found


def test_without_hardware_nothing_is_predicted_or_warm() -> None:
    # Even if someone measured it by mistake.
    filled = made(predicted_ms={"best": 1.0, "central": 2.0, "worst": 3.0})
    found = report.to_json(filled, True)
    assert found["prediction"] is None
    assert found["temperature_c"] == {"first": None, "max": None, "samples": []}
    assert found["throttling"] is None
    text = page.html(found)
    assert "predicted" not in text.split("</style>")[1]
    assert "<h2>Temperature" not in text


@pytest.mark.parametrize("mode", [SOFTWARE, UNUSED])
def test_the_page_says_the_mode_on_top_below_and_on_every_printed_page(mode: str) -> None:
    text = page.html(report.to_json(made(mode), True))
    body = text.split("<body")[1]
    # The head of a table is repeated on every page that the table is printed on.
    head = body.split('<thead class="repeat">')[1].split("</thead>")[0]
    assert mode in head
    assert mode in body.split("</header>")[0]
    assert mode in body.split("<footer")[1]
    assert "hardware in the loop" not in text


def test_the_page_of_hardware() -> None:
    text = page.html(report.to_json(on_hardware(), True))
    assert text.count(HARDWARE) >= 4
    assert "software in the loop" not in text
    assert "The chip's temperature" in text.replace("&#x27;", "'")
    assert "throttling was seen" in text
    assert "predicted, central" in text
    assert "inside the range" in text
    assert "not a measurement" in text
    assert tags(text).seen.count("svg") == 2


def test_the_page_fetches_nothing_and_is_well_formed() -> None:
    for filled in (made(), on_hardware(), made(latencies_s=[]), Record(facts=facts())):
        found = tags(page.html(report.to_json(filled, True)))
        assert found.links == []
        assert not {"script", "link", "img", "iframe"} & set(found.seen)


def test_everything_is_escaped() -> None:
    filled = on_hardware()
    filled.checks = [Check(EVIL, EVIL, o, 0.0, EVIL, (EVIL,)) for o in ("failed", "skipped")]

    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: spoil(v) for k, v in value.items()}
        return [EVIL] if isinstance(value, list) else EVIL

    filled.facts = {**spoil(filled.facts), "tile": {"size": EVIL}, "mode": EVIL}
    found = report.to_json(filled, True)
    text = page.html(found)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 20


@pytest.mark.parametrize(
    ("outcomes", "complete", "said"),
    [
        (["passed", "skipped"], True, "All checks that ran passed: 1 passed, 0 failed, 1 skipped"),
        (["passed", "failed"], True, "Failed: 1 passed, 1 failed"),
        (["skipped"], True, "Failed: 0 passed"),
        (["passed"], False, "Not the whole suite: 1 passed"),
    ],
)
def test_the_verdict(outcomes: list[str], complete: bool, said: str) -> None:
    checks = [Check("a", "b", outcome, 0.0, "", ()) for outcome in outcomes]
    assert said in page.html(report.to_json(made(checks=checks), complete))


def test_the_report_is_written_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    for count in (1, 2):
        report.write(folder, report.to_json(made(tally=Tally(count)), True), b"<testsuites/>")
        found = json.loads((folder / report.JSON).read_text("utf-8"))
        assert found["inferences"]["done"] == count
        assert {p.name for p in folder.iterdir()} == report.OURS
        assert [p.name for p in folder.parent.iterdir()] == ["report"]
    assert xml.etree.ElementTree.parse(folder / report.JUNIT).getroot().tag == "testsuites"


def test_a_report_of_hardware_is_not_replaced_by_one_of_software(tmp_path: Path) -> None:
    report.write(tmp_path / "r", report.to_json(on_hardware(), True), b"")
    before = (tmp_path / "r" / report.JSON).read_bytes()
    with pytest.raises(OutputError, match=r"holds a report of hardware.*--report"):
        report.write(tmp_path / "r", report.to_json(made(), True), b"")
    assert (tmp_path / "r" / report.JSON).read_bytes() == before
    report.write(tmp_path / "r", report.to_json(on_hardware(), True), b"new")
    assert (tmp_path / "r" / report.JUNIT).read_bytes() == b"new"


@pytest.mark.parametrize("beside", [[], [report.JSON]])
def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, beside: list[str]) -> None:
    for name in ["notes.txt", *beside]:
        (tmp_path / name).write_text("{}")
    with pytest.raises(OutputError, match=r"holds (notes.txt|other files)"):
        report.check_folder(tmp_path, HARDWARE)


def test_a_soak_that_slows_down_is_throttled() -> None:
    assert record.throttling([1.0] * 20) == (False, 1.0)
    slower = record.throttling([1.0] * 16 + [1.3] * 4)
    assert slower.seen
    assert slower.ratio == pytest.approx(1.3)
    # One slow call is chance.
    assert not record.throttling([1.0] * 19 + [9.0]).seen
    with pytest.raises(ValueError, match="too few"):
        record.throttling([1.0] * 9)


def test_growth_sees_a_leak_and_forgives_the_start() -> None:
    assert record.growth([0] + [100] * 19) == 0
    assert record.growth([10 * i for i in range(20)]) == 100
    with pytest.raises(ValueError, match="too few"):
        record.growth([1] * 7)


def test_percentile() -> None:
    assert record.percentile([5.0], 0.95) == 5.0
    assert record.percentile([float(i) for i in range(1, 101)], 0.95) == 95.0
    assert record.percentile([3.0, 1.0, 2.0], 0.5) == 2.0


@pytest.mark.parametrize("count", [0, 1, 7, 500])
def test_a_histogram_counts_every_value(count: int) -> None:
    values = [(i * 37 % 101) / 7 for i in range(count)]
    found = charts.histogram(values)
    assert sum(found.counts) == count
    if count:
        assert len(found.edges) == len(found.counts) + 1
        assert found.edges[0] == min(values)
        assert found.edges[-1] == pytest.approx(max(values))


def test_a_histogram_of_one_value() -> None:
    assert charts.histogram([2.0] * 5) == ([2.0, 2.0], [5])
    assert "NaN" not in charts.bars(charts.histogram([2.0] * 5), [], "t", "ms")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (93.5, 113.7), (0.0, 3.15), (-5.0, 70.0)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = charts.ticks(low, high)
    assert 3 <= len(found) <= 11
    assert low <= found[0] < found[-1] <= high + 1e-9
    assert all(len(f"{value:g}") <= 5 for value in found)


def test_charts_stay_inside_their_frame_and_escape() -> None:
    marks = [charts.Mark(500.0, EVIL, "predicted"), charts.Mark(1.0, "low", "measured")]
    drawn = charts.bars(charts.histogram([90.0, 95.0, 100.0]), marks, EVIL, EVIL)
    root = xml.etree.ElementTree.fromstring(drawn)
    for element in root.iter():
        for name in ("x", "x1", "x2"):
            assert 0 <= float(element.get(name, 0)) <= charts.WIDTH
        for name in ("y", "y1", "y2"):
            assert 0 <= float(element.get(name, 0)) <= charts.HEIGHT
    assert "<script" not in drawn


def test_a_line_rises_with_its_values() -> None:
    drawn = charts.line([(0.0, 10.0), (1.0, 20.0), (2.0, 15.0)], "t", ("s", "°C"))
    (path,) = xml.etree.ElementTree.fromstring(drawn).findall("polyline")
    points = [tuple(map(float, p.split(","))) for p in path.get("points", "").split()]
    assert points[0][0] < points[1][0] < points[2][0]
    # Up on the page is less.
    assert points[1][1] < points[2][1] < points[0][1]
    assert charts.line([], "t", ("s", "°C")) == ""


class Sticks(Plugin):
    """A bus with some sticks."""

    def __init__(self, *there: str, error: str = "") -> None:
        self.there, self.error = list(there), error

    def sticks(self) -> list[str]:
        if self.error:
            raise RuntimeError(self.error)
        return self.there


@pytest.mark.parametrize(
    ("asked", "there", "named", "wanted"),
    [
        ("auto", [], "", ("CPU", SOFTWARE)),
        ("CPU", [], "", ("CPU", SOFTWARE)),
        ("CPU", [STICK], "", ("CPU", UNUSED)),
        ("auto", [STICK], "", ("MYRIAD", HARDWARE)),
        ("MYRIAD", [STICK], "", ("MYRIAD", HARDWARE)),
        ("auto", [STICK, OTHER], OTHER, (f"MYRIAD.{OTHER}", HARDWARE)),
    ],
)
def test_the_device_is_chosen(asked: str, there: list[str], named: str, wanted: Any) -> None:
    found = device.choose(asked, Sticks(*there), {"FLOODSAT_MYRIAD": named})
    assert found[:2] == wanted
    assert found.hardware == (wanted[1] == HARDWARE)


@pytest.mark.parametrize(
    ("asked", "plugin", "named", "said"),
    [
        ("MYRIAD", Sticks(), "", "no Myriad stick here.*plug it in"),
        ("auto", Sticks(), STICK, "no Myriad stick here.*plug it in"),
        ("auto", Sticks(STICK, OTHER), "", f"2 sticks are here.*FLOODSAT_MYRIAD={STICK}"),
        ("MYRIAD", Sticks(STICK, OTHER), "", f"2 sticks are here.*FLOODSAT_MYRIAD={STICK}"),
        ("MYRIAD", Sticks(error="libusb-1.0.so.0"), "", "without libusb; install"),
    ],
)
def test_a_device_that_is_not_there(asked: str, plugin: Sticks, named: str, said: str) -> None:
    with pytest.raises(EngineError, match=said) as caught:
        device.choose(asked, plugin, {"FLOODSAT_MYRIAD": named})
    assert "\n" not in str(caught.value)


def test_auto_says_why_the_plugin_does_not_load() -> None:
    found = device.choose("auto", Sticks(error="Cannot load libusb-1.0.so.0"), {})
    assert found[:2] == ("CPU", SOFTWARE)
    assert "libusb" in found.note


def test_the_speed_is_that_of_the_booted_stick(tmp_path: Path) -> None:
    def plug(name: str, product: str, speed: str) -> None:
        (tmp_path / name).mkdir()
        for file, text in (("idVendor", "03e7"), ("idProduct", product), ("speed", speed)):
            (tmp_path / name / file).write_text(text + "\n")

    assert device.usb_speed(tmp_path) is None
    plug("1-1", "2485", "480")
    assert device.usb_speed(tmp_path) is None
    plug("2-1", "f63b", "5000")
    assert device.usb_speed(tmp_path) == 5000
    plug("2-2", "f63b", "480")
    assert device.usb_speed(tmp_path) is None


def test_host_facts_out_of_their_files(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A Chip @ 2 GHz\n")
    (tmp_path / "os-release").write_text('NAME="x"\nPRETTY_NAME="An OS 12"\n')
    assert device.processor(tmp_path / "cpuinfo") == "A Chip @ 2 GHz"
    assert device.system(tmp_path / "os-release") == "An OS 12"
    assert device.processor(tmp_path / "absent") == ""
    assert device.commit(tmp_path / "absent") == "unknown"


def test_real_chips_before_generated_ones(tmp_path: Path) -> None:
    assert chips.folder(tmp_path, SAMPLES) == (CHIPS, "generated: the committed samples")
    (tmp_path / chips.REAL / "images").mkdir(parents=True)
    assert chips.folder(tmp_path, SAMPLES) == (tmp_path / chips.REAL, "real: dfc24")
    with pytest.raises(DatasetError, match="no labelled chip; name another folder"):
        chips.wettest(tmp_path / chips.REAL, 1)


def test_a_chip_fills_a_tile() -> None:
    loaded = bundle.load(BUNDLE, ["myriad"])
    first, *rest = chips.wettest(CHIPS, 3)
    assert len(rest) == 2
    chip = chips.read(first, loaded)
    size, halo = int(loaded.sets["myriad"]["tile"]), loaded.network.halo
    assert chip.tile.shape == (size, size, 4)
    assert chip.valid.shape == (size - 2 * halo, size - 2 * halo)
    assert chip.valid[:128, :128].mean() > 0.9
    assert not chip.valid[128:].any()
    assert not chip.valid[:, 128:].any()


def test_the_operator_is_asked_at_the_terminal() -> None:
    ours, theirs = os.openpty()
    terminal = Terminal(os.ttyname(theirs))
    assert not terminal.ask("Pull it out", 0.05)
    assert b"Pull it out, then press Enter" in os.read(ours, 1000)
    os.write(ours, b"\n")
    assert terminal.ask("Plug it in", 10.0)
    terminal.close()
    os.close(ours)
    os.close(theirs)


def test_without_the_flight_environment_the_suite_is_skipped_as_a_whole(tmp_path: Path) -> None:
    """In the environment that runs this file the engine is absent: one reason, no report."""
    if not plugin_absent():
        pytest.skip("OpenVINO 2021.4.2 is here: the suite itself runs, by 'make hil'")
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "hil_tests", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": f"--report={tmp_path / 'report'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    (line,) = [line for line in found.stdout.splitlines() if line.startswith("SKIPPED")]
    assert "hil_tests as a whole: engine myriad: needs OpenVINO 2021.4.2" in line
    assert "passed" not in found.stdout
    assert not (tmp_path / "report").exists()


def plugin_absent() -> bool:
    try:
        Plugin()
    except UnavailableError:
        return True
    return False
