"""Load over HTTP: arrivals, the two loops, the judge of answers, and both drivers against a served engine."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from importlib.metadata import EntryPoint
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

import api.cli
from bench.load.__main__ import app
from bench.load.arrivals import HOURS, arrivals, peak_day
from bench.load.contract import Said, decision_of, fault_of, judge
from bench.load.figures import Figures, latency, lines, quality
from bench.load.loops import Times, closed_loop, open_loop
from bench.load.saturation import wrk
from bench.load.service import lag_between, served
from bench.merchant import expected_demand, merchant, stocked

ROOT = Path(__file__).resolve().parents[2]
LOCUST_S = 120.0


class Watch:
    """A clock that moves when somebody sleeps or works."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        target = self.at + seconds
        await asyncio.sleep(0)  # others work meanwhile, and may take longer
        self.at = max(self.at, target)


async def test_open_loop_counts_from_the_intended_instant() -> None:
    """A sender that was held up for a second charges it to every request that was due meanwhile: nothing is omitted."""
    watch = Watch()

    async def send(number: int) -> None:
        watch.at += 1.0 if number == 0 else 0.01

    times = await open_loop([0.0, 0.1, 0.2, 5.0], send, watch.now, watch.sleep)
    # The second is due at 0.1, begun at 1.0 and answered at 1.01; the third is due at 0.2 and answered at 1.02.
    assert times.latency == pytest.approx([1.0, 0.91, 0.82, 0.01])
    assert times.late == pytest.approx([0.0, 0.9, 0.8, 0.0])
    assert times.lasted == pytest.approx(5.01)


async def test_open_loop_tells_how_late_it_began() -> None:
    """A late start is part of the latency, and is told apart, so that a slow sender is not taken for a slow service."""
    watch = Watch()

    async def oversleep(seconds: float) -> None:
        await watch.sleep(seconds + 0.5)

    async def send(number: int) -> None:  # noqa: ARG001
        watch.at += 0.02

    times = await open_loop([1.0], send, watch.now, oversleep)
    assert times.late == pytest.approx([0.5])
    assert times.latency == pytest.approx([0.52])


async def test_open_loop_waits_for_nobody() -> None:
    """Requests that are due are sent although no answer has come: that is what open means."""
    begun: list[int] = []
    answer = asyncio.Event()

    async def send(number: int) -> None:
        begun.append(number)
        if number == 4:
            answer.set()
        await answer.wait()

    watch = Watch()
    times = await asyncio.wait_for(open_loop([0.1 * n for n in range(5)], send, watch.now, watch.sleep), 30)
    assert begun == [0, 1, 2, 3, 4]
    assert len(times.latency) == 5


async def test_closed_loop_ends_when_time_or_orders_do() -> None:
    """A bounded run: so many clients, each one request at a time, no longer than was said."""
    watch = Watch()
    under_way = most = 0

    async def send(number: int) -> None:  # noqa: ARG001
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        watch.at += 0.1
        under_way -= 1

    timed = await closed_loop(iter(range(10_000)), send, 4, 2.0, watch.now)
    assert most == 4
    assert 20 <= len(timed.latency) <= 24
    assert len((await closed_loop(iter(range(3)), send, 4, 2.0, watch.now)).latency) == 3


def test_arrivals_are_poisson_and_the_same_for_a_seed() -> None:
    """Figures can be compared only if everybody meets the same arrivals; number and gaps are as they should be."""
    due = arrivals(200, 100, seed=5)
    assert due == arrivals(200, 100, seed=5) != arrivals(200, 100, seed=6)
    assert due == sorted(due)
    assert len(due) == pytest.approx(20_000, rel=0.03)
    gaps = np.diff(due)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)


def test_a_peak_day_peaks_in_the_evening() -> None:
    """The curve is never above the peak, and arrivals follow it."""
    assert max(peak_day(at / 1000) for at in range(1000)) == pytest.approx(1.0, abs=0.001)
    due = np.array(arrivals(1_000, 24, seed=1, curve=peak_day))
    by_hour = np.histogram(due, bins=24, range=(0, 24))[0]
    assert by_hour.argmax() in (19, 20)
    assert by_hour[20] / by_hour[3] == pytest.approx(HOURS[20] / HOURS[3], rel=0.35)
    assert peak_day(0.0) == pytest.approx(peak_day(1.0))


DECISION = b'{"order_id":"A","status":"allocated","parcels":[]}'


