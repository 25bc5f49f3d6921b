"""The peers of the bench: none oversells, each stores what it acknowledged, and the judge can tell if one does not."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from bench.peers import postgres
from bench.peers.__main__ import app
from bench.peers.bare import Bare
from bench.peers.judge import Judge
from bench.peers.relational import Relational
from bench.peers.route import Take, route
from bench.peers.routed import Routed, Scripted, Watching
from bench.peers.run import Measured, look, run
from bench.peers.system import Answer, Outcome, PeerError, System
from bench.peers.world import Shape, World

SCARCE = Shape(orders=120, nodes=5, skus=8, cover=0.5)
AMPLE = Shape(orders=120, nodes=8, skus=40, cover=1.5)
WIDTH = 16
LONG_S = 60.0

watching = Routed("a", "a", Watching)
scripted = Routed("b", "b", Scripted)
without_postgres = pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))
ROUTED = [
    pytest.param(watching, id="watch"),
    pytest.param(scripted, id="script"),
    pytest.param(Relational(), id="postgres", marks=without_postgres),
]


def ran(system: System, world: World, directory: Path, width: int, runs: int = 1) -> list[tuple[list[Answer], Outcome]]:
    """All orders of a world decided, so many times over; what was answered and what is stored after each."""

    async def whole() -> list[tuple[list[Answer], Outcome]]:
        found = []
        async with system.standing(world, directory, width) as standing:
            for _ in range(runs):
                answers = await standing.run(time.perf_counter() + LONG_S)
                outcome = await standing.outcome(answers)
                assert outcome is not None
                found.append((answers, outcome))
        return found

    return asyncio.run(whole())


@pytest.mark.parametrize("system", ROUTED)
def test_peers_never_oversell_and_store_what_they_acknowledge(system: System, tmp_path: Path) -> None:
    """Many connections fight for too little stock: it would be no peer that is fast by being wrong."""
    world = World(SCARCE)
    [(answers, outcome)] = ran(system, world, tmp_path, WIDTH)
    quality, faults = Judge(world).judge(answers, outcome)
    assert faults == []
    assert len(answers) == SCARCE.orders
    assert 0.3 < quality.fill < 0.9
    assert min(outcome.left.values()) == 0


@pytest.mark.parametrize("system", ROUTED)
def test_peers_answer_a_repeat_with_the_first_decision(system: System, tmp_path: Path) -> None:
    """They keep the idempotency that ours is measured with: the same orders again take nothing and change nothing."""
    (first, before), (second, after) = ran(system, World(SCARCE), tmp_path, WIDTH, runs=2)
    assert dict(first) == dict(second)
    assert before == after


def test_the_script_routes_by_the_same_rule(tmp_path: Path) -> None:
    """Peers differ in where they decide, never in what: one after another both write the same bytes."""
    world = World(SCARCE)
    [(outside, _)] = ran(watching, world, tmp_path / "a", 1)
    [(inside, _)] = ran(scripted, world, tmp_path / "b", 1)
    assert outside == inside


def test_the_rule_prefers_one_parcel_then_whole_lines() -> None:
    """Rule routing is not made of straw: it splits an order, and a line, only where it must."""
    near = bytes([2, 0, 1])
    assert route([1, 2], near, [{0: 5, 1: 5, 2: 5}, {0: 1, 1: 2, 2: 1}]) == [Take(0, 1, 1), Take(1, 1, 2)]
    assert route([1, 2], near, [{2: 1}, {0: 2}]) == [Take(0, 2, 1), Take(1, 0, 2)]
    assert route([3], near, [{0: 1, 1: 1}]) == [Take(0, 0, 1), Take(0, 1, 1)]


def test_the_bare_commit_is_ours(tmp_path: Path) -> None:
    """What is called our ceiling runs the engine's own scripts: its audit is clean, its costs are exact to the mill."""
    world = World(AMPLE)
    [(answers, outcome)] = ran(Bare(), world, tmp_path, 4)
    quality, faults = Judge(world).judge(answers, outcome)
    assert faults == []
    assert (len(answers), quality.fill) == (AMPLE.orders, 1.0)


def test_scarce_windows_commit_bare_as_well(tmp_path: Path) -> None:
    """Claims of shortage stand in the store as on the memory twin, although the windows were decided beforehand."""
    world = World(SCARCE)
    [(answers, outcome)] = ran(Bare(), world, tmp_path, 4)
    assert Judge(world).judge(answers, outcome)[1] == []


