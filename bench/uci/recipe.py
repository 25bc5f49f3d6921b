"""From recorded invoices to an allocation workload, the same for the same seed.

Ship-to: a ZIP3 drawn by population once per customer (once per invoice for the unregistered). Weight: log-normal per
SKU, median 60 g, sigma 0.6. Network: the research network's ten centres, every day open, the public parcel tariff,
equal handling. Stock: each SKU lies at a random half of the centres (at least one), in random shares. At the start, and
again every k days of recorded time, k days of its average demand arrive there, whatever was decided before: every mode
gets the same stock at the same instants. Cut `retail` caps a line at 12 units; `wholesale` takes it as recorded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

import msgspec
import numpy as np

from bench.uci.source import Centre, Invoice, Region
from engine.domain import Movement, Order, OrderLine, ShipTo, Sku, decimal
from engine.sample.tariff import ground_card

RETAIL_UNITS_MAX = 12
WEIGHT_MEDIAN_G, WEIGHT_SIGMA = 60.0, 0.6
CARRIED = 0.5
PER_PARCEL, PER_LINE, PER_UNIT = "0.90", "0.25", "0.05"
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Stock that arrives at an instant."""

    at: datetime
    movements: tuple[Movement, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """Everything a replay needs. `orders` by the time they were placed, `deliveries` likewise, the first before any."""

    network: bytes
    skus: tuple[Sku, ...]
    orders: tuple[Order, ...]
    deliveries: tuple[Delivery, ...]

    @property
    def lines(self) -> int:
        return sum(len(order.lines) for order in self.orders)


def workload(
    invoices: list[Invoice], regions: list[Region], centres: list[Centre], cut: str, days: int, seed: int
) -> Workload:
    """The recipe. `cut` "retail" or "wholesale"; `days` is k."""
    places = _places(np.random.default_rng([seed, 1]), invoices, regions)
    codes = sorted({item.code for invoice in invoices for item in invoice.items})
    skus = _catalog(np.random.default_rng([seed, 2]), codes, invoices)
    orders = tuple(_order(invoice, places[_customer(invoice)], cut) for invoice in invoices)
    deliveries = _deliveries(np.random.default_rng([seed, 3]), orders, codes, centres, days)
    return Workload(msgspec.json.encode(network_document(centres)), skus, orders, deliveries)


def network_document(centres: list[Centre]) -> dict[str, object]:
    """The centres and one carrier, as `PUT /v1/network` takes it."""
    return {
        "currency": "USD",
        "nodes": [
            {
                "node_id": centre.node_id,
                "kind": "dc",
                "lat": centre.lat,
                "lon": centre.lon,
                "country": "US",
                "timezone": "UTC",
                "priority": rank,
                "costs": {"per_parcel": PER_PARCEL, "per_line": PER_LINE, "per_unit": PER_UNIT},
            }
            for rank, centre in enumerate(centres, start=1)
        ],
        "carriers": [ground_card()],
        "lanes": [],
    }


def _customer(invoice: Invoice) -> str:
    return invoice.customer or f"invoice {invoice.number}"


def _places(rng: np.random.Generator, invoices: list[Invoice], regions: list[Region]) -> dict[str, Region]:
    customers = sorted({_customer(invoice) for invoice in invoices})
    shares = np.array([region.population for region in regions])
    drawn = rng.choice(len(regions), size=len(customers), p=shares / shares.sum())
    return {customer: regions[index] for customer, index in zip(customers, drawn, strict=True)}


def _catalog(rng: np.random.Generator, codes: list[str], invoices: list[Invoice]) -> tuple[Sku, ...]:
    """Weights drawn, values the highest price ever charged."""
    values: dict[str, float] = {}
    for invoice in invoices:
        for item in invoice.items:
            values[item.code] = max(values.get(item.code, 0.0), item.price)
    weights = np.maximum(1, np.rint(rng.lognormal(np.log(WEIGHT_MEDIAN_G), WEIGHT_SIGMA, len(codes)))).astype(int)
    return tuple(
        Sku(sku=code, weight_g=int(weight), value=_money(values[code]))
        for code, weight in zip(codes, weights, strict=True)
    )


def _order(invoice: Invoice, place: Region, cut: str) -> Order:
    capped = RETAIL_UNITS_MAX if cut == "retail" else None
    return Order(
        order_id=invoice.number,
        placed_at=invoice.placed_at,
        ship_to=ShipTo(country="US", postal_code=place.zip3, lat=place.lat, lon=place.lon),
        lines=[
            OrderLine(
                line_id=str(number),
                sku=item.code,
                quantity=item.quantity if capped is None else min(capped, item.quantity),
                unit_price=_money(item.price),
            )
            for number, item in enumerate(invoice.items, start=1)
        ],
    )


def _money(price: float) -> str:
    return decimal(round(price * 1000))


def _deliveries(
    rng: np.random.Generator, orders: tuple[Order, ...], codes: list[str], centres: list[Centre], days: int
) -> tuple[Delivery, ...]:
    """Each cell gets whole units; fractions are carried over to its next delivery."""
    demand: Counter[str] = Counter()
    for order in orders:
        for line in order.lines:
            demand[line.sku] += line.quantity
    begin = orders[0].placed_at.replace(hour=0, minute=0)  # type: ignore[union-attr]
    end = orders[-1].placed_at
    assert end is not None
    span = max(1, ceil((end - begin) / DAY))
    cells: list[tuple[str, str, float]] = []
    for code in codes:
        carried = rng.random(len(centres)) < CARRIED
        shares = rng.dirichlet(np.ones(len(centres)))
        if not carried.any():
            carried[int(rng.integers(len(centres)))] = True
        shares = np.where(carried, shares, 0.0)
        per_round = demand[code] / span * days * shares / shares.sum()
        cells += [(code, centres[node].node_id, float(per_round[node])) for node in np.flatnonzero(carried)]
    return tuple(
        Delivery(begin + number * days * DAY, _round(cells, number)) for number in range(max(1, ceil(span / days)))
    )


def _round(cells: list[tuple[str, str, float]], number: int) -> tuple[Movement, ...]:
    movements = []
    for index, (code, node_id, quantity) in enumerate(cells):
        units = ceil((number + 1) * quantity) - ceil(number * quantity)
        if units > 0:
            movement_id = f"delivery-{number}-{index}"
            movements.append(
                Movement(movement_id=movement_id, node_id=node_id, sku=code, kind="receive", quantity=units)
            )
    return tuple(movements)
