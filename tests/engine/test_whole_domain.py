"""Random windows with everything at once, judged by what a caller reads: nothing is lost, no limit is broken."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
import pytest

from engine.domain import Component, Order, Sku, Substitute, mills
from engine.ledger.port import Proposal
from engine.lowering import WindowInput
from engine.network import Network
from engine.pricing.sheet import Keep, PriceSheet, RoomPrice
from engine.promise import to_day
from tests.engine.making import card, compiled, document, node, order, window
from tests.engine.reading import decided, said
from tests.engine.sheets import price_sheet

MON = to_day(date(2026, 11, 23))
NODES = "ABCDE"
SINGLES = "WXYZ"


def random_node(rng: random.Random, node_id: str) -> dict[str, Any]:
    """A node that may have a dock, a capacity, a price."""
    fields: dict[str, Any] = {"lon": -98.0 - rng.randrange(12), "costs": {"per_parcel": "0.50", "per_line": "0.10"}}
    if rng.random() < 0.5:
        fields["dock"] = rng.choice(["d", "e"])
    if rng.random() < 0.3:
        limit = rng.choice(["parcels_per_day", "units_per_day"])
        fields["capacity"] = {limit: rng.randrange(1, 5)}
    if rng.random() < 0.2:
        fields["capabilities"] = ["hazmat"]
    return node(node_id, active=rng.random() < 0.9, **fields)


def random_catalogue(rng: random.Random) -> list[Sku]:
    """Four single SKUs, two kits of them, and what may stand in for what."""
    skus = [
        Sku(sku=sku, weight_g=rng.randrange(100, 2000), value="5.00", ships_alone=rng.random() < 0.1,
            requires=["hazmat"] if rng.random() < 0.1 else [])
        for sku in SINGLES
    ]  # fmt: skip
    for name in ("K", "L"):
        parts = rng.sample(SINGLES, rng.randrange(1, 3))
        skus.append(Sku(sku=name, components=[Component(sku=part, quantity=rng.randrange(1, 3)) for part in parts]))
    return [
        msgspec.structs.replace(sku, substitutes=[Substitute(sku=other, ratio=rng.randrange(1, 3))])
        if rng.random() < 0.4 and (other := rng.choice("WXYZK")) != sku.sku
        else sku
        for sku in skus
    ]


def random_order(rng: random.Random, order_id: str) -> Order:
    """One to three lines, and now and then any of the limits."""
    lines = [(rng.choice("WXYZKL"), rng.randrange(1, 4)) for _ in range(rng.randrange(1, 4))]
    rolled = (
        ("max_parcels", 0.2, rng.randrange(1, 4)),
        ("ship_complete", 0.15, True),
        ("split_lines", 0.2, False),
        ("min_split_value", 0.15, f"{rng.randrange(1, 20)}.00"),
        ("allow_late", 0.2, False),
        ("allow_substitutes", 0.5, True),
        ("except_nodes", 0.2, [rng.choice(NODES)]),
    )
    limits: dict[str, Any] = {name: value for name, chance, value in rolled if rng.random() < chance}
    fields: dict[str, Any] = {"limits": limits, "priority": rng.randrange(3)}
    if rng.random() < 0.4:
        fields["deliver_by"] = rng.choice(["2026-11-24T12:00:00Z", "2026-11-25T12:00:00Z"])
    if rng.random() < 0.1:
        fields["pickup_node"] = rng.choice(sorted(set(NODES) - set(limits.get("except_nodes", []))))
    made = order(order_id, *lines, **fields)
    if rng.random() < 0.2:
        made = msgspec.structs.replace(
            made, lines=[msgspec.structs.replace(line, group=rng.choice(["g", None])) for line in made.lines]
        )
    return made


def random_window(rng: random.Random) -> WindowInput:
    """A window of a few such orders on little stock."""
    network = compiled(
        document([random_node(rng, node_id) for node_id in NODES], [card(max_weight_g=rng.choice([3000, 5000]))])
    )
    stock = {
        sku: {
            node_id: {"on_hand": rng.randrange(9), "held": rng.randrange(3), "safety": rng.randrange(2)}
            for node_id in rng.sample(NODES, rng.randrange(1, 5))
        }
        for sku in SINGLES
    }
    policy: dict[str, Any] = {
        "capacity_horizon_days": rng.choice([0, 0, 2]),
        "mode": rng.choice(["optimise", "optimise", "sequence", "nearest", "most_stock"]),
        "objective": {"fill": rng.choice(["always", "economic"]), "balance": rng.choice(["0", "3.00"]),
                      "split_parcel": rng.choice(["0", "1.00"])},
    }  # fmt: skip
    if rng.random() < 0.4:
        then: dict[str, Any] = {"money": {rng.choice(NODES): "1.50"}}
        if rng.random() < 0.5:
            then["mode"] = rng.choice(["optimise", "sequence"])
        policy["rules"] = [{"name": "r", "when": {"priority": {"min": 1}}, "then": then}]
    orders = [random_order(rng, f"O{i}") for i in range(rng.randrange(1, 5))]
    loads = {MON: {node_id: (rng.randrange(3), rng.randrange(3)) for node_id in NODES}}
    skus = random_catalogue(rng)
    return window(network, orders, stock, skus=skus, policy=policy, loads=loads, prices=_prices(rng, network, stock))


def _prices(rng: random.Random, network: Network, stock: Mapping[str, object]) -> PriceSheet | None:
    """Prices of some of the stock, now and then."""
    if rng.random() < 0.5:
        return None
    kept = {
        sku: [Keep(node, rng.randint(1, 3_000), "US:021") for node in network.number_of.tolist()]
        for sku in stock
        if rng.random() < 0.5
    }
    return price_sheet(kept, room=tuple(RoomPrice(node, MON, 40) for node in network.number_of.tolist()), version=9)


def leaves(asked: WindowInput, decision: dict[str, Any]) -> Counter[tuple[str, str]]:
    """Units of real goods by (node, SKU) that the parcels of a decision come to."""
    found: Counter[tuple[str, str]] = Counter()
    for parcel in decision["parcels"]:
        for line in parcel["lines"]:
            entry = asked.items[line["sku"]]
            parts = {part.sku: part.quantity for part in entry.components} or {entry.sku: 1}
            for sku, units in parts.items():
                found[line.get("node_id", parcel["node_id"]), sku] += units * line["quantity"]
    return found


def in_units_of_the_line(asked: WindowInput, line: dict[str, Any]) -> int:
    """What a parcel's line counts for, of what was ordered."""
    if "substituted_for" not in line:
        return int(line["quantity"])
    (ratio,) = [other.ratio for other in asked.items[line["substituted_for"]].substitutes if other.sku == line["sku"]]
    assert line["quantity"] % ratio == 0
    return int(line["quantity"]) // ratio


