"""The UCI replay on a tiny file of the same format: the recipe, the judge, and a whole run."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from bench.uci import report
from bench.uci.__main__ import app
from bench.uci.judge import Judge, great_circle_m
from bench.uci.recipe import RETAIL_UNITS_MAX, Delivery, Workload, workload
from bench.uci.run import Figures, Run, replay, steps
from bench.uci.source import (
    CENTRES,
    ORDERS,
    POPULATION,
    data_directory,
    read_centres,
    read_invoices,
    read_regions,
)
from bench.uci.targets import MemoryTarget

HEAD = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty invoices over twelve days, eight stock codes, and rows that the recipe leaves out."""
    directory = tmp_path_factory.mktemp("data")
    rows = []
    for number in range(60):
        day, customer = 1 + number // 5, f"{17_000 + number % 9}.0" if number % 7 else ""
        for code in range(1 + number % 4):
            sku = 10_000 + (number * 3 + code * 5) % 8
            rows.append(
                f"{5000 + number},{sku},THING,{1 + 9 * (number % 3)}.0,2010-12-{day:02d} 09:00:00,2.55,{customer},UK"
            )
    rows += [
        "C5000,10000,BACK,-1.0,2010-12-01 09:00:00,2.55,17000.0,UK",
        "A5001,B,Adjust bad debt,1.0,2010-12-01 09:00:00,9.00,,UK",
        "5002,POST,POSTAGE,1.0,2010-12-01 09:00:00,18.00,17000.0,UK",
        "5003,10001,LOST,-4.0,2010-12-01 09:00:00,0.0,,UK",
    ]
    for path in (ORDERS, POPULATION, CENTRES):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / ORDERS).write_bytes(gzip.compress((HEAD + "\n".join(rows) + "\n").encode()))
    (directory / POPULATION).write_text(
        "zip3,zips,population,lat,lng\n100,9,1600000.0,40.75,-73.99\n606,9,2700000.0,41.85,-87.65\n"
        "900,9,2500000.0,34.03,-118.26\n901,1,0.0,34.0,-118.0\n902,1,10.0,,\n"
    )
    (directory / CENTRES).write_text(
        "Facility,State,Latitude,Longitude\nONT6,CA,33.873,-117.2361\nIND1,IN,39.9797,-86.3833\nAVP3,PA,41.2776,-75.4973\n"
    )
    return directory


def work_of(data: Path, cut: str = "retail", days: int = 3) -> Workload:
    return workload(read_invoices(data), read_regions(data), read_centres(data), cut, days, seed=7)


def test_charges_and_cancellations_are_left_out(data: Path) -> None:
    """The replay is of goods that were ordered, nothing else."""
    invoices = read_invoices(data)
    assert len(invoices) == 60
    assert {item.code for invoice in invoices for item in invoice.items} == {str(10_000 + n) for n in range(8)}
    assert [invoice.placed_at for invoice in invoices] == sorted(invoice.placed_at for invoice in invoices)
    assert {region.zip3 for region in read_regions(data)} == {"100", "606", "900"}


def test_recipe_is_the_same_for_a_seed(data: Path) -> None:
    """Figures can only be compared if everybody replays the same workload."""
    assert work_of(data) == work_of(data)
    other = workload(read_invoices(data), read_regions(data), read_centres(data), "retail", 3, seed=8)
    assert other.deliveries != work_of(data).deliveries


def test_retail_caps_quantities_and_wholesale_does_not(data: Path) -> None:
    """The two cuts differ in nothing but the cap."""
    retail, wholesale = work_of(data), work_of(data, "wholesale")
    pairs = [
        (small.quantity, large.quantity)
        for one, two in zip(retail.orders, wholesale.orders, strict=True)
        for small, large in zip(one.lines, two.lines, strict=True)
    ]
    assert max(large for _, large in pairs) == 19
    assert all(small == min(RETAIL_UNITS_MAX, large) for small, large in pairs)


def test_a_customer_lives_in_one_place(data: Path) -> None:
    """The ship-to is drawn once per customer, not per order."""
    places: dict[str, set[str | None]] = {}
    for invoice, order in zip(read_invoices(data), work_of(data).orders, strict=True):
        if invoice.customer:
            places.setdefault(invoice.customer, set()).add(order.ship_to.postal_code)
    assert all(len(each) == 1 for each in places.values())


@pytest.mark.parametrize("days", [3, 10])
def test_deliveries_add_up_to_the_demand(data: Path, days: int) -> None:
    """Over the whole period as much arrives as is ordered, give or take the rounding up of each cell."""
    work = work_of(data, days=days)
    supplied = sum(movement.quantity for delivery in work.deliveries for movement in delivery.movements)
    demand = sum(line.quantity for order in work.orders for line in order.lines)
    cells = len({(m.sku, m.node_id) for delivery in work.deliveries for m in delivery.movements})
    rounds = len(work.deliveries) * days / 12
    assert demand * 0.99 <= supplied <= demand * rounds + cells
    assert [each.at for each in work.deliveries] == sorted(each.at for each in work.deliveries)
    assert work.deliveries[0].at <= work.orders[0].placed_at  # type: ignore[operator]


