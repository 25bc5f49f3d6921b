"""The contract's cost formula once more, from the documents as they were put and nothing else of the product.

Recomputed of every decision: what each parcel weighs, costs and when it arrives, and the five terms of the order.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

RADIUS_KM = 6371.0088
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Document = dict[str, Any]


@dataclass
class Books:
    """The documents of a shop with their defaults; the catalogue as it was sent. `policies` by id."""

    network: Document = field(default_factory=dict)
    skus: dict[str, Document] = field(default_factory=dict)
    policies: dict[str, Document] = field(default_factory=dict)

    def node(self, node_id: str) -> Document:
        """A node of the network."""
        return next(node for node in self.network["nodes"] if node["node_id"] == node_id)

    def weight(self, sku: str) -> int:
        """Grams of one unit; of a kit the sum unless given."""
        entry = self.skus.get(sku, {})
        parts = entry.get("components", [])
        return entry.get("weight_g") or sum(self.weight(part["sku"]) * part["quantity"] for part in parts)

    def volume(self, sku: str) -> int:
        """Cubic millimetres of one unit, likewise."""
        entry = self.skus.get(sku, {})
        own = math.prod(entry.get(side, 0) for side in ("length_mm", "width_mm", "height_mm"))
        return own or sum(self.volume(part["sku"]) * part["quantity"] for part in entry.get("components", []))

    def leaves(self, decision: Document) -> Counter[tuple[str, str]]:
        """Units of real goods by (node, SKU) that the parcels of a decision come to."""
        found = Counter[tuple[str, str]]()
        for parcel in decision["parcels"]:
            for line in parcel["lines"]:
                parts = self.skus.get(line["sku"], {}).get("components") or [{"sku": line["sku"], "quantity": 1}]
                for part in parts:
                    found[line.get("node_id", parcel["node_id"]), part["sku"]] += part["quantity"] * line["quantity"]
        return found

    def ordered(self, line: Document) -> int:
        """Units of the order line that a parcel's line stands for."""
        if "substituted_for" not in line:
            return int(line["quantity"])
        others = self.skus[line["substituted_for"]]["substitutes"]
        ratio = next(other["ratio"] for other in others if other["sku"] == line["sku"])
        assert line["quantity"] % ratio == 0
        return int(line["quantity"]) // int(ratio)


def reckon(books: Books, order: Document, decision: Document) -> None:
    """Recompute a decision of an order; AssertionError where it differs."""
    objective = books.policies[order.get("policy_id", "default")]["objective"]
    shipping = handling = Decimal(0)
    arrivals = []
    for parcel in decision["parcels"]:
        inside = parcel["lines"]
        grams = sum(books.weight(line["sku"]) * line["quantity"] for line in inside)
        assert parcel["weight_g"] == grams
        carried, transit = _carried(books, order, parcel, grams)
        handled = _handled(books, parcel)
        assert (_money(parcel["cost"]["shipping"]), _money(parcel["cost"]["handling"])) == (carried, handled)
        shipping, handling = shipping + carried, handling + handled
        node = books.node(parcel["node_id"])
        arrivals.append(_arrival(node, date.fromisoformat(parcel["ship_by"][:10]), transit))
        assert parcel["deliver_by"][:10] == arrivals[-1].isoformat()
        if any(books.skus.get(line["sku"], {}).get("ships_alone") for line in inside):
            assert [books.ordered(line) for line in inside] == [1]
    late = max([0, *((day - _due(order)).days for day in arrivals)]) if order.get("deliver_by") else 0
    undated = [line for line in decision["backordered"] if line["expected_at"] is None]
    missing = sum(line["quantity"] for line in [*decision["unallocated"], *undated])
    terms = {
        "shipping": shipping,
        "handling": handling,
        "split": _money(objective["split_parcel"]) * max(0, len(arrivals) - 1),
        "late": _money(objective["late_per_day"]) * late,
        "unfilled": _money(objective["unfilled_per_unit"]) * missing,
    }
    assert {name: _money(decision["cost"][name]) for name in terms} == terms
    assert _money(decision["cost"]["total"]) == sum(terms.values())
    _nothing_lost(books, order, decision)


def _nothing_lost(books: Books, order: Document, decision: Document) -> None:
    """Every unit of every line ships, waits or is missing."""
    for line in order["lines"]:
        found = sum(
            books.ordered(each)
            for parcel in decision["parcels"]
            for each in parcel["lines"]
            if each["line_id"] == line["line_id"]
        )
        rest = [*decision["unallocated"], *decision["backordered"]]
        found += sum(each["quantity"] for each in rest if each["line_id"] == line["line_id"])
        assert found == line["quantity"]


