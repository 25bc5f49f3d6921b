"""A forecast: what a caller expects to be ordered, in place of orders that were not seen yet.

It only informs the prices of stock and room (`engine.pricing`). The whole of it is one document of the partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from engine.domain import Country, Identifier, Record, ShipTo
from engine.ledger.port import Ledger
from engine.stock import RowFault

ROWS_MAX = 50_000
"""Rows of one forecast: as many kinds of orders as are remembered of those seen."""


class ForecastRow(Record, frozen=True, kw_only=True):
    """Units of a SKU ordered on a day, by destination: a merchant's own `zone`, else as far as it is told."""

    sku: Identifier
    country: Country
    region: Annotated[str, Meta(max_length=64)] | None = None
    postal_code: Annotated[str, Meta(max_length=32)] | None = None
    zone: Annotated[str, Meta(max_length=64)] | None = None
    units_per_day: Annotated[float, Meta(gt=0, le=1e9)]

    @property
    def ship_to(self) -> ShipTo:
        """The destination as an order would name it."""
        return ShipTo(country=self.country, region=self.region, postal_code=self.postal_code, zone=self.zone)


@dataclass(slots=True)
class ForecastIntake:
    """The rows of one upload: each SKU and destination once."""

    rows: list[ForecastRow] = field(default_factory=list)
    _line: dict[tuple[str, ShipTo], int] = field(default_factory=dict)

    def take(self, rows: Sequence[tuple[int, ForecastRow]]) -> list[RowFault]:
        """Add rows with their lines; what is wrong with them."""
        faults = []
        for line, row in rows:
            first = self._line.setdefault((row.sku, row.ship_to), line)
            if first != line:
                faults.append(RowFault(line, "$.sku", f"line {first} has the same SKU and destination"))
            self.rows.append(row)
        return faults


class Forecast(NamedTuple):
    """The rows at a version; version 0 while there is none."""

    version: int
    rows: tuple[ForecastRow, ...]


_decode = msgspec.json.Decoder(tuple[ForecastRow, ...]).decode
_encode = msgspec.json.Encoder().encode


async def put_forecast(ledger: Ledger, partition: str, rows: Sequence[ForecastRow]) -> int:
    """Replace the forecast; returns its version. No rows: nothing is expected any more."""
    return await ledger.put_forecast(partition, await asyncio.to_thread(_encode, rows))


async def forecast_of(ledger: Ledger, partition: str) -> Forecast:
    """The forecast of a partition."""
    stored = await ledger.forecast(partition)
    if stored is None:
        return Forecast(0, ())
    return Forecast(stored.version, await asyncio.to_thread(_decode, stored.body))
