"""An answer of thousands of nodes over a year, for tens of scenarios: of bounded size, made in bounded memory."""

from __future__ import annotations

import gc
import json
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from api.report import charts, page
from engine.network import parse_network
from engine.simulation import bounding
from engine.simulation.answering import Answer, answered
from engine.simulation.figures import Day, Figures, Flow, Load, Region, Short
from engine.simulation.jobs.results import Left, leave
from engine.simulation.scenario import BASELINE, Run, Simulation, runs_of
from engine.simulation.simulating import Result
from engine.simulation.trail import Columns
from engine.simulation.world import World
from tests.engine.making import document, node
from tests.engine.simulation.worlds import simulation

NODES, DAYS, REGIONS, ORDERS, SCENARIOS = 2_000, 366, 20, 50_000, 16
FIRST = date(2026, 1, 1)
pytestmark = pytest.mark.timeout(240)


def large_world() -> World:
    nodes = [node(f"FC-{k:04d}", lat=25 + k % 23, lon=-120 + k % 49) for k in range(NODES)]
    return World(network=parse_network(json.dumps(document(nodes)).encode()), skus=(), stock=())


def figures(shift: int) -> Figures:
    """Every node ships every day and to every region; the first are the busiest."""
    dates = [(FIRST + timedelta(days=k)).isoformat() for k in range(DAYS)]
    names = [f"FC-{k:04d}" for k in range(NODES)]
    regions = [f"US-{k:02d}" for k in range(REGIONS)]
    return Figures(
        orders=ORDERS,
        orders_shipped=ORDERS,
        parcels=ORDERS,
        units=9 * ORDERS,
        units_shipped=8 * ORDERS,
        total=(10_000 + shift) * ORDERS,
        shipping=(10_000 + shift) * ORDERS,
        parcels_per_order={1: ORDERS},
        days={each: Day(orders=137) for each in dates},
        loads={name: {each: Load(NODES - k, 2 * NODES + shift) for each in dates} for k, name in enumerate(names)},
        flows={
            name: {each: Flow(k + shift * n, 9, 9) for n, each in enumerate(regions)} for k, name in enumerate(names)
        },
        short={f"SKU-{k}": Short(1, k) for k in range(70_000)},
        regions={each: Region(1_000, 40_000_000_000, -90_000_000_000 - n * 10_000) for n, each in enumerate(regions)},
    )


