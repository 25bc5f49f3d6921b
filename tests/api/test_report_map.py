"""The map of a report: names stand where they have room, on wide pages and narrow ones, and none over another."""

from __future__ import annotations

import re
from random import Random

import pytest

from api.report import mapping, placing
from api.report.placing import Frame, Point, placed
from api.report.rendering import _asset
from engine.simulation.answering import Answer, Place
from engine.simulation.comparing import FlowChange
from engine.simulation.figures import Figures, Load, Region
from engine.simulation.simulating import Report

WIDTH, HEIGHT = 400.0, 300.0


def box(point: Point, side: int) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of a name, worked out on its own: letters of 0.62 and lines of 1.25 of their size."""
    wide, high = 0.62 * point.letters * len(point.name), 1.25 * point.letters
    away = point.size / 2 + placing.GAP
    left = {1: point.x - wide / 2, 2: point.x - wide / 2, 3: point.x + away, 4: point.x - away - wide}[side]
    top = {1: point.y - away - high, 2: point.y + away, 3: point.y - high / 2, 4: point.y - high / 2}[side]
    return left, left + wide, top, top + high


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]


@pytest.mark.parametrize("seed", range(20))
def test_no_name_lies_over_another_or_over_a_point_or_beyond_the_map(seed):
    """Dense parts stay readable, whatever lies there."""
    random = Random(seed)
    points = [
        Point(
            random.gauss(200, 60), random.gauss(150, 40), random.choice([4, 12, 24]), f"ST-{k}", random.choice([10, 11])
        )
        for k in range(80)
    ]
    sides = placed(points, WIDTH, HEIGHT)
    named = [(k, box(points[k], side)) for k, side in enumerate(sides) if side]
    assert 10 < len(named) < 80
    for k, mine in named:
        assert mine[0] >= 0
        assert mine[1] <= WIDTH
        assert mine[2] >= 0
        assert mine[3] <= HEIGHT
        assert all(apart(mine, other) for j, other in named if j != k)
        for j, point in enumerate(points):
            half = point.size / 2
            spot = (point.x - half, point.x + half, point.y - half, point.y + half)
            assert j == k or apart(mine, spot)


def test_the_first_names_come_before_others_and_firm_ones_stand_over_points():
    """Who matters most is named; a node that was closed is named even where its neighbours' circles leave no room."""
    here = [Point(200, 150, 10, name, 11) for name in ("first", "second", "third", "fourth", "fifth")]
    assert placed(here[:1], WIDTH, HEIGHT) == [1]
    assert placed(here, WIDTH, HEIGHT) == [1, 2, 0, 0, 0], "above, below, and no more room"
    ring = [Point(200 + x, 150 + y, 60, "", 11) for x in (-45, 0, 45) for y in (-45, 0, 45) if x or y]
    assert placed([here[0], *ring], WIDTH, HEIGHT)[0] == 0
    assert placed([here[0]._replace(firm=True), *ring], WIDTH, HEIGHT)[0] == 1
    assert placed([Point(2, 150, 4, "at the edge", 11)], WIDTH, HEIGHT) == [3]


def test_places_are_drawn_in_the_middle_of_the_map_at_one_scale():
    """A degree of latitude is longer than one of longitude by the stretch, and what is north is up."""
    frame = Frame(-100, -80, 30, 40, 1.5)
    assert frame.ratio == pytest.approx(0.75)
    assert frame.pixels(-90, 35, 400, 500) == pytest.approx((200, 250))
    assert frame.pixels(-100, 40, 400, 500) == pytest.approx((0, 100))
    assert frame.pixels(-80, 30, 1000, 150) == pytest.approx((600, 150))


def crowd(nodes: int) -> tuple[Answer, Report, Report]:
    """Nodes in a small part of a wide country; the first one ships no more in the scenario."""
    random = Random(1)
    places = tuple(
        Place(f"FC-{k:03d}", random.gauss(41, 1.5), random.gauss(-75, 2.0)) if k else Place("FC-000", 41.0, -75.0)
        for k in range(nodes)
    )
    loads = {place.name: {"2026-11-23": Load(1_000 - k, 1_000)} for k, place in enumerate(places)}
    regions = {f"US-{name}": Region(100, 0, 0) for name in ("NY", "CA", "WA", "FL")}
    at = {"US-NY": (43.0, -75.5), "US-CA": (37.0, -120.0), "US-WA": (47.4, -120.5), "US-FL": (28.6, -82.4)}
    flows = (FlowChange("FC-001", "US-CA", 40, 40, 0), FlowChange("FC-000", "US-CA", -40, -40, 0))
    base = Report("baseline", (1,), Figures(loads=loads, regions=regions), (), ())
    without = {name: load for name, load in loads.items() if name != "FC-000"}
    other = Report("other", (1,), Figures(loads=without, regions=regions), (), (), {}, flows)
    answer = Answer(
        name="crowd", currency="USD", grams_per_parcel_km=0.2, nodes=places,
        regions=tuple(Place(name, *place) for name, place in at.items()), reports=(base, other),
    )  # fmt: skip
    return answer, base, other


def test_a_wide_map_names_more_than_a_narrow_one_and_all_can_be_pointed_at():
    """Each trace has a side for each of its points at every width; who hovers has the name in any case."""
    chart = mapping.flow_map(*crowd(60))
    assert chart is not None
    told = {trace["name"]: trace for trace in chart.figure["data"] if "meta" in trace}
    assert set(told) == {"Nodes", "Ships no more", "Regions"}
    for trace in told.values():
        assert [width for width, _ in trace["meta"]["sides"]] == list(placing.WIDTHS)
        assert all(len(digits) == len(trace["x"]) for _, digits in trace["meta"]["sides"])
        assert len(trace["hovertext"]) == len(trace["text"]) == len(trace["x"])
    narrow, *_, wide = (
        sum(digit != "0" for trace in told.values() for digit in trace["meta"]["sides"][k][1])
        for k in range(len(placing.WIDTHS))
    )
    assert 0 < narrow < wide < 65
    assert all(digits != "0" for _, digits in told["Ships no more"]["meta"]["sides"]), (
        "it is what the scenario is about"
    )


def test_the_script_knows_the_sides_by_the_same_numbers():
    """Two files, one table."""
    found = re.search(r"const SIDES = \[(.*?)\];", _asset("page.js"))
    assert found is not None
    assert [each.strip(' "') for each in found[1].split(",")][1:] == list(placing.SIDES[1:])
