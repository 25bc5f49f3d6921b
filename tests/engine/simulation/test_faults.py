"""Simulations that cannot be, refused with the path of each fault before anything is made."""

from __future__ import annotations

import json

import pytest

from engine.errors import InvalidInputError
from engine.policy.document import Rule, Then
from engine.simulation.faults import require
from engine.simulation.scenario import parse_simulation
from tests.engine.making import node
from tests.engine.simulation.worlds import patched, simulation, with_policy, world

GENERATOR = {"since": "2026-11-23T00:00:00Z", "days": 1, "orders_per_day": 50}


def faults_of(of, base=None, recorded=None) -> dict[str, str]:
    try:
        require(of, base or world(), recorded)
    except InvalidInputError as error:
        return {fault.path: fault.reason for fault in error.faults}
    return {}


def test_a_sound_simulation_has_no_faults():
    """What is refused below is refused for its fault."""
    assert faults_of(simulation()) == {}


PATCH = "$.scenarios[0].patches"


@pytest.mark.parametrize(
    ("patches", "path", "reason"),
    [
        ([{"close_node": {"node_id": "X"}}], "[0].close_node.node_id", "no node 'X'"),
        ([{"capacity": {"node_id": "X", "parcels_per_day": 3}}], "[0].capacity.node_id", "no node 'X'"),
        ([{"move_stock": {"from_node": "E", "to_node": "X"}}], "[0].move_stock.to_node", "no node 'X'"),
        ([{"add_stock": {"node_id": "X", "sku": "P", "units": 1}}], "[0].add_stock.node_id", "no node 'X'"),
        ([{"add_stock": {"node_id": "E", "sku": "X", "units": 1}}], "[0].add_stock.sku", "no SKU 'X'"),
        ([{"add_stock": {"node_id": "E", "sku": "P", "units": 2**31 - 1}}], "[0].add_stock.units", "more than"),
        ([{"add_node": {"node": node("E")}}], "[0].add_node.node.node_id", "already"),
        ([{"cutoff": {"node_id": "E", "cutoff": "25:00"}}], "[0].cutoff", "not a time of day"),
        ([{"surcharge": {"carrier": "ups", "surcharge_percent": "5"}}], "[0].surcharge.carrier", "no carrier"),
        (
            [{"strike": {"carrier": "usps", "since": "2026-11-24T00:00:00Z", "until": "2026-11-23T00:00:00Z"}}],
            "[0].strike.until",
            "not after",
        ),
        ([{"policy": {"policy_id": "X", "merge": {"mode": "nearest"}}}], "[0].policy.policy_id", "no policy"),
        ([{"policy": {"merge": {"objective": {"fill": "never"}}}}], "[0].policy.merge.objective.fill", "never"),
        ([{"policy": {"merge": {"limits": {"nodes": ["X"]}}}}], "", "no node 'X'"),
        ([{"drop_rule": {"name": "X"}}], "[0].drop_rule.name", "no rule"),
        ([{"close_node": {"node_id": each}} for each in "EMW"], "", "no node is left open"),
        ([{}], "[0]", "exactly one thing"),
        ([{"demand_factor": 2, "hold": {"hours": 1}}], "[0]", "exactly one thing"),
        ([{"capacity": {"node_id": "E"}}], "[0].capacity", "changes nothing"),
    ],
)
def test_patches_that_name_what_is_not_there_or_break_what_is_are_refused_at_their_path(patches, path, reason):
    """Every fault of a patch is found by its path, and says what is wrong."""
    found = faults_of(patched(*patches))
    assert list(found) == [PATCH + path]
    assert reason in found[PATCH + path]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"close_node": {"node_id": "E"}}, {"capacity": {"node_id": "E", "parcels_per_day": 5}}),
        ({"close_node": {"node_id": "E"}}, {"close_node": {"node_id": "E"}}),
        ({"close_node": {"node_id": "E"}}, {"move_stock": {"from_node": "W", "to_node": "E"}}),
        ({"close_node": {"node_id": "E"}}, {"add_stock": {"node_id": "E", "sku": "P", "units": 1}}),
        (
            {"add_stock": {"node_id": "E", "sku": "P", "units": 1}},
            {"add_stock": {"node_id": "E", "sku": "P", "units": 2}},
        ),
        ({"demand_factor": 1.2}, {"demand_factor": 1.3}),
        ({"hold": {"hours": 1}}, {"hold": {"hours": 2}}),
        ({"prices": {"on": True}}, {"prices": {"on": False}}),
        (
            {"surcharge": {"carrier": "usps", "surcharge_percent": "5"}},
            {"surcharge": {"carrier": "usps", "service": "ground", "surcharge_percent": "9"}},
        ),
        (
            {"policy": {"merge": {"objective": {"split_parcel": "1"}}}},
            {"policy": {"merge": {"objective": {"split_parcel": "2", "balance": "1"}}}},
        ),
        ({"window": {"seconds": 5}}, {"window": {"seconds": 6, "max_orders": 10}}),
        ({"safety_stock": {"units": 3}}, {"safety_stock": {"units": 4, "skus": ["P"]}}),
    ],
)
def test_patches_that_contradict_each_other_are_refused(one, other):
    """What two patches of one scenario both change is nobody's: the second names the first."""
    found = faults_of(patched(one, other))
    [(path, reason)] = found.items()
    assert path == f"{PATCH}[1].{next(iter(other))}"
    assert f"{PATCH}[0]" in reason


