"""Kits and substitutes: what stands on a line is not always what leaves the shelf."""

from __future__ import annotations

from typing import Any

from engine.domain import Component, Sku, Substitute
from engine.ledger.port import Take
from engine.lowering import lower, touched
from tests.engine.making import column, compiled, document, node, order, window
from tests.engine.reading import decided, said, where, why


def kit(sku: str, parts: dict[str, int], **fields: Any) -> Sku:
    """A kit of so many units of other SKUs."""
    return Sku(sku=sku, components=[Component(sku=part, quantity=units) for part, units in parts.items()], **fields)


def replaceable(sku: str, by: dict[str, int], **fields: Any) -> Sku:
    """A SKU for one unit of which so many units of others may ship."""
    return Sku(sku=sku, substitutes=[Substitute(sku=other, ratio=ratio) for other, ratio in by.items()], **fields)


def willing(order_id: str, *lines: tuple[str, int], **fields: Any):
    """An order that takes substitutes."""
    return order(order_id, *lines, limits={"allow_substitutes": True}, **fields)


TWO = compiled(document([node("A"), node("B", lon=-95.0)]))


def test_the_snapshot_brings_all_that_may_ship():
    """Lines first, then substitutes and components, also the components of a substitute; nothing twice."""
    items = {
        each.sku: each
        for each in (kit("K", {"X": 1, "P": 2}), replaceable("S", {"K2": 1}), kit("K2", {"Q": 1, "P": 1}))
    }
    assert touched([order("O", ("K", 1), ("S", 1), ("X", 1))], items) == ("K", "S", "X", "K2", "P", "Q")


def test_case_38_whole_kits_by_node():
    """Kit = 2 x X; 4 X at two nodes make 2 kits each, and the stock taken is that of X."""
    asked = window(TWO, [order("O", ("K", 4))], {"X": {"A": 4, "B": 4}}, skus=[kit("K", {"X": 2})])
    (proposal,) = decided(asked)
    assert where(proposal) == {("A", "K"): 2, ("B", "K"): 2}
    assert proposal.state == "allocated"
    # SKUs of the window: K, X.
    assert [(take.sku, take.units) for take in proposal.takes] == [(1, 4), (1, 4)]
    # Units of load are units of the line.
    assert [(load.parcels, load.units) for load in proposal.loads] == [(1, 2), (1, 2)]


def test_half_a_kit_is_none():
    """3 X and 3 X make 1 kit each; the odd units help nobody, and the figures are told in kits."""
    asked = window(TWO, [order("O", ("K", 4))], {"X": {"A": 3, "B": 3}}, skus=[kit("K", {"X": 2})])
    (proposal,) = decided(asked)
    assert where(proposal) == {("A", "K"): 1, ("B", "K"): 1}
    assert why(proposal) == [("K", 2, "out_of_stock", 2, 0, 0)]
    assert proposal.short_skus == (1,)


def test_case_39_two_kits_share_a_part():
    """X stock 3, two kits of 2 X in one window: one of them ships, never both; the other's parts are held."""
    skus = [kit("K1", {"X": 2}), kit("K2", {"X": 2})]
    orders = [order("O1", ("K1", 1), priority=1), order("O2", ("K2", 1))]
    proposals = decided(window(TWO, orders, {"X": {"A": 3}}, skus=skus))
    assert [proposal.state for proposal in proposals] == ["allocated", "refused"]
    assert why(proposals[1]) == [("K2", 1, "held", 0, 1, 0)]
    # K1, K2, X: the claim is about X.
    assert proposals[1].short_skus == (2,)


def test_one_order_may_want_a_kit_and_its_part():
    """X stock 3: a kit of 2 X and 2 X besides; 3 units of X leave at most."""
    asked = window(TWO, [order("O", ("K", 1), ("X", 2))], {"X": {"A": 3}}, skus=[kit("K", {"X": 2})])
    (proposal,) = decided(asked)
    assert sum(take.units for take in proposal.takes) <= 3
    assert proposal.state == "partially_allocated"


def test_a_kit_weighs_and_needs_what_its_parts_do():
    """2 x 300 + 100 g unless its own entry says 500; dimensions likewise; capabilities of all together."""
    parts = [
        Sku(sku="X", weight_g=300, length_mm=10, width_mm=10, height_mm=10, requires=["hazmat"]),
        Sku(sku="Y", weight_g=100, length_mm=10, width_mm=10, height_mm=20),
    ]
    network = compiled(document([node("A"), node("B", capabilities=["hazmat", "cold"])]))
    skus = [*parts, kit("K", {"X": 2, "Y": 1}, requires=["cold"]), kit("L", {"X": 2, "Y": 1}, weight_g=500)]
    stock = {"X": {"A": 9, "B": 9}, "Y": {"A": 9, "B": 9}}
    lines = lower(window(network, [order("O", ("K", 1), ("L", 1), ("Y", 1))], stock, skus=skus)).problem.lines
    assert column(lines.weight_g) == [700, 500, 100]
    assert column(lines.volume_mm3) == [4000, 4000, 2000]
    assert column(lines.eligible) == [[False, True], [False, True], [True, True]]


