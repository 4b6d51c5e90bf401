from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard.errors import StreamError
from onboard.georef import Georef
from onboard.link import alerts, cds, packets
from onboard.link.alerts import Alert
from onboard.link.apid import Apid
from onboard.product import LN2
from onboard.triage import Sight
from tests.products import make_product

GOLDEN = Alert(
    frame_id=b"12345678",
    product=True,
    flood=True,
    acquired_ms=0,
    place=(63.5, -147.0),
    sigma_m=12.0,
    area_m2=4500.0,
    fraction=0.5,
    possible_area_m2=9000.0,
    possible_fraction=1.0,
    unobserved_fraction=0.0,
    entropy=LN2,
    epistemic=None,
    odd=1.0,
)
SIGHT = Sight(792, 700, 90, 50, entropy=0.3, epistemic=0.02, odd=0.25)


def optional(low, high):
    return st.none() | st.floats(low, high)


@given(
    flood=st.booleans(),
    product=st.booleans(),
    acquired_ms=st.none() | st.integers(cds.FIRST_MS, cds.LAST_MS),
    place=st.none() | st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
    sigma_m=optional(0, 60000),
    area_m2=optional(0, 4e11),
    fraction=st.floats(0, 1),
    possible_area_m2=optional(0, 4e11),
    possible_fraction=st.floats(0, 1),
    unobserved_fraction=st.floats(0, 1),
    entropy=optional(0, LN2),
    epistemic=optional(0, LN2),
    odd=optional(0, 1),
)
def test_round_trip_within_the_steps_of_the_fields(**fields):
    alert = Alert(frame_id=b"12345678", **fields)
    data = alerts.pack(alert)
    back = alerts.unpack(data)
    assert alerts.pack(back) == data
    steps = {
        "sigma_m": 1.0,
        "area_m2": 100.0,
        "fraction": 1 / 65535,
        "possible_area_m2": 100.0,
        "possible_fraction": 1 / 65535,
        "unobserved_fraction": 1 / 65535,
        "entropy": LN2 / 254,
        "odd": 1 / 254,
        # Its steps grow with it: the root has even ones.
        "epistemic": 2 * LN2 / 254,
    }
    for name, step in steps.items():
        one, two = getattr(alert, name), getattr(back, name)
        assert (one is None) == (two is None), name
        assert one is None or abs(one - two) <= step / 2 * 1.001, name
    if alert.epistemic is not None:
        roots = [math.sqrt(one.epistemic / LN2) for one in (alert, back)]
        assert abs(roots[0] - roots[1]) <= 0.5 / 254 * 1.001
    for name in ("flood", "product", "acquired_ms"):
        assert getattr(back, name) == getattr(alert, name)
    if alert.place is None:
        assert back.place is None
    else:
        assert back.place == pytest.approx(alert.place, abs=1e-7)


def test_golden_bytes():
    assert alerts.pack(GOLDEN).hex() == (
        "020f" + "3132333435363738" + "111f00000000" + "25d954c0" + "a8619480"
    ) + ("000c" + "0000002d" + "8000" + "0000005a" + "ffff" + "0000" + "fe" + "ff" + "fe")


def test_with_its_packet_it_stays_below_64_bytes():
    data = packets.pack(packets.Packet(Apid.ALERT, 0, 0, alerts.pack(GOLDEN)))
    assert len(data) < 64


def test_values_beyond_a_field_are_cut_to_it():
    back = alerts.unpack(alerts.pack(dataclasses.replace(GOLDEN, sigma_m=1e9, area_m2=1e15)))
    assert back.sigma_m == 65534.0
    assert back.area_m2 == (2**32 - 2) * 100.0


@pytest.mark.parametrize(
    ("place", "value"), [(0, 1), (0, 3), (1, 0x1F), (16, 0x36), (20, 0x7F), (12, 0x06)]
)
def test_other_alerts_are_refused(place, value):
    data = bytearray(alerts.pack(GOLDEN))
    data[place] = value
    with pytest.raises(StreamError):
        alerts.unpack(bytes(data))


