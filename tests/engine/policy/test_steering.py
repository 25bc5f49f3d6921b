"""What a policy means for orders: which rules are for which, and what they do."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from engine.domain import Component, Limits, Order, Sku
from engine.policy import Policy
from engine.policy.document import thousandths
from engine.policy.steering import ORDER_LIMITS, POLICY_LIMITS, Steering, steer
from solvers.problem import Mode
from tests.engine.making import compiled, document, node, order

NETWORK = compiled(document([node("A", kind="dc"), node("B", kind="store"), node("C", kind="store"), node("D")]))
ITEMS = {
    entry.sku: entry
    for entry in (
        Sku(sku="FLAMMABLE", requires=["hazmat", "adult"]),
        Sku(sku="WATCH", value="90.00"),
        Sku(sku="KIT", components=[Component(sku="FLAMMABLE", quantity=2)]),
    )
}


def steered(policy: dict[str, Any], *orders: Order) -> Steering:
    return steer(msgspec.convert(policy, Policy), orders, NETWORK, ITEMS)


def rule(name: str, when: dict[str, Any] | None = None, **then: Any) -> dict[str, Any]:
    return {"name": name, "when": when or {}, "then": then}


def left(steering: Steering, o: int = 0) -> str:
    """The nodes that may ship an order."""
    return "".join(node_id for node_id, may in zip(NETWORK.node_ids, steering.allowed[o], strict=True) if may)


PLAIN = order("O", ("X", 1))
TO_CANADA = {"country": "CA", "region": "ON"}
RICH = order("RICH", ("WATCH", 2), ("KIT", 1), channel="app", level="express", priority=7, ship_to=TO_CANADA)


def test_the_default_policy_steers_nothing():
    """Whoever writes no policy gets all nodes, no money and the optimiser."""
    steering = steered({}, PLAIN, RICH)
    assert (left(steering, 0), left(steering, 1)) == ("ABCD", "ABCD")
    assert not steering.money.any()
    assert steering.modes == (Mode.OPTIMISE, Mode.OPTIMISE)
    assert steering.limits == (Limits(), Limits())
    assert steering.matched == ((), ())
    assert steering.excluded(0) == {}


@pytest.mark.parametrize(
    "when",
    [
        {"channel": ["app", "phone"]},
        {"channel": "app"},
        {"level": ["express"]},
        {"priority": {"min": 7, "max": 7}},
        {"priority": {"min": 1}},
        {"country": ["MX", "CA"]},
        {"country": "CA"},
        {"region": ["ON"]},
        {"value": {"min": "180.00"}},
        {"value": {"min": "0.001", "max": "180"}},
        {"capability": ["cold", "hazmat"]},
        {"channel": ["app"], "country": ["CA"], "value": {"min": "100"}},
    ],
)
def test_each_when_matches_what_it_says_and_nothing_else(when):
    """A rule is for the orders that its conditions describe: one order fits each of these, the plain one none."""
    assert steered({"rules": [rule("r", when)]}, PLAIN, RICH).matched == ((), ("r",))


@pytest.mark.parametrize(
    "when",
    [
        {"priority": {"max": 6}},
        {"priority": {"min": 8}},
        {"value": {"max": "179.999"}},
        {"region": ["QC"]},
        {"capability": ["cold"]},
        {"channel": ["app"], "country": ["US"]},
    ],
)
def test_all_conditions_must_hold(when):
    """One condition that fails keeps a rule away."""
    assert steered({"rules": [rule("r", when)]}, RICH).matched == ((),)


def test_absent_conditions_match_every_order():
    """An empty `when`, and empty lists, restrict nothing."""
    whens: list[dict[str, Any]] = [{}, {"channel": [], "capability": []}, {"priority": {}}, {"value": {}}]
    rules = [rule(str(k), when) for k, when in enumerate(whens)]
    assert steered({"rules": rules}, PLAIN, RICH).matched == (("0", "1", "2", "3"),) * 2


def test_the_price_of_a_line_counts_before_the_catalogue():
    """An order's value is what the customer pays, where the order says so."""
    sold = msgspec.structs.replace(RICH.lines[0], unit_price="10.00")
    cheap = msgspec.structs.replace(RICH, lines=[sold, *RICH.lines[1:]])
    matched = steered({"rules": [rule("r", {"value": {"min": "20", "max": "20.00"}})]}, cheap, RICH).matched
    assert matched == (("r",), ())


@pytest.mark.parametrize(
    ("then", "nodes"),
    [
        ({"nodes": ["A", "B"]}, "AB"),
        ({"kinds": ["store"]}, "BC"),
        ({"nodes": ["A"], "kinds": ["store"]}, "ABC"),
        ({"except_nodes": ["A", "B"]}, "CD"),
        ({"except_kinds": ["store"]}, "AD"),
        ({"nodes": ["A", "B"], "except_nodes": ["B"]}, "A"),
        ({"limits": {"nodes": ["D"]}}, "D"),
        ({"limits": {"except_nodes": ["D"]}}, "ABC"),
        ({}, "ABCD"),
    ],
)
def test_each_then_keeps_out_the_nodes_it_says(then, nodes):
    """Restrictions and exclusions of a rule hold for the orders it matches, and explanations name it."""
    steering = steered({"rules": [rule("app only", {"channel": ["app"]}, **then)]}, PLAIN, RICH)
    assert (left(steering, 0), left(steering, 1)) == ("ABCD", nodes)
    assert steering.excluded(0) == {}
    assert steering.excluded(1) == {n: "app only" for n, node_id in enumerate("ABCD") if node_id not in nodes}


