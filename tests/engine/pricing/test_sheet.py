"""Price sheets: as they are stored, cut for a window, and how destinations are named in them."""

from __future__ import annotations

import msgspec
import pytest

from engine.domain import ShipTo
from engine.pricing.observed import zone_of
from engine.pricing.sheet import Keep, PriceSheet, RoomPrice, packed, unpacked


@pytest.mark.parametrize(
    ("place", "zone"),
    [
        (ShipTo(country="US", zone="Boston", postal_code="02134"), "Boston"),
        (ShipTo(country="GB", postal_code="sw1a 1aa", region="LND"), "GB:SW1"),
        (ShipTo(country="US", region="MA", lat=42.3, lon=-71.1), "US-MA"),
        (ShipTo(country="US", lat=42.3, lon=-71.1), "US 42,-71"),
        (ShipTo(country="US"), "US"),
    ],
)
def test_a_destination_has_the_name_that_says_most(place: ShipTo, zone: str) -> None:
    """The merchant's zone, else a postal prefix, a region, a place, the country."""
    assert zone_of(place) == zone


def test_a_sheet_comes_back_as_it_was_packed() -> None:
    """With the version that the store gave it."""
    sheet = PriceSheet(5, "lp", {"S": (Keep("A", 7, "Boston"),)}, (RoomPrice("A", 20_000, 3),), 9.5, 4, 80.25)
    assert unpacked(packed(sheet), 3) == msgspec.structs.replace(sheet, version=3)


def test_a_window_gets_its_part_of_a_sheet() -> None:
    """Only its SKUs and its days cross to the worker and into the record."""
    sheet = PriceSheet(
        5, "lp", {"S": (Keep("A", 7),), "T": (Keep("A", 8),)}, (RoomPrice("A", 1, 3), RoomPrice("A", 2, 4))
    )
    some = sheet.only(["T", "U"], {2})
    assert (list(some.stock), some.room) == (["T"], (RoomPrice("A", 2, 4),))
