"""One window to time: the bytes of its orders, and an engine that holds stock for them.

All that a phase works on is made by the engine itself, from the same bytes that a caller would send.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import uvloop

from api.bodies import order_of
from bench.asking import question_of
from bench.merchant import cut, merchant, stocked
from engine.assembly import Engine, build, build_memory
from engine.clock import ManualClock
from engine.deciding import DecidedWindow, decide
from engine.domain import epoch_ms
from engine.ledger.port import Batch
from engine.ledger.server.supervisor import EmbeddedServer
from engine.lowering import WindowInput, lower
from engine.policy import Policy, WindowTerms
from engine.sample.orders import OrderGenerator
from engine.sample.world import World
from engine.settings import Settings
from solvers.budget import Budget
from solvers.choose import solve
from solvers.solution import Solution

T = TypeVar("T")

SKUS = 2_000
SEED = 11
PLACED_AT = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
"""When the orders were placed, and what the memory twin's clock says: every run ships on the same days."""

PATIENCE_MS = 600_000


class Shape(NamedTuple):
    """What a window looks like, and where it is committed: the `memory` twin, or an embedded `valkey`.

    `lines_max`: longer orders are cut to so many lines; the sample's longest have 40.
    """

    orders: int = 200
    nodes: int = 50
    scarcity: str = "normal"
    store: str = "memory"
    lines_max: int = 40

    @property
    def label(self) -> str:
        """As in the names of the benchmarks."""
        more = ("" if self.store == "memory" else f"-{self.store}") + ("" if self.lines_max == 40 else "-short")
        return f"{self.orders}x{self.nodes}-{self.scarcity}{more}"


class Stage:
    """The event loop, and the scene that is being played on it; a new one ends the one before."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._store = ExitStack()
        self._store_url: tuple[str, Path] | None = None
        self._scene: Scene | None = None

    def scene(self, shape: Shape) -> Scene:
        """The scene of a shape."""
        if self._scene is None or self._scene.shape != shape:
            self._end_scene()
            self._scene = Scene(shape, self._runner, self._engine(shape.store))
            gc.collect()
            gc.freeze()  # as the worker process of the service does with what stays
        return self._scene

    def _engine(self, store: str) -> Engine:
        settings = Settings(window_linger_ms=0, order_timeout_ms=PATIENCE_MS, price_seconds=0)
        if store == "memory":
            return build_memory(settings, ManualClock(epoch_ms(PLACED_AT)))
        if self._store_url is None:
            directory = Path(self._store.enter_context(tempfile.TemporaryDirectory(prefix="phases-")))
            server = EmbeddedServer(directory / "data")
            server.start()
            self._store.callback(server.stop)
            self._store_url = server.url, directory / "data"
        url, directory = self._store_url
        return build(settings.model_copy(update={"data_dir": directory}), url, directory)

    def _end_scene(self) -> None:
        if self._scene is not None:
            self._scene.close()
            self._scene = None
            gc.unfreeze()

    def close(self) -> None:
        """End everything that was started."""
        self._end_scene()
        self._runner.close()
        self._store.close()


class Scene:
    """One window of a seeded world. What is asked for is made once, what a commit uses up is made anew (`fresh`)."""

    def __init__(self, shape: Shape, runner: asyncio.Runner, engine: Engine) -> None:
        self.shape = shape
        self.engine = engine
        self._runner = runner
        self._partitions = 0
        self._run = f"{shape.label}-{time.monotonic_ns():x}"
        placed_at = PLACED_AT if shape.store == "memory" else datetime.now(UTC)
        self._world, orders = _window_of(shape, placed_at)
        self.bodies = tuple(msgspec.json.encode(order) for order in orders)
        self.run(self._open())

    async def _open(self) -> None:
        await self.engine.start()
        await self.engine.reoptimiser.stop()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the scene's event loop."""
        return self._runner.run(work)

    def fresh(self) -> str:
        """A new partition with network, catalogue, policy and stock, nothing of it taken."""
        self._partitions += 1
        partition = f"{self._run}-{self._partitions}"
        self.run(self._furnish(partition))
        return partition

    async def _furnish(self, partition: str) -> None:
        registry, world = self.engine.registry, self._world
        policy = Policy(window=WindowTerms(max_orders=self.shape.orders))
        await registry.put_network(partition, world.network)
        await registry.put_policy(partition, "default", msgspec.json.encode(policy))
        await registry.put_skus(partition, world.skus)
        tally = await self.engine.stock.write(partition, list(enumerate(world.stock, 1)))
        assert not tally.faults, tally.faults[0]
        await registry.books(partition, await self.engine.ledger.versions(partition))

    @cached_property
    def question(self) -> WindowInput:
        """The window as the allocator asks its crew."""
        return self.run(self._ask(self.fresh()))

    async def _ask(self, partition: str) -> WindowInput:
        orders = [await order_of(body) for body in self.bodies]
        return await question_of(self.engine, partition, "window-1", orders)

    @property
    def budget(self) -> Budget:
        """As `deciding` has it, without the safety cut: the same work in every round."""
        terms = self.question.policy.solver
        return Budget(work=terms.work, gap=terms.gap)

    @cached_property
    def solution(self) -> Solution:
        """What the solvers make of the window; it fits every problem that `lower` makes of it."""
        return solve(lower(self.question).problem, self.budget)

    @cached_property
    def decided(self) -> DecidedWindow:
        """What the engine decides."""
        return decide(self.question, now=time.monotonic)

    @cached_property
    def batch(self) -> Batch:
        """What is committed: it fits any fresh partition, for all are furnished by the same writes."""
        return self.decided.batch(self.question)

    def close(self) -> None:
        """End the engine."""
        self.run(self.engine.stop())


def _window_of(shape: Shape, placed_at: datetime) -> tuple[World, list[Any]]:
    """A merchant that has what these orders ask for, as scarce as the shape says, and the orders."""
    world = merchant(shape.nodes, SKUS)
    drawn = OrderGenerator(world, SEED + shape.orders).orders(shape.orders, placed_at)
    orders = [cut(order, shape.lines_max) for order in drawn]
    place = {sku.sku: at for at, sku in enumerate(world.skus)}
    demand = np.zeros(SKUS, np.int64)
    for order in orders:
        for line in order.lines:
            demand[place[line.sku]] += line.quantity
    wanted = np.flatnonzero(demand)
    world = replace(world, skus=tuple(world.skus[at] for at in wanted), demand=world.demand[wanted])
    return stocked(world, demand[wanted], shape.scarcity), orders
