"""The map: nodes, regions, and what flows between them that did not before, or no more. Degrees, no tiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import cos, radians, sqrt
from typing import Any, NamedTuple

from api.report.drawing import BASE, INK, LESS, LINE, MORE, MUTED, PAPER, Chart, Trace, chart, text
from engine.simulation.answering import Answer, Place
from engine.simulation.comparing import FlowChange
from engine.simulation.simulating import Report

FLOWS_TOLD, NODES_TOLD, NODES_NAMED, REGIONS_TOLD = 40, 200, 20, 40
FAR = 0.01
"""This share of all parcels, on each side, may go beyond the map."""
WIDTHS = (1.0, 2.5, 5.0)
"""Pixels of a line, by its share of the largest change: up to an eighth, up to a half, above."""


def flow_map(answer: Answer, baseline: Report, report: Report) -> Chart | None:
    """Where parcels go from and to, and what of that changed. None if no node's place is known."""
    nodes = {place.name: place for place in answer.nodes}
    regions = {place.name: place for place in answer.regions}
    if not nodes:
        return None
    flows = [flow for flow in report.flows if flow.parcels and flow.node_id in nodes and flow.region in regions]
    flows.sort(key=lambda flow: (-abs(flow.parcels), flow.node_id, flow.region))
    told = flows[:FLOWS_TOLD]
    traces = [
        *_lines(told, nodes, regions),
        _regions(report, regions, told),
        *_nodes(baseline, report, nodes),
    ]
    note = "Sums over all seeds. Circles are as large as what a node ships; lines are as wide as the change."
    if len(flows) > len(told):
        note += f" The {len(told)} largest of {len(flows)} changed flows."
    if len(nodes) > NODES_TOLD:
        note += f" {NODES_TOLD} of {len(nodes)} nodes."
    view = _view(report, nodes, regions)
    degrees = {"showgrid": True, "gridcolor": LINE, "zeroline": False, "ticksuffix": "°"}
    middle = radians((view.south + view.north) / 2)
    if view.outside:
        note += f" {view.outside} far regions lie outside."
    return chart(
        "Where parcels go",
        note,
        traces,
        540,
        xaxis={**degrees, "title": {"text": "Longitude"}, "range": [view.west, view.east]},
        yaxis={
            **degrees,
            "title": {"text": "Latitude"},
            "range": [view.south, view.north],
            "scaleanchor": "x",
            "scaleratio": 1 / max(cos(middle), 0.1),
        },
        legend={"orientation": "h", "y": 1.06, "x": 0, "itemsizing": "constant"},
        hovermode="closest",
    )


class View(NamedTuple):
    """What the map shows, in degrees; `outside`: regions beyond it."""

    west: float
    east: float
    south: float
    north: float
    outside: int


def _view(report: Report, nodes: Mapping[str, Place], regions: Mapping[str, Place]) -> View:
    """All nodes, and of regions those that nearly all parcels go to: a few far ones would make all else small."""
    sizes = {name: known.parcels for name, known in report.figures.regions.items() if name in regions}
    west, east = _ends([(place.lon, sizes.get(place.name, 0)) for place in regions.values()], nodes, "lon")
    south, north = _ends([(place.lat, sizes.get(place.name, 0)) for place in regions.values()], nodes, "lat")
    inside = [west <= regions[name].lon <= east and south <= regions[name].lat <= north for name in sizes]
    return View(west, east, south, north, len(inside) - sum(inside))


def _ends(parcels: Sequence[tuple[float, int]], nodes: Mapping[str, Place], axis: str) -> tuple[float, float]:
    """From the first to the last degree, with room."""
    spare = sum(count for _, count in parcels) * FAR
    ends = [getattr(place, axis) for place in nodes.values()]
    for way in (sorted(parcels), sorted(parcels, reverse=True)):
        passed = 0
        for degree, count in way:
            passed += count
            if passed > spare:
                ends.append(degree)
                break
    room = max(1.0, (max(ends) - min(ends)) * 0.06)
    return min(ends) - room, max(ends) + room


def _country(names: Iterable[str]) -> str:
    """What all regions' names begin with, `US-`; "" if they differ."""
    found = {name[:3] if name[2:3] == "-" else "" for name in names}
    return found.pop() if len(found) == 1 else ""


