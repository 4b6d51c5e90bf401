"""Make the pictures of the docs from what the demo made: `make pictures`.

The page's pictures are taken in the system's Chromium; where there is none they stay as they are.
"""

from __future__ import annotations

import importlib.util
import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "demo-out"
IMAGES = ROOT / "docs" / "images"
SIZE = (1360, 850)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    with Image.open(DEMO / "maps" / "flood.png") as quicklook:
        picture = quicklook.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
        picture.save(IMAGES / "demo.jpg", quality=86, optimize=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or importlib.util.find_spec("playwright") is None:
        print(
            "the pictures of the page stay as they are: they need chromium, and playwright of "
            "the development environment",
            file=sys.stderr,
        )
        return
    take(chromium, DEMO / "index.html")


def take(chromium: str, page: Path) -> None:
    """Take the pictures of a replay's page."""
    from playwright.sync_api import sync_playwright

    shots: dict[str, tuple[int, int, str, Callable[[Any], None]]] = {
        "replay-floods": (1360, 1000, "light", lambda it: at(it, "#floods-title")),
        "replay-world": (1360, 960, "dark", lambda it: at(it, "#world-title")),
        "replay-compare": (1360, 1180, "light", lambda it: at(it, "#compare-title")),
        "replay-contacts": (1360, 640, "light", lambda it: at(it, "#contacts-title")),
        "replay-phone": (400, 800, "light", lambda it: None),
        "replay-phone-flood": (400, 800, "dark", uncertain),
    }
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name, (width, height, scheme, before) in shots.items():
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            tab.goto(page.as_uri())
            tab.wait_for_selector(".layer-mask")
            before(tab)
            tab.wait_for_timeout(500)
            with Image.open(io.BytesIO(tab.screenshot())) as shot:
                shot.convert("RGB").save(IMAGES / f"{name}.jpg", quality=82, optimize=True)
            tab.close()
        browser.close()


def at(tab: Any, selector: str) -> None:
    """Scroll to a heading."""
    tab.eval_on_selector(selector, "e => window.scrollTo(0, e.getBoundingClientRect().top - 24)")


def uncertain(tab: Any) -> None:
    """Show the uncertainty of the first flood."""
    at(tab, "#floods-title")
    tab.get_by_role("button", name="Uncertainty").click()


if __name__ == "__main__":
    main()
