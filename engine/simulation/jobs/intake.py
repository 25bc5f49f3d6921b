"""From a document to a job that can be performed: its world read, its orders written down, everything checked.

Nothing is written but the job's own folder; the store is only read (R15).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.archive.history import History
from engine.ledger.port import Ledger
from engine.simulation import faults
from engine.simulation.jobs.accepting import Accept
from engine.simulation.jobs.job import Job, Planned
from engine.simulation.jobs.uploads import Uploads
from engine.simulation.present import history_of, present
from engine.simulation.questions import asked
from engine.simulation.recorded import Spool, Spooling
from engine.simulation.scenario import BASELINE, ORDERS_MAX, Run, Simulation, runs_of
from engine.simulation.simulating import expected_orders, prepared
from engine.simulation.world import World


class InPlace:
    """Makes jobs in this process. `uploads`: where those of each partition are."""

    def __init__(self, ledger: Ledger, history: History, uploads: Path, *, strict_skus: bool) -> None:
        self._ledger = ledger
        self._history = history
        self._uploads = uploads
        self._strict_skus = strict_skus

    async def take(self, accept: Accept) -> None:
        """As `Intake.take`."""
        simulation, demand = accept.simulation, accept.simulation.demand
        uploads = Uploads(self._uploads / accept.partition)
        world = await present(self._ledger, accept.partition, strict_skus=self._strict_skus)
        if simulation.stock.upload is not None:
            world = msgspec.structs.replace(world, stock=uploads.stock(simulation.stock.upload), incoming=())
        simulation = asked(simulation, world)
        spool, most = None, orders_max(simulation)
        if demand.generator is None:
            faults.require(simulation, world)  # before a long period is read for nothing
        if demand.upload is not None:
            spool = uploads.orders(demand.upload, accept.folder.spool, most)
        elif demand.history is not None:
            spooling = Spooling(accept.folder.spool, most)
            since, until = demand.history.since, demand.history.until
            await history_of(self._history, accept.partition, since, until, spooling)
            spool = spooling.finish()
        found(accept._replace(simulation=simulation), world, spool)


def orders_max(simulation: Simulation) -> int:
    """How many recorded orders may be written down."""
    return min(ORDERS_MAX, simulation.orders_max)


def found(accept: Accept, world: World, spool: Spool | None) -> None:
    """Check all of it, and write the job down. Raises InvalidInputError with every fault and its path.

    `world`: with uploaded stock; the simulation is `asked` already.
    """
    simulation = accept.simulation
    begin = prepared(simulation, world, spool)
    names = [BASELINE, *(scenario.name for scenario in simulation.scenarios)]
    # Seeds differ in what they draw, hardly in how much: the first one tells for all.
    orders = {name: expected_orders(simulation, begin, Run(name, simulation.seeds[0]), spool) for name in names}
    job = Job(
        job_id=accept.job_id,
        partition=accept.partition,
        name=simulation.name,
        submitted_ms=accept.submitted_ms,
        runs=tuple(Planned(run.scenario, run.seed, orders[run.scenario]) for run in runs_of(simulation)),
        recorded=None if spool is None else spool.orders,
    )
    accept.folder.found(simulation, begin, job)
