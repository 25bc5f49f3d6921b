"""As many units as stock and room allow, and the way back from demands at sites to lines in shipments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ortools.graph.python import min_cost_flow

from solvers.cover_demands import Floats
from solvers.cover_scene import Scene
from solvers.load import loaded, most_at, rows_of
from solvers.mend import mended
from solvers.menu import Supply
from solvers.plan import take
from solvers.problem import Ints, Problem
from solvers.solution import Shipment
from solvers.tariff import ShipmentCost, shipment_cost

MANY = 2**62
"""No limit."""

FINEST_COST = 10_000
"""Unit prices are scaled to this range in the flow: it decides how much ships, and only roughly from where."""


def separated(scene: Scene) -> Scene:
    """The same scene with every cell of stock that several demands want divided among them, losing no unit of fill."""
    if len(np.unique(scene.item)) == len(scene.item):
        return scene
    units = fullest(scene, np.zeros_like(scene.reach))
    nodes, node = np.unique(scene.node, return_inverse=True)
    reach = scene.reach.copy()
    for item in np.flatnonzero(np.bincount(scene.item) > 1).tolist():
        rivals = np.flatnonzero(scene.item == item)
        # A cell is one node's, however many sites draw on it.
        given, most = np.zeros((len(rivals), len(nodes))), np.zeros((len(rivals), len(nodes)))
        spare = np.zeros(len(nodes))
        np.add.at(given.T, node, units[rivals].T)
        np.maximum.at(most.T, node, scene.reach[rivals].T)
        np.maximum.at(spare, node, scene.free[rivals].max(axis=0))
        spare = np.maximum(spare - given.sum(axis=0), 0.0)
        for place, rival in enumerate(rivals.tolist()):
            more = np.clip(most[place] - given[place], 0.0, spare)
            reach[rival] = np.minimum(scene.reach[rival], (given[place] + more)[node])
            spare = spare - more
    return replace(scene, reach=reach)


def most_units(scene: Scene) -> int:
    """No assignment of a `separated` scene ships more: per demand what it wants or its cells hold, rooms left aside."""
    cells = np.zeros((len(scene.item), int(scene.node.max(initial=0)) + 1))
    np.maximum.at(cells.T, scene.node, scene.reach.T)
    return int(np.minimum(cells.sum(axis=1), scene.quantity).sum())


def fullest(scene: Scene, price: Floats) -> Floats:
    """An assignment [G, K] that ships the most units stock and bucket units allow, cheapest by linear `price` [G, K].

    A maximum flow of minimum cost: demand -> cell of stock -> site -> bucket (OR-Tools, Goldberg 1997). Boxes and
    weights are not seen; `affordable_plan` trims where they bind.
    """
    demands, sites = scene.reach.shape
    usable = (scene.reach > 0.0) & np.isfinite(price)
    demand, site = np.nonzero(usable)
    node = scene.node[site]
    cells, cell = np.unique(np.stack([scene.item[demand], node]), axis=1, return_inverse=True)
    cell = cell.reshape(-1)
    held = np.zeros(cells.shape[1])
    np.maximum.at(held, cell, scene.free[demand, site])
    # A cell splits into entry and exit, so that its stock is one arc however many demands and sites meet there.
    source, first_entry = 0, 1 + demands
    first_exit = first_entry + len(held)
    first_site = first_exit + len(held)
    first_bucket = first_site + sites
    sink = first_bucket + len(scene.room_units)
    flow = min_cost_flow.SimpleMinCostFlow()

    def arcs(tail: Ints, head: Ints, room: Floats, cost: Floats) -> Ints:
        whole = np.minimum(room, 2.0**50).astype(np.int64)
        added: Ints = flow.add_arcs_with_capacity_and_unit_cost(tail, head, whole, cost.astype(np.int64))
        return added

    each = np.arange(demands)
    total = float(scene.quantity.sum())
    arcs(np.full(demands, source), 1 + each, scene.quantity, np.zeros(demands))
    entry, came = np.unique(np.stack([demand, cell]), axis=1, return_inverse=True)
    came = came.reshape(-1)
    reach = np.zeros(entry.shape[1])
    np.maximum.at(reach, came, scene.reach[demand, site])
    entries = arcs(1 + entry[0], first_entry + entry[1], reach, np.zeros(len(reach)))
    arcs(first_entry + np.arange(len(held)), first_exit + np.arange(len(held)), held, np.zeros(len(held)))
    level = np.where(usable, price, 0.0)
    scaled = np.floor(level / max(1.0, float(level.max(initial=0.0)) / FINEST_COST))[demand, site]
    wanted = np.minimum(scene.quantity[demand], total)
    ways = arcs(first_exit + cell, first_site + site, wanted, scaled)
    bucket = np.where(scene.bucket >= 0, first_bucket + scene.bucket, sink)
    arcs(first_site + np.arange(sites), bucket, np.full(sites, total), np.zeros(sites))
    rooms = np.arange(len(scene.room_units))
    arcs(first_bucket + rooms, np.full(len(rooms), sink), np.minimum(scene.room_units, total), np.zeros(len(rooms)))
    flow.set_nodes_supplies(np.array([source, sink]), np.array([int(total), -int(total)]))
    if flow.solve_max_flow_with_min_cost() != flow.OPTIMAL:
        return np.zeros_like(scene.reach)
    units = np.zeros_like(scene.reach)
    units[demand, site] = _owned(scene, came, cell * sites + site, flow.flows(entries), flow.flows(ways))
    return units


def _owned(scene: Scene, came: Ints, left_by: Ints, entered: Ints, left: Ints) -> Floats:
    """Whose units a flow through shared cells ships, per way (demand, site): a cell forgets who entered it.

    `came`, `left_by` int64[W]: entry of a way, and the (cell, site) it leaves by; `entered` by entry; `left` by way.
    """
    owed = entered.astype(np.float64)
    by_site: dict[int, float] = {}
    for way, units in zip(left_by.tolist(), left.tolist(), strict=True):
        by_site[way] = by_site.get(way, 0.0) + units
    owned = np.zeros(len(came))
    # Those with the fewest sites in a cell first: the goods that sites carry are nested by weight.
    ways = np.argsort(np.bincount(came, minlength=len(owed))[came], kind="stable")
    for way in ways.tolist():
        owned[way] = min(owed[came[way]], by_site[int(left_by[way])])
        owed[came[way]] -= owned[way]
        by_site[int(left_by[way])] -= owned[way]
    if not scene.binding:
        # Where no room binds any site of the cell will do.
        first = np.unique(came, return_index=True)[1]
        owned[first] += owed
    return owned


def affordable_plan(
    problem: Problem, order: int, room_parcels: Ints, room_units: Ints, scene: Scene, units: Floats
) -> tuple[tuple[Shipment, ...], int]:
    """Turn units [G, K] into shipments of lines, each by its cheapest service, within the rooms: plan, filled.

    What the search could not see exactly (first-fit boxes, rooms in boxes) is trimmed here, so the plan always holds.
    """
    boxes_left = {d: int(room) for d, room in enumerate(room_parcels.tolist())}
    units_left = {d: int(room) for d, room in enumerate(room_units.tolist())}
    offered = np.where(np.isfinite(scene.tariff.barred), scene.service, -1)
    taken = np.zeros(problem.lines_of(order).stop - problem.lines_of(order).start, dtype=np.int64)
    plan: list[Shipment] = []
    for site in np.argsort(-units.sum(axis=0), kind="stable").tolist():
        load = _to_lines(problem, order, scene, units[:, site], taken)
        if not load.any():
            continue
        bucket = int(scene.bucket[site])
        services = [option for option in offered[site].tolist() if option >= 0]
        shipment, boxes = _within(problem, services, load, boxes_left.get(bucket, MANY), units_left.get(bucket, MANY))
        if shipment is None:
            continue
        plan.append(shipment)
        taken += shipment.units
        if bucket >= 0:
            boxes_left[bucket] -= boxes
            units_left[bucket] -= int(shipment.units.sum())
    plan.sort(key=lambda shipment: shipment.option)
    return tuple(plan), int(taken.sum())


def careful_cover(
    problem: Problem, order: int, supply: Supply, scene: Scene, units: Floats
) -> tuple[tuple[Shipment, ...], int]:
    """`affordable_plan` of an order whose rows do not stand alone: every shipment drawn from real stock, lawful all."""
    rows, left = rows_of(problem, order), supply.copy()
    missing, boxes = rows.wanted.copy(), int(problem.limits.max_parcels[order])
    plan: list[Shipment] = []
    for site in np.argsort(-units.sum(axis=0), kind="stable").tolist():
        given = units[:, site].astype(np.int64)
        if not given.any():
            continue
        # A lot is one demand: of a line so many units, of a group what its lines want.
        open_lines = np.zeros_like(missing)
        for lot, tied, amount in zip(rows.lots, rows.tied, given.tolist(), strict=True):
            if amount:
                line = rows.line[lot]
                open_lines[line] = missing[line] if tied else np.minimum(missing[line], amount)
        services = [option for option in scene.service[site].tolist() if option >= 0]
        offered = [option for option, bar in zip(services, scene.tariff.barred[site], strict=False) if np.isfinite(bar)]
        if not offered:
            continue
        wanted = most_at(problem, order, rows, offered[0], open_lines, left, roomy=True)
        load = loaded(problem, order, rows, offered, wanted, left, boxes=boxes)
        if load is None:
            continue
        shipped = np.bincount(rows.line, load.shipment.units, len(missing)).astype(np.int64)
        missing -= shipped
        if problem.limits.whole_lines[order]:
            missing[shipped > 0] = 0
        boxes -= load.boxes
        plan.append(load.shipment)
        take(problem, load.use, left.stock, left.parcels, left.units)
    kept = mended(problem, order, tuple(sorted(plan, key=lambda shipment: shipment.option)), supply, unfinished=True)
    return kept, sum(int(shipment.units.sum()) for shipment in kept)


def _to_lines(problem: Problem, order: int, scene: Scene, units: Floats, taken: Ints) -> Ints:
    """Units of each demand at one site, int64[lines]; `taken` int64[lines] is what other sites ship already.

    Lines of one demand are served in order, as few of them twice as possible.
    """
    wanted = problem.lines.quantity[problem.lines_of(order)] - taken
    load = np.zeros(len(wanted), dtype=np.int64)
    single = scene.lines[scene.demand_of] == 1.0
    whole = units.astype(np.int64)
    load[single] = np.minimum(whole[scene.demand_of][single], wanted[single])
    for demand in np.flatnonzero((scene.lines > 1.0) & (whole > 0)).tolist():
        left = int(whole[demand])
        members = np.flatnonzero(scene.demand_of == demand)
        fitting = sorted(members.tolist(), key=lambda line: (int(wanted[line]) > left, -int(wanted[line])))
        for line in fitting:
            load[line] = min(left, int(wanted[line]))
            left -= int(load[line])
    return load


def _within(problem: Problem, services: list[int], load: Ints, boxes: int, units: int) -> tuple[Shipment | None, int]:
    """The load by its cheapest service, or as much of it, line by line, as fits the rooms; None if nothing does."""
    best = _cheapest(problem, services, load, boxes, units)
    if best is None:
        low, high = 0, int(load.sum())
        # The room is used up by the first lines: the longest prefix that can go, by halving.
        while high - low > 1:
            middle = (low + high) // 2
            tried = _cheapest(problem, services, _prefix(load, middle), boxes, units)
            low, high, best = (middle, high, tried) if tried is not None else (low, middle, best)
        load = _prefix(load, low)
    if best is None:
        return None, 0
    option, cost = best
    return Shipment(option, load), cost.boxes


def _prefix(load: Ints, units: int) -> Ints:
    """The first `units` units of a load, in line order."""
    first: Ints = np.clip(units - (np.cumsum(load) - load), 0, load)
    return first


def _cheapest(
    problem: Problem, services: list[int], load: Ints, boxes: int, units: int
) -> tuple[int, ShipmentCost] | None:
    """The service with the lowest price, split penalty included, among those that can take the load at all."""
    if int(load.sum()) > units or not load.any():
        return None
    best: tuple[int, ShipmentCost] | None = None
    lowest = MANY
    for option in services:
        cost = shipment_cost(problem, option, load)
        if cost is None or cost.boxes > boxes:
            continue
        price = cost.shipping + cost.handling + problem.objective.split_parcel * cost.boxes
        if price < lowest:
            best, lowest = (option, cost), price
    return best
