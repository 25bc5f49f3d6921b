"""Kits, substitutes, pick-up, docks, groups and capacity: alone as other systems pin them down, and together.

Through the public API, on the memory twin and on the store; every decision's cost is recomputed (`reckoning`).
"""

from __future__ import annotations

from tests.api.scenes import NEAR, left, order_of, shipped

KIT = {"sku": "K", "components": [{"sku": "X", "quantity": 2}]}
MONDAY = "2030-01-07T09:00:00Z"


async def test_case_38_kits_are_whole_by_node(scene):
    """Medusa PR #16246: a kit of 2 X; 4 and 4 of X: 4 kits ship as 2 + 2, and what is held is the X."""
    await scene.open(["L1", "L2"], {"X": {"L1": 4, "L2": 4}}, [{"sku": "X", "weight_g": 150}, KIT])
    decision = await scene.order("O", ("K", 4))
    assert shipped(decision) == {("L1", "K"): 2, ("L2", "K"): 2}
    assert [parcel["weight_g"] for parcel in decision["parcels"]] == [600, 600]
    assert await scene.held("X") == {"L1": 4, "L2": 4}


async def test_case_39_a_shared_part_is_sold_once(scene):
    """Medusa #16502: two kits of 2 X each in one window, X 3: one of them, never both."""
    kits = [{**KIT, "sku": sku} for sku in ("KA", "KB")]
    await scene.open("A", {"X": {"A": 3}}, [{"sku": "X"}, *kits])
    decisions = await scene.together(order_of("OA", ("KA", 1)), order_of("OB", ("KB", 1)))
    assert sorted(decision["status"] for decision in decisions) == ["allocated", "refused"]
    (reason,) = [reason for decision in decisions for *_, reason in left(decision)]
    assert (reason, await scene.held("X")) == ("held", {"A": 2})


async def test_kit_and_part_in_one_order_share_the_stock(scene):
    """X 5, a kit of 2 X and single X: 2 kits and 1 X ship; what is over is short by stock, not held by the order."""
    await scene.open("A", {"X": {"A": 5}}, [{"sku": "X"}, KIT])
    decision = await scene.order("O", ("K", 2), ("X", 2))
    assert sum(units for _, units, _ in left(decision)) == 1
    assert (await scene.held("X"))["A"] in (4, 5)
    assert {reason for *_, reason in left(decision)} == {"out_of_stock"}


async def test_a_kit_along_a_dock_is_made_where_its_parts_are(scene):
    """Along a dock, too, a kit is whole at one node: one parcel from the first, parts held where they lie."""
    nodes = {"A": {"dock": "d", "costs": {"per_parcel": "0.50", "per_line": "0.10", "per_unit": "0.02"}},
             "B": {"dock": "d", "costs": {"per_parcel": "9.00", "per_line": "0.30", "per_unit": "0.05"}}}  # fmt: skip
    await scene.open(nodes, {"X": {"A": 3, "B": 5}}, [{"sku": "X", "weight_g": 100}, KIT])
    decision = await scene.order("O", ("K", 3), ("X", 1))
    (parcel,) = decision["parcels"]
    assert (decision["status"], parcel["node_id"], parcel["weight_g"]) == ("allocated", "A", 700)
    assert shipped(decision) == {("A", "K"): 1, ("B", "K"): 2, ("A", "X"): 1}
    assert await scene.held("X") == {"A": 3, "B": 4}
    # 0.50 + A: two lines, two units + B: one line, two units.
    assert parcel["cost"]["handling"] == "1.14"


async def test_a_substitute_saves_a_parcel_that_is_not_allowed(scene):
    """One parcel at most; the SKU ordered lies elsewhere: its substitute goes with the rest, by its ratio."""
    original = {"sku": "X", "weight_g": 500, "substitutes": [{"sku": "Y", "ratio": 3}]}
    entries = [original, {"sku": "Y", "weight_g": 200}, {"sku": "Z", "weight_g": 50}]
    await scene.open("AB", {"X": {"B": 1}, "Y": {"A": 6}, "Z": {"A": 1}}, entries)
    limits = {"max_parcels": 1, "allow_substitutes": True}
    decision = await scene.order("O", ("X", 2), ("Z", 1), limits=limits)
    (parcel,) = decision["parcels"]
    assert (decision["status"], parcel["weight_g"]) == ("allocated", 1250)
    assert parcel["lines"][0] == {"line_id": "1", "sku": "Y", "quantity": 6, "substituted_for": "X"}
    assert (await scene.held("Y"), await scene.held("X")) == ({"A": 6}, {})


async def test_substitutes_only_where_they_are_allowed(scene):
    """Without the permission the line stays; a policy's permission is as good as the order's own."""
    entries = [{"sku": "X", "substitutes": [{"sku": "Y", "ratio": 1}]}, {"sku": "Y"}]
    await scene.open("A", {"X": {"A": 1}, "Y": {"A": 9}}, entries)
    assert left(await scene.order("O1", ("X", 3))) == [("X", 2, "out_of_stock")]
    await scene.policy(limits={"allow_substitutes": True})
    assert shipped(await scene.order("O2", ("X", 3))) == {("A", "Y"): 3}


