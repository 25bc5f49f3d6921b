"""The sample merchant: a network document, a catalogue and its stock, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.domain import Sku, StockRow, decimal
from engine.sample.places import SITES, Site
from engine.sample.tariff import ground_card, priority_card

SEED = 20
SKUS = 5_000
UNITS = 160_000
"""Units of stock over all nodes: about four minutes of demand at 200 orders a second, so that cells do run out."""

_HAZMAT_NODES = frozenset({"FC-ONT", "FC-DFW", "FC-IND", "FC-ATL", "FC-ABE"})
_WORKWEEK = ["mon", "tue", "wed", "thu", "fri"]
_HOLIDAYS = ["2026-11-26", "2026-12-25", "2027-01-01", "2027-05-31", "2027-07-05", "2027-09-06", "2027-11-25"]
_DC_COSTS = {  # dearer labour on the coasts, cheap floor space inland
    "FC-ONT": ("1.05", "0.22", "0.06"),
    "FC-RNO": ("0.88", "0.20", "0.05"),
    "FC-SEA": ("1.12", "0.24", "0.06"),
    "FC-DFW": ("0.84", "0.19", "0.05"),
    "FC-MEM": ("0.76", "0.18", "0.04"),
    "FC-ORD": ("0.92", "0.21", "0.05"),
    "FC-IND": ("0.80", "0.18", "0.04"),
    "FC-SDF": ("0.78", "0.18", "0.04"),
    "FC-ATL": ("0.82", "0.19", "0.05"),
    "FC-ABE": ("0.96", "0.22", "0.05"),
}
_STORE_COSTS = ("1.85", "0.60", "0.20")


@dataclass(frozen=True, slots=True)
class World:
    """Everything to load into an empty partition. `demand` float64[SKUs]: each SKU's share of ordered lines."""

    network: bytes
    skus: tuple[Sku, ...]
    stock: tuple[StockRow, ...]
    demand: NDArray[np.float64]


def build_world(seed: int = SEED, skus: int = SKUS, units: int = UNITS) -> World:
    """The same arguments always give the same world, to the byte."""
    rng = np.random.default_rng(seed)
    demand = _demand(rng, skus)
    catalog = _catalog(rng, skus)
    stock = _stock(rng, catalog, demand, units)
    return World(network=msgspec.json.encode(network_document()), skus=catalog, stock=stock, demand=demand)


def network_document() -> dict[str, Any]:
    """Ten fulfilment centres and ten shops with the public parcel tariff, as `PUT /v1/network` takes it."""
    return {
        "currency": "USD",
        "nodes": [_node(site, rank) for rank, site in enumerate(SITES, start=1)],
        "carriers": [ground_card(), priority_card()],
        "lanes": [],
    }


def _node(site: Site, rank: int) -> dict[str, Any]:
    """Centres work five days and take large volumes; shops work every day and take few parcels at a higher cost."""
    store = site.kind == "store"
    per_parcel, per_line, per_unit = _STORE_COSTS if store else _DC_COSTS[site.node_id]
    return {
        "node_id": site.node_id,
        "kind": site.kind,
        "lat": site.lat,
        "lon": site.lon,
        "country": "US",
        "postal_code": site.postal_code,
        "timezone": site.timezone,
        "active": True,
        "priority": rank,
        "capacity": {"parcels_per_day": 600} if store else {"parcels_per_day": 40_000},
        "cutoff": "12:00" if store else "16:00",
        "handling_minutes": 180 if store else 90,
        "workdays": [*_WORKWEEK, "sat", "sun"] if store else _WORKWEEK,
        "holidays": [] if store else _HOLIDAYS,
        "costs": {"per_parcel": per_parcel, "per_line": per_line, "per_unit": per_unit},
        "capabilities": ["hazmat"] if site.node_id in _HAZMAT_NODES else [],
        "safety_units": 1 if store else 0,
    }


def _demand(rng: np.random.Generator, skus: int) -> NDArray[np.float64]:
    """Zipf with exponent 0.8: the best seller has a thousand times the demand of the long tail; ranks are shuffled."""
    weights = np.arange(1, skus + 1, dtype=np.float64) ** -0.8
    return rng.permutation(weights / weights.sum())


def _catalog(rng: np.random.Generator, skus: int) -> tuple[Sku, ...]:
    """Mostly small things (log-normal, median 60 g, sigma 0.6), an eighth of them larger (900 g, 0.8)."""
    large = rng.random(skus) < 0.125
    weights = np.where(large, rng.lognormal(np.log(900), 0.8, skus), rng.lognormal(np.log(60), 0.6, skus))
    weights = np.clip(np.rint(weights), 5, 20_000).astype(np.int64)
    density = np.clip(rng.lognormal(np.log(0.30), 0.4, skus), 0.05, 2.0)  # g per cm3
    edge = np.cbrt(weights / density * 1_000)  # mm
    shape = rng.uniform(0.6, 1.6, (skus, 2))
    values = np.clip(np.rint(rng.lognormal(np.log(16), 0.7, skus) * 100), 199, 49_999).astype(np.int64)
    hazmat = rng.random(skus) < 0.02
    return tuple(
        Sku(
            sku=f"SKU-{index + 1:05d}",
            weight_g=int(weights[index]),
            length_mm=max(10, round(edge[index] * shape[index, 0])),
            width_mm=max(10, round(edge[index] * shape[index, 1])),
            height_mm=max(5, round(edge[index] / (shape[index, 0] * shape[index, 1]))),
            value=decimal(int(values[index]) * 10),
            requires=["hazmat"] if hazmat[index] else [],
        )
        for index in range(skus)
    )


def _stock(
    rng: np.random.Generator, catalog: tuple[Sku, ...], demand: NDArray[np.float64], units: int
) -> tuple[StockRow, ...]:
    """Each SKU lies at a random subset of nodes, best sellers at more of them, in about the measure of its demand.

    A centre carries a SKU with chance 0.35 (tail) to 0.75 (best sellers), a shop with 0.02 to 0.4; two centres always.
    """
    popularity = (demand.argsort().argsort() + 1) / len(demand)
    store = np.array([site.kind == "store" for site in SITES])
    hazmat = np.array([site.node_id in _HAZMAT_NODES for site in SITES])
    rows: list[StockRow] = []
    for index, sku in enumerate(catalog):
        chance = np.where(store, 0.02 + 0.38 * popularity[index] ** 4, 0.35 + 0.40 * popularity[index] ** 2)
        draw, share = rng.random(len(SITES)), rng.dirichlet(np.ones(len(SITES)))
        allowed = hazmat if sku.requires else np.ones(len(SITES), dtype=np.bool_)
        carried = (draw < chance) & allowed
        carried[np.where(allowed & ~store, draw, 2.0).argsort()[:2]] = True
        weight = np.where(carried, np.where(store, 0.25, 1.0) * (0.1 + share), 0.0)
        cover = max(4.0, float(demand[index]) * units) * weight / weight.sum()
        rows.extend(
            StockRow(node_id=SITES[node].node_id, sku=sku.sku, on_hand=max(2 if store[node] else 1, round(cover[node])))
            for node in np.flatnonzero(carried)
        )
    return tuple(rows)