def keeps_its_limits(asked: WindowInput, one: Order, decision: dict[str, Any]) -> None:
    """Every limit of the order, by the parcels alone."""
    parcels, limits = decision["parcels"], one.limits
    shipped = Counter[str]()
    for parcel in parcels:
        for line in parcel["lines"]:
            shipped[line["line_id"]] += in_units_of_the_line(asked, line)
            assert limits.allow_substitutes or "substituted_for" not in line
            assert line.get("node_id", parcel["node_id"]) not in limits.except_nodes
        assert parcel["node_id"] not in limits.except_nodes
        if one.pickup_node is not None:
            assert (parcel["node_id"], parcel["service"]) == (one.pickup_node, "pickup")
            assert parcel["cost"]["shipping"] == "0"
    assert limits.max_parcels is None or len(parcels) <= limits.max_parcels
    assert not limits.ship_complete or not parcels or decision["status"] == "allocated"
    assert limits.allow_late or decision["cost"]["late"] == "0"
    for group in {line.group for line in one.lines} - {None}:
        members = {line.line_id for line in one.lines if line.group == group}
        holding = [parcel for parcel in parcels if members & {line["line_id"] for line in parcel["lines"]}]
        assert len(holding) <= 1
        if holding:
            assert all(shipped[line.line_id] == line.quantity for line in one.lines if line.group == group)
    for line in one.lines:
        stays = sum(each["quantity"] for each in decision["unallocated"] if each["line_id"] == line.line_id)
        assert shipped[line.line_id] + stays == line.quantity
    assert all(each["reason"] != "undecided" or asked.policy.mode != "optimise" for each in decision["unallocated"])


def takes_what_is_there(asked: WindowInput, proposals: tuple[Proposal, ...]) -> None:
    """Takes are the parcels in real goods, within the stock; loads are parcels and units, within the room."""
    network = asked.network
    name = {number: node_id for node_id, number in network.numbers.items()}
    total, parcels, units = Counter[tuple[str, str]](), Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    for proposal in proposals:
        decision = said(proposal)
        mine = Counter({(name[take.node], asked.skus[take.sku]): take.units for take in proposal.takes})
        assert mine == leaves(asked, decision)
        total += mine
        assert sum(load.parcels for load in proposal.loads) == len(decision["parcels"])
        for load in proposal.loads:
            parcels[load.day, name[load.node]] += load.parcels
            units[load.day, name[load.node]] += load.units
    for (node_id, sku), taken in total.items():
        (slot,) = [
            slot
            for slot in asked.snapshot.rows[asked.skus.index(sku)].slots
            if slot["node"] == network.numbers[node_id]
        ]
        assert taken <= int(slot["on_hand"]) - int(slot["held"]) - int(slot["safety"])
    for n, node_id in enumerate(network.node_ids):
        for used, limit, field in ((parcels, network.parcels_max, "parcels"), (units, network.units_max, "units")):
            for (day, where), amount in used.items():
                if where == node_id and limit[n] >= 0 and amount:
                    load = asked.snapshot.days.get(day)
                    before = int(load.nodes[field][network.numbers[node_id]]) if load else 0
                    assert amount <= limit[n] - before


@pytest.mark.parametrize("batch", range(6))
def test_windows_of_everything_keep_every_promise(batch):
    """Kits, substitutes, docks, limits, pick-ups, rules, capacities and later days, in any mixture."""
    for seed in range(batch * 50, batch * 50 + 50):
        asked = random_window(random.Random(seed))
        proposals = decided(asked)
        takes_what_is_there(asked, proposals)
        for one, proposal in zip(asked.orders, proposals, strict=True):
            decision = said(proposal)
            keeps_its_limits(asked, one, decision)
            terms = {name: mills(amount) for name, amount in decision["cost"].items()}
            assert terms.pop("total") == sum(terms.values())
            assert decision["status"] == proposal.state
