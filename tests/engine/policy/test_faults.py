"""What a policy may not say, and that everything wrong with it is said at once."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from engine.errors import Fault, InvalidInputError
from engine.policy import Policy
from engine.policy.document import When
from engine.policy.faults import parse_policy
from engine.policy.rules import contains
from tests.engine.making import compiled, document, node

NETWORK = compiled(document([node("A"), node("B", kind="store"), node("C", kind="store")]))


def faults(policy: Any, network: Any = NETWORK) -> list[Fault]:
    body = policy if isinstance(policy, bytes) else json.dumps(policy).encode()
    try:
        parse_policy(body, network)
    except InvalidInputError as error:
        return list(error.faults)
    return []


def rule(name: str, when: dict[str, Any] | None = None, **then: Any) -> dict[str, Any]:
    return {"name": name, "when": when or {}, "then": then}


def paths(*rules: dict[str, Any], **fields: Any) -> list[str]:
    return [fault.path for fault in faults({"rules": list(rules), **fields})]


def test_every_field_has_its_documented_default():
    """`{}` is a policy, and says the same as the built-in one."""
    policy = parse_policy(b"{}", None)
    assert policy == Policy()
    assert msgspec.to_builtins(policy) == {
        "mode": "optimise",
        "objective": {
            "fill": "always", "shipping": "1", "handling": "1", "split_parcel": "0", "late_per_day": "5.00",
            "unfilled_per_unit": "25.00", "stock_price": "1",
                "stock_price_refuses": False, "balance": "0",
        },
        "limits": {
            "max_parcels": None, "ship_complete": False, "split_lines": True, "nodes": [], "except_nodes": [],
            "min_split_value": None, "allow_late": True, "allow_substitutes": False,
        },
        "window": {"max_wait_ms": 10.0, "max_orders": 200},
        "solver": {"work": 20_000_000, "budget_ms": 2_000, "gap": 0.0005},
        "capacity_horizon_days": 0,
        "reoptimise": {"mode": "off", "every_seconds": 300, "min_saving": "0.50", "max_orders": 200},
        "rules": [],
    }  # fmt: skip


def test_a_policy_without_faults_passes():
    """Whatever the contract names can be said."""
    rules = [
        rule("all", {"channel": ["web"], "level": "express", "priority": {"min": 1, "max": 3}, "country": ["US"],
                     "region": ["NY"], "value": {"min": "1", "max": "1"}, "capability": ["hazmat"]},
             nodes=["A", "B"], except_nodes=["B"], money={"A": "1.50"}, mode="nearest", limits={"max_parcels": 2}),
        rule("some", {"channel": ["web", "app"]}, kinds=["store"], except_kinds=["dc"], mode="sequence"),
        rule("app", {"channel": "app"}, except_nodes=["C"]),
    ]  # fmt: skip
    rules[1]["when"]["level"] = "standard"
    assert faults({"objective": {"shipping": 1.5, "handling": "0.001"}, "rules": rules}) == []


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"colour": 1, "objective": {"fill": "never"}}, ["$.colour", "$.objective.fill"]),
        ({"rules": [rule("r", money={"A": "-1", "B": "x"})]}, ["$.rules[0].then.money.A", "$.rules[0].then.money.B"]),
        ({"capacity_horizon_days": 31}, ["$.capacity_horizon_days"]),
        (
            {"reoptimise": {"mode": "dry", "every_seconds": 0, "min_saving": "-1", "max_orders": 2_001, "now": 1}},
            [f"$.reoptimise.{name}" for name in ("now", "mode", "every_seconds", "min_saving", "max_orders")],
        ),
        ({"reoptimise": {"mode": True, "min_saving": "1000000"}}, ["$.reoptimise.mode", "$.reoptimise.min_saving"]),
        ({"objective": {"shipping": 100.5}}, ["$.objective.shipping"]),
        ({"objective": {"shipping": "100.5", "handling": 0.0001}}, ["$.objective.shipping", "$.objective.handling"]),
        (b'{"mode": "nearest", "mode": "nearest"}', ["$.mode"]),
    ],
)
def test_faults_of_form_are_named_by_path(policy, expected):
    """A person sees every place that is not of the documented form."""
    assert [fault.path for fault in faults(policy)] == expected


def test_unknown_nodes_are_named_wherever_they_stand():
    """A slip in a node id would make a rule do nothing."""
    one = rule("r", nodes=["A", "X"], except_nodes=["Y"], money={"Z": "1"}, limits={"nodes": ["V", "A"]})
    assert paths(one, limits={"except_nodes": ["W"]}) == [
        "$.limits.except_nodes[0]",
        "$.rules[0].then.nodes[1]",
        "$.rules[0].then.except_nodes[0]",
        "$.rules[0].then.limits.nodes[0]",
        "$.rules[0].then.money.Z",
    ]


def test_without_a_network_no_node_is_known():
    """A policy may come before the network, as long as it names none of its nodes."""
    assert faults({"rules": [rule("r", kinds=["store"])]}, None) == []
    assert [fault.path for fault in faults({"rules": [rule("r", nodes=["A"])]}, None)] == ["$.rules[0].then.nodes[0]"]


def test_rules_have_names_of_their_own():
    """An explanation that names a rule must mean one."""
    assert paths(rule("r"), rule("s"), rule("r")) == ["$.rules[2].name"]


@pytest.mark.parametrize(
    ("when", "path"),
    [
        ({"priority": {"min": 2, "max": 1}}, "$.rules[0].when.priority"),
        ({"value": {"min": "10", "max": "9.999"}}, "$.rules[0].when.value"),
    ],
)
def test_ranges_that_hold_nothing_are_refused(when, path):
    """A rule that no order can match is a slip."""
    assert paths(rule("r", when)) == [path]


@pytest.mark.parametrize(
    "then",
    [
        {"nodes": ["A"], "except_nodes": ["A"]},
        {"except_nodes": ["A", "B", "C"]},
        {"nodes": ["A"], "limits": {"nodes": ["B"]}},
        {"kinds": ["store"], "except_kinds": ["store"]},
        {"nodes": ["B"], "except_kinds": ["store"]},
    ],
)
def test_a_rule_that_leaves_no_node_is_refused(then):
    """Its orders could never ship."""
    assert paths(rule("r", **then)) == ["$.rules[0].then"]


def test_limits_that_leave_no_node_are_refused():
    """No order of the policy could ever ship."""
    assert paths(limits={"nodes": ["A"], "except_nodes": ["A"]}) == ["$.limits"]


def test_money_for_a_node_that_the_rule_keeps_out_is_refused():
    """It says two things of one node."""
    assert paths(rule("r", nodes=["A"], money={"A": "1", "B": "1"})) == ["$.rules[0].then.money.B"]


def test_kinds_of_which_there_is_no_node_are_refused():
    """They would leave no node at all."""
    assert paths(rule("r", kinds=["3pl"])) == ["$.rules[0].then.kinds"]


def test_rules_that_always_hold_together_must_leave_a_node():
    """Of rules that contradict each other for the same orders, the narrower or later one is named, with the others."""
    wide, narrow = rule("wide", nodes=["A"]), rule("narrow", {"channel": ["web"]}, nodes=["B"])
    for pair, path in (((wide, narrow), "$.rules[1].then"), ((narrow, wide), "$.rules[0].then")):
        (fault,) = faults({"rules": pair})
        assert fault.path == path
        assert "'narrow' together with 'wide'" in fault.reason
    assert paths(rule("one", nodes=["A"]), rule("two", nodes=["B"])) == ["$.rules[1].then"]
    assert paths(rule("r", nodes=["A"]), limits={"nodes": ["B"]}) == ["$.rules[0].then"]


def test_rules_that_need_not_hold_together_may_differ():
    """Rules for different orders contradict nothing, even if some order may match both."""
    assert paths(rule("one", {"channel": ["web"]}, nodes=["A"]), rule("two", {"level": ["x"]}, nodes=["B"])) == []


def test_a_mode_that_a_later_rule_always_overrides_is_refused():
    """A mode that can never count is a slip; the same mode again is none."""
    narrow = rule("narrow", {"channel": ["web"]}, mode="nearest")
    assert paths(narrow, rule("wide", mode="sequence")) == ["$.rules[0].then.mode"]
    assert paths(narrow, rule("wide", mode="nearest")) == []
    assert paths(rule("wide", mode="sequence"), narrow) == []


def test_all_faults_at_once_but_at_most_a_hundred():
    """A person fixes a document once; a machine's mistake does not make an endless answer."""
    wrong = rule("r", {"priority": {"min": 1, "max": 0}}, nodes=["X"]), rule("r", except_nodes=["A", "B", "C"])
    named = ["$.rules[0].when.priority", "$.rules[0].then.nodes[0]", "$.rules[1].name", "$.rules[1].then"]
    assert paths(*wrong) == named
    assert len(paths(*(rule("r") for _ in range(150)))) == 100


@pytest.mark.parametrize(
    ("outer", "inner", "holds"),
    [
        ({}, {}, True),
        ({}, {"channel": ["a"]}, True),
        ({"channel": ["a"]}, {}, False),
        ({"channel": ["a", "b"]}, {"channel": "a"}, True),
        ({"channel": ["a"]}, {"channel": ["a", "b"]}, False),
        ({"channel": ["a"]}, {"level": ["a"]}, False),
        ({"priority": {"min": 1}}, {"priority": {"min": 1, "max": 5}}, True),
        ({"priority": {"min": 1, "max": 5}}, {"priority": {"min": 1}}, False),
        ({"value": {"max": "10.00"}}, {"value": {"max": "9.99"}, "region": ["NY"]}, True),
        ({"value": {"max": "9.99"}}, {"value": {"max": "10"}}, False),
    ],
)
def test_containment(outer, inner, holds):
    """One rule is for all orders of another only if each of its conditions is as wide."""
    assert contains(msgspec.convert(outer, When), msgspec.convert(inner, When)) is holds
