"""The UCI orders as files of simulations, on the tiny data of the replay."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from bench.uci.scenarios import app, files
from engine.domain import Order, Sku, StockRow
from engine.network import parse_network
from engine.simulation.answering import answered
from engine.simulation.questions import asked
from engine.simulation.recorded import spooled
from engine.simulation.scenario import parse_simulation, runs_of
from engine.simulation.simulating import performed, prepared
from engine.simulation.world import World
from tests.bench.test_uci import data, work_of

__all__ = ["data"]


def rows(body: bytes, kind: type) -> list:
    return [msgspec.json.decode(line, type=kind) for line in body.splitlines()]


@pytest.mark.parametrize(("name", "scenarios"), [("delay.json", 10), ("closings.json", 3)])
async def test_the_files_run_as_a_simulation(data: Path, tmp_path: Path, name: str, scenarios: int) -> None:
    """Whoever exports the orders can ask at once: documents, orders and stock fit each other, and every question has an
    answer on the very orders."""
    work = work_of(data)
    made = files(work)
    world = World(
        network=parse_network(made["network.json"]),
        skus=tuple(rows(made["catalogue.ndjson"], Sku)),
        stock=tuple(rows(made["stock.ndjson"], StockRow)),
    )
    of = asked(parse_simulation(made[name]), world)
    spool = spooled(rows(made["orders.ndjson"], Order), tmp_path / "orders", of.orders_max)
    begin = prepared(of, world, spool)
    results = [await performed(of, begin, one, spool.path) for one in runs_of(of)]
    answer = answered(of, begin, results)
    assert {report.figures.orders for report in answer.reports} == {len(work.orders)}
    assert len(answer.reports) == scenarios + 1
    assert sum(len(curve.points) for curve in answer.curves) + len(answer.closings) == scenarios


def test_stock_and_arrivals_are_the_deliveries_of_the_replay(data: Path) -> None:
    """The same seed gives the same units at the same instants as the other benches have, up to the last order."""
    work = work_of(data)
    wanted = {line.sku for order in work.orders for line in order.lines}
    made = files(work)
    arrivals = msgspec.json.decode(made["delay.json"])["stock"]["replenishment"]["arrivals"]
    expected = sum(
        move.quantity
        for delivery in work.deliveries
        if delivery.at <= work.orders[-1].placed_at
        for move in delivery.movements
        if move.sku in wanted
    )
    there = sum(row.on_hand for row in rows(made["stock.ndjson"], StockRow))
    assert there + sum(each["quantity"] for each in arrivals) == expected


def test_the_command_says_how_to_run_what_it_wrote(data: Path, tmp_path: Path) -> None:
    """One command makes the files, and tells the next one."""
    asked_for = [str(tmp_path / "out"), "--data", str(data), "--limit", "5", "--lines-max", "50"]
    answer = CliRunner().invoke(app, asked_for)
    assert answer.exit_code == 0, answer.output
    assert f"apportion simulate {tmp_path / 'out' / 'delay.json'} --network" in answer.output
    assert len((tmp_path / "out" / "orders.ndjson").read_bytes().splitlines()) == 5


def test_absent_data_is_said_in_one_line(tmp_path: Path) -> None:
    """Without the data nothing is written and nothing fails."""
    answer = CliRunner().invoke(app, [str(tmp_path / "out"), "--data", str(tmp_path / "none")])
    assert answer.exit_code == 0
    assert "skipped" in answer.output
    assert not (tmp_path / "out").exists()
