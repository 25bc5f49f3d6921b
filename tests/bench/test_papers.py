"""The literature's experiments on a tiny network: recipes, roundings, paths, figures and the command."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib import import_module
from importlib.metadata import EntryPoint
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

import api.cli
from bench.papers import experiments, recipe, report
from bench.papers.__main__ import app
from bench.papers.deciding import Delivery, Moment, Rhythm, decide, nodes_of, priced
from bench.papers.experiments import DLP, FLOOR, ITEMS, LIVE, AccountError, Draw, Row, Tally, rows
from bench.papers.policies import no_prices, outlook_of, true_rates
from bench.papers.published import ROUNDINGS, cost_of
from bench.papers.recipe import Bed, LongTail, published_bed, shifting, unrefusing
from bench.papers.source import FOLDER, Geometry, geometry
from bench.papers.world import World
from solvers.budget import Budget
from solvers.choose import solve

TINY = Bed(items=6, largest=3, each=2, horizon=200, carried=0.75)
PLACES = [(40.0, -75.0, 500), (34.0, -118.0, 300), (42.0, -88.0, 200), (30.0, -95.0, 100)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four metros and three nodes in files of the published form, and a bed of a few hundred arrivals."""
    (tmp_path / FOLDER).mkdir()
    cities = "".join(f"c{at},S,{lat},{lon},{people}\n" for at, (lat, lon, people) in enumerate(PLACES))
    centres = "".join(f"f{at},S,{lat + 1},{lon + 1}\n" for at, (lat, lon, _) in enumerate(PLACES[:3]))
    for suffix in ("", "_warmup"):
        (tmp_path / FOLDER / f"cities{suffix}.csv").write_text("City,State,Latitude,Longitude,Population\n" + cities)
        (tmp_path / FOLDER / f"fulfillment_centers{suffix}.csv").write_text(
            "Facility,State,Latitude,Longitude\n" + centres
        )
    for module in (experiments, recipe):
        monkeypatch.setattr(module, "SMALL", TINY, raising=False)
    monkeypatch.setattr(recipe, "TAIL_ITEMS", 20)
    monkeypatch.setattr(recipe, "TAIL_ORDERS", 150)
    monkeypatch.setattr(recipe, "TAIL_SAMPLE", 5_000)
    return tmp_path


@pytest.fixture
def where(data: Path) -> Geometry:
    """The tiny network."""
    return geometry(data, warmup=True)


@pytest.fixture
def world(where: Geometry) -> World:
    """One instance on it."""
    return published_bed(where, TINY, np.random.default_rng(3))


def test_bounds_lie_below_every_policy(data: Path):
    """The item LP in hindsight bounds the method LP, which bounds every policy on every path; the published denominator
    bounds the mean of the former.
    """
    found = list(rows("e1", data, Draw(1, 0, 3, ("10 re-solves", "windows of 100, bid"))))
    for row in found:
        assert row.base[ITEMS] <= row.base[FLOOR] * (1 + 1e-6)
        assert row.base[FLOOR] <= min(row.cost.values()) * (1 + 1e-6)
    assert found[0].base[DLP] <= np.mean([row.base[ITEMS] for row in found]) * 1.02


def test_a_row_depends_on_its_numbers_alone(data: Path):
    """Any path of any experiment can be had again by seed, instance and sequence."""
    wanted = {
        "e1b": "forecast none",
        "e3": "futures, none",
        "e1-shift": "learned, no",
        "e1-replenish": "learned",
        "e2": "W=10,",
    }
    for name, only in wanted.items():
        draw = Draw(5, 2, 1, (only,), futures=2)
        assert list(rows(name, data, draw)) == list(rows(name, data, draw))


def test_prices_save_and_are_never_much_dearer(data: Path):
    """Known rates capture a part of the distance to hindsight on average; no learned policy is far behind live."""
    found = [row for instance in range(3) for row in rows("e1b", data, Draw(2, instance, 1, ("bid", "forecast none")))]
    told = {line.name: line for line in report.lines(found)}
    assert told["bid prices, 50 re-solves"].ratio < told[LIVE].ratio
    assert all(line.worst_path is None or line.worst_path < 0.05 for line in told.values())