@pytest.mark.parametrize(
    ("status", "headers", "body", "first", "said"),
    [
        (201, {}, DECISION, None, Said.DECIDED),
        (200, {}, DECISION, DECISION, Said.DECIDED),
        (503, {"retry-after": "1"}, b"{}", None, Said.LATER),
        (429, {"retry-after": "2"}, b"{}", DECISION, Said.LATER),
        (503, {}, b"{}", None, Said.FAULT),
        (500, {"retry-after": "1"}, b"{}", None, Said.FAULT),
        (502, {}, b"", None, Said.FAULT),
        (409, {}, b"{}", None, Said.FAULT),
        (0, {}, b"", None, Said.FAULT),
        (201, {}, DECISION, DECISION, Said.FAULT),
        (200, {}, DECISION + b" ", DECISION, Said.FAULT),
        (201, {}, DECISION.replace(b'"A"', b'"B"'), None, Said.FAULT),
        (201, {}, b"{}", None, Said.FAULT),
    ],
)
def test_the_judge_knows_the_contract(
    status: int, headers: dict[str, str], body: bytes, first: bytes | None, said: Said
) -> None:
    """Both drivers count the same answers as faults, and no fault passes for an answer."""
    assert judge("A", status, headers, body, first).said is said


def test_other_answers_are_judged_too() -> None:
    """A quote or a command may be put off, and must not fail in any other way."""
    assert fault_of(200, {}, b"") == ""
    assert fault_of(503, {"retry-after": "1"}, b"") == ""
    assert fault_of(503, {}, b"")
    assert fault_of(500, {}, b"")
    assert fault_of(409, {}, b"")
    assert fault_of(409, {}, b"", allowed=(409,)) == ""
    assert decision_of("A", b"not JSON").said is Said.FAULT


def test_lag_is_what_was_added_between_two_readings() -> None:
    """The quantile is of the run alone, by the upper edge of its bucket."""
    before = {0.001: 100.0, 0.01: 100.0, float("inf"): 100.0}
    after = {0.001: 1_098.0, 0.01: 1_099.0, float("inf"): 1_100.0}
    assert lag_between(before, after, 0.99) == (0.001, 1_000)
    assert lag_between(before, after, 0.999) == (0.01, 1_000)
    assert lag_between(before, before, 0.999)[1] == 0


def decided(gap: float | None, total: str, window: str) -> bytes:
    """A decision of that cost in a window of that gap."""
    return msgspec.json.encode(
        {
            "order_id": window,
            "status": "allocated",
            "parcels": [],
            "unallocated": [],
            "cost": {"total": total},
            "window": {"window_id": window, "orders": 2, "waited_ms": 4.0, "solve_ms": 7.0, "gap": gap, "cut": False},
        }
    )


def test_the_gap_is_of_the_money_that_has_a_bound() -> None:
    """An unproven window is neither taken for perfect nor left unsaid."""
    found = quality([decided(0.01, "10.00", "a"), decided(0.0, "30.00", "b"), decided(None, "20.00", "c")])
    assert found.gap == pytest.approx(0.0025)
    assert found.proven == pytest.approx(2 / 3, abs=1e-4)
    assert found.cost_per_order == pytest.approx(20.0)
    assert quality([decided(None, "1.00", "a")]).gap is None
    told = latency(Times([0.010] * 99 + [0.5], [0.0]), [decided(None, "1.00", "a")])
    assert (told.p50, told.window_wait_p50, told.solve_p99) == (10.0, 4.0, 7.0)
    assert told.p99 < told.worst == 500.0


@pytest.mark.parametrize("nodes", [4, 50])
def test_a_merchant_of_any_size(nodes: int) -> None:
    """Distinct nodes of both kinds, stock where the demand is, and the same again for the same seed."""
    bare = merchant(nodes, 100)
    world = stocked(bare, expected_demand(bare, 1_000), "normal")
    document = msgspec.json.decode(world.network)
    assert len({node["node_id"] for node in document["nodes"]}) == nodes
    assert {node["kind"] for node in document["nodes"]} == {"dc", "store"}
    units = sum(row.on_hand for row in world.stock)
    assert units == pytest.approx(3 * expected_demand(bare, 1_000).sum(), rel=0.05)
    assert world.stock == stocked(merchant(nodes, 100), expected_demand(bare, 1_000), "normal").stock


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[str]:
    """A served engine with an embedded store."""
    async with served(tmp_path) as service:
        yield service.url


