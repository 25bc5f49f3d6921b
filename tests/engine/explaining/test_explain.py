"""Explanations: every node has its say, by whom it is kept out and what it would have cost."""

from __future__ import annotations

import random
from typing import Any

import pytest

from engine.deciding import decide
from engine.domain import Sku
from engine.explaining.document import Explanation, NodeView
from engine.explaining.explain import explain
from engine.explaining.funnel import barriers, lacking
from engine.lowering import WindowInput, lower
from engine.policy.steering import steer
from tests.engine.making import card, compiled, document, node, order, window

LANES = [{"node_id": name, "to": "*", "service": "van", "parcel": price} for name, price in (("a", "5"), ("b", "7"))]


def explained(asked: WindowInput, order_id: str) -> Explanation:
    """The explanation of what deciding this window gives."""
    proposals = decide(asked, now=lambda: 0.0).proposals
    decision = next(proposal.decision for proposal in proposals if proposal.order_id == order_id)
    return explain(asked, order_id, decision, now=lambda: 0.0)


def two_nodes(**more: Any) -> Any:
    """Nodes a and b by van; b takes the fields."""
    return compiled(document([node("a"), node("b", **more)], carriers=[], lanes=LANES))


def node_of(explanation: Explanation, node_id: str) -> NodeView:
    """What the explanation says of one node."""
    return next(view for view in explanation.nodes if view.node_id == node_id)


def test_the_choice_and_the_next_best_node_have_their_price_and_difference() -> None:
    """The reader sees what the order would have cost elsewhere, and how much cheaper that would have to be."""
    asked = window(two_nodes(), [order("O", ("S", 2))], {"S": {"a": 9, "b": 9}})
    told = explained(asked, "O")
    assert told.reproduced
    assert (node_of(told, "a").chosen, node_of(told, "b").chosen) == (True, False)
    plan = node_of(told, "b").plan
    assert plan is not None
    assert (plan.cost.total, plan.difference) == ("7.00", "2.00")
    assert node_of(told, "b").change == "its plan would have to cost 2.00 less"
    assert told.alone.difference == "0"


def test_what_the_others_of_the_window_took_is_not_offered_but_alone_it_would_have_been() -> None:
    """Two orders want the one unit at a; the one that got b is told that alone it would have saved 2.00."""
    asked = window(two_nodes(), [order("O-1", ("S", 1)), order("O-2", ("S", 1))], {"S": {"a": 1, "b": 9}})
    told = [explained(asked, name) for name in ("O-1", "O-2")]
    (loser,) = [each for each in told if node_of(each, "b").chosen]
    assert loser.alone.difference == "-2.00"
    (obstacle,) = node_of(loser, "a").obstacles
    assert (obstacle.stage, obstacle.units) == ("held", 1)


@pytest.mark.parametrize(
    ("fields", "stage", "by"),
    [
        ({"active": False}, "active", "node.active"),
        ({"channels": ["shop"]}, "channel", "node.channels"),
        ({"serves": {"countries": ["CA"]}}, "serves", "node.serves.countries"),
        ({"serves": {"postal_prefixes": ["99"]}}, "serves", "node.serves.postal_prefixes"),
        ({"serves": {"except_postal_prefixes": ["67"]}}, "serves", "node.serves.except_postal_prefixes"),
        ({"capabilities": []}, "capability", "node.capabilities"),
    ],
)
def test_a_node_that_may_not_serve_names_the_field_that_says_so(fields: dict[str, Any], stage: str, by: str) -> None:
    """Whoever asks 'why not from here' gets the stage and the field to change."""
    skus = [Sku(sku="S", requires=["cold"])]
    network = compiled(
        document([node("a", capabilities=["cold"]), node("b", **{"capabilities": ["cold"], **fields})], [], LANES)
    )
    asked = window(
        network, [order("O", ("S", 1), ship_to={"postal_code": "67401"})], {"S": {"a": 9, "b": 9}}, skus=skus
    )
    view = node_of(explained(asked, "O"), "b")
    assert not view.eligible
    assert [(obstacle.stage, obstacle.by) for obstacle in view.obstacles] == [(stage, by)]
    assert view.plan is None
    assert view.change


@pytest.mark.parametrize(
    ("limits", "by"),
    [({"nodes": ["a"]}, "order limits"), ({"except_nodes": ["b"]}, "order limits")],
)
def test_the_order_s_own_wishes_are_named(limits: dict[str, Any], by: str) -> None:
    """A node that the order left out is not a fault of the network."""
    asked = window(two_nodes(), [order("O", ("S", 1), limits=limits)], {"S": {"a": 9, "b": 9}})
    (obstacle,) = node_of(explained(asked, "O"), "b").obstacles
    assert obstacle.stage == "limits"
    assert by in obstacle.by