async def test_a_substitute_may_be_a_kit(scene):
    """What stands in may be made of parts: the parts are held, the kit is shown."""
    entries = [{"sku": "Q", "substitutes": [{"sku": "K", "ratio": 1}]}, {"sku": "X"}, KIT]
    await scene.open("A", {"X": {"A": 5}}, entries)
    decision = await scene.order("O", ("Q", 3), limits={"allow_substitutes": True})
    assert (shipped(decision), left(decision)) == ({("A", "K"): 2}, [("Q", 1, "out_of_stock")])
    assert await scene.held("X") == {"A": 4}


async def test_a_pickup_is_at_that_node_and_free_of_carriage(scene):
    """No carrier, no price, no days under way; handling is paid; what is elsewhere does not come."""
    costs = {"per_parcel": "0.90", "per_line": "0.25", "per_unit": "0.05"}
    await scene.open({"A": {}, "B": {"costs": costs}}, {"X": {"A": 9, "B": 2}}, lanes=[])
    decision = await scene.order("O", ("X", 3), pickup_node="B", placed_at=MONDAY)
    (parcel,) = decision["parcels"]
    assert (parcel["carrier"], parcel["service"], parcel["cost"]) == (
        None,
        "pickup",
        {"shipping": "0", "handling": "1.25"},
    )
    assert parcel["ship_by"][:10] == parcel["deliver_by"][:10] == "2030-01-07"
    assert (left(decision), decision["unallocated"][0]["elsewhere"]) == ([("X", 1, "out_of_stock")], ["A"])


async def test_a_group_is_fetched_together_or_not_at_all(scene):
    """Pick-up and group: one of the two is missing, so neither is handed out; a line beside them is."""
    await scene.open("AB", {"X": {"A": 1}, "Y": {"B": 1}, "Z": {"A": 1}})
    lines = [{"sku": "X", "quantity": 1, "group": "set"}, {"sku": "Y", "quantity": 1, "group": "set"}, ("Z", 1)]
    decision = await scene.order("O", *lines, pickup_node="A")
    assert shipped(decision) == {("A", "Z"): 1}
    assert left(decision) == [("X", 1, "group"), ("Y", 1, "out_of_stock")]


async def test_a_group_ships_in_one_box_of_the_right_carrier(scene):
    """The cheap carrier would need two boxes for the set: the dearer one that takes it whole is chosen."""
    card = {"zones": {"kind": "distance_km", "upper": []}, "transit_days": [1]}
    carriers = [
        {**card, "carrier": "post", "service": s, "max_weight_g": g, "rates": [{"up_to_g": g, "by_zone": [price]}]}
        for s, g, price in (("light", 1_000, "2.00"), ("heavy", 9_000, "7.50"))
    ]
    await scene.open(
        "A", {"X": {"A": 9}, "Y": {"A": 9}}, [{"sku": sku, "weight_g": 800} for sku in "XY"], carriers=carriers
    )
    decision = await scene.order("O1", ("X", 1), ("Y", 1))
    assert [parcel["service"] for parcel in decision["parcels"]] == ["light", "light"]
    grouped = [{"sku": sku, "quantity": 1, "group": "g"} for sku in "XY"]
    decision = await scene.order("O2", *grouped)
    assert [(parcel["service"], parcel["weight_g"]) for parcel in decision["parcels"]] == [("heavy", 1_600)]


async def test_units_that_ship_alone_count_as_parcels(scene):
    """Each in its own box: three boxes beside the common one, four by max_parcels, split, handling and capacity."""
    policy = {"objective": {"split_parcel": "0.70"}}
    nodes = {"A": {"capacity": {"parcels_per_day": 5}, "costs": {"per_parcel": "0.40"}}}
    await scene.open(nodes, {"X": {"A": 9}, "Y": {"A": 9}}, [{"sku": "X", "ships_alone": True, "weight_g": 10}], policy)
    lines = ("X", 3), ("Y", 2)
    decision = await scene.order("O1", *lines, placed_at=MONDAY)
    assert (len(decision["parcels"]), decision["cost"]["split"], decision["cost"]["handling"]) == (4, "2.10", "1.60")
    assert await scene.load("A", "2030-01-07") == (4, 5)
    decision = await scene.order("O2", *lines, placed_at="2030-01-08T09:00:00Z", limits={"max_parcels": 3})
    assert (len(decision["parcels"]), {reason for *_, reason in left(decision)}) == (3, {"max_parcels"})


async def test_a_full_day_rolls_to_the_next_and_pays_for_being_late(scene):
    """Capacity horizon and promise: Monday has room for one parcel; the second order goes on Tuesday, a day late."""
    nodes = {"A": {"capacity": {"parcels_per_day": 1}, "workdays": ["mon", "tue", "wed", "thu", "fri"]}}
    await scene.open(nodes, {"X": {"A": 9}}, policy={"capacity_horizon_days": 1, "objective": {"late_per_day": "3.00"}})
    promise = {"placed_at": MONDAY, "deliver_by": "2030-01-09T20:00:00Z"}
    first, second = [await scene.order(name, ("X", 1), **promise) for name in ("O1", "O2")]
    days = [decision["parcels"][0]["ship_by"][:10] for decision in (first, second)]
    assert (days, second["cost"]["late"]) == (["2030-01-07", "2030-01-08"], "3.00")
    third = await scene.order("O3", ("X", 1), **promise)
    assert left(third) == [("X", 1, "capacity")]
    await scene.policy(capacity_horizon_days=5)
    punctual = await scene.order("O4", ("X", 1), **promise, limits={"allow_late": False})
    assert left(punctual) == [("X", 1, "too_late")]