def _carried(books: Books, order: Document, parcel: Document, grams: int) -> tuple[Decimal, int]:
    """What the carrier charges for a parcel, and its days under way."""
    if parcel["service"] == "pickup":
        assert (parcel["carrier"], parcel["node_id"]) == (None, order["pickup_node"])
        return Decimal(0), 0
    inside = parcel["lines"]
    lanes = [
        (_fits(lane["to"], order["ship_to"]), lane)
        for lane in books.network["lanes"]
        if (lane["node_id"], lane["service"]) == (parcel["node_id"], parcel["service"])
    ]
    rank, lane = max(lanes, key=lambda pair: pair[0], default=(0, {}))
    if rank:
        per = {name: _money(lane[name]) for name in ("parcel", "line", "unit", "per_kg")}
        units = sum(books.ordered(line) for line in inside)
        by_line = per["line"] * len({line["line_id"] for line in inside})
        by_weight = (per["per_kg"] * grams / 1000).quantize(Decimal("0.001"), ROUND_HALF_UP)
        return per["parcel"] + by_line + per["unit"] * units + by_weight, lane["transit_days"]
    names = (parcel["carrier"], parcel["service"])
    card = next(each for each in books.network["carriers"] if (each["carrier"], each["service"]) == names)
    assert card["max_weight_g"] is None or grams <= card["max_weight_g"]
    zone = _zone(card, books.node(parcel["node_id"]), order["ship_to"])
    divisor = card["dim_divisor"]
    volume = sum(books.volume(line["sku"]) * line["quantity"] for line in inside)
    billable = max(grams, -(-volume // divisor)) if divisor else grams
    row = next(row for row in card["rates"] if row["up_to_g"] >= billable)
    price = _money(row["by_zone"][zone]) * (1 + Decimal(card["surcharge_percent"]) / 100)
    if Decimal(card["surcharge_percent"]):
        price = price.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return price, card["transit_days"][zone]


def _fits(place: str, to: Document) -> int:
    """How specific a lane's destination is for an address: 0 where it does not fit."""
    country, _, region = place.partition("-")
    if place == to.get("zone"):
        return 1000
    if ":" in place:
        country, _, prefix = place.partition(":")
        return 3 + len(prefix) if country == to["country"] and (to.get("postal_code") or "").startswith(prefix) else 0
    if region:
        return 3 if (country, region) == (to["country"], to.get("region")) else 0
    return {"*": 1, to["country"]: 2}.get(place, 0)


def _zone(card: Document, node: Document, to: Document) -> int:
    """By great-circle distance."""
    here, there = ((math.radians(place["lat"]), math.radians(place["lon"])) for place in (node, to))
    half = math.sin((there[0] - here[0]) / 2) ** 2
    half += math.cos(here[0]) * math.cos(there[0]) * math.sin((there[1] - here[1]) / 2) ** 2
    distance = 2 * RADIUS_KM * math.asin(math.sqrt(half))
    upper = card["zones"]["upper"]
    per_unit = 1.609344 if card["zones"]["kind"] == "distance_miles" else 1.0
    return next((zone for zone, edge in enumerate(upper) if edge * per_unit >= distance), len(upper))


def _handled(books: Books, parcel: Document) -> Decimal:
    """Per parcel where it leaves; per line and unit where the goods are."""
    total = _money(books.node(parcel["node_id"])["costs"]["per_parcel"])
    sources = [line.get("node_id", parcel["node_id"]) for line in parcel["lines"]]
    for source, _ in {(source, line["line_id"]) for source, line in zip(sources, parcel["lines"], strict=True)}:
        total += _money(books.node(source)["costs"]["per_line"])
    for source, line in zip(sources, parcel["lines"], strict=True):
        total += _money(books.node(source)["costs"]["per_unit"]) * books.ordered(line)
    return total


def _arrival(node: Document, ship_day: date, transit: int) -> date:
    """So many workdays of the node after the ship day, which is one."""
    day = ship_day
    assert _open(node, day)
    while transit:
        day += timedelta(1)
        transit -= _open(node, day)
    return day


def _open(node: Document, day: date) -> bool:
    return (not node["workdays"] or DAYS[day.weekday()] in node["workdays"]) and day.isoformat() not in node["holidays"]


def _due(order: Document) -> date:
    zone = order["ship_to"].get("timezone")
    return datetime.fromisoformat(order["deliver_by"]).astimezone(ZoneInfo(zone) if zone else UTC).date()


def _money(text: str) -> Decimal:
    return Decimal(text)


def keeps_its_limits(books: Books, order: Document, decision: Document) -> None:
    """Every limit of the order, its policy and the policy's rules by priority, judged by the parcels alone."""
    parcels, policy = decision["parcels"], books.policies[order.get("policy_id", "default")]
    asked = [order.get("limits", {}), policy["limits"]]
    for rule in policy["rules"]:
        least, most = rule["when"]["priority"]["min"], rule["when"]["priority"]["max"]
        if (least is None or order.get("priority", 0) >= least) and (most is None or order.get("priority", 0) <= most):
            asked.append(rule["then"]["limits"])
    inside = [line for parcel in parcels for line in parcel["lines"]]
    sources = {line.get("node_id", parcel["node_id"]) for parcel in parcels for line in parcel["lines"]}
    for limits in asked:
        assert limits.get("max_parcels") is None or len(parcels) <= limits["max_parcels"]
        assert not limits.get("ship_complete") or not parcels or decision["status"] == "allocated"
        assert limits.get("allow_late", True) or Decimal(decision["cost"]["late"]) == 0
        assert not limits.get("nodes") or sources <= set(limits["nodes"])
        assert not sources & set(limits.get("except_nodes", []))
    if not any(limits.get("allow_substitutes") for limits in asked):
        assert not any("substituted_for" in line for line in inside)
    if order.get("pickup_node"):
        assert {parcel["node_id"] for parcel in parcels} <= {order["pickup_node"]}
    _keeps_groups(books, order, decision)


def _keeps_groups(books: Books, order: Document, decision: Document) -> None:
    """The lines of a group lie in one box, all of them, or ship not at all."""
    wanted: dict[str, dict[str, int]] = {}
    for line in order["lines"]:
        if line.get("group") is not None:
            wanted.setdefault(line["group"], {})[line["line_id"]] = line["quantity"]
    for lines in wanted.values():
        boxes = []
        for parcel in decision["parcels"]:
            units: dict[str, int] = {}
            for line in parcel["lines"]:
                if line["line_id"] in lines:
                    units[line["line_id"]] = units.get(line["line_id"], 0) + books.ordered(line)
            boxes += [units] if units else []
        assert boxes in ([], [lines])
