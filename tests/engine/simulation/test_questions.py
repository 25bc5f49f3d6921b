"""Questions become scenarios: which, how they are bounded, and what cannot be asked."""

from __future__ import annotations

import msgspec
import pytest

from engine.domain import Limits
from engine.errors import InvalidInputError
from engine.policy.document import Policy, Rule, Then
from engine.simulation.questions import asked
from engine.simulation.scenario import Simulation, parse_simulation
from engine.simulation.simulating import prepared
from tests.engine.simulation.worlds import simulation, with_policy, world

POLICY = {"limits": Limits(max_parcels=1), "rules": [Rule(name="east", then=Then(nodes=["E"]))]}


def questioned(**questions) -> Simulation:
    return simulation(scenarios=[], questions=questions)


def test_all_questions_together_become_scenarios_that_can_run():
    """The whole part of the document: rules, nodes, values and places, each a scenario that can be prepared."""
    base = with_policy(world(), **POLICY)
    of = asked(
        questioned(
            price_of_policy={},
            closings=True,
            sweeps=[
                {"name": "safety", "parameter": "safety_stock", "values": [0, 2]},
                {"name": "window", "parameter": "window", "values": [0.5]},
                {"name": "parcels", "parameter": "max_parcels", "values": [3]},
                {"name": "held", "parameter": "hold", "values": [1.5]},
            ],
            worth={"skus": ["P"], "units": 7, "measured": True, "nodes": ["E", "W"]},
        ),
        base,
    )
    assert [scenario.name for scenario in of.scenarios] == [
        "without rule east",
        "without limit max_parcels",
        "without rules and limits",
        "close E",
        "close M",
        "close W",
        "safety 0",
        "safety 2",
        "window 0.5",
        "parcels 3",
        "held 1.5",
        "7 P at E",
        "7 P at W",
    ]
    assert prepared(of, base).node_ids() == {"E", "M", "W"}
    assert parse_simulation(msgspec.json.encode(of)) == of


def test_a_simulation_is_asked_once_before_it_is_prepared():
    """Asking again adds nothing; forgetting to ask is an error and not an answer that is missing."""
    of = questioned(closings=["E"])
    once = asked(of, world())
    assert asked(once, world()) == once
    assert prepared(once, world())
    with pytest.raises(InvalidInputError, match="asked before"):
        prepared(of, world())
    plain = simulation()
    assert asked(plain, world()) is plain


def test_questions_stand_beside_scenarios_of_ones_own():
    """The policy of the baseline is the one that is asked about, and what the caller wrote stays first."""
    of = simulation(baseline=[{"policy": {"merge": {"limits": {"max_parcels": 2}}}}], questions={"price_of_policy": {}})
    assert [scenario.name for scenario in asked(of, world()).scenarios] == ["more", "without limit max_parcels"]


def test_names_of_scenarios_are_never_too_long():
    """Long ids do not make a document that the next process cannot read."""
    sku, other = "s" * 128, "s" * 127 + "t"
    base = world({("E", sku): 1, ("E", other): 1})
    of = asked(questioned(worth={"skus": [sku, other], "measured": True, "nodes": ["E"]}), base)
    names = [scenario.name for scenario in of.scenarios]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 128
    assert parse_simulation(msgspec.json.encode(of)) == of


@pytest.mark.parametrize(
    ("questions", "path", "reason"),
    [
        ({"price_of_policy": {"policy_id": "X"}}, "price_of_policy.policy_id", "no policy 'X'"),
        ({"price_of_policy": {}}, "price_of_policy", "neither rules nor limits"),
        ({"closings": ["E", "X"]}, "closings[1]", "no active node 'X'"),
        ({"sweeps": [{"name": "s", "parameter": "safety_stock", "values": [1.5]}]}, "sweeps[0].values[0]", "int"),
        ({"sweeps": [{"name": "s", "parameter": "safety_stock", "values": [-1]}]}, "sweeps[0].values[0]", ">= 0"),
        ({"sweeps": [{"name": "s", "parameter": "max_parcels", "values": [1, 0]}]}, "sweeps[0].values[1]", ">= 1"),
        ({"sweeps": [{"name": "s", "parameter": "window", "values": [1, 1]}]}, "sweeps[0].values[1]", "earlier"),
        ({"sweeps": [{"name": "s", "parameter": "hold", "values": [1e9]}]}, "sweeps[0].values[0]", "<="),
        (
            {"sweeps": [{"name": "s", "parameter": "max_parcels", "values": [1], "policy_id": "X"}]},
            "sweeps[0].policy_id",
            "no policy",
        ),
        ({"worth": {"skus": ["P", "X"]}}, "worth.skus[1]", "no SKU 'X'"),
        ({"worth": {"skus": ["P", "P"]}}, "worth.skus[1]", "earlier"),
        ({"worth": {"skus": ["P"], "nodes": ["X"]}}, "worth.nodes[0]", "no active node"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_path(questions, path, reason):
    """Each mistake is told where it stands and before anything runs."""
    with pytest.raises(InvalidInputError) as refused:
        asked(questioned(**questions), world())
    [fault] = refused.value.faults
    assert fault.path == f"$.questions.{path}"
    assert reason in fault.reason


def test_worth_is_answered_by_prices_only():
    """Without prices there is nothing to answer from, which is told instead of zeros."""
    of = simulation(scenarios=[], pricing={"on": False}, questions={"worth": {"skus": ["P"]}})
    with pytest.raises(InvalidInputError, match="cannot be answered"):
        asked(of, world())


def test_more_scenarios_than_a_simulation_may_have_are_refused_at_the_question():
    """Questions are bounded like everything else that a caller writes."""
    values = [float(value) for value in range(1, 27)]
    sweeps = [{"name": name, "parameter": "window", "values": values} for name in ("a", "b")]
    with pytest.raises(InvalidInputError) as refused:
        asked(questioned(sweeps=sweeps), world())
    assert [fault.path for fault in refused.value.faults] == ["$.questions.sweeps[1]"]


def test_one_name_for_two_scenarios_is_refused():
    """A scenario of one's own that is called like an answer but changes something else would be taken for it."""
    of = simulation(scenarios=[{"name": "close E", "patches": [{"demand_factor": 2}]}], questions={"closings": ["E"]})
    with pytest.raises(InvalidInputError) as refused:
        asked(of, world())
    assert [fault.path for fault in refused.value.faults] == ["$.questions.closings"]


def test_a_simulation_asks_something():
    """Without scenarios and questions there is nothing to compare."""
    for empty in (simulation(scenarios=[]), simulation(scenarios=[], questions={})):
        with pytest.raises(InvalidInputError) as refused:
            prepared(asked(empty, world()), world())
        assert "$.scenarios" in {fault.path for fault in refused.value.faults}


def test_malformed_patches_are_told_before_questions_are_asked():
    """A baseline that says two things in one patch is a fault like any other, not a crash of the asking."""
    of = simulation(baseline=[{"demand_factor": 2, "prices": {"on": False}}], questions={"closings": True})
    with pytest.raises(InvalidInputError) as refused:
        asked(of, with_policy(world(), **POLICY))
    assert [fault.path for fault in refused.value.faults] == ["$.baseline[0]"]


def test_policies_without_limits_have_only_their_rules_to_drop():
    """One rule is the whole policy: it is not dropped twice under two names."""
    base = msgspec.structs.replace(world(), policies={"default": Policy(rules=POLICY["rules"])})
    of = asked(questioned(price_of_policy={}), base)
    assert [scenario.name for scenario in of.scenarios] == ["without rule east"]
