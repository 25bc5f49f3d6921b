"""The map: nodes, regions, and what flows between them that did not before, or no more. Degrees, no tiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import cos, radians, sqrt
from typing import Any, NamedTuple

from api.report import placing
from api.report.drawing import BASE, INK, LESS, LINE, MORE, MUTED, PAPER, Chart, Trace, chart, text
from api.report.placing import Frame, Point
from api.report.telling import short
from engine.simulation.answering import Answer, Place
from engine.simulation.comparing import FlowChange
from engine.simulation.simulating import Report

FLOWS_TOLD, NODES_TOLD, REGIONS_TOLD = 40, 200, 40
FAR = 0.01
"""This share of all parcels, on each side, may go beyond the map."""
WIDTHS = (1.0, 2.5, 5.0)
"""Pixels of a line, by its share of the largest change: up to an eighth, up to a half, above."""
HEIGHT, BESIDE_PIXELS, ABOVE_PIXELS, LEGEND_PIXELS = 540, 84, 100, 60
"""Pixels of the figure at most, what axes take of its width, axes and legend of its height, and a legend of several
rows on a narrow map besides."""
NODE_LETTERS, REGION_LETTERS, REGION_PIXELS, CROSS_PIXELS = 11, 10, 4, 13


def flow_map(answer: Answer, baseline: Report, report: Report) -> Chart | None:
    """Where parcels go from and to, and what of that changed. None if no node's place is known."""
    nodes = {place.name: place for place in answer.nodes}
    regions = {place.name: place for place in answer.regions}
    if not nodes:
        return None
    flows = [flow for flow in report.flows if flow.parcels and flow.node_id in nodes and flow.region in regions]
    flows.sort(key=lambda flow: (-abs(flow.parcels), flow.node_id, flow.region))
    told = flows[:FLOWS_TOLD]
    view = _view(report, nodes, regions)
    spots = [*_nodes(baseline, report, nodes), _regions(report, regions, told)]
    traces = [*_lines(told, nodes, regions), *reversed(_named(spots, view.frame))]
    note = (
        "Sums over all seeds. Circles are as large as what a node ships; lines are as wide as the change. "
        "Names stand where they have room; all can be pointed at."
    )
    changed = len(flows) + report.left_off.get("flows", 0)
    if changed > len(told):
        note += f" The {len(told)} largest of {changed} changed flows."
    if len(nodes) > NODES_TOLD:
        note += f" {NODES_TOLD} of {len(nodes)} nodes."
    frame = view.frame
    degrees = {"showgrid": True, "gridcolor": LINE, "zeroline": False, "ticksuffix": "°"}
    if view.outside:
        note += f" {view.outside} far regions lie outside."
    return chart(
        "Where parcels go",
        note,
        traces,
        HEIGHT,
        xaxis={**degrees, "title": {"text": "Longitude"}, "range": [frame.west, frame.east]},
        yaxis={
            **degrees,
            "title": {"text": "Latitude"},
            "range": [frame.south, frame.north],
            "scaleanchor": "x",
            "scaleratio": frame.stretch,
        },
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0, "itemsizing": "constant"},
        hovermode="closest",
        meta={"ratio": frame.ratio, "beside": BESIDE_PIXELS, "above": ABOVE_PIXELS, "legend": LEGEND_PIXELS},
    )


class View(NamedTuple):
    """What the map shows; `outside`: regions beyond it."""

    frame: Frame
    outside: int


class Spots(NamedTuple):
    """Places that are drawn alike, those first that are named before others. `names` as they are written; `sizes`, in
    pixels, and `letters`: of all of them; `firm`: as `placing.Point` says."""

    trace: Trace
    places: tuple[Place, ...]
    names: tuple[str, ...]
    sizes: tuple[float, ...]
    letters: int
    firm: bool = False


def _view(report: Report, nodes: Mapping[str, Place], regions: Mapping[str, Place]) -> View:
    """All nodes, and of regions those that nearly all parcels go to: a few far ones would make all else small."""
    sizes = {name: known.parcels for name, known in report.figures.regions.items() if name in regions}
    west, east = _ends([(place.lon, sizes.get(place.name, 0)) for place in regions.values()], nodes, "lon")
    south, north = _ends([(place.lat, sizes.get(place.name, 0)) for place in regions.values()], nodes, "lat")
    inside = [west <= regions[name].lon <= east and south <= regions[name].lat <= north for name in sizes]
    stretch = 1 / max(cos(radians((south + north) / 2)), 0.1)
    return View(Frame(west, east, south, north, stretch), len(inside) - sum(inside))


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


