from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard import bundle
from onboard.errors import ConfigError
from onboard.limits import SETTINGS, Limits
from tests.samples import BUNDLE

NAMES = sorted(SETTINGS)


def test_the_table_names_every_limit() -> None:
    assert [f.name for f in dataclasses.fields(Limits)] == list(SETTINGS)


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_takes_its_ends_and_nothing_beyond(name: str) -> None:
    setting = SETTINGS[name]
    for good in (setting.low, setting.high):
        changed = Limits().with_value(name, good)
        assert getattr(changed, name) == good
        assert Limits().with_value(name, repr(good)) == changed
        others = {f.name for f in dataclasses.fields(Limits)} - {name}
        assert all(getattr(changed, o) == getattr(Limits(), o) for o in others)
    step = 1 if setting.whole else 1e-9
    for bad in (setting.low - step, setting.high + step):
        with pytest.raises(ConfigError, match=f"{name} cannot be .*; give a"):
            Limits().with_value(name, bad)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["", "much", "nan", "inf", "-inf", "1e999", True, None, b"1"])
def test_what_is_no_number_is_refused_in_one_line(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"the limit {name} ") as caught:
        Limits().with_value(name, value)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_half_a_pixel_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"min_pixels cannot be 1\.5; give a whole number from 0"):
        Limits().with_value("min_pixels", "1.5")
    pixels = Limits().with_value("min_pixels", "12.0").min_pixels
    assert pixels == 12
    assert isinstance(pixels, int)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no limit 'min_wett'; choose one of max_unobserved, .*"):
        Limits().with_value("min_wett", 0.1)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.integers(int(s.low), int(s.high)) if s.whole else st.floats(s.low, s.high)
            for name, s in SETTINGS.items()
        },
    )
)
def test_json_round_trip_and_what_is_missing_takes_its_default(values: dict[str, float]) -> None:
    limits = Limits.from_json(values)
    for name in SETTINGS:
        assert getattr(limits, name) == values.get(name, getattr(Limits(), name))
    assert Limits.from_json(json.loads(json.dumps(limits.to_json()))) == limits


def test_a_manifest_of_a_newer_software_is_refused() -> None:
    with pytest.raises(ConfigError, match="no limit 'max_moon'"):
        Limits.from_json({"max_moon": None})


def test_limits_made_directly_are_held_to_their_ranges_too() -> None:
    with pytest.raises(ConfigError, match="min_wet cannot be 2"):
        Limits(min_wet=2.0)


def test_the_shipped_bundle_has_its_own_and_defaults_for_the_rest() -> None:
    loaded = bundle.load(BUNDLE, [])
    for name, value in loaded.manifest["triage"].items():
        assert getattr(loaded.limits, name) == value
    missing = set(SETTINGS) - set(loaded.manifest["triage"])
    for name in missing:
        assert getattr(loaded.limits, name) == getattr(Limits(), name)
