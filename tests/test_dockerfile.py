"""The Dockerfile and the Makefile agree: its commands are run, in order, in a scratch folder.

No engine builds images where FloodSat is developed. What needs root, apt or an account of its own
is listed in `SKIPPED` and not run; everything else is, with the files that COPY would bring.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.samples import ROOT

TEXT = (ROOT / "Dockerfile").read_text("utf-8")
IGNORES = (ROOT / ".dockerignore").read_text("utf-8")
STAGES = {"ground": ".venv", "flight": ".venv-flight"}

# Commands by their first words that are not run, and what stands for them.
SKIPPED = {
    "apt-get": "packages of the system: needs root",
    "rm -rf /var/lib/apt/lists/*": "what apt-get leaves",
    "useradd": "an account: needs root",
    "install -d": "its folder: WORKDIR makes it",
}
# Of ENV: an image keeps no cache, a test lives on it; byte code only takes time.
NOT_SET = {"UV_NO_CACHE", "UV_COMPILE_BYTECODE", "PIP_NO_CACHE_DIR"}


class Instruction(NamedTuple):
    """One instruction; continued lines are joined, comments dropped."""

    word: str
    text: str


class Stage(NamedTuple):
    """A stage by its name."""

    name: str
    base: str
    steps: list[Instruction]

    def last(self, word: str) -> str:
        found = [step.text for step in self.steps if step.word == word]
        return found[-1] if found else ""


def instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield Instruction(word.upper(), " ".join(rest.split()))


def stages(text: str) -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    current: Stage | None = None
    for step in instructions(text):
        if step.word == "FROM":
            base, _, name = re.sub(r" (?i:as) ", " AS ", step.text).partition(" AS ")
            current = found.setdefault(name or base, Stage(name or base, base, []))
        elif current:
            current.steps.append(step)
    return found


def ignored(path: str, patterns: str) -> bool:
    """Whether .dockerignore keeps a path out: the last pattern that matches it or a parent wins."""
    parts = path.split("/")
    parents = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    out = False
    for line in patterns.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        kept, pattern = pattern.startswith("!"), pattern.lstrip("!").strip("/")
        anywhere = pattern.removeprefix("**/")
        for parent in parents:
            whole = parent.count("/") == pattern.count("/") and fnmatch.fnmatchcase(parent, pattern)
            last = anywhere != pattern and fnmatch.fnmatchcase(parent.split("/")[-1], anywhere)
            if whole or last:
                out = not kept
    return out


def context() -> list[str]:
    """Files that a build from a fresh checkout would see."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("no git checkout: which files a build would see is not known")
    names = set(listed.stdout.decode().split("\0")) - {""}
    return sorted(n for n in names if (ROOT / n).is_file() and not ignored(n, IGNORES))


def copied(step: Instruction, files: list[str]) -> dict[str, str]:
    """File in the context → file below the working folder; KeyError for a source without any."""
    *sources, target = [w for w in shlex.split(step.text) if not w.startswith("--")]
    found: dict[str, str] = {}
    for source in sources:
        for name in files:
            if name == source:
                place = Path(target) / Path(name).name if target.endswith("/") else Path(target)
            elif name.startswith(source.rstrip("/") + "/"):
                place = Path(target) / Path(name).relative_to(source)
            else:
                continue
            found[name] = str(place)
        if not any(n == source or n.startswith(source.rstrip("/") + "/") for n in files):
            raise KeyError(source)
    return found


def commands(step: Instruction) -> list[str]:
    return [part.strip() for part in step.text.split("&&")]


def skipped(command: str) -> bool:
    return any(command.startswith(start) for start in SKIPPED)


def make_targets(makefile: str) -> set[str]:
    names = re.findall(r"^([a-z][\w-]*(?: [a-z][\w-]*)*):(?!=)", makefile, re.MULTILINE)
    return {name for group in names for name in group.split()}


def faults(text: str, makefile: str, files: list[str]) -> list[str]:
    """What is wrong with a Dockerfile, as far as reading tells."""
    found = []
    for stage in stages(text).values():
        if not re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+-[\w-]+(@sha256:[0-9a-f]{64})?", stage.base):
            found.append(f"{stage.name}: FROM {stage.base} is not pinned")
        if stage.last("USER").partition(":")[0] in ("", "0", "root"):
            found.append(f"{stage.name}: runs as root")
        for word in ("HEALTHCHECK", "ENTRYPOINT", "CMD"):
            if not stage.last(word) or stage.last(word) == "NONE":
                found.append(f"{stage.name}: no {word}")
        for step in stage.steps:
            if step.word == "COPY":
                try:
                    copied(step, files)
                except KeyError as source:
                    found.append(f"{stage.name}: COPY of {source}, which is not there")
            for command in commands(step) if step.word == "RUN" else ():
                words = shlex.split(command)
                if words[0] == "make":
                    gone = set(words[1:]) - make_targets(makefile)
                    found += [f"{stage.name}: make has no {name}" for name in sorted(gone)]
                elif not skipped(command) and any(w.startswith("/") for w in words):
                    found.append(f"{stage.name}: {command} is neither run here nor listed")
    return found


