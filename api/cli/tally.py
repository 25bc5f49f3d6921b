"""What many decisions amount to: counts, money, parcels, units left over, and how long the answers took."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from engine.domain import decimal, mills


class _Quantity(Struct):
    quantity: int


class _Parcel(Struct):
    lines: list[_Quantity]


class _Cost(Struct):
    total: str
    unfilled: str = "0"


class Outcome(Struct):
    """The part of a decision that is counted."""

    order_id: str
    status: str
    parcels: list[_Parcel]
    unallocated: list[_Quantity]
    cost: _Cost


_DECODER = msgspec.json.Decoder(Outcome)

RECENT = 4_000
"""How many latencies the percentiles of a running view rest on."""


def outcome(body: bytes) -> Outcome:
    """Read one decision."""
    return _DECODER.decode(body)


class Tally:
    """Running figures over decisions. Money is the decisions' own `total`, in mills."""

    def __init__(self) -> None:
        self.orders = 0
        self.repeats = 0
        self.statuses: Counter[str] = Counter()
        self.parcels = 0
        self.shipped_orders = 0
        self.units = 0
        self.unallocated = 0
        self.cost = 0
        self.unfilled_cost = 0
        self.latencies_ms: list[float] = []
        self.recent_ms: deque[float] = deque(maxlen=RECENT)

    def add(self, body: bytes, latency_ms: float, repeat: bool = False) -> None:
        """Count one decision."""
        decided = outcome(body)
        self.orders += 1
        self.repeats += repeat
        self.statuses[decided.status] += 1
        self.parcels += len(decided.parcels)
        self.shipped_orders += bool(decided.parcels)
        self.units += sum(line.quantity for parcel in decided.parcels for line in parcel.lines)
        self.unallocated += sum(line.quantity for line in decided.unallocated)
        self.cost += mills(decided.cost.total)
        self.unfilled_cost += mills(decided.cost.unfilled)
        self.latencies_ms.append(latency_ms)
        self.recent_ms.append(latency_ms)

    @property
    def cost_per_order(self) -> float:
        """Money per order, everything included."""
        return self.cost / 1000 / max(1, self.orders)

    @property
    def parcels_per_order(self) -> float:
        """Over the orders of which something ships."""
        return self.parcels / max(1, self.shipped_orders)

    def percentiles(self, recent: bool = False) -> tuple[float, float]:
        """p50 and p99 of the latency in ms."""
        values = self.recent_ms if recent else self.latencies_ms
        if not values:
            return 0.0, 0.0
        p50, p99 = np.percentile(np.fromiter(values, dtype=np.float64), (50, 99))
        return float(p50), float(p99)

    def document(self, seconds: float) -> dict[str, Any]:
        """The figures as JSON."""
        p50, p99 = self.percentiles()
        return {
            "orders": self.orders,
            "repeats": self.repeats,
            "seconds": round(seconds, 3),
            "orders_per_s": round(self.orders / seconds, 1) if seconds > 0 else None,
            "p50_ms": round(p50, 2),
            "p99_ms": round(p99, 2),
            "statuses": dict(sorted(self.statuses.items())),
            "cost": decimal(self.cost),
            "cost_per_order": round(self.cost_per_order, 3),
            "parcels_per_order": round(self.parcels_per_order, 3),
            "units": self.units,
            "unallocated_units": self.unallocated,
        }