def test_order_by_order_is_windows_of_one(world: World):
    """Asking the engine once for a kind changes nothing: each order gets just what a window of its own would."""
    for one in (world, unrefusing(world, 50.0)):
        outlook, rng = outlook_of(one), np.random.default_rng(4)
        prices = true_rates(outlook, lambda now, one=one: one.rate * now.remaining)
        arrivals = one.arrivals(one.horizon, rng)
        path = decide(one, arrivals, prices, Rhythm(1))
        fixed = prices(Moment(arrivals[:0], one.stock, 0, one.horizon))
        stock, cost, nodes = one.stock.copy(), 0, []
        for kind in arrivals[arrivals >= 0].tolist():
            problem = one.problem(np.array([kind]), stock.copy())
            solution = solve(priced(problem, fixed))
            node = nodes_of(problem, solution)
            nodes.extend(node.tolist())
            sent = node >= 0
            np.subtract.at(stock, (problem.lines.item[sent], node[sent]), 1)
            cost += solution.total
        assert path.cost == cost
        assert path.node.tolist() == nodes


def test_no_price_refuses_what_could_ship(world: World):
    """Without a choice not to ship, every unit ships that some node has, however dear the prices."""
    one = unrefusing(world, 50.0)
    arrivals = one.arrivals(one.horizon, np.random.default_rng(1))
    dear = np.random.default_rng(2).integers(0, 10**8, one.stock.shape)
    item, _ = one.lines_of(arrivals[arrivals >= 0])
    wanted = np.bincount(item, minlength=len(one.stock))
    for window in (1, 50):
        path = decide(one, arrivals, lambda _: dear, Rhythm(1, window))
        shipped = np.bincount(item[path.node >= 0], minlength=len(one.stock))
        assert (shipped == np.minimum(wanted, one.stock.sum(axis=1))).all()


@pytest.mark.parametrize("name", ROUNDINGS)
def test_roundings_keep_their_probabilities(name: str):
    """Each item goes to each node as often as the LP says, however the items of an order are correlated."""
    rng = np.random.default_rng(8)
    part = np.vstack([rng.dirichlet(np.ones(4), 3), [[0.0, 1.0, 0.0, 0.0]], [[0.5, 0.0, 0.5, 0.0]]])
    chosen = ROUNDINGS[name](part, 40_000, rng)
    for item, row in enumerate(part):
        often = np.bincount(chosen[:, item], minlength=4) / len(chosen)
        assert often == pytest.approx(row, abs=0.015)


def test_accounts_are_recounted(world: World):
    """A path that costs something else than its parcels, or ships what is not there, is not booked."""
    arrivals = world.arrivals(world.horizon, np.random.default_rng(1))
    tally, path = Tally(world, arrivals), decide(world, arrivals, no_prices, Rhythm())
    tally.take("right", path, Rhythm())
    assert tally.cost["right"] > 0
    with pytest.raises(AccountError):
        tally.take("wrong", replace(path, cost=path.cost + 1), Rhythm())
    full = replace(path, node=np.zeros_like(path.node))
    with pytest.raises(AccountError):
        tally.take("oversold", replace(full, cost=int(cost_of(world, tally.kinds, full.node))), Rhythm())


def test_orders_that_may_move_are_decided_again(world: World):
    """While nothing is released a path ends as if all its orders had been decided together, and its accounts add up."""
    one = unrefusing(world, 50.0)
    arrivals = one.arrivals(one.horizon, np.random.default_rng(1))
    together = decide(one, arrivals, no_prices, Rhythm(1, len(arrivals)))
    for movable in (len(arrivals), 60):
        rhythm = Rhythm(4, 20, movable=movable)
        path, tally = decide(one, arrivals, no_prices, rhythm), Tally(one, arrivals)
        tally.take("movable", path, rhythm)
        if movable == len(arrivals):
            assert path.cost == pytest.approx(together.cost, rel=2 * Budget().gap)
        assert path.cost <= decide(one, arrivals, no_prices, Rhythm(4, 20)).cost


def test_prices_see_orders_that_may_move(world: World):
    """What prices are made of does not depend on where orders stand that may still move: they are demand again."""
    one = unrefusing(world, 50.0)
    arrivals, seen = one.arrivals(one.horizon, np.random.default_rng(1)), []
    decide(one, arrivals, seen.append, Rhythm(4, 20, movable=len(arrivals)))
    came = [arrivals[: now.gone][arrivals[: now.gone] >= 0].tolist() for now in seen]
    assert [now.movable.tolist() for now in seen] == came
    assert all((now.stock == one.stock).all() for now in seen)