async def test_a_hold_is_replaced_by_a_kit_of_the_same_goods(scene):
    """The hold's own units count as free for the kits that replace it, and nothing more is held than they need."""
    await scene.open("A", {"X": {"A": 6}}, [{"sku": "X"}, KIT])
    await scene.order("O", ("X", 5), hold_seconds=600)
    decision = await scene.replace("O", ("K", 3), hold_seconds=600)
    assert (shipped(decision), await scene.held("X")) == ({("A", "K"): 3}, {"A": 6})
    assert (await scene.replace("O", ("X", 1)))["status"] == "allocated"
    assert await scene.held("X") == {"A": 1}


async def test_a_pickup_is_not_rerouted_elsewhere(scene):
    """Its one node excluded, a pick-up order is refused and gives everything back, room included."""
    nodes = {"A": {"capacity": {"parcels_per_day": 3}}, "B": {}}
    await scene.open(nodes, {"X": {"A": 3, "B": 3}})
    await scene.order("O", ("X", 2), pickup_node="A", placed_at=MONDAY)
    assert await scene.load("A", "2030-01-07") == (1, 2)
    decision = await scene.reroute("O", "R", except_nodes=["A"])
    assert (decision["status"], left(decision)) == ("refused", [("X", 2, "no_eligible_node")])
    assert (await scene.held("X"), await scene.load("A", "2030-01-07")) == ({}, (0, 0))


async def test_a_reroute_leaves_one_node_of_a_dock_out(scene):
    """The rest of the dock still ships as one origin, from its first node that is left."""
    await scene.open({n: {"dock": "d"} for n in "ABC"}, {"X": {"A": 2, "B": 2, "C": 2}})
    assert len((await scene.order("O", ("X", 5)))["parcels"]) == 1
    decision = await scene.reroute("O", "R", except_nodes=["A"])
    assert [parcel["node_id"] for parcel in decision["parcels"]] == ["B"]
    assert (shipped(decision), left(decision)) == ({("B", "X"): 2, ("C", "X"): 2}, [("X", 1, "out_of_stock")])
    assert await scene.held("X") == {"B": 2, "C": 2}


async def test_a_dock_counts_units_where_the_goods_are(scene):
    """Units of a sourced line take the room of their own node; the parcel that of the first."""
    nodes = {"A": {"dock": "d", "capacity": {"parcels_per_day": 9, "units_per_day": 2}},
             "B": {"dock": "d", "capacity": {"parcels_per_day": 0, "units_per_day": 1}}}  # fmt: skip
    await scene.open(nodes, {"X": {"A": 5, "B": 5}})
    decision = await scene.order("O", ("X", 5), placed_at=MONDAY)
    assert (shipped(decision), left(decision)) == ({("A", "X"): 2, ("B", "X"): 1}, [("X", 2, "capacity")])
    assert (await scene.load("A", "2030-01-07"), await scene.load("B", "2030-01-07")) == ((1, 2), (0, 1))


async def test_a_priced_parcel_adds_up_term_by_term(scene):
    """Lane with all its terms, handling with all of its, split, late, missing: the total is written out here."""
    costs = {"per_parcel": "0.90", "per_line": "0.25", "per_unit": "0.05"}
    lane = {"node_id": "A", "to": "US", "service": "ground", "parcel": "8.76", "line": "0.10", "unit": "0.42",
            "per_kg": "0.333", "transit_days": 4}  # fmt: skip
    objective = {"split_parcel": "0.70", "late_per_day": "2.00", "unfilled_per_unit": "4.00"}
    entries = [{"sku": "X", "weight_g": 755}, {"sku": "Y", "weight_g": 10, "ships_alone": True}]
    await scene.open(
        {"A": {"costs": costs}}, {"X": {"A": 2}, "Y": {"A": 1}}, entries, {"objective": objective}, lanes=[lane]
    )
    promise = {"placed_at": MONDAY, "deliver_by": "2030-01-09T12:00:00Z", "ship_to": NEAR}
    cost = (await scene.order("O", ("X", 3), ("Y", 1), **promise))["cost"]
    # X: 8.76 + 0.10 + 2 x 0.42 + 1.51 kg x 0.333 = 10.203 (0.50283 -> 0.503); Y: 8.76 + 0.10 + 0.42 + 0.003 = 9.283.
    # Handling: X 0.90 + 0.25 + 0.10, Y 0.90 + 0.25 + 0.05.
    assert cost == {"shipping": "19.486", "handling": "2.45", "split": "0.70", "late": "4.00", "unfilled": "4.00",
                    "total": "30.636"}  # fmt: skip
