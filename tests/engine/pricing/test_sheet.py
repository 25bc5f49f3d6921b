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
    read = unpacked(packed(sheet), 3)
    told = msgspec.structs.replace(sheet, version=3)
    assert {sku: read.keeps(sku) for sku in read.stock} == told.stock
    for field in ("at_ms", "source", "room", "horizon", "futures", "seen", "version"):
        assert getattr(read, field) == getattr(told, field), field


def test_a_window_gets_its_part_of_a_sheet() -> None:
    """Only its SKUs and its days cross to the worker and into the record; the rest is not even unpacked."""
    sheet = PriceSheet(
        5, "lp", {"S": (Keep("A", 7),), "T": (Keep("A", 8),)}, (RoomPrice("A", 1, 3), RoomPrice("A", 2, 4))
    )
    read = unpacked(packed(sheet), 1)
    some = read.only(["T", "U"], {2})
    assert ({sku: some.keeps(sku) for sku in some.stock}, some.room) == (
        {"T": (Keep("A", 8),)},
        (RoomPrice("A", 2, 4),),
    )
    assert all(isinstance(keeps, msgspec.Raw) for keeps in read.stock.values())
    assert read.keeps("U") == ()


@pytest.mark.parametrize("nodes", [1, 15, 16, 400, 70_000])
def test_the_prices_of_a_sheet_are_counted_without_being_unpacked(nodes: int) -> None:
    """Each length of array has its own head."""
    sheet = PriceSheet(5, "lp", {"S": (Keep("A", 7),) * nodes, "T": (Keep("A", 8),)})
    assert unpacked(packed(sheet), 1).cells() == nodes + 1


def test_a_sheet_of_another_form_is_refused_as_a_whole() -> None:
    """Not only when a window asks for one of its SKUs."""
    with pytest.raises(msgspec.DecodeError):
        unpacked(msgspec.msgpack.encode([5, "lp", {"S": [["A", "dear"]]}]), 1)