def test_the_judge_finds_what_is_wrong(tmp_path: Path) -> None:
    """A referee that never objects would make every figure worthless."""
    world = World(AMPLE)
    judge = Judge(world)
    [(answers, outcome)] = ran(scripted, world, tmp_path, 1)
    sold = next(cell for cell, units in outcome.left.items() if units < world.cells[cell])
    altered = answers[0]._replace(decision=answers[0].decision.replace(b'"quantity":1', b'"quantity":2', 1))
    lost = {order_id: body for order_id, body in outcome.stored.items() if order_id != answers[0].order_id}
    wrong = [
        (answers, outcome._replace(left=outcome.left | {sold: world.cells[sold]})),
        (answers, outcome._replace(left=outcome.left | {sold: -1})),
        (answers, outcome._replace(stored=lost)),
        ([altered, *answers[1:]], outcome),
        (answers[1:], outcome),
        ([answers[0], *answers], outcome),
    ]
    assert all(judge.judge(*each)[1] for each in wrong)
    assert judge.judge(answers, outcome)[1] == []


def test_a_world_is_the_same_for_everybody() -> None:
    """Same seed, same orders and stock to the byte; another seed, another world."""
    worlds = [World(AMPLE), World(AMPLE), World(replace(AMPLE, seed=8))]
    told = [(world.network, msgspec.json.encode(world.rows), world.orders) for world in worlds]
    assert told[0] == told[1] != told[2]


def test_the_best_number_of_connections_is_measured() -> None:
    """A peer is reported at its best: every number is looked at, and the fastest is what all orders run at."""
    world = World(AMPLE)
    best, points, faults = asyncio.run(look(scripted, world, Judge(world), 0.2, (1, 8), lambda _: None))
    assert ([point.width for point in points], faults) == ([1, 8], ())
    assert best == max(points, key=lambda point: point.orders_per_s).width


def test_the_calm_round_of_the_median_speed_is_told() -> None:
    """Neither a lucky round nor a disturbed one is the figure, and no fault of any round is lost."""
    whole = asyncio.run(run(scripted, World(AMPLE), Judge(World(AMPLE)), 1))
    shape = ((4.0, 0.05), (1.0, 0.0), (2.0, 0.1), (9.0, 0.7))
    rounds = tuple(whole._replace(seconds=took, others=others, faults=(str(took),)) for took, others in shape)
    told = Measured("b", "b", (), rounds)
    assert (told.run.seconds, told.faults) == (2.0, ("4.0", "1.0", "2.0", "9.0"))


def test_the_command_measures_services_and_tells_ratios() -> None:
    """Ours over HTTP, one by one and in bulk, and the bare routes: judged, priced, with ratios and CPU, as JSON."""
    asked = ["--orders", "60", "--seconds", "0.2", "--nodes", "8", "--skus", "40", "--connections", "4"]
    asked += ["--rounds", "1", "--json"]
    letters = [part for key in "defgh" for part in ("--system", key)]
    told = CliRunner().invoke(app, [*asked, *letters])
    assert told.exit_code == 0, told.output
    systems = {one["key"]: one for one in json.loads(told.stdout)["systems"]}
    assert {key: (one["orders"], one["faults"]) for key, one in systems.items()} == dict.fromkeys("defgh", (60, []))
    assert all(systems["f"]["cpu"][part] > 0 for part in ("service", "worker"))
    assert systems["d"]["ratios"]["d"] == 1.0
    assert systems["e"]["quality"] is None


def test_a_system_that_fails_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that breaks ends the command with 1 and says why, instead of a table with a gap."""

    def broken(*_: object) -> bytes:
        raise PeerError("it broke")

    monkeypatch.setattr("bench.peers.routed.document", broken)
    asked = ["--orders", "20", "--nodes", "4", "--skus", "9", "--rounds", "1", "--connections", "2"]
    told = CliRunner().invoke(app, [*asked, "--system", "a"])
    assert (told.exit_code, "it broke" in told.output) == (1, True)


def test_the_command_refuses_a_system_that_there_is_not() -> None:
    """A typing error is an error, not an empty table."""
    assert CliRunner().invoke(app, ["--at", "a"]).exit_code == 2
    assert CliRunner().invoke(app, ["--at", "a=65"]).exit_code == 2
    assert CliRunner().invoke(app, ["--system", "z"]).exit_code == 2