@pytest.mark.parametrize(
    "patches",
    [
        [{"close_node": {"node_id": "E"}}, {"move_stock": {"from_node": "E", "to_node": "W"}}],
        [{"add_node": {"node": node("N")}}, {"move_stock": {"from_node": "E", "to_node": "N", "share": 0.5}}],
        [{"capacity": {"node_id": "E", "parcels_per_day": 5}}, {"cutoff": {"node_id": "E", "cutoff": "12:00"}}],
        [
            {"policy": {"merge": {"objective": {"split_parcel": "1"}}}},
            {"policy": {"merge": {"objective": {"balance": "1"}}}},
        ],
        [{"window": {"seconds": 5}}, {"window": {"max_orders": 10}}],
    ],
)
def test_patches_that_only_stand_beside_each_other_are_taken(patches):
    """A node is closed and its stock moved away, a new one stocked: no contradiction where none is."""
    assert faults_of(patched(*patches)) == {}


@pytest.mark.parametrize(
    ("fields", "path", "reason"),
    [
        ({"orders_per_day": 1e9}, "$.demand.generator", "at most 10,000,000"),
        ({"orders_per_day": 0}, "$.demand.generator", "no orders would come"),
        ({"season": {"hours": [0.0] * 24}}, "$.demand.generator", "no orders would come"),
        ({"season": {"hours": [1.0] * 23}}, "$.demand.generator.season.hours", "24 hours"),
        ({"skus": {"P": 1, "X": 1}}, "$.demand.generator.skus.X", "no SKU 'X'"),
        ({"lines": [0, 0]}, "$.demand.generator.lines", "above 0"),
        ({"policy_id": "X"}, "$.demand.generator.policy_id", "no policy 'X'"),
        ({"promised": {"share": 0.5, "days_min": 3, "days_max": 1}}, "$.demand.generator.promised.days_max", "less"),
    ],
)
def test_a_generator_that_makes_nothing_or_far_too_much_is_refused(fields, path, reason):
    """Empty demand, 10^9 orders, SKUs that nobody knows: refused before a single order is made."""
    found = faults_of(simulation(demand={"generator": GENERATOR | fields}))
    assert path in found
    assert reason in found[path]


def test_a_scenario_that_asks_for_too_many_orders_is_refused_even_if_the_baseline_does_not():
    """The factor of a patch counts."""
    found = faults_of(
        simulation(
            demand={"generator": GENERATOR | {"orders_per_day": 1_000_000}},
            scenarios=[{"name": "much", "patches": [{"demand_factor": 11}]}],
        )
    )
    assert "'much'" in found["$.demand.generator"]


