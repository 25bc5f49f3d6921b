"""Windows of one partition that are under way at once: one is read and decided while the one before it is committed.

Nothing is read while a commit of this process is under way, so what a window ahead takes is in a snapshot wholly or
not at all; what is not in it is subtracted (`Flight.less`). What a window ahead did not take after all makes claims of
shortage doubtful that counted on it: they are put to the ledger as made on nothing it knows (`Flight.sure`), which
refuses them, and their orders are decided again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from engine.ledger.port import LOAD, Batch, DayLoad, Outcome, Proposal, Row, Snapshot, Verdict

UNSEEN = -1
"""A count of gains that no snapshot tells."""


@dataclass(slots=True, eq=False)
class Flight:
    """One round of one window, from its snapshot until its commit. `ahead`: those that its snapshot does not show.

    `traffic`: those under way. `batch`: what it is to commit, once decided. `missed`: the proposals of it that were not
    committed; all of them as long as nobody knows.
    """

    traffic: list[Flight]
    ahead: tuple[Flight, ...] = ()
    batch: Batch | None = None
    missed: Sequence[Proposal] = ()

    def begin(self) -> None:
        """Its snapshot was just read."""
        self.ahead = tuple(self.traffic)
        self.traffic.append(self)

    def less(self, snapshot: Snapshot, skus: Sequence[str]) -> Snapshot:
        """The snapshot, its rows of `skus`, without what the flights ahead take."""
        batches = [flight.batch for flight in self.ahead if flight.batch is not None]
        if not batches:
            return snapshot
        proposals = [(batch, proposal) for batch in batches for proposal in batch.proposals]
        touched = {sku for batch in batches for sku in batch.skus}
        rows = {
            sku: Row(row.gain, row.slots.copy()) if sku in touched else row
            for sku, row in zip(skus, snapshot.rows, strict=True)
        }
        days = {day: _with_room(load, day, proposals) for day, load in snapshot.days.items()}
        for batch, proposal in proposals:
            for take in proposal.takes:
                if batch.skus[take.sku] in rows:
                    rows[batch.skus[take.sku]].slots["held"][take.slot] += take.units
            for load in proposal.loads:
                if load.day in days:
                    days[load.day].nodes["parcels"][load.node] += load.parcels
                    days[load.day].nodes["units"][load.node] += load.units
        return replace(snapshot, rows=tuple(rows.values()), days=days)

    def decided(self, batch: Batch) -> None:
        """It will take this."""
        self.batch, self.missed = batch, batch.proposals

    def sure(self) -> Batch:
        """The batch as it is put to the ledger, once the flights ahead have landed."""
        batch = self.batch
        assert batch is not None, "what is committed was decided"
        missed = [(flight.batch, proposal) for flight in self.ahead if flight.batch for proposal in flight.missed]
        if not missed:
            return batch
        skus = {ahead.skus[take.sku] for ahead, proposal in missed for take in proposal.takes}
        days = {load.day for _, proposal in missed for load in proposal.loads}
        gains = tuple(UNSEEN if sku in skus else gain for sku, gain in zip(batch.skus, batch.gains, strict=True))
        seen = {day: UNSEEN if day in days else gain for day, gain in batch.day_gains.items()}
        return replace(batch, gains=gains, day_gains=seen)

    def landed(self, outcomes: Iterable[Outcome]) -> None:
        """What became of it."""
        verdicts = zip(self.missed, outcomes, strict=True)
        self.missed = [proposal for proposal, outcome in verdicts if outcome.verdict is not Verdict.COMMITTED]


def _with_room(load: DayLoad, day: int, proposals: Iterable[tuple[Batch, Proposal]]) -> DayLoad:
    """A copy of a day's load, as long as the highest node number that the proposals load."""
    numbers = [each.node for _, proposal in proposals for each in proposal.loads if each.day == day]
    nodes = np.zeros(max(len(load.nodes), 1 + max(numbers, default=-1)), LOAD)
    nodes[: len(load.nodes)] = load.nodes
    return DayLoad(load.gain, nodes)


@dataclass(slots=True)
class Traffic:
    """One partition's flights, those that have not landed. Owned by the allocator, on the event loop.

    `store`: held while its stock is read or taken. `crew`: held while one is decided. Both first come, first served.
    """

    store: asyncio.Lock = field(default_factory=asyncio.Lock)
    crew: asyncio.Lock = field(default_factory=asyncio.Lock)
    flights: list[Flight] = field(default_factory=list)

    @asynccontextmanager
    async def flight(self) -> AsyncIterator[Flight]:
        """One flight, that is under way from `begin` on."""
        flight = Flight(self.flights)
        try:
            yield flight
        finally:
            if flight in self.flights:
                self.flights.remove(flight)
            flight.ahead = ()  # else each would keep the one before it, and so all there ever were