def test_a_rule_that_keeps_a_node_out_is_named() -> None:
    """A merchant must find the rule that did it."""
    policy = {"rules": [{"name": "no-b", "when": {}, "then": {"except_nodes": ["b"]}}]}
    asked = window(two_nodes(), [order("O", ("S", 1))], {"S": {"a": 9, "b": 9}}, policy=policy)
    told = explained(asked, "O")
    assert told.policy.rules == ("no-b",)
    (obstacle,) = node_of(told, "b").obstacles
    assert (obstacle.stage, "no-b" in obstacle.by) == ("rule", True)


def test_stock_holds_weight_and_room_say_what_is_missing() -> None:
    """The later stages of the funnel, each with what would have to change."""
    network = compiled(
        document(
            [node("a"), node("b", capacity={"parcels_per_day": 0}), node("c"), node("d")], [card(max_weight_g=900)]
        )
    )
    stock = {"S": {"a": 9, "b": 9, "c": {"on_hand": 5, "held": 4}, "d": 1}, "H": {"a": 9}}
    asked = window(network, [order("O", ("S", 2))], stock)
    told = explained(asked, "O")
    stages = {view.node_id: [obstacle.stage for obstacle in view.obstacles] for view in told.nodes}
    assert stages == {"a": [], "b": ["capacity"], "c": ["held"], "d": ["stock"]}
    heavy = window(network, [order("O", ("H", 1))], stock, skus=[Sku(sku="H", weight_g=950)])
    assert [obstacle.stage for obstacle in node_of(explained(heavy, "O"), "a").obstacles] == ["weight"]


def test_no_service_is_named_as_such() -> None:
    """A level that nobody carries is the network's matter."""
    network = compiled(document([node("a")], [card(levels=["standard"])]))
    asked = window(network, [order("O", ("S", 1), level="express")], {"S": {"a": 9}})
    assert [obstacle.stage for obstacle in node_of(explained(asked, "O"), "a").obstacles] == ["service"]


def test_names_and_masks_agree_on_who_may_serve() -> None:
    """The funnel in words and the one in arrays are two, so that each can prove the other, on 300 random networks."""
    rng = random.Random(7)
    for _ in range(300):
        asked = _random_window(rng)
        lowered = lower(asked)
        steering = steer(asked.policy, asked.orders, asked.network, asked.items)
        documents = {each.node_id: each for each in asked.network.document.nodes}
        for o, one in enumerate(asked.orders):
            for n, node_id in enumerate(asked.network.node_ids):
                bars = [bar for bar in steering.bars[o] if bar.nodes[n]]
                told = [*barriers(one, documents[node_id], rerouted=False, bars=bars)]
                assert lowered.places.may[o, n] == (not told)
                barred = {obstacle.line_id for obstacle in lacking(one, documents[node_id], asked.items)}
                for at, line in enumerate(one.lines):
                    row = int(lowered.problem.lines.start[o]) + at
                    assert lowered.problem.lines.eligible[row, n] == (not told and line.line_id not in barred)


def _random_window(rng: random.Random) -> WindowInput:
    def some(*values: Any) -> list[Any]:
        return [value for value in values if rng.random() < 0.4]

    names = ["a", "b", "c"]
    nodes = [
        node(
            name,
            active=rng.random() < 0.8,
            channels=some("web", "shop"),
            capabilities=some("cold", "hazmat"),
            serves={
                "countries": some("US", "CA"),
                "postal_prefixes": some("67", "9"),
                "except_postal_prefixes": some("674", "99"),
            },
        )
        for name in names
    ]
    skus = [Sku(sku="S", requires=some("cold")), Sku(sku="T", requires=some("hazmat", "cold"))]
    rules = [{"name": "r", "when": {"channel": some("web")}, "then": {"except_nodes": some(*names)}}]
    fields: dict[str, Any] = {"limits": {"nodes": some(*names), "except_nodes": some(*names)}}
    if rng.random() < 0.2:
        fields["pickup_node"] = rng.choice(names)
    to = {"country": rng.choice(["US", "CA"]), "postal_code": rng.choice([None, "67401", "99501", "10001"])}
    one = order("O", ("S", 1), ("T", 1), channel=rng.choice(["web", "shop"]), ship_to=to, **fields)
    stock = {"S": dict.fromkeys(names, 5), "T": dict.fromkeys(names, 5)}
    network = compiled(document(nodes, [], [{"node_id": name, "to": "*", "service": "van"} for name in names]))
    return window(network, [one], stock, skus=skus, policy={"rules": rules})
