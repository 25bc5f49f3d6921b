"""Price sheets: as they are stored, cut for a window, and how destinations are named in them."""

from __future__ import annotations

import msgspec
import pytest

from engine.domain import ShipTo
from engine.pricing.observed import zone_of
from engine.pricing.sheet import Keep, RoomPrice, packed, unpacked
from tests.engine.sheets import price_sheet


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
    stock = {"S": [Keep(3, 7, "Boston"), Keep(70, 2**30)], "T": [Keep(0, 8, "York")]}
    sheet = price_sheet(stock, at_ms=5, room=(RoomPrice(3, 20_000, 3),), horizon=9.5, futures=4, seen=80.25)
    read = unpacked(packed(sheet), 3)
    assert read == msgspec.structs.replace(sheet, version=3)
    assert {sku: read.keeps(sku) for sku in read.stock} == stock
    assert (read.keeps("U"), read.cells()) == ([], 3)


def test_a_window_gets_its_part_of_a_sheet() -> None:
    """Only its SKUs, its days and the zones of these cross to the worker and into the record."""
    stock = {"S": [Keep(3, 7, "Boston")], "T": [Keep(3, 8, "York"), Keep(4, 8)], "U": [Keep(3, 9)]}
    sheet = price_sheet(stock, room=(RoomPrice(3, 1, 3), RoomPrice(3, 2, 4)))
    some = sheet.only(["U", "V", "T"], {2})
    assert {sku: some.keeps(sku) for sku in some.stock} == {sku: stock[sku] for sku in ("U", "T")}
    assert (some.zones, some.room) == (("", "York"), (RoomPrice(3, 2, 4),))
    nothing = sheet.only(["V"], {3})
    assert (nothing.zones, nothing.stock, nothing.room) == (("",), {}, ())


def test_the_cells_of_skus_come_as_arrays() -> None:
    """One SKU after another as asked, each with its place; who has no price has no cell."""
    sheet = price_sheet({"S": [Keep(3, 7, "Boston")], "T": [Keep(3, 8), Keep(4, 9)]})
    row, cells = sheet.of(["T", "none", "S"])
    assert (row.tolist(), cells["node"].tolist(), cells["mills"].tolist()) == ([0, 0, 2], [3, 4, 3], [8, 9, 7])


@pytest.mark.parametrize("stock", [{"S": [["A", 7, ""]]}, {"S": b"short"}])
def test_a_sheet_of_another_form_is_refused_as_a_whole(stock: object) -> None:
    """Not only when a window asks for one of its SKUs."""
    with pytest.raises(msgspec.DecodeError):
        unpacked(msgspec.msgpack.encode([5, "lp", [""], stock]), 1)
