"""The suite's options, its bench, and the report at its end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hil_tests import chips, device, report
from hil_tests.bench import FULL, REDUCED, Bench
from hil_tests.record import FAILED, PASSED, SKIPPED, Check, Record
from hil_tests.terminal import Terminal
from onboard import bundle
from onboard.engines.plugin_2021 import Plugin
from onboard.errors import FloodsatError, UnavailableError
from onboard.uncertainty import Moments

ORDER = ("test_boot", "test_parity", "test_timing", "test_endurance", "test_faults")
HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "data_samples"
DATA = HERE.parents[1] / "shared" / "data"
LONG_S = 7200
"""Timeout of a test with the full counts, seconds."""
NOTES = pytest.StashKey[list[str]]()
RECORD = pytest.StashKey[Record]()
CHOICE = pytest.StashKey[device.Choice]()
ABSENT = pytest.StashKey[str]()
JUNIT = pytest.StashKey[Path]()
PARTLY = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hil", "hardware in the loop")
    group.addoption("--device", default=device.AUTO, choices=device.DEVICES, help="what to test")
    group.addoption("--report", default="hil-report", metavar="DIR", help="where the report goes")
    group.addoption("--full", action="store_true", help="the full counts; always so on a Myriad")
    group.addoption("--operator", action="store_true", help="an operator is here and will be asked")
    group.addoption(
        "--bundle", default=str(SAMPLES / "bundle"), metavar="DIR", help="the bundle to test"
    )
    group.addoption(
        "--trust", action="append", metavar="FILE", help="public key to trust, not the demo's"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.help or config.option.collectonly:
        return
    try:
        plugin = Plugin()
    except UnavailableError as error:
        config.stash[ABSENT] = str(error)
        return
    if getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("hil_tests: one device serves one process; run it without -n")
    try:
        choice = device.choose(config.option.device, plugin, os.environ)
        report.check_folder(Path(config.option.report), choice.mode)
        if config.option.operator:
            Terminal().close()
    except FloodsatError as error:
        raise pytest.UsageError(str(error)) from error
    except OSError as error:
        raise pytest.UsageError("--operator: there is no terminal to ask; run it in one") from error
    config.stash[CHOICE] = choice
    config.stash[RECORD] = Record(facts=device.facts(choice, _full(config)))
    # pytest writes its JUnit XML bit by bit; it joins the report once it is whole.
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    if not config.option.xmlpath:
        config.option.xmlpath = str(Path(folder.name) / report.JUNIT)
    config.stash[JUNIT] = Path(config.option.xmlpath)


def pytest_report_header(config: pytest.Config) -> list[str]:
    if CHOICE not in config.stash:
        return []
    choice = config.stash[CHOICE]
    return [f"hil: {choice.mode}" + (f" ({choice.note})" if choice.note else "")]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What the device is comes first, what may lose it last; the long counts may take long."""
    items.sort(key=lambda i: ORDER.index(i.path.stem) if HERE in i.path.parents else -1)
    if CHOICE in config.stash and _full(config):
        for item in items:
            if HERE in item.path.parents and config.getoption("timeout", None) is None:
                item.add_marker(pytest.mark.timeout(LONG_S))


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.config.stash[PARTLY] = True


def _whole(session: pytest.Session, exitstatus: int) -> bool:
    """Whether every test of the suite ran to its end."""
    own = [item for item in session.items if HERE in item.path.parents]
    return (
        exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        and {item.path.stem for item in own} == set(ORDER)
        and len(session.config.stash[RECORD].checks) == len(own)
        and PARTLY not in session.config.stash
    )


def _full(config: pytest.Config) -> bool:
    return bool(config.option.full) or config.stash[CHOICE].hardware


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without the environment that has the engine all are skipped, with one reason."""
    if ABSENT in item.config.stash and HERE in item.path.parents:
        pytest.skip(f"hil_tests as a whole: {item.config.stash[ABSENT]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    found: pytest.TestReport = yield
    if RECORD in item.config.stash and HERE in item.path.parents:
        _keep(item.config.stash[RECORD].checks, item, found)
    return found


def _keep(checks: list[Check], item: pytest.Item, found: pytest.TestReport) -> None:
    """A test's three phases make one check: the worst outcome, all of the time."""
    name = f"{item.path.name}::{item.name}"
    if found.when == "setup":
        checks.append(Check(name, _title(item), PASSED, 0.0, "", ()))
    before = checks.pop()
    notes: list[str] = item.stash.get(NOTES, [])
    outcome, reason = before.outcome, before.reason
    if found.outcome == "skipped":
        outcome, reason = SKIPPED, _why_skipped(found)
    elif found.outcome == "failed":
        outcome, reason = FAILED, found.longreprtext
    seconds = before.seconds + found.duration
    checks.append(Check(name, before.title, outcome, seconds, reason, tuple(notes)))


