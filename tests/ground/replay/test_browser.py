"""The page in a real browser: by mouse, by keyboard, on a telephone, on a wall, at night."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ground.replay import floods
from ground.replay.page import write_page
from tests.browser import CONTRAST, Opened, chromium
from tests.replays import example

SIZES = {400: 850, 1400: 900, 3840: 2160}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay")
    return write_page(example(folder), folder)


@contextmanager
def opened(browser: Any, path: Path, width: int = 1400, **context: Any) -> Iterator[Opened]:
    """The page, open; afterwards it must not have complained nor asked for anything outside."""
    size = {"width": width, "height": SIZES[width]}
    found = Opened(browser, path, viewport=size, **context)
    yield found
    assert found.complaints == []
    outside = [u for u in found.asked if not u.startswith(("data:", path.parent.as_uri() + "/"))]
    assert outside == []
    found.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_it_can_be_read_on_every_screen(browser: Any, path: Path, width: int, scheme: str) -> None:
    with opened(browser, path, width, color_scheme=scheme) as found:
        page = found.page
        assert page.evaluate("document.documentElement.scrollWidth") == width
        cut = """() => Array.from(document.querySelectorAll("main *, header *")).filter((e) => {
            const box = e.getBoundingClientRect();
            return box.width > 1 && box.right > innerWidth + 1
                && !e.closest(".leaflet-container, .uplot, .unseen, svg, thead");
        }).map((e) => e.className || e.tagName)"""
        assert page.evaluate(cut) == []
        read = page.evaluate(CONTRAST)
        assert read["seen"] > 150
        assert read["low"] == []
        small = """() => Array.from(document.querySelectorAll("main *")).filter((e) =>
            e.childElementCount === 0 && e.textContent.trim() && e.getClientRects().length
            && parseFloat(getComputedStyle(e).fontSize) < 11).map((e) => e.textContent)"""
        assert page.evaluate(small) == []


def opacities(page: Any) -> dict[str, float]:
    found: dict[str, float] = page.evaluate(
        """() => Object.fromEntries(Array.from(document.querySelectorAll(".leaflet-image-layer"))
            .map((i) => [i.className.match(/layer-(\\w+)/g).pop(), Number(i.style.opacity)]))"""
    )
    return {name.removeprefix("layer-"): value for name, value in found.items()}


def test_frame_mask_uncertainty_and_truth_fade_by_keyboard_and_mouse(
    browser: Any, path: Path
) -> None:
    with opened(browser, path) as found:
        page = found.page
        assert opacities(page) == {"frame": 1, "mask": 1, "entropy": 0, "truth": 0}
        page.focus("#fade")
        for _ in range(30):
            page.keyboard.press("ArrowRight")
        assert opacities(page) == {
            "frame": 1,
            "mask": pytest.approx(0.7),
            "entropy": pytest.approx(0.3),
            "truth": 0,
        }
        assert page.get_attribute("#fade", "aria-valuetext") == "70 % Mask, 30 % Uncertainty"
        page.keyboard.press("Home")
        assert opacities(page)["mask"] == 0
        page.get_by_role("button", name="Uncertainty").click()
        assert opacities(page) == {"frame": 1, "mask": 0, "entropy": 1, "truth": 0}
        page.get_by_role("button", name="Truth").click()
        assert opacities(page) == {"frame": 1, "mask": 0, "entropy": 0, "truth": 1}
        assert page.get_by_role("button", name="Truth").get_attribute("aria-pressed") == "true"


def test_the_map_tells_its_values_and_its_place(browser: Any, path: Path) -> None:
    with opened(browser, path) as found:
        page = found.page
        page.wait_for_timeout(200)
        page.hover("#flood-map")
        # The middle of frame 1: 90.2° E and 24° N, plus half of 0.15° and of 0.14°.
        assert "24.07" in found.text("#flood-readout")
        assert "° N, 90.27" in found.text("#flood-readout")
        page.mouse.move(0, 0)
        page.focus("#flood-map")
        page.keyboard.press("+")
        # While the map still zooms it takes no step.
        for _ in range(50):
            page.keyboard.press("ArrowRight")
            if "° N, 90.27" not in found.text("#flood-readout"):
                break
            page.wait_for_timeout(100)
        assert "° N, 90." in found.text("#flood-readout")
        assert "° N, 90.27" not in found.text("#flood-readout")


def test_a_finger_on_the_whole_map_moves_the_page(browser: Any, path: Path) -> None:
    with opened(browser, path, 400, has_touch=True, is_mobile=True) as found:
        page = found.page
        touch = "getComputedStyle(document.getElementById('flood-map')).touchAction"
        assert "pan-y" in page.evaluate(touch)
        page.get_by_role("button", name="Zoom in").tap()
        found.until(f"{touch} === 'none'")
        page.get_by_role("button", name="Zoom out").tap()
        found.until(f"{touch} !== 'none'")


def test_another_flood_is_chosen_from_the_list(browser: Any, path: Path) -> None:
    with opened(browser, path) as found:
        page = found.page
        rows = page.locator("[data-flood]")
        assert rows.nth(0).get_attribute("aria-current") == "true"
        rows.nth(0).focus()
        page.keyboard.press("ArrowDown")
        assert rows.nth(1).get_attribute("aria-current") == "true"
        assert "16:23" in (page.get_attribute("#flood-map", "aria-label") or "")
        rows.nth(0).click()
        assert rows.nth(0).get_attribute("aria-current") == "true"
        shown = page.locator("[data-facts]:visible")
        assert shown.count() == 1


def test_pictures_beside_the_page_come_when_they_are_looked_at(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floods, "INLINE", 1000)
    path = write_page(example(tmp_path), tmp_path)
    with opened(browser, path) as found:
        page = found.page
        page.wait_for_selector(".layer-mask")
        page.wait_for_timeout(200)
        assert len([url for url in found.asked if url.endswith(".js")]) == 1
        page.locator("[data-flood]").nth(1).click()
        page.wait_for_selector(".layer-mask")
        assert len([url for url in found.asked if url.endswith(".js")]) == 2
        page.hover("#flood-map")
        assert "° N" in found.text("#flood-readout")


def test_time_moves_by_keyboard_by_events_and_by_itself(browser: Any, path: Path) -> None:
    with opened(browser, path) as found:
        page = found.page
        assert page.locator(".shot.mapped").count() == 2
        page.focus("#clock")
        page.keyboard.press("Home")
        assert "0 frames taken" in found.text("#world-readout")
        page.keyboard.press("End")
        assert "6 frames taken, 3 alerts heard, 2 maps on the ground" in found.text(
            "#world-readout"
        )
        assert page.locator(".shot.mapped").count() == 2
        assert page.locator(".shot.alerted").count() == 1
        page.keyboard.press("Home")
        assert page.locator(".shot.hidden").count() == 6
        page.get_by_role("button", name="Event ▸").click()
        assert "1 frames taken" in found.text("#world-readout")
        before = page.input_value("#clock")
        page.get_by_role("button", name="Play").click()
        found.until(f"Number(document.getElementById('clock').value) > {before}")
        page.get_by_role("button", name="Pause").click()
        assert page.get_attribute("#play", "aria-pressed") == "false"


def test_the_station_that_hears_is_shown(browser: Any, path: Path) -> None:
    with opened(browser, path) as found:
        page = found.page
        assert page.locator(".reach").count() == 2
        page.locator("[data-pass]").nth(0).click()
        assert page.locator(".reach.hears").count() == 1
        assert "in contact with Svalbard" in found.text("#world-readout")


def test_contacts_are_walked_through_by_keyboard(browser: Any, path: Path) -> None:
    with opened(browser, path) as found:
        page = found.page
        passes = page.locator("[data-pass]")
        assert passes.nth(0).get_attribute("aria-current") == "true"
        passes.nth(0).focus()
        page.keyboard.press("ArrowRight")
        assert "safe mode" in found.text(".pass-card:visible")
        page.keyboard.press("End")
        assert "Matera" in found.text(".pass-card:visible")
        assert page.locator("#pass-on").is_disabled()
        page.locator("[data-flood]").nth(1).click()
        page.click("#pass-back")
        page.click("#pass-back")
        page.click(".pass-card:visible a")
        assert page.locator("[data-flood]").nth(0).get_attribute("aria-current") == "true"


def test_the_ledger_shows_one_cause(browser: Any, path: Path) -> None:
    with opened(browser, path) as found:
        page = found.page
        assert page.locator("[data-cause]:visible").count() == 4
        page.get_by_role("button", name="1 evicted").click()
        assert page.locator("[data-cause]:visible").count() == 1
        page.get_by_role("button", name="4 all").click()
        assert page.locator("[data-cause]:visible").count() == 4


def test_charts_are_read_by_keyboard(browser: Any, path: Path) -> None:
    with opened(browser, path) as found:
        page = found.page
        page.focus("#known")
        page.keyboard.press("End")
        said = found.text("#known-words")
        assert "raw frames 65 km²" in said
        assert "photographed 83.5 km²" in said
        page.focus("#soon")
        page.keyboard.press("End")
        assert "raw frames 67 %" in found.text("#soon-words")


def test_everything_is_reached_by_keyboard_and_shows_where_it_is(browser: Any, path: Path) -> None:
    with opened(browser, path) as found:
        page = found.page
        reached, bare = [], []
        for _ in range(80):
            page.keyboard.press("Tab")
            at = page.evaluate(
                """() => { const e = document.activeElement, s = getComputedStyle(e);
                return [e === document.body ? "" : e.id || e.className || e.textContent.trim(),
                        s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2]; }"""
            )
            if not at[0] or (reached and at[0] == reached[0]):
                break
            reached.append(at[0])
            if not at[1]:
                bare.append(at[0])
        assert bare == []
        for name in ("fade", "clock", "play", "known", "soon", "pass-on"):
            assert name in reached
        assert any("flood-map" in name for name in reached)


def test_where_motion_is_not_wanted_nothing_glides(browser: Any, path: Path) -> None:
    with opened(browser, path, reduced_motion="reduce") as found:
        moving = """() => Array.from(document.querySelectorAll("*")).filter((e) => {
            const s = getComputedStyle(e);
            return s.animationName !== "none" || s.transitionProperty !== "none"
                && parseFloat(s.transitionDuration) > 0;
        }).length"""
        assert found.page.evaluate(moving) == 0


def test_without_script_the_words_are_there(browser: Any, path: Path) -> None:
    with opened(browser, path, java_script_enabled=False) as found:
        assert found.page.locator("#flood-map").is_hidden()
        assert "Scripts are off" in found.text("main")
        assert found.page.locator("[data-facts]:visible").count() == 2
        assert found.page.locator(".pass-card:visible").count() == 3


def test_a_replay_without_anything_still_opens(browser: Any, tmp_path: Path) -> None:
    bare = dataclasses.replace(
        example(), products=(), alerts=(), losses=(), uplinks=(), strategies=(), contacts=(),
        frames=(), photographed=(), off=(), models=(),
    )  # fmt: skip
    with opened(browser, write_page(bare, tmp_path)) as found:
        assert "took 0 frames" in found.text("header")
