from __future__ import annotations

import pytest

from ground import wording


def plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\xa0", " ")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (41_322, "41.3 kB"), (8_388_608, "8.39 MB"),
        (999_600, "1 000 kB"), (2_000_000_000, "2 GB"), (1_234e9, "1 234 GB"),
    ],
)  # fmt: skip
def test_bytes(count: int, text: str) -> None:
    assert plain(wording.byte_text(count)) == text


@pytest.mark.parametrize(
    ("spent", "text"),
    [
        (None, "–"), (float("nan"), "–"), (0, "0 s"), (59, "59 s"), (60, "1 min"),
        (5369, "89 min"), (5400, "1.5 h"), (172_799, "48.0 h"), (172_800, "2.0 days"),
    ],
)  # fmt: skip
def test_durations(spent: float | None, text: str) -> None:
    assert plain(wording.duration(spent)) == text


def test_no_figure_is_a_power_of_ten() -> None:
    for value in (0.0, 0.123, 99.96, 100.4, 1234.5, 123456.0):
        assert "e" not in wording.significant(value)
    assert plain(wording.area(1234.5)) == "1 234 km²"
    assert wording.area(None) == "–"


def test_shares_times_and_counts() -> None:
    assert plain(wording.percent(0.2784)) == "27.8 %"
    assert plain(wording.percent(float("nan"))) == "– %"
    assert wording.css_share(2.0) == "100.000%"
    assert wording.counted(1, "copy", "copies") == "1 copy"
    assert wording.counted(3, "copy", "copies") == "3 copies"
    assert wording.moment(1_790_000_000_000) == "2026-09-21 14:13"
    assert wording.moment(None) == "–"
    assert wording.day(1_790_000_000_000) == "21 September 2026"