def _lines(flows: Sequence[FlowChange], nodes: Mapping[str, Place], regions: Mapping[str, Place]) -> list[Trace]:
    """One trace for each direction and width, and points to hover over in the middle of the lines."""
    if not flows:
        return []
    largest = max(abs(flow.parcels) for flow in flows)
    found: list[Trace] = []
    for name, sign, colour, dash in (("More than before", 1, MORE, "solid"), ("Less than before", -1, LESS, "dot")):
        mine = [flow for flow in flows if flow.parcels * sign > 0]
        for k, width in enumerate(WIDTHS):
            some = [flow for flow in mine if _class(abs(flow.parcels) / largest) == k]
            if some:
                found.append(_strokes(some, nodes, regions) | {"line": {"color": colour, "width": width, "dash": dash}})
        if mine:
            line = {"color": colour, "width": WIDTHS[1], "dash": dash}
            found.append({"type": "scatter", "mode": "lines", "x": [None], "y": [None], "name": name, "line": line})
    middles = [(nodes[flow.node_id], regions[flow.region]) for flow in flows]
    found.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [(start.lon + end.lon) / 2 for start, end in middles],
            "y": [(start.lat + end.lat) / 2 for start, end in middles],
            "marker": {"size": 14, "color": INK, "opacity": 0},
            "hovertext": [
                f"{text(flow.node_id)} to {text(flow.region)}<br>{flow.parcels:+,} parcels, {flow.units:+,} units"
                for flow in flows
            ],
            "hoverinfo": "text",
            "showlegend": False,
        }
    )
    return found


def _class(share: float) -> int:
    return 0 if share <= 1 / 8 else 1 if share <= 1 / 2 else 2


def _strokes(flows: Sequence[FlowChange], nodes: Mapping[str, Place], regions: Mapping[str, Place]) -> Trace:
    lon: list[float | None] = []
    lat: list[float | None] = []
    for flow in flows:
        start, end = nodes[flow.node_id], regions[flow.region]
        lon += [start.lon, end.lon, None]
        lat += [start.lat, end.lat, None]
    return {"type": "scatter", "mode": "lines", "x": lon, "y": lat, "opacity": 0.65, "hoverinfo": "skip"} | {
        "showlegend": False
    }


def _regions(report: Report, regions: Mapping[str, Place], flows: Sequence[FlowChange]) -> Trace:
    """The regions that most parcels go to, and those that lines go to."""
    parcels = {name: known.parcels for name, known in report.figures.regions.items() if name in regions}
    most = sorted(parcels, key=lambda name: (-parcels[name], name))[:REGIONS_TOLD]
    names = sorted({*most, *(flow.region for flow in flows)})
    country = _country(regions)
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [regions[name].lon for name in names],
        "y": [regions[name].lat for name in names],
        "text": [text(name.removeprefix(country)) for name in names],
        "textposition": "bottom center",
        "textfont": {"size": 10, "color": MUTED},
        "marker": {"size": 4, "color": MUTED},
        "hovertext": [f"{text(name)}: {parcels.get(name, 0):,} parcels" for name in names],
        "hoverinfo": "text",
        "name": "Regions",
    }


def _nodes(baseline: Report, report: Report, nodes: Mapping[str, Place]) -> list[Trace]:
    """Those that ship, and those that did and ship no more."""
    before, after = ({name: _parcels(each, name) for name in nodes} for each in (baseline, report))
    busiest = sorted(nodes, key=lambda name: (-max(before[name], after[name]), name))[:NODES_TOLD]
    named = {name for name in busiest[:NODES_NAMED] if before[name] or after[name]}
    largest = max((after[name] for name in busiest), default=0) or 1
    shipping = [name for name in busiest if after[name]]
    closed = [name for name in busiest if before[name] and not after[name]]
    found = [
        _spots(shipping, nodes, named, before, after)
        | {"name": "Nodes"}
        | {
            "marker": {
                "size": [6 + 18 * sqrt(after[name] / largest) for name in shipping],
                "color": BASE,
                "opacity": 0.85,
                "line": {"color": PAPER, "width": 1},
            }
        }
    ]
    if closed:
        cross = {"size": 13, "color": INK, "symbol": "x-thin", "line": {"color": INK, "width": 3}}
        found.append(_spots(closed, nodes, named, before, after) | {"name": "Ships no more", "marker": cross})
    return found


def _spots(
    names: Sequence[str],
    nodes: Mapping[str, Place],
    named: set[str],
    before: Mapping[str, int],
    after: Mapping[str, int],
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [nodes[name].lon for name in names],
        "y": [nodes[name].lat for name in names],
        "text": [text(name) if name in named else "" for name in names],
        "textposition": "top center",
        "textfont": {"size": 11, "color": INK},
        "hovertext": [
            f"<b>{text(name)}</b><br>{after[name]:,} parcels, {before[name]:,} in the baseline" for name in names
        ],
        "hoverinfo": "text",
    }


def _parcels(report: Report, node_id: str) -> int:
    return sum(load.parcels for load in report.figures.loads.get(node_id, {}).values())
