"""The input data: real orders, US population by ZIP3 and the research network, from a directory outside the project.

Nothing here is part of the project. UCI "Online Retail" (dataset 352, CC BY 4.0) is at
https://archive.ics.uci.edu/dataset/352/online+retail; ZIP3 centroids can be derived from SimpleMaps US ZIPs (CC BY
4.0); the centres are those of Jasin & Sinha (2015) and Ma (2023).
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ENVIRONMENT = "APPORTION_BENCH_DATA"
DEFAULT = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ORDERS = Path("uci_online_retail/online_retail.csv.gz")
POPULATION = Path("us_geo/zip3_centroids.csv")
CENTRES = Path("multi_item_fulfillment_paper/fulfillment_centers.csv")

SERVICE_CODES = frozenset({"POST", "DOT", "M", "D", "S", "B", "C2", "CRUK", "PADS", "AMAZONFEE", "BANK CHARGES"})
"""Stock codes that are charges, not goods."""


class Region(NamedTuple):
    """A ZIP3 area: its population-weighted centre."""

    zip3: str
    population: float
    lat: float
    lon: float


class Centre(NamedTuple):
    """A fulfilment centre of the research network."""

    node_id: str
    lat: float
    lon: float


class Item(NamedTuple):
    """Units of a stock code in an invoice. `price` as written, 0 if free."""

    code: str
    quantity: int
    price: float


@dataclass(frozen=True, slots=True)
class Invoice:
    """One order as recorded. `customer` is "" for the unregistered."""

    number: str
    customer: str
    placed_at: datetime
    items: tuple[Item, ...]


def data_directory(option: Path | None) -> Path | None:
    """The directory given, else that of the environment, else the default if it is there; None if nothing is."""
    named = option or (Path(os.environ[ENVIRONMENT]) if ENVIRONMENT in os.environ else DEFAULT)
    return named if all((named / each).is_file() for each in (ORDERS, POPULATION, CENTRES)) else None


def read_invoices(directory: Path) -> list[Invoice]:
    """All usable invoices by time: no cancellations or adjustments, no charges, quantity above 0."""
    found: dict[str, tuple[str, str, list[Item]]] = {}
    for row in _rows(directory / ORDERS):
        number, code = row["InvoiceNo"], row["StockCode"].strip()
        quantity = int(float(row["Quantity"]))
        if number[:1] in "CA" or quantity <= 0 or code.upper() in SERVICE_CODES:
            continue
        _, _, items = found.setdefault(number, (row["CustomerID"].partition(".")[0], row["InvoiceDate"], []))
        items.append(Item(code, quantity, max(0.0, float(row["UnitPrice"] or 0))))
    invoices = [
        Invoice(number, customer, datetime.fromisoformat(placed).replace(tzinfo=UTC), tuple(items))
        for number, (customer, placed, items) in found.items()
    ]
    return sorted(invoices, key=lambda invoice: (invoice.placed_at, invoice.number))


def read_regions(directory: Path) -> list[Region]:
    """Every ZIP3 with people and a place."""
    regions = [
        Region(row["zip3"], float(row["population"] or 0), float(row["lat"]), float(row["lng"]))
        for row in _rows(directory / POPULATION)
        if row["lat"] and row["lng"]
    ]
    return [region for region in regions if region.population > 0]


def read_centres(directory: Path) -> list[Centre]:
    """The ten centres."""
    return [
        Centre(f"FC-{row['Facility']}", float(row["Latitude"]), float(row["Longitude"]))
        for row in _rows(directory / CENTRES)
    ]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as text:
        yield from csv.DictReader(text)