class Scratch:
    """A stage as far as it can be made without root: its folders, files, settings."""

    def __init__(self, stage: Stage, root: Path) -> None:
        self.stage, self.root, self.here = stage, root, root
        tools = f"{ROOT}/.venv-uv/bin:{os.environ['PATH']}"
        self.settings = {"HOME": os.environ.get("HOME", "/"), "PATH": tools}
        for name, value in os.environ.items():
            if name.startswith(("FLOODSAT_PYTHON", "PYENV_", "UV_", "PIP_", "SSL_")) or (
                name.upper().endswith("_PROXY")
            ):
                self.settings[name] = value

    def place(self, text: str) -> str:
        """Paths of the image as paths below the scratch folder."""
        return re.sub(r"(?<![\w.-])/(opt/floodsat|data)\b(?![\w-])", rf"{self.root}/\1", text)

    def run(self, command: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.here,
            env=self.settings,
            shell=isinstance(command, str),
            executable="/bin/sh" if isinstance(command, str) else None,
            capture_output=True,
            text=True,
            check=False,
        )

    def build(self, files: list[str]) -> list[str]:
        """Follow every instruction; returns the commands that were run."""
        done: list[str] = []
        for word, text in self.stage.steps:
            if word == "WORKDIR":
                self.here = Path(self.place(text))
                self.here.mkdir(parents=True, exist_ok=True)
            elif word == "COPY":
                for name, target in copied(Instruction(word, text), files).items():
                    place = self.here / target
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, place)
            elif word == "ENV":
                self.set(text)
            elif word == "RUN":
                for command in commands(Instruction(word, text)):
                    if not skipped(command):
                        ran = self.run(command)
                        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
                        done.append(command)
        # An account of the image has none of the developer's programs.
        self.settings["PATH"] = self.settings["PATH"].replace(os.environ["PATH"], "/usr/bin:/bin")
        self.settings["PATH"] = self.settings["PATH"].replace(f"{ROOT}/.venv-uv/bin:", "")
        return done

    def set(self, text: str) -> None:
        for pair in shlex.split(text):
            name, _, value = pair.partition("=")
            if name not in NOT_SET:
                value = self.place(value).replace("$PATH", self.settings["PATH"])
                self.settings[name] = value


@pytest.fixture(scope="module", params=sorted(STAGES))
def built(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scratch, list[str]]:
    """A stage that was run, and the commands of it."""
    name = request.param
    if name == "flight" and os.environ.get("FLOODSAT_NO_FLIGHT") == "1":
        pytest.skip("FLOODSAT_NO_FLIGHT=1: the flight environment is not made")
    scratch = Scratch(stages(TEXT)[name], tmp_path_factory.mktemp(name))
    return scratch, scratch.build(context())


def test_it_has_the_two_targets() -> None:
    assert list(stages(TEXT)) == ["ground", "flight"]


def test_nothing_is_wrong_with_it() -> None:
    assert faults(TEXT, (ROOT / "Makefile").read_text("utf-8"), context()) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("make base", "make ground-env", "ground: make has no ground-env"),
        ("make flight-env", "make flights", "flight: make has no flights"),
        ("COPY ground ground", "COPY gruond ground", "ground: COPY of 'gruond'"),
        ("COPY onboard onboard", "COPY tests tests", "ground: COPY of 'tests'"),
        ("3.11.14-slim-bookworm AS", "3.11-slim-bookworm AS", "is not pinned"),
        (":3.9.25-slim-bookworm AS", ":latest AS", "flight: FROM python:latest is not pinned"),
        ("USER floodsat", "USER root", "runs as root"),
        ("USER floodsat\n", "", "runs as root"),
        ("USER floodsat", "USER 0:0", "runs as root"),
        ("HEALTHCHECK", "LABEL", "no HEALTHCHECK"),
        ("rm -rf .venv-uv", "rm -rf /opt/uv", "rm -rf /opt/uv is neither run here nor listed"),
    ],
)
def test_a_fault_is_found(old: str, new: str, fault: str) -> None:
    assert old in TEXT
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert any(fault in line for line in faults(TEXT.replace(old, new), makefile, context()))