def test_a_substitute_ships_where_the_original_is_short():
    """5 of X are there, 8 are wanted: 3 units of Y go instead, and the parcel says for what."""
    asked = window(TWO, [willing("O", ("X", 8))], {"X": {"A": 5}, "Y": {"A": 9}}, skus=[replaceable("X", {"Y": 1})])
    (proposal,) = decided(asked)
    assert proposal.state == "allocated"
    lines = said(proposal)["parcels"][0]["lines"]
    assert sum(line["quantity"] for line in lines) == 8
    assert {line["sku"]: line.get("substituted_for") for line in lines}["Y"] == "X"
    assert "substituted_for" not in next((line for line in lines if line["sku"] == "X"), {})


def test_nobody_gets_a_substitute_while_the_original_is_there():
    """X is dearer to ship from B than Y from A, but X was ordered and X is there."""
    skus = [replaceable("X", {"Y": 1})]
    (proposal,) = decided(window(TWO, [willing("O", ("X", 2))], {"X": {"B": 2}, "Y": {"A": 9}}, skus=skus))
    assert where(proposal) == {("B", "X"): 2}


def test_who_does_not_allow_substitutes_gets_none():
    """Without the permission the line is short, whatever else is on the shelf."""
    skus = [replaceable("X", {"Y": 1})]
    (proposal,) = decided(window(TWO, [order("O", ("X", 2))], {"Y": {"A": 9}}, skus=skus))
    assert why(proposal) == [("X", 2, "out_of_stock", 0, 0, 0)]
    assert proposal.short_skus == (0,)


def test_a_policy_may_allow_substitutes():
    """The permission may come from the policy as well as from the order."""
    asked = window(
        TWO, [order("O", ("X", 2))], {"Y": {"A": 9}}, skus=[replaceable("X", {"Y": 1})],
        policy={"limits": {"allow_substitutes": True}},
    )  # fmt: skip
    assert where(decided(asked)[0]) == {("A", "Y"): 2}


def test_a_ratio_multiplies_units_and_weight():
    """Two of Y for one X: 3 lines' units are 6 of Y on the parcel and in the ledger, and weigh as 6."""
    skus = [replaceable("X", {"Y": 2}, weight_g=500), Sku(sku="Y", weight_g=100)]
    (proposal,) = decided(window(TWO, [willing("O", ("X", 4))], {"Y": {"A": 7}}, skus=skus))
    (parcel,) = said(proposal)["parcels"]
    assert parcel["lines"] == [{"line_id": "1", "sku": "Y", "quantity": 6, "substituted_for": "X"}]
    assert parcel["weight_g"] == 600
    assert proposal.takes == (Take(1, 0, 3, 6, 0),)
    assert why(proposal) == [("X", 1, "out_of_stock", 0, 0, 0)]
    # Either stock, if it comes back, could change the answer.
    assert proposal.short_skus == (0, 1)


def test_a_kit_may_stand_in_for_a_single():
    """A substitute that is a kit gives its parts."""
    skus = [replaceable("X", {"K": 1}), kit("K", {"P": 2, "Q": 1})]
    (proposal,) = decided(window(TWO, [willing("O", ("X", 2))], {"P": {"B": 5}, "Q": {"B": 2}}, skus=skus))
    assert where(proposal) == {("B", "K"): 2}
    # X, K, P, Q.
    assert [(take.sku, take.units) for take in proposal.takes] == [(2, 4), (3, 2)]


def test_a_strict_service_does_not_ship_what_it_does_not_know():
    """Neither a SKU without an entry nor a kit with an unknown part; others ship, and stock changes nothing."""
    skus = [Sku(sku="Y"), kit("K", {"X": 1})]
    asked = window(
        TWO, [order("O", ("X", 1), ("Y", 1), ("K", 1))], {"X": {"A": 9}, "Y": {"A": 9}}, skus=skus, strict_skus=True
    )
    (proposal,) = decided(asked)
    assert where(proposal) == {("A", "Y"): 1}
    assert [(line[0], line[2]) for line in why(proposal)] == [("X", "unknown_sku"), ("K", "unknown_sku")]
    assert proposal.short_skus == ()