async def run_locust(url: str, report: Path, *asked: str) -> dict[str, dict[str, int]]:
    """Run the locustfile headless to its end without a failure: its rows by name."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "-f", "bench/load/locustfile.py", "--headless", "--host", url),
        *("--nodes", "6", "--skus", "100", "--stop-timeout", "20", "--json-file", str(report), *asked),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await asyncio.wait_for(process.communicate(), LOCUST_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, told.decode()[-4_000:]
    [file] = report.parent.glob(f"{report.name}*")
    return {f"{row['method']} {row['name']}": row for row in json.loads(file.read_bytes())}


async def test_the_locustfile_finds_nothing_to_fault(service: str, tmp_path: Path) -> None:
    """Every kind of user for a few seconds, then the open loop: all requests are made, none fails."""
    rows = await run_locust(service, tmp_path / "closed", "--day", "8", "--peak-users", "30")
    assert sum(row["num_failures"] for row in rows.values()) == 0
    assert rows.keys() >= {
        "POST /v1/orders",
        "POST /v1/orders/bulk",
        "POST /v1/quotes",
        "POST /v1/stock/movements",
        "POST /v1/orders/*/confirm",
        "POST /v1/orders/*/cancel",
        "GET /v1/orders/*/explanation",
    }
    rows = await run_locust(service, tmp_path / "open", "--day", "4", "--open-rate", "40")
    assert sum(row["num_failures"] for row in rows.values()) == 0
    assert rows["OPEN /v1/orders from the intended instant"]["num_requests"] > 20


def test_the_command_prints_two_numbers(tmp_path: Path) -> None:
    """One command from nothing to figures: a service of its own, no fault, nothing oversold."""
    file = tmp_path / "load.json"
    asked = ["--nodes", "6", "--skus", "100", "--seconds", "2", "--saturation-seconds", "1", "--connections", "8"]
    run = CliRunner().invoke(app, [*asked, "--share", "0.3", "--stock-for", "5000", "--json", "--output", str(file)])
    assert run.exit_code == 0, run.output
    figures = msgspec.json.decode(file.read_bytes(), type=Figures)
    assert msgspec.json.decode(run.stdout)["orders"] == figures.orders > 0
    assert (figures.faults, figures.clean) == (0, True), figures.first_faults
    assert sum(figures.quality.statuses.values()) == figures.orders
    assert figures.repeats > 0
    if Path("/proc/self/stat").exists():
        assert figures.cpu_ms_per_order.keys() >= {"service", "solvers", "store"}
    assert figures.wrk is None or figures.wrk.decided > 0
    told = lines(figures)
    assert "decisions/s at p99" in told[0]
    assert "per order" in told[1]


def test_a_service_that_is_not_there_is_code_3() -> None:
    """One line and a code that scripts know, no traceback."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    run = CliRunner().invoke(app, ["--url", f"http://127.0.0.1:{port}", "--nodes", "4", "--skus", "50"])
    assert run.exit_code == 3
    assert "no service answers" in run.output


@pytest.mark.parametrize(
    "asked",
    [
        ["--scarcity", "none"],
        ["--data-dir", "."],
        ["--url", "https://example.org"],
        ["--seconds", "0"],
        ["--share", "9"],
    ],
)
def test_unusable_arguments_are_code_2(asked: list[str]) -> None:
    """What cannot be meant is refused before anything is started."""
    assert CliRunner().invoke(app, asked).exit_code == 2


def test_load_is_a_sibling_of_the_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """`apportion bench` lists all there is; each has its example, its exit codes and its options."""
    found = [EntryPoint("bench", "bench.commands:app", api.cli.GROUP)]
    monkeypatch.setattr(api.cli, "entry_points", lambda group: found if group == api.cli.GROUP else [])
    told = CliRunner().invoke(api.cli.app, ["bench", "--help"])
    assert told.exit_code == 0
    assert {"load", "e1", "e3"} <= {line.split()[0] for line in told.output.splitlines() if line.startswith("  ")}
    for name in ("load", "e1"):
        told = CliRunner().invoke(api.cli.app, ["bench", name, "--help"])
        assert told.exit_code == 0
        assert f"apportion bench {name}" in told.output
        assert "Exit codes" in told.output
        assert "--json" in told.output
    assert CliRunner().invoke(api.cli.app, ["bench", "e9"]).exit_code == 2
    assert CliRunner().invoke(api.cli.app, ["bench", "load", "--scarcity", "none"]).exit_code == 2


def test_without_wrk_saturation_is_ours_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """wrk is a Debian package, not a dependency: its absence is no failure."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert wrk("http://127.0.0.1:1", "p", "r", [b'{"order_id":"A","lines":[]}'], 1.0, 1) is None