def test_deliveries_come_when_they_are_due(world: World):
    """Stock that comes half-way serves the second half and nothing before."""
    one = unrefusing(world, 50.0)
    empty = replace(one, stock=np.zeros_like(one.stock))
    arrivals = one.arrivals(one.horizon, np.random.default_rng(1))
    path = decide(empty, arrivals, no_prices, Rhythm(4, 1, (Delivery(100, one.stock),)))
    before = len(one.lines_of(arrivals[:100][arrivals[:100] >= 0])[0])
    assert (path.node[:before] == -1).all()
    assert (path.node[before:] >= 0).any()


def test_a_long_tail_order_names_an_item_once():
    """Items are drawn without replacement, popular ones more often."""
    tail = LongTail(np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05]), np.array([1.0]))
    start, item, metro = tail.orders(2_000, np.random.default_rng(1))
    assert all(len(set(item[low:high])) == high - low for low, high in pairwise(start))
    assert np.bincount(item)[0] > np.bincount(item)[5]
    assert len(metro) == 2_000


def test_a_shifting_mix_ends_elsewhere(where: Geometry, world: World):
    """The rates of the last slot are those of the second mix, promotions aside, and always a distribution."""
    _, shift = shifting(world, where, TINY, np.random.default_rng(5))
    calm = shift._replace(spikes=())
    assert calm.rate(world, 0) == pytest.approx(shift.first)
    assert calm.rate(world, world.horizon) == pytest.approx(shift.second)
    assert all(shift.rate(world, slot).sum() <= 1 + 1e-9 for slot in range(0, 200, 20))


def path_row(instance: int, live: float, other: float) -> Row:
    """A path with two policies, floor 1."""
    return Row(instance, 0, {LIVE: live, "other": other}, {FLOOR: 1.0}, {LIVE: 12, "other": 11}, 10, 0.0)


def test_the_table_counts_who_is_worse():
    """Share captured, extra parcels removed, and every instance that is dearer than live-myopic."""
    told = {line.name: line for line in report.lines([path_row(0, 1.10, 1.02), path_row(1, 1.10, 1.12)])}
    assert told["other"].captured == pytest.approx(0.3)
    assert told["other"].worse_instances == 1
    assert told["other"].worst_path == pytest.approx(1.12 / 1.10 - 1)
    assert told["other"].extra_removed == pytest.approx(0.5)


def test_the_command_prints_its_figures(data: Path):
    """One command, one JSON document with a line for each policy and every row."""
    run = CliRunner().invoke(
        app, ["e3", "--data", str(data), "--instances", "1", "--sequences", "1", "--json", "--only", "descent"]
    )
    assert run.exit_code == 0, run.output
    told = msgspec.json.decode(run.output)
    assert {line["name"] for line in told["policies"]} >= {LIVE, "descent, no forecast"}
    assert len(told["rows"]) == 1


def test_without_the_data_the_command_says_so(tmp_path: Path):
    """The network of the papers is not part of the project; its absence is no failure."""
    run = CliRunner().invoke(app, ["e1", "--data", str(tmp_path)])
    assert run.exit_code == 0
    assert "not here" in run.output


def test_apportion_bench_is_the_same_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The command line finds what other packages register, without importing them itself."""
    project = tomllib.loads((Path(api.cli.__file__).parents[2] / "pyproject.toml").read_text())
    value = project["project"]["entry-points"][api.cli.GROUP]["bench"]
    module, function = value.split(":")
    assert callable(getattr(import_module(module), function))
    found = [EntryPoint("bench", value, api.cli.GROUP)]
    monkeypatch.setattr(api.cli, "entry_points", lambda group: found if group == api.cli.GROUP else [])
    run = CliRunner().invoke(api.cli.app, ["bench", "--help"])
    assert run.exit_code == 0
    assert all(name in run.output for name in experiments.NAMES)
    skipped = CliRunner().invoke(api.cli.app, ["bench", "e1", "--data", str(tmp_path), "--instances", "1"])
    assert skipped.exit_code == 0
    assert "not here" in skipped.output