def test_wrong_length_is_refused():
    data = alerts.pack(GOLDEN)
    for wrong in (b"", data[:-1], data + b"\0"):
        with pytest.raises(StreamError):
            alerts.unpack(wrong)


def test_subject_follows_the_reference():
    product = make_product()
    assert alerts.alert_for(product, bytes(16)).subject == "water"
    flood = make_product(reference_version=b"r")
    alert = alerts.alert_for(flood, bytes(16))
    assert alert.subject == "flood"
    assert flood.statistics.flood is not None
    assert 0 < flood.statistics.flood < flood.statistics.water
    assert alert.area_m2 == flood.statistics.flood_area_m2
    assert alert.fraction == flood.statistics.flood / flood.statistics.observed


def test_an_alert_says_what_triage_saw():
    product = make_product(reference_version=b"r")
    alert = alerts.alert_for(product, bytes(range(16)), SIGHT)
    assert alert.product
    assert alert.frame_id == bytes(range(8))
    assert (alert.entropy, alert.epistemic, alert.odd) == (0.3, 0.02, 0.25)
    assert alert.confidence == pytest.approx(SIGHT.confidence)
    observed = product.statistics.observed
    possible = max(90, product.statistics.flood)
    assert alert.possible_fraction == possible / observed
    assert alert.possible_area_m2 == possible * 100.0


def test_an_alert_alone_names_the_scene_and_no_product():
    product = make_product()
    alert = alerts.unpack(alerts.pack(alerts.alert_for(product, None, SIGHT)))
    assert not alert.product
    assert alert.frame_id == product.scene_id[:8]


def test_what_is_possible_is_never_less_than_what_is_likely():
    product = make_product()
    few = dataclasses.replace(SIGHT, wet_sensitive=0)
    alert = alerts.alert_for(product, None, few)
    assert alert.possible_area_m2 == alert.area_m2 == product.statistics.water_area_m2
    assert alert.possible_fraction == alert.fraction


def test_without_a_sight_nothing_is_said_of_doubt():
    alert = alerts.alert_for(make_product(), None)
    assert (alert.entropy, alert.epistemic, alert.odd, alert.confidence) == (None,) * 4


def test_place_is_the_middle_of_what_is_flooded():
    georef = Georef(100, 100, "EPSG:4326", (0.01, 0.0, 20.0, 0.0, -0.01, 50.0))
    product = make_product(mask=np.ones((100, 100), np.uint8), georef=georef)
    wet = np.zeros((100, 100), bool)
    wet[10:20, 70:80] = True
    alert = alerts.alert_for(product, bytes(16), wet=wet)
    assert alert.place == pytest.approx((50 - 0.15, 20 + 0.75))


def test_place_is_the_middle_of_the_water():
    mask = np.zeros((100, 100), np.uint8)
    mask[10:20, 70:80] = 1
    georef = Georef(100, 100, "EPSG:4326", (0.01, 0.0, 20.0, 0.0, -0.01, 50.0))
    alert = alerts.alert_for(make_product(mask=mask, georef=georef), bytes(16))
    assert alert.place == pytest.approx((50 - 0.15, 20 + 0.75))
    assert alert.fraction == 0.01


def test_place_without_water_is_the_middle_of_the_frame():
    mask = np.zeros((100, 50), np.uint8)
    georef = Georef(50, 100, "EPSG:4326", (0.01, 0.0, 20.0, 0.0, -0.01, 50.0))
    alert = alerts.alert_for(make_product(mask=mask, georef=georef), bytes(16))
    assert alert.place == pytest.approx((49.5, 20.25))


def test_a_frame_without_coordinates_has_no_place():
    mask = np.zeros((4, 4), np.uint8)
    assert alerts.alert_for(make_product(mask=mask, georef=Georef(4, 4)), bytes(16)).place is None
