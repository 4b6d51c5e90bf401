"""What the page of a replay says, and that it is complete in itself."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ground.replay import floods, lanes, words
from ground.replay.page import events, library, write_page
from ground.replay.result import Contact, Latency, Replay
from ground.replay.view import PACKED, packed, reach_deg, view
from onboard.errors import ConfigError, OutputError
from tests.html import Page
from tests.replays import MINUTE, START, example

DAY = 86_400_000


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Replay]:
    folder = tmp_path_factory.mktemp("replay")
    replay = example(folder)
    return write_page(replay, folder), replay


def page_of(folder: Path, replay: Replay) -> Page:
    return Page(write_page(replay, folder).read_text("utf-8"))


def test_the_headline_says_what_flooded_and_how_soon_against_today() -> None:
    said = " ".join(words.lead(example())).replace("\xa0", " ")
    assert "took 6 frames; 4 of them showed flood, 83.5 km² at 1 place." in said
    assert "the first word was on the ground within 25 min" in said
    assert "the map within 26 min" in said
    assert "Sending whole frames, as is done today, takes 1.8 h" in said


def test_a_model_that_came_up_is_held_against_the_one_before() -> None:
    replay = example()
    assert len(words.lead(replay)) == 2
    known = tuple(
        dataclasses.replace(frame, iou=0.5 + frame.number / 20) for frame in replay.frames
    )
    last = words.lead(dataclasses.replace(replay, frames=known))[-1]
    # Frames 1 and 2 showed flood to the first model, 4 and 5 to the second.
    assert "on board since 2026-09-21 17:23 UTC (retrained)" in last
    assert "of 0.72 in the median; the first (as launched) had 0.57" in last
    found = events(dataclasses.replace(replay, frames=known))
    assert "IoU of water 0.57 in the median of 2 frames with flood" in [one.said for one in found]


def test_a_way_that_brought_nothing_is_not_called_slow() -> None:
    replay = example()
    none = Latency(0, 3, None, None)
    raw = dataclasses.replace(replay.strategies[0], alert=none, map=none)
    replay = dataclasses.replace(replay, strategies=(raw, *replay.strategies[1:]))
    assert "brought none of them down" in " ".join(words.lead(replay))
    assert words.comparison(replay)[1].cells[0] == words.Cell("not half", "0 of 3 came", None)


def test_without_floods_nothing_is_made_up(tmp_path: Path) -> None:
    replay = example()
    dry = tuple(dataclasses.replace(frame, flood_km2=0.0) for frame in replay.frames)
    bare = dataclasses.replace(
        replay, frames=dry, products=(), alerts=(), losses=(), uplinks=(), off=(), models=(),
        strategies=(), contacts=(), photographed=(), warnings=(),
    )  # fmt: skip
    page = page_of(tmp_path, bare)
    assert "none of them showed flood" in page.text
    assert "No map of a flood had come home" in page.text
    assert "No station saw the satellite" in page.text
    assert "every frame taken came down" in page.text
    assert "nan" not in page.text.lower().split()


def test_every_figure_stands_there_with_its_unit(written: tuple[Path, Replay]) -> None:
    text = Page(written[0].read_text("utf-8")).text
    for figure in (
        "25 min from picture to first word of a flood",
        "26 min from picture to map of a flood",
        "65 km² of flood rightly on maps",
        "77.8 % of the 83.5 km²",
        "113 times less to send",
        "2 of 3 contacts used",
        "4 of 99 transfer frames lost or damaged",
        "1 of 4",
        "12.6 MB",
        "70.2 kB of 75 MB",
        "flood was seen: 3 % not observed (at most 70 %)",
        "too little was observed: 81 %",
        "safe mode: star tracker",
        "Patch: retrained model, damaged",
        "does not verify",
        "the TLE is 2 days old at the start",
        "accounted",
        "real code",
        "2 Mbit/s down, 64 kbit/s up",
    ):
        assert figure in text, figure


@pytest.mark.parametrize(
    ("frames", "said"),
    [("generated, with their truth", True), ("generated: 2, files: 4", True), ("files", False)],
)
def test_generated_floods_are_said_to_be_generated(tmp_path: Path, frames: str, said: bool) -> None:
    replay = dataclasses.replace(example(), products=(), settings={"frames": frames})
    text = page_of(tmp_path, replay).text
    assert ("Floods on generated frames never were" in text) is said


def test_nothing_is_asked_of_a_network(written: tuple[Path, Replay]) -> None:
    html = written[0].read_text("utf-8")
    page = Page(html)
    for tag, attrs in page.elements:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert not re.match(r"\s*(\w+:)?//|\s*https?:", attrs.get(name) or ""), (tag, attrs)
        assert tag not in {"link", "iframe", "object", "embed", "base"}
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", html)
    assert "@import" not in html
    policy = next(a["content"] for _, a in page.elements if "http-equiv" in a)
    assert "default-src 'none'" in (policy or "")


def test_text_from_outside_cannot_become_markup(tmp_path: Path) -> None:
    replay = example(tmp_path)
    evil = "</script><script>alert(1)</script>"
    span = dataclasses.replace(replay.span, title=evil, satellite=evil)
    frames = tuple(dataclasses.replace(frame, name=evil, reason=evil) for frame in replay.frames)
    html = write_page(dataclasses.replace(replay, span=span, frames=frames), tmp_path).read_text(
        "utf-8"
    )
    assert "alert(1)</script>" not in html
    assert html.count("<script") == html.count("</script>")


def test_the_page_is_named_for_those_who_do_not_see_it(written: tuple[Path, Replay]) -> None:
    page = Page(written[0].read_text("utf-8"))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    for tag, attrs in page.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert attrs.get(name) is None or attrs[name] in ids, attrs
        if tag == "section":
            assert attrs["aria-labelledby"] in ids
        if attrs.get("tabindex") == "0":
            assert attrs.get("aria-label"), attrs
    labelled = {attrs["for"] for tag, attrs in page.elements if tag == "label"}
    for tag, attrs in page.elements:
        assert tag != "input" or attrs.get("aria-label") or attrs["id"] in labelled
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(headings))


def test_floods_stand_with_the_largest_first(written: tuple[Path, Replay]) -> None:
    replay = written[1]
    small = dataclasses.replace(replay.products[0], flood_km2=1.0)
    found = floods.floods(dataclasses.replace(replay, products=(small, *replay.products[1:])))
    assert [flood.id for flood in found] == ["04" * 16, "01" * 16]
    assert found[0].title == "Delta"
    assert found[1].area.replace("\xa0", " ") == "1 km²"
    facts = dict(found[0].facts)
    assert facts["Map on the ground"].replace("\xa0", " ") == "2.8 h"


def test_many_pictures_lie_beside_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floods, "INLINE", 1000)
    replay = example(tmp_path)
    html = write_page(replay, tmp_path).read_text("utf-8")
    assert "data:image/png" not in html
    for flood in floods.floods(replay):
        script = (tmp_path / floods.script_name(flood)).read_text("utf-8")
        assert script.startswith(f'page.flood("{flood.id}", ')
        assert script.count("data:image/png;base64,") == 4
        assert floods.script_name(flood) in html


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    replay = example(tmp_path)
    (tmp_path / "products" / "01_mask.png").unlink()
    with pytest.raises(ConfigError, match=r"01_mask\.png: the replay's result names this picture"):
        write_page(replay, tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(OutputError, match=r"index\.html"):
        write_page(dataclasses.replace(example(), products=()), tmp_path)


def test_a_long_replay_has_a_lane_for_each_day() -> None:
    replay = example()
    span = dataclasses.replace(replay.span, end_ms=START + 3 * DAY)
    contacts = tuple(
        Contact(i + 1, "Svalbard", START + i * DAY, START + i * DAY + 8 * MINUTE, 30.0)
        for i in range(3)
    )
    rows, hours = lanes.lanes(dataclasses.replace(replay, span=span, contacts=contacts))
    assert [lane.label for lane in rows] == ["21 Sep", "22 Sep", "23 Sep", "24 Sep"]
    assert [len(lane.passes) for lane in rows] == [1, 1, 1, 0]
    assert hours[0] == "00"
    first = rows[0].passes[0]
    assert first.left == pytest.approx(100 * (START % DAY) / DAY, abs=1e-3)
    assert first.width == pytest.approx(100 * 8 * MINUTE / DAY, abs=1e-3)
    assert len(rows[0].off) == 1
    assert not rows[1].off


def test_the_fill_of_a_contact_is_what_went_down() -> None:
    contact = Contact(1, "S", 0, 1, 9.0, by_kind={"alert": 25, "product": 75}, sent_bytes=100)
    assert lanes.fill(contact) == (
        "linear-gradient(to top,var(--alert) 0.0% 25.0%,var(--product) 25.0% 100.0%)"
    )
    assert lanes.fill(dataclasses.replace(contact, by_kind={})) == ""


def test_cards_and_contacts_of_the_script_stand_in_one_order() -> None:
    replay = example()
    cards = lanes.cards(replay, {"01" * 16: "01" * 16})
    starts = [START + 1000 * seconds for seconds, *_ in view(replay)["contacts"]]
    assert [c.aos_ms for c in lanes.in_order(replay)] == pytest.approx(starts)
    assert cards[0].whole == (("01" * 8, "Delta 1", "01" * 16),)
    assert cards[1].note == "safe mode"


def test_the_track_comes_back() -> None:
    import base64

    import numpy as np

    degrees = np.array([-180.0, -0.004, 12.345, 180.0])
    raw = base64.b64decode(packed(degrees))
    assert np.abs(np.frombuffer(raw, "<i2") / PACKED - degrees).max() <= 0.5 / PACKED


def test_a_track_beyond_the_first_day_follows_the_orbit() -> None:
    replay = example()
    span = dataclasses.replace(replay.span, end_ms=START + 2 * DAY)
    made: dict[str, Any] = view(dataclasses.replace(replay, span=span))["track"]
    assert made["step"] == 120
    assert len(made["longitude"]) == pytest.approx(4 / 3 * 2 * (2 * 720 + 1), abs=4)
    json.dumps(made)


def test_a_station_hears_farther_with_a_lower_mask() -> None:
    station = example().stations[0]
    low = reach_deg(dataclasses.replace(station, mask_deg=0.0), 535.0)
    # The horizon of 535 km: arccos(R / (R + h)).
    assert low == pytest.approx(22.7, abs=0.1)
    assert reach_deg(station, 535.0) < low


def test_events_stand_in_order_of_time() -> None:
    found = events(example())
    assert [event.at_ms for event in found] == sorted(event.at_ms for event in found)
    assert any(event.what == "Payload off" for event in found)
    assert not any("shadow" in event.said for event in found)


def test_no_library_ends_the_script_it_stands_in() -> None:
    for name in ("leaflet.js", "uplot.js", "d3-geo.js", "d3-array.js", "topojson-client.js"):
        assert "</script" not in library(name)
