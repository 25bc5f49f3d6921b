"""What is wrong with a simulation at a glance: told in a fraction of a second, before a process is started to check it.

A glance goes by the network, the policies, and of catalogue and stock what the document names. It finds just what the
whole check would, but for kits of the catalogue that the document does not name. Documents that would take it more than
some 50 ms of a thread, or that bring their own stock, are left to the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.domain import Sku
from engine.ledger.port import Ledger
from engine.simulation.jobs.accepting import Accept, Intake
from engine.simulation.jobs.uploads import Uploads
from engine.simulation.scenario import Simulation
from engine.simulation.world import World

NETWORK_BYTES_MAX = 1_000_000
NAMES_MAX = 50
"""SKUs that are looked up, one by one."""
STEPS_MAX = 10_000
"""Nodes to look at, once for each scenario and patch, and hours of demand, twice for each scenario: some 5 us each."""
OTHERS = Sku(sku="")
"""Stands for the entries of a catalogue that the document does not name; nothing can name it."""


class Glancing:
    """`Intake` that refuses what it can at a glance, and leaves all else to another. `uploads`: as `InPlace` has."""

    def __init__(self, ledger: Ledger, uploads: Path, intake: Intake) -> None:
        self._ledger = ledger
        self._uploads = uploads
        self._intake = intake

    async def take(self, accept: Accept) -> None:
        """As `Intake.take`."""
        simulation = accept.simulation
        if simulation.stock.upload is None and (names := _names(simulation)) is not None:
            world = await self._outline(accept.partition, names)
            if world is not None:
                await asyncio.to_thread(_refuse, simulation, world)
                if simulation.demand.upload is not None:
                    uploads = Uploads(self._uploads / accept.partition)
                    await asyncio.to_thread(uploads.require, simulation.demand.upload, "$.demand.upload")
        await self._intake.take(accept)

    async def _outline(self, partition: str, names: set[str]) -> World | None:
        """The world as far as these SKUs go; None if its network is not small. Raises NoNetworkError."""
        from engine.simulation.present import decoded_sku, documents, rows_of  # Not at the start of a service.

        found = await documents(self._ledger, partition, NETWORK_BYTES_MAX)
        if found is None:
            return None
        skus, stock = [], []
        for name in sorted(names):
            if (body := await self._ledger.sku(partition, name)) is not None:
                skus.append(decoded_sku(body))
            stock += rows_of(name, await self._ledger.stock(partition, name), found.nodes)
        if (await self._ledger.versions(partition)).catalog:
            skus.append(OTHERS)
        return World(network=found.network, policies=found.policies, skus=tuple(skus), stock=tuple(stock))


def _names(simulation: Simulation) -> set[str] | None:
    """The SKUs that it names, wherever; None if they are too many."""
    found: set[str] = set()
    for name in _named(msgspec.to_builtins(simulation)):
        found.add(name)
        if len(found) > NAMES_MAX:
            return None
    return found


def _named(value: Any, key: str = "") -> Iterator[str]:
    """Whatever stands at `sku` or in `skus`."""
    if isinstance(value, dict):
        if key == "skus":
            yield from value
        for name, each in value.items():
            yield from _named(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _named(each, key)
    elif key in ("sku", "skus") and isinstance(value, str):
        yield value


def _refuse(simulation: Simulation, world: World) -> None:
    """Raise InvalidInputError with every fault, if looking for them is little work."""
    from engine.simulation import faults  # A service that starts does not wait for these to load.
    from engine.simulation.questions import asked

    if _steps(simulation, world) <= STEPS_MAX:
        whole = asked(simulation, world)
        if _steps(whole, world) <= STEPS_MAX:
            faults.require(whole, world)


def _steps(simulation: Simulation, world: World) -> float:
    scenarios = 1 + len(simulation.scenarios)
    patches = len(simulation.baseline) * scenarios + sum(len(each.patches) for each in simulation.scenarios)
    generator = simulation.demand.generator
    hours = 0.0 if generator is None else generator.days * 24 * 2
    return len(world.network.nodes) * (scenarios + patches) + hours * scenarios