def test_kits_in_a_circle_are_refused():
    """Kits do not nest, so none contains itself, by whatever way."""
    skus = [
        {"sku": "K1", "components": [{"sku": "K2", "quantity": 1}]},
        {"sku": "K2", "components": [{"sku": "K1", "quantity": 1}]},
    ]
    found = faults_of(simulation(skus=skus))
    assert {"$.skus[0].components[0].sku", "$.skus[1].components[0].sku"} <= found.keys()
    assert "$.skus[0].components[0].sku" in faults_of(
        simulation(skus=[{"sku": "K", "components": [{"sku": "K", "quantity": 1}]}])
    )


def test_demand_seeds_names_and_stock_are_said_once():
    """Two demands, the same seed or name twice, recorded orders with several seeds, stock of two kinds."""
    history = {"since": "2026-11-23T00:00:00Z", "until": "2026-11-24T00:00:00Z"}
    two = faults_of(simulation(demand={"generator": GENERATOR, "history": history}))
    assert "exactly one" in two["$.demand"]
    assert "$.demand" in faults_of(simulation(demand={}))
    assert "$.seeds" in faults_of(simulation(seeds=[1, 1]))
    assert "$.seeds" in faults_of(simulation(demand={"history": history}, seeds=[1, 2]), recorded=5)
    assert "$.demand.history" in faults_of(simulation(demand={"history": history}), recorded=0)
    patch = [{"demand_factor": 2}]
    names = [{"name": "a", "patches": patch}, {"name": "a", "patches": patch}, {"name": "baseline", "patches": patch}]
    assert {"$.scenarios[1].name", "$.scenarios[2].name"} <= faults_of(simulation(scenarios=names)).keys()
    stock = {"upload": {"file": "s.csv"}, "generator": {"cover_days": 3}}
    assert "$.stock" in faults_of(simulation(stock=stock))


def test_a_policy_whose_rules_leave_no_node_after_a_patch_is_refused():
    """The product's own rules judge what patches make of a policy."""
    base = with_policy(world(), rules=[Rule(name="east", then=Then(nodes=["E"]))])
    other = patched({"policy": {"merge": {"limits": {"except_nodes": ["E"]}}}})
    assert any("no node is left" in reason for reason in faults_of(other, base).values())


def test_the_document_is_read_strictly_from_json_and_yaml():
    """Unknown fields, wrong types and keys that stand twice are told with path or line, in both forms."""
    body = {
        "demand": {"generator": GENERATOR | {"days": "two"}},
        "scenarios": [{"name": "one", "patches": []}],
        "what": 1,
    }
    with pytest.raises(InvalidInputError) as refused:
        parse_simulation(json.dumps(body).encode())
    assert {fault.path for fault in refused.value.faults} == {
        "$.demand.generator.days",
        "$.scenarios[0].patches",
        "$.what",
    }
    with pytest.raises(InvalidInputError) as refused:
        parse_simulation(b"name: a\nname: b\n", as_yaml=True)
    assert refused.value.faults[0].path == "line 1"


def test_yaml_takes_words_for_words():
    """`on`, NO and 15:00 are no booleans or sixties; a file that a person writes means what it says."""
    body = b"""
demand: {generator: {since: 2026-11-23T00:00:00Z, days: 1, orders_per_day: 50}}
scenarios:
  - name: late
    patches:
      - cutoff: {node_id: NO, cutoff: 15:00}
      - prices: {on: false}
"""
    cutoff, prices = parse_simulation(body, as_yaml=True).scenarios[0].patches
    assert cutoff.cutoff is not None
    assert (cutoff.cutoff.node_id, cutoff.cutoff.cutoff) == ("NO", "15:00")
    assert prices.prices is not None
    assert prices.prices.on is False