def _named(spots: Sequence[Spots], frame: Frame) -> list[Trace]:
    """Their traces with names. For each of some widths of the map `meta.sides` has a digit for each place: on which
    side its name stands there, by `placing.SIDES`. What comes first in `spots` is named before the rest."""
    sides: list[list[tuple[int, str]]] = [[] for _ in spots]
    for width in placing.WIDTHS:
        across = width - BESIDE_PIXELS
        high = min(HEIGHT - ABOVE_PIXELS, across * frame.ratio)
        points = [
            Point(*frame.pixels(place.lon, place.lat, across, high), size, name, each.letters, each.firm)
            for each in spots
            for place, name, size in zip(each.places, each.names, each.sizes, strict=True)
        ]
        found = iter(placing.placed(points, across, high))
        for k, each in enumerate(spots):
            sides[k].append((width, "".join(str(next(found)) for _ in each.places)))
    return [
        each.trace
        | {
            "type": "scatter",
            "mode": "markers+text",
            "x": [place.lon for place in each.places],
            "y": [place.lat for place in each.places],
            "text": [text(name) for name in each.names],
            "hoverinfo": "text",
            "meta": {"sides": told},
        }
        for each, told in zip(spots, sides, strict=True)
    ]


def _regions(report: Report, regions: Mapping[str, Place], flows: Sequence[FlowChange]) -> Spots:
    """The regions that most parcels go to, and those that lines go to."""
    parcels = {name: known.parcels for name, known in report.figures.regions.items() if name in regions}
    most = sorted(parcels, key=lambda name: (-parcels[name], name))
    led = {flow.region for flow in flows}
    names = [*most[:REGIONS_TOLD], *(name for name in most[REGIONS_TOLD:] if name in led), *sorted(led - set(most))]
    country = _country(regions)
    return Spots(
        {
            "textfont": {"size": REGION_LETTERS, "color": MUTED},
            "marker": {"size": REGION_PIXELS, "color": MUTED},
            "hovertext": [f"{text(name)}: {parcels.get(name, 0):,} parcels" for name in names],
            "name": "Regions",
        },
        tuple(regions[name] for name in names),
        tuple(short(name.removeprefix(country)) for name in names),
        (REGION_PIXELS,) * len(names),
        REGION_LETTERS,
    )


def _nodes(baseline: Report, report: Report, nodes: Mapping[str, Place]) -> list[Spots]:
    """Those that did ship and do no more, and those that ship."""
    before, after = (_parcels(each, nodes) for each in (baseline, report))
    busiest = sorted(nodes, key=lambda name: (-max(before[name], after[name]), name))[:NODES_TOLD]
    largest = max((after[name] for name in busiest), default=0) or 1
    shipping = [name for name in busiest if after[name]]
    closed = [name for name in busiest if before[name] and not after[name]]
    sizes = [6 + 18 * sqrt(after[name] / largest) for name in shipping]
    circles = {"size": sizes, "color": BASE, "opacity": 0.85, "line": {"color": PAPER, "width": 1}}
    found = [_spots("Nodes", circles, sizes, shipping, nodes, before, after)]
    if closed:
        cross = {"size": CROSS_PIXELS, "color": INK, "symbol": "x-thin", "line": {"color": INK, "width": 3}}
        sizes = [CROSS_PIXELS] * len(closed)
        found.insert(0, _spots("Ships no more", cross, sizes, closed, nodes, before, after)._replace(firm=True))
    return found


def _spots(
    kind: str,
    marker: dict[str, Any],
    sizes: Sequence[float],
    names: Sequence[str],
    nodes: Mapping[str, Place],
    before: Mapping[str, int],
    after: Mapping[str, int],
) -> Spots:
    told = [f"<b>{text(name)}</b><br>{after[name]:,} parcels, {before[name]:,} in the baseline" for name in names]
    return Spots(
        {"name": kind, "marker": marker, "textfont": {"size": NODE_LETTERS, "color": INK}, "hovertext": told},
        tuple(nodes[name] for name in names),
        tuple(short(name) for name in names),
        tuple(sizes),
        NODE_LETTERS,
    )


def _parcels(report: Report, nodes: Mapping[str, Place]) -> dict[str, int]:
    """How many each of these nodes ships."""
    shipped = report.shipped()
    return {name: shipped[name].parcels if name in shipped else 0 for name in nodes}