def trail(shift: int) -> Columns:
    """In the scenario every order ships from elsewhere, in tens of thousands of ways."""
    keys = np.arange(ORDERS, dtype=np.uint64)
    names = tuple(f"FC-{k // 200:04d}+FC-{k % 200:04d}" for k in range(20_000))
    nodes = (np.arange(ORDERS, dtype=np.int64) * (7 + shift)) % len(names)
    ids = np.array([f"ORDER-{k:08d}".encode() for k in range(ORDERS)])
    return Columns(keys, np.arange(ORDERS, dtype=np.int64) * (1 + shift), nodes, ids, names)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What a run of the baseline left, and one of any scenario."""
    found = []
    for shift in (0, 1):
        directory = tmp_path_factory.mktemp("run")
        leave(directory, Result(Run(BASELINE, 1), figures(shift), trail(shift)))
        found.append(directory)
    return found[0], found[1]


def asked_of(scenarios: int, seeds: int) -> Simulation:
    patches = [{"demand_factor": 1.1}]
    return simulation(
        seeds=list(range(1, 1 + seeds)),
        scenarios=[{"name": f"scenario {k}", "patches": patches} for k in range(scenarios)],
    )


class Watched(Left):
    """Tells how many figures of a whole run are in memory when it is read."""

    alive: list[int] = []  # noqa: RUF012 - one list for all of them

    @property
    def figures(self) -> Figures:
        gc.collect()
        self.alive.append(sum(isinstance(each, Figures) and len(each.loads) == NODES for each in gc.get_objects()))
        return super().figures


def test_an_answer_holds_the_sums_of_few_runs_at_once(left: tuple[Path, Path]):
    """Memory does not grow with scenarios and seeds: beside what is read there are the sums of its own scenario."""
    of, world = asked_of(3, 2), large_world()
    Watched.alive.clear()
    results = [Watched(run, left[run.scenario != BASELINE]) for run in runs_of(of)]
    answered(of, world, results)
    assert len(Watched.alive) == len(results), "each is read once"
    assert max(Watched.alive) <= 2


def test_scenarios_of_a_year_and_two_thousand_nodes_are_some_tens_of_megabytes(left: tuple[Path, Path]):
    """Neither answer nor page grows with nodes times days times scenarios; what is left off is told by its number."""
    of, world = asked_of(SCENARIOS, 1), large_world()
    answer = answered(of, world, [Left(run, left[run.scenario != BASELINE]) for run in runs_of(of)])
    body = msgspec.json.encode(answer)
    assert len(body) < 40_000_000
    html = page(msgspec.json.decode(body, type=Answer))
    assert len(html) < 30_000_000
    report = answer.reports[1]
    assert report.figures.orders == ORDERS
    assert len(report.nodes) == NODES
    assert report.nodes["FC-0003"] == Load((NODES - 3) * DAYS, (2 * NODES + 1) * DAYS)
    told_nodes = bounding.CELLS // (1 + SCENARIOS) // DAYS
    assert list(report.figures.loads) == [f"FC-{k:04d}" for k in range(told_nodes)]
    assert len(report.figures.loads["FC-0000"]) == DAYS
    cells = told_nodes * DAYS
    told_flows, told_skus = bounding.FLOWS // (1 + SCENARIOS), bounding.SKUS // (1 + SCENARIOS)
    assert report.left_off == {
        "figures.loads": NODES * DAYS - cells,
        "utilisation": NODES * DAYS - cells,
        "figures.flows": NODES * REGIONS - told_flows,
        "figures.short": 70_000 - told_skus,
        "flows": NODES * (REGIONS - 1) - told_flows,
    }
    assert min(report.figures.short.values(), key=lambda short: short.units).units == 70_000 - told_skus
    [moves] = report.moves
    assert len(moves.shifts) == bounding.SHIFTS // SCENARIOS
    assert moves.shifts_left_off > 0
    assert f"largest of {NODES * (REGIONS - 1)} changed flows" in html.decode()
    assert f"The {told_nodes} busiest of {NODES} nodes" in html.decode()
    assert "Of 7 days the fullest." in html.decode()
    assert "ways" in html.decode()


def test_few_days_and_nodes_are_told_whole():
    """What is small loses nothing."""
    small = Figures(
        loads={"A": {"2026-01-01": Load(1, 2)}}, flows={"A": {"X": Flow(1, 2, 3)}}, short={"P": Short(1, 1)}
    )
    share = bounding.room(51, 5_000)
    assert bounding.bounded(small, share, bounding.daily(small, bounding.node_sums(small), {}, share)) == (small, {})
    assert (share.shifts, share.moves) == (12, 6)


def test_the_days_of_a_node_are_told_in_both_reports_or_drawn_in_neither():
    """A node whose days are left off on one side would look empty there."""

    def report(told: str, ships: str) -> SimpleNamespace:
        loads = {name: {"2026-01-01": Load(5, 5)} for name in told}
        usage = [(name, "2026-01-01", 5, 5, None) for name in told]
        return SimpleNamespace(
            figures=Figures(loads=loads),
            utilisation=tuple(msgspec.convert(each, charts.Utilisation) for each in usage),
            shipped=lambda: {name: Load(5, 5) for name in ships},
        )

    chart = charts.utilisation(report("AB", "ABC"), report("BCD", "ABCD"))  # type: ignore[arg-type]
    assert chart is not None
    assert chart.figure["layout"]["yaxis"]["ticktext"] == ["B", "D"], "A and C are known on one side only; D is new"
    assert "The 2 busiest of 4 nodes." in chart.note


def test_a_long_time_is_drawn_by_weeks_that_show_their_fullest_day():
    """A column is a week from the first day on; the days within are not added up."""
    rows = [charts.Utilisation("A", (FIRST + timedelta(days=k)).isoformat(), k % 7, 9, None) for k in range(365)]
    one = SimpleNamespace(
        figures=Figures(loads={"A": {row.date: Load() for row in rows}}),
        utilisation=tuple(rows),
        shipped=lambda: {"A": Load(9, 9)},
    )
    chart = charts.utilisation(one, one)  # type: ignore[arg-type]
    assert chart is not None
    heat = chart.figure["data"][0]
    assert heat["x"][:2] == ["2026-01-01", "2026-01-08"]
    assert len(heat["x"]) == 53
    assert heat["z"] == [[6] * 52 + [0]]
    assert "Of 7 days the fullest." in chart.note
