from __future__ import annotations

import pytest

from onboard.area import contains, meets
from onboard.georef import Georef


def test_a_place_in_an_area_that_crosses_the_date_line() -> None:
    area = (170.0, -20.0, -170.0, -10.0)
    assert contains(area, -15.0, 175.0)
    assert contains(area, -15.0, -175.0)
    assert not contains(area, -15.0, 0.0)
    assert not contains(area, 5.0, 175.0)


FRAME = Georef(100, 200, "EPSG:32645", (30.0, 0.0, 600000.0, 0.0, -30.0, 2600000.0))
"""About 87.98 to 88.01 degrees east, 23.45 to 23.51 north."""


@pytest.mark.parametrize(
    ("area", "met"),
    [
        ((80.0, 20.0, 90.0, 25.0), True),
        ((88.0, 23.0, 90.0, 25.0), True),
        ((87.99, 23.48, 88.0, 23.49), True),
        ((89.0, 23.0, 90.0, 25.0), False),
        ((80.0, 24.0, 90.0, 25.0), False),
        ((170.0, 20.0, 89.0, 25.0), True),
        ((170.0, 20.0, 80.0, 25.0), False),
    ],
)
def test_a_frame_that_reaches_into_an_area(
    area: tuple[float, float, float, float], met: bool
) -> None:
    assert meets(area, FRAME) is met


def test_a_frame_without_a_place() -> None:
    assert meets((0.0, 0.0, 1.0, 1.0), Georef(10, 10)) is None