def test_a_delivery_comes_before_the_orders_after_it(data: Path) -> None:
    """No order may be decided on stock that had not arrived when it was placed, nor miss stock that had."""
    work = work_of(data)
    arrived = None
    count = 0
    for step in steps(work, window=7):
        if isinstance(step, Delivery):
            arrived = step.at
            continue
        assert len(step) <= 7
        count += len(step)
        for order in step:
            assert arrived is not None
            assert order.placed_at is not None
            assert arrived <= order.placed_at < arrived + timedelta(days=3)
    assert count == 60


def run_of(work: Workload, mode: str) -> Figures:
    async def once() -> Figures:
        target = MemoryTarget()
        try:
            return await replay(target, work, Run("retail", 3, mode), 10, 7, lambda _: None)
        finally:
            await target.close()

    return asyncio.run(once())


def test_every_mode_is_judged_clean_and_joint_is_cheapest(data: Path) -> None:
    """The whole way: decisions recomputed to the mill, nothing oversold, stock as in the auditor's book."""
    work = work_of(data)
    results = [run_of(work, mode) for mode in ("optimise", "nearest", "sequence", "most_stock")]
    for each in results:
        assert (each.oversold, each.faults, each.stock_differs) == (0, 0, 0), each.first_faults
        assert each.orders == 60
        assert each.units + each.unallocated_units == sum(
            line.quantity for order in work.orders for line in order.lines
        )
    assert report.findings(results) == []
    assert "| retail | 3 | nearest |" in report.markdown(results)
    assert msgspec.json.decode(report.document(results, "test"))["findings"] == []


def test_the_judge_finds_a_wrong_cost_and_an_oversold_cell(data: Path) -> None:
    """A judge that never objects proves nothing."""
    work = work_of(data)
    judge = Judge(work.network, work.skus, 25_000)
    order = msgspec.structs.replace(work.orders[0], lines=work.orders[0].lines[:1])
    body = {
        "order_id": order.order_id,
        "status": "allocated",
        "parcels": [
            {
                "node_id": "FC-IND1",
                "carrier": "usps",
                "service": "ground",
                "weight_g": 1,
                "lines": [
                    {"line_id": line.line_id, "sku": line.sku, "quantity": line.quantity} for line in order.lines
                ],
                "cost": {"shipping": "1.00", "handling": "1.00"},
            }
        ],
        "unallocated": [],
        "cost": {"shipping": "1.00", "handling": "1.00", "split": "0", "late": "0", "unfilled": "0", "total": "2.00"},
        "window": {"window_id": "w", "solve_ms": 1.0, "solver": "x"},
    }
    judge.decided(order, msgspec.json.encode(body))
    assert len(judge.faults) == 2
    assert judge.oversold == sum(line.quantity for line in order.lines)


def test_distance_is_the_great_circle() -> None:
    """New York to Los Angeles is 3,936 km on the sphere of the contract."""
    assert great_circle_m(40.7128, -74.0060, 34.0522, -118.2437) == pytest.approx(3_935_746, abs=500)


def test_absent_data_is_said_in_one_line(tmp_path: Path) -> None:
    """Who has not got the data is told so, and nothing fails."""
    result = CliRunner().invoke(app, ["--data", str(tmp_path)])
    assert result.exit_code == 0
    assert result.output.count("\n") == 1
    assert "skipped" in result.output
    assert data_directory(tmp_path) is None


def test_a_saving_needs_the_same_orders(data: Path) -> None:
    """Runs over different numbers of orders are never compared."""
    work = work_of(data)
    joint = run_of(replace(work, orders=work.orders[:20]), "optimise")
    rule = run_of(work, "nearest")
    assert report.saving(rule, [joint, rule]) is None


def test_the_command_writes_figures_and_table(data: Path, tmp_path: Path) -> None:
    """Runs are made in processes of their own; what they find lands in both files and decides the exit code."""
    arguments = ["--data", str(data), "--cut", "retail", "--days", "3", "--mode", "nearest", "--limit", "20"]
    files = ["--output", str(tmp_path / "uci.json"), "--table", str(tmp_path / "uci.md")]
    command = [sys.executable, "-m", "bench.uci", *arguments, *files]
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=root, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert msgspec.json.decode((tmp_path / "uci.json").read_bytes())["runs"][0]["orders"] == 20
    assert (tmp_path / "uci.md").read_text() in result.stdout