def test_a_rule_that_excludes_nothing_changes_nothing():
    """Adding an idle rule must not move a single decision: only its name is told."""
    idle = rule("idle", except_nodes=[], limits={"split_lines": True}, money={"A": "0"})
    plain, with_rule = steered({}, PLAIN, RICH), steered({"rules": [idle]}, PLAIN, RICH)
    assert (plain.allowed == with_rule.allowed).all()
    assert (plain.money == with_rule.money).all()
    assert plain._replace(allowed=0, money=0, matched=0) == with_rule._replace(allowed=0, money=0, matched=0)


def test_restrictions_intersect_exclusions_unite_and_the_first_is_named():
    """Several rules for one order: what any of them keeps out is out; the explanation names who said so first."""
    rules = [rule("one", nodes=["A", "B", "C"]), rule("two", nodes=["B", "C", "D"]), rule("three", except_nodes=["C"])]
    steering = steered({"rules": rules, "limits": {"except_nodes": ["D"]}}, PLAIN)
    assert left(steering) == "B"
    assert steering.excluded(0) == {0: "two", 2: "three", 3: POLICY_LIMITS}


def test_an_order_and_its_policy_that_share_no_node_leave_none():
    """An empty intersection is no node at all, never "no restriction"."""
    limited = order("O", ("X", 1), limits={"nodes": ["A"]})
    steering = steered({"limits": {"nodes": ["B"]}}, limited, PLAIN)
    assert (left(steering, 0), left(steering, 1)) == ("", "B")
    assert steering.excluded(0) == {0: POLICY_LIMITS, 1: ORDER_LIMITS, 2: POLICY_LIMITS, 3: POLICY_LIMITS}
    assert steering.limits[0].nodes == []


def test_an_order_that_names_no_node_of_the_network_gets_none():
    """A slip in an order's own nodes does not open all others to it."""
    assert left(steered({}, order("O", ("X", 1), limits={"nodes": ["GONE"]}))) == ""


def test_a_restriction_never_opens_what_it_closed():
    """Goods that may leave from one node only do not leave from all others once that one left the network."""
    gone = rule("gone", nodes=["GONE"], except_nodes=["GONE"], money={"GONE": "5"})
    steering = steered({"rules": [gone]}, PLAIN)
    assert left(steering) == ""
    assert not steering.money.any()
    assert left(steered({"rules": [rule("half", nodes=["GONE", "A"])]}, PLAIN)) == "A"


def test_limits_take_the_strictest_of_order_policy_and_rules():
    """Nobody's limit is lost, whoever sets it."""
    policy = {
        "limits": {"max_parcels": 5, "min_split_value": "3.00", "allow_late": False},
        "rules": [rule("r", limits={"max_parcels": 3, "split_lines": False, "allow_substitutes": True})],
    }
    own = {"max_parcels": 4, "min_split_value": "20", "ship_complete": True}
    steering = steered(policy, order("O", ("X", 1), limits=own), PLAIN)
    shared = {"max_parcels": 3, "split_lines": False, "allow_late": False, "allow_substitutes": True}
    assert steering.limits[0] == Limits(**shared, min_split_value="20", ship_complete=True)
    assert steering.limits[1] == Limits(**shared, min_split_value="3.00")


def test_money_adds_up_and_the_last_mode_counts():
    """Guidance of several rules is summed in mills; a later rule overrides an earlier one's mode."""
    rules = [
        rule("one", money={"A": "1.50", "B": "0.25"}, mode="nearest"),
        rule("two", {"channel": ["app"]}, money={"A": "0.005"}, mode="most_stock"),
        rule("three"),
    ]
    steering = steered({"mode": "sequence", "rules": rules}, PLAIN, RICH)
    assert steering.money.tolist() == [[1500, 250, 0, 0], [1505, 250, 0, 0]]
    assert steering.modes == (Mode.NEAREST, Mode.MOST_STOCK)
    assert steered({"mode": "sequence"}, PLAIN).modes == (Mode.SEQUENCE,)


def test_weights_are_thousandths():
    """Weights may be numbers or strings and are exact either way."""
    assert [thousandths(weight) for weight in ("1", 1, "0.001", 0.3, "100", 1.1)] == [1000, 1000, 1, 300, 100_000, 1100]


def test_a_large_window_is_steered_in_no_time():
    """Rules must not eat the time of a window: 500 orders, 20 rules, some 2 ms of processor time (ten are allowed)."""
    rules = [
        rule(
            f"r{k}",
            {"region": [f"R{k}", "R3"], "value": {"min": str(k)}, "channel": ["web", f"c{k}"]},
            money={"A": "1"},
        )
        for k in range(20)
    ]
    policy = msgspec.convert({"rules": rules}, Policy)
    orders = [
        order(f"O{k}", ("WATCH", 1 + k % 5), ("X", 1), ("Y", 2), ship_to={"region": f"R{k % 50}"}) for k in range(500)
    ]
    seconds = []
    for _ in range(5):
        began = time.thread_time()
        steer(policy, orders, NETWORK, ITEMS)
        seconds.append(time.thread_time() - began)
    assert min(seconds) < 0.010
