"""A headless Chromium for tests of pages: the system's own, or the tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

CONTRAST = """
() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const painted = (colours) => {
    context.clearRect(0, 0, 1, 1);
    colours.forEach((c) => { context.fillStyle = c; context.fillRect(0, 0, 1, 1); });
    return Array.from(context.getImageData(0, 0, 1, 1).data).slice(0, 3);
  };
  const light = (rgb) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const found = [];
    for (let e = element; e; e = e.parentElement) {
      found.unshift(getComputedStyle(e).backgroundColor);
    }
    return found;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), low = [];
  let seen = 0;
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    const aside = "script, style, noscript, svg, .unseen, .skip";
    if (!node.data.trim() || element.closest(aside)) { continue; }
    if (!element.getClientRects().length) { continue; }
    const grounds = behind(element), style = getComputedStyle(element);
    const ink = light(painted([...grounds, style.color])), ground = light(painted(grounds));
    const ratio = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    seen += 1;
    if (ratio < 4.5) { low.push(node.data.trim().slice(0, 40) + " " + ratio.toFixed(2)); }
  }
  return { seen, low };
}
"""
"""Every visible text with less contrast than 4.5 to 1 (WCAG 2.2, criterion 1.4.3)."""


@contextmanager
def chromium() -> Iterator[Any]:
    """The system's Chromium; skips the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on this machine: pages are not looked at")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


class Opened:
    """A page that was opened from the disk, and what it complained of or asked for."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self._said(message))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.set_default_timeout(30_000)
        self.page.goto(path.as_uri())

    def _said(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def until(self, condition: str) -> None:
        """Wait until an expression of the page is true; its policy forbids the page to wait."""
        for _ in range(300):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(100)
        pytest.fail(f"never came true: {condition}")

    def text(self, selector: str) -> str:
        """Visible words of an element, with plain spaces."""
        words: str = self.page.inner_text(selector)
        return words.replace("\u202f", " ").replace("\xa0", " ")
