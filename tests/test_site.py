"""The documentation site: it builds without a warning, asks for nothing, and fits the code."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest

from onboard import classes
from onboard.engines import LOADERS
from tests.browser import Opened, chromium

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ASSETS = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}


def script(name: str) -> ModuleType:
    """A file of ``scripts/site``."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def build(folder: Path, config: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """What `make docs` runs, into another folder."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config)]
    environment = dict(os.environ, NO_MKDOCS_2_WARNING="1", **more)
    return subprocess.run(
        [*command, "-d", str(folder)],
        cwd=config.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


class Page(HTMLParser):
    """What a page names: its anchors, its links, and what a browser fetches with it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := named.get(key))}
        if tag == "a" and (link := named.get("href")) is not None:
            self.links.append(link)
        if tag in ASSETS and (asset := named.get(ASSETS[tag])):
            self.assets.append(asset)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, built once."""
    folder = tmp_path_factory.mktemp("site")
    done = build(folder, ROOT / "mkdocs.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """File → what it names, of every page but the one that only servers show, from their root."""
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def targets(page: Path, links: list[str]) -> Iterator[tuple[Path, str]]:
    """File and anchor of every link that stays on the site."""
    for link in links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc:
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            yield path, unquote(parts.fragment)


# --- the built site -----------------------------------------------------------------------------


@pytest.mark.timeout(1800)
def test_nothing_is_fetched_from_outside(site: Path, pages: dict[Path, Page]) -> None:
    assert len(pages) > 100
    for path, page in pages.items():
        assert not [one for one in page.assets if urlsplit(one).netloc], path
        for asset, _ in targets(path, [one for one in page.assets if not one.startswith("data:")]):
            assert asset.exists(), (path, asset)
        assert 'class="mermaid"' not in path.read_text("utf-8"), path
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text("utf-8"))


@pytest.mark.timeout(1800)
def test_every_link_and_anchor_leads_somewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for target, anchor in targets(path, page.links):
            assert target.is_file(), (path.name, target)
            if anchor and target in pages and not anchor.startswith("__"):
                assert anchor in pages[target].anchors, (path.name, target.name, anchor)


@pytest.mark.timeout(1800)
def test_every_page_is_reached_from_the_first(site: Path, pages: dict[Path, Page]) -> None:
    seen, ahead = set[Path](), [site / "index.html"]
    while ahead:
        page = ahead.pop()
        if page not in seen and page in pages:
            seen.add(page)
            ahead += [target for target, _ in targets(page, pages[page].links)]
    assert set(pages) == seen


@pytest.mark.timeout(1800)
def test_every_page_of_the_docs_and_every_module_is_there(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file(), page
    modules = script("modules")
    for package in modules.PACKAGES:
        for module in modules.modules(ROOT / package):
            path = module.relative_to(ROOT).with_suffix("")
            path = path.parent / "index" if path.name == "__init__" else path
            text = (site / "api" / path.with_suffix(".html")).read_text("utf-8")
            assert 'class="doc doc-object doc-module"' in text, module


@pytest.mark.timeout(1800)
def test_the_site_is_searched_from_the_disk_and_asks_for_nothing(site: Path) -> None:
    with chromium() as browser:
        opened = Opened(browser, site / "index.html")
        opened.page.fill("input[name=query]", "epistemic")
        opened.page.set_default_timeout(240_000)
        opened.page.wait_for_selector(".md-search-result__link", state="attached")
        assert "glossary.html" in opened.page.inner_html(".md-search-result__list")
        assert opened.complaints == []
        assert all(url.startswith(("file:", "data:", "blob:", "about:")) for url in opened.asked)


# --- strictness: what would stop `make docs` ----------------------------------------------------


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A copy of what the site is built of, without the reference."""
    for name in ("docs", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("mkdocs.yml", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "onboard").symlink_to(ROOT / "onboard")
    text = (tmp_path / "docs" / "index.md").read_text("utf-8")
    (tmp_path / "docs" / "index.md").write_text(text.replace("api/index.md", "glossary.md"))
    text = (tmp_path / "docs" / "formats.md").read_text("utf-8")
    (tmp_path / "docs" / "formats.md").write_text(re.sub(r"api/\S+\.md", "maps.md", text))
    return tmp_path / "mkdocs.yml"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[gone](no-such-page.md)", "no-such-page.md"),
        ("[no such part](maps.md#no-such-part)", "no-such-part"),
        ("[outside](../README.md)", "README.md"),
    ],
)
@pytest.mark.timeout(900)
def test_a_broken_link_fails_the_build(
    planted: Path, tmp_path: Path, text: str, complaint: str
) -> None:
    page = planted.parent / "docs" / "data.md"
    page.write_text(page.read_text("utf-8") + f"\n\n{text}\n")
    done = build(tmp_path / "out", planted, FLOODSAT_SITE_API="false")
    assert done.returncode != 0
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert len(warnings) == 1, done.stderr
    assert complaint in warnings[0]


# --- what the pages say of the code -------------------------------------------------------------


def defined(path: Path) -> set[str]:
    """Names that a file defines: of the module, and ``Class.member``."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        for name in _names(node):
            found.add(name)
            if isinstance(node, ast.ClassDef):
                found |= {f"{name}.{inner}" for below in node.body for inner in _names(below)}
    return found


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.AnnAssign):
        return [node.target.id] if isinstance(node.target, ast.Name) else []
    if isinstance(node, ast.Assign):
        inner = [one for target in node.targets for one in ast.walk(target)]
        return [one.id for one in inner if isinstance(one, ast.Name)]
    return []


def entries() -> dict[str, str]:
    """Word → its text, of the glossary."""
    text = (DOCS / "glossary.md").read_text("utf-8")
    parts = re.split(r"^### (.*)$", text, flags=re.MULTILINE)
    return {word: re.split(r"^## ", below, flags=re.MULTILINE)[0]
            for word, below in zip(parts[1::2], parts[2::2], strict=True)}  # fmt: skip


@pytest.mark.parametrize("word", sorted(entries()))
def test_a_word_of_the_glossary_is_defined_where_it_says(word: str) -> None:
    (source,) = re.findall(r"\[(`[^]]*`)\]", entries()[word])
    for reference in re.split(r";\s+", source):
        path, *names = re.findall(r"`([^`]+)`", reference)
        assert (ROOT / path).is_file(), path
        for name in names:
            assert name in defined(ROOT / path), (path, name)


def test_the_glossary_has_every_class_and_every_engine() -> None:
    for name in ("LAND", "WATER", "CLOUD", "NODATA"):
        assert f"{getattr(classes, name)} *{name.lower()}*" in entries()["Class"]
    assert set(LOADERS) <= set(re.findall(r"`([^`]+)`", entries()["Engine"]))


def test_the_drawing_is_what_the_code_is() -> None:
    drawing = script("drawing")
    assert drawing.faults() == []
    assert drawing.PICTURE.read_text("utf-8") == drawing.picture(), "run scripts/site/drawing.py"


def test_a_drawing_that_the_code_does_not_bear_out_is_found() -> None:
    drawing = script("drawing")
    boxes = {**drawing.BOXES, "gone": drawing.Box(0, 0, "gone", ("onboard.no_such_module",))}
    assert drawing.faults(boxes) == ["gone: there is no onboard.no_such_module"]
    wrong = drawing.Arrow("chips", "maps", "onboard.product")
    (fault,) = drawing.faults(arrows=(*drawing.ARROWS, wrong))
    assert fault == "chips → maps: chips does not know onboard.product"
    drawn = drawing.IMPORTS["training"]
    drawing.IMPORTS = {**drawing.IMPORTS, "training": (*drawn, "ground.maps")}
    assert drawing.faults() == ["training does not import ground.maps"]
    drawing.IMPORTS = {**drawing.IMPORTS, "training": ()}
    assert "training imports onboard.bundle" in drawing.faults()


def test_every_path_that_the_new_pages_name_exists() -> None:
    for page in (*DOCS.glob("howto/*.md"), DOCS / "architecture.md", DOCS / "formats.md"):
        text = page.read_text("utf-8")
        for path in re.findall(r"`((?:onboard|training|ground|scripts|tests|docs)/[^` ]*)`", text):
            assert (ROOT / path).exists(), (page.name, path)


def test_a_notebook_becomes_a_page(tmp_path: Path) -> None:
    printed = {"output_type": "stream", "name": "stdout", "text": ["3 km²\n"]}
    drawn = {"output_type": "display_data", "data": {"image/jpeg": "QUJD\n", "text/plain": "<F>"}}
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": ["print(area)"], "outputs": [printed, drawn]},
        {"cell_type": "code", "source": [], "outputs": []},
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}), "utf-8")
    assert script("notebooks").page(tmp_path / "n.ipynb").split("\n\n") == [
        "# Title\nwords",
        "~~~~python\nprint(area)\n~~~~",
        "~~~~text\n3 km²\n~~~~",
        '<img alt="&lt;F&gt;" src="data:image/jpeg;base64,QUJD">',
        "*[The notebook of this page](n.ipynb)*\n",
    ]


def test_states_become_a_table() -> None:
    page = "```mermaid\nstateDiagram-v2\n    [*] --> A\n    A --> B: told to\n```\n"
    shown = script("drawn").on_page_markdown(page, None, None, None)
    assert shown.splitlines()[2:] == ["| · | A |  |", "| A | B | told to |"]


def test_paths_and_modules_lead_to_their_pages() -> None:
    candidates = script("paths").candidates
    assert candidates("docs/maps.md") == ["maps.md"]
    assert candidates("onboard/bundle.py")[0] == "api/onboard/bundle.md"
    assert candidates("onboard.link") == ["api/onboard/link.md", "api/onboard/link/index.md"]
    assert candidates("onboard/engines/") == ["api/onboard/engines/index.md"]
    assert candidates("numpy.float32") == []


def test_patterns_of_the_contents_name_a_page_once() -> None:
    contents = script("contents")
    free = ["a.md", "b.md", "x/p.md", "x/q.md", "y/index.md", "y/m.md", "y/z/index.md"]
    nav = [{"One": ["first.md", "*.md"]}, {"Two": ["x/*.md"]}, {"Y": "y/**"}, {"None": ["v/*.md"]}]
    assert contents._expanded(nav, free) == [
        {"One": ["first.md", "a.md", "b.md"]},
        {"Two": ["x/p.md", "x/q.md"]},
        {"Y": ["y/index.md", {"m": "y/m.md"}, {"z": ["y/z/index.md"]}]},
    ]