def test_a_target_that_the_makefile_loses_is_found() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("\nbase:", "\nbasis:")
    assert faults(TEXT, makefile, context()) == ["ground: make has no base"]


def test_what_is_not_run_is_known() -> None:
    left = {
        c for s in stages(TEXT).values() for i in s.steps if i.word == "RUN" for c in commands(i)
    }
    assert {c.split()[0] for c in left if skipped(c)} == {s.split()[0] for s in SKIPPED}
    assert {c for c in left if not skipped(c)} == {
        "make base",
        "make flight-env",
        "rm -rf .venv-uv",
    }


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("onboard/engines/tflite.py", False),
        ("onboard/__pycache__/tiles.py", True),
        ("ground/cli/demo.pyc", True),
        ("Makefile", False),
        ("tests/test_dockerfile.py", True),
        (".venv/bin/python", True),
        (".git/config", True),
        ("onboardish/secret", True),
        ("docs/onboard", True),
    ],
)
def test_dockerignore(path: str, out: bool) -> None:
    assert ignored(path, IGNORES) == out


def test_every_copied_file_is_wanted() -> None:
    """The images hold what runs: no tests, no private key but the demo's, nothing of the docs."""
    files = context()
    for stage in stages(TEXT).values():
        names = [n for s in stage.steps if s.word == "COPY" for n in copied(s, files)]
        assert {n.split("/")[0] for n in names} <= set(files) | {
            *("data_samples", "ground", "onboard", "requirements", "scripts", "training")
        }
        keys = [n for n in names if n.endswith((".key", ".pem"))]
        assert keys == (["data_samples/keys/demo.key"] if stage.name == "ground" else [])


def test_the_flight_image_says_how_a_stick_gets_in() -> None:
    own = TEXT[TEXT.index("\n# ---", TEXT.index("AS ground")) :]
    assert "--device-cgroup-rule='c 189:* rmw' -v /dev/bus/usb:/dev/bus/usb" in own
    assert 'SUBSYSTEM=="usb", ATTRS{idVendor}=="03e7", MODE="0666"' in own


def test_libusb_is_in_the_flight_image() -> None:
    pins = (ROOT / "requirements" / "flight.txt").read_text("utf-8")
    assert re.search(r"^libusb-package==", pins, re.MULTILINE)


@pytest.mark.slow
def test_the_commands_run(built: tuple[Scratch, list[str]]) -> None:
    scratch, done = built
    target = {"ground": "make base", "flight": "make flight-env"}[scratch.stage.name]
    assert done == [target, "rm -rf .venv-uv"]
    where = scratch.run("command -v floodsat").stdout.strip()
    folder = STAGES[scratch.stage.name]
    assert where == f"{scratch.root}/opt/floodsat/{folder}/bin/floodsat"
    base = scratch.stage.base.split(":")[1].rpartition(".")[0]
    assert scratch.run("python -V").stdout.startswith(f"Python {base}.")


@pytest.mark.slow
def test_what_the_container_starts(built: tuple[Scratch, list[str]]) -> None:
    scratch, _ = built
    start = json.loads(scratch.stage.last("ENTRYPOINT")) + json.loads(scratch.stage.last("CMD"))
    ran = scratch.run(start)
    assert ran.returncode == 0, ran.stderr
    assert "Usage:" in ran.stdout


@pytest.mark.slow
def test_the_health_check(built: tuple[Scratch, list[str]]) -> None:
    scratch, _ = built
    command = scratch.place(scratch.stage.last("HEALTHCHECK").partition("CMD ")[2])
    ran = scratch.run(command)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    manifest = scratch.root / "opt/floodsat/data_samples/bundle/manifest.json"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole.replace(b"0", b"1"))
    try:
        assert scratch.run(command).returncode == 1
    finally:
        manifest.write_bytes(whole)


@pytest.mark.slow
@pytest.mark.parametrize("built", ["ground"], indirect=True)
def test_the_command_of_the_header(built: tuple[Scratch, list[str]]) -> None:
    """The image holds all that the demo takes."""
    scratch, _ = built
    words = re.findall(r"^#   docker run .* floodsat-ground (.*)$", TEXT, re.MULTILINE)
    assert words == ["demo --out demo-out"]
    ran = scratch.run(["floodsat", *words[0].split()])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (scratch.root / "data" / "demo-out" / "summary.json").is_file()