def _title(item: pytest.Item) -> str:
    text = getattr(getattr(item, "function", None), "__doc__", None) or item.name
    title = " ".join(str(text).split("\n\n")[0].split())
    details = item.name.partition("[")[2].rstrip("]")
    return f"{title} ({details})" if details else title


def _why_skipped(found: pytest.TestReport) -> str:
    if isinstance(found.longrepr, tuple):
        return str(found.longrepr[2]).partition("Skipped: ")[2] or str(found.longrepr[2])
    return found.longreprtext


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Any:
    """Outermost, so that the JUnit XML is written by then."""
    result = yield
    record = session.config.stash.get(RECORD, None)
    if record and record.checks:
        found = report.to_json(record, _whole(session, exitstatus))
        _write(session, found)
    return result


def _write(session: pytest.Session, found: dict[str, Any]) -> None:
    folder, path = Path(session.config.option.report), session.config.stash[JUNIT]
    try:
        report.write(folder, found, path.read_bytes() if path.is_file() else b"")
        said = f"report: {folder / report.HTML} ({found['mode']})"
    except FloodsatError as error:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        said = f"no report: {error}"
    terminal: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal:
        terminal.write_line(said)


@pytest.fixture(scope="session")
def bench(
    pytestconfig: pytest.Config,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[Bench]:
    option, choice = pytestconfig.option, pytestconfig.stash[CHOICE]
    record = pytestconfig.stash[RECORD]
    keys = [Path(name) for name in option.trust] if option.trust else None
    loaded = bundle.load(Path(option.bundle), ["myriad", "reference", bundle.COMMON], keys)
    counts = FULL if _full(pytestconfig) else REDUCED
    data = Path(os.environ.get("FLOODSAT_DATA") or DATA)
    source, words = chips.folder(data, SAMPLES)
    shown = [chips.read(path, loaded) for path in chips.wettest(source, counts.chips)]
    made = Bench(choice, loaded, counts, record, shown, keys)
    record.facts["bundle"] = {
        "name": f"{loaded.name} {loaded.version}",
        "model_id": loaded.model_id.hex(),
        "passes": made.chunk,
    }
    record.facts["tile"] = {"size": made.tiling.size}
    record.facts["chips"] = {"source": f"{words}, {len(shown)}", "names": [c.name for c in shown]}
    made.note_temperature()
    record.facts["device"].update(device.identity(made.engine()))
    record.facts["usb"]["speed_mbps"] = device.usb_speed(device.USB) if choice.hardware else None
    for name in ("mode", "date", "commit"):
        record_testsuite_property(name, record.facts[name])
    for name in ("device", "versions", "bundle"):
        for key, value in record.facts[name].items():
            record_testsuite_property(f"{name}.{key}", value)
    yield made
    made.release()


@pytest.fixture(scope="session")
def exact(bench: Bench) -> Callable[[int], Moments]:
    """The reference's moments of a chip by its number, with the masks that the device gets."""
    from onboard.engines.reference import ReferenceEngine

    engine = ReferenceEngine(bench.bundle)
    known: dict[int, Moments] = {}

    def find(index: int) -> Moments:
        if index not in known:
            chip = bench.chips[index]
            known[index] = engine.run(chip.tile, bench.masks(chip, bench.chunk))
        return known[index]

    return find


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Leave a figure in the report; pytest's JUnit XML has no place for it."""
    notes: list[str] = request.node.stash.setdefault(NOTES, [])
    return notes.append


@pytest.fixture
def stick(bench: Bench) -> None:
    """For what a CPU cannot stand in for."""
    if not bench.hardware:
        pytest.skip(f"{bench.choice.mode}; a CPU's times, temperature and bus say nothing of one")


@pytest.fixture
def operator(bench: Bench, pytestconfig: pytest.Config) -> Iterator[Terminal]:
    """Somebody who pulls out sticks."""
    if not bench.hardware:
        instead = "the faults injected at the plugin's calls stand in for it"
        pytest.skip(f"{bench.choice.mode}, so none can be pulled out; {instead}")
    if not pytestconfig.option.operator:
        pytest.skip("nobody was there to pull the stick out; run with --operator")
    terminal = Terminal()
    yield terminal
    terminal.close()
