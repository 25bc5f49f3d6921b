"""The memory ledger's commit: decide all proposals in sequence over an overlay, then write those that stand."""

from __future__ import annotations

from engine.ledger.journal import Body
from engine.ledger.layout import LOAD_UNITS_MAX
from engine.ledger.memory_state import Day, Kept, Partition, Stocked
from engine.ledger.port import Batch, Change, LoadTake, Outcome, Proposal, Take, Verdict

_NO_STOCK, _NO_DAY = Stocked(), Day()


def commit(partition: Partition, batch: Batch, at_ms: int) -> list[Outcome]:
    """As `Ledger.commit`, at one instant."""
    deciding = _Deciding(partition, batch)
    outcomes = deciding.outcomes()
    chosen = [
        proposal
        for proposal, outcome in zip(batch.proposals, outcomes, strict=True)
        if outcome.verdict is Verdict.COMMITTED
    ]
    if chosen:
        _write(partition, batch, chosen, deciding, at_ms)
    return outcomes


class _Deciding:
    """One batch being decided. What is taken here is not in the partition before all is decided."""

    def __init__(self, partition: Partition, batch: Batch) -> None:
        self._partition = partition
        self._batch = batch
        self.rows = [partition.rows.get(sku, _NO_STOCK) for sku in batch.skus]
        self.held: dict[tuple[int, int], int] = {}
        """Units taken here by (index of the SKU, slot)."""
        self.loads: dict[tuple[int, int], tuple[int, int]] = {}
        """(parcels, units) taken here by (day, node)."""
        self._orders: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._outcomes: list[Outcome] = []
        self._rests_on: dict[int, int] = {}
        """Index of the earlier proposal of the same order, or of the same key, that a verdict here rests on."""

    def outcomes(self) -> list[Outcome]:
        """The verdict on each proposal."""
        versions = self._partition.versions()
        stale = versions[:2] != self._batch.versions[:2]
        for index, proposal in enumerate(self._batch.proposals):
            outcome = self._known(index, proposal)
            if outcome is None and (stale or self._left_since(proposal)):
                outcome = Outcome(Verdict.STALE)
            if outcome is None:
                outcome = self._try(index, proposal)
            self._outcomes.append(outcome)
        self._cascade()
        return self._outcomes

    def _left_since(self, proposal: Proposal) -> bool:
        """Whether the order or its key may have been decided, and have left, since the snapshot."""
        gone = self._partition.gone
        return self._batch.evicted != self._partition.evicted and (
            "o:" + proposal.order_id in gone or "k:" + (proposal.idempotency_key or "") in gone
        )

    def _known(self, index: int, proposal: Proposal) -> Outcome | None:
        """The verdict on an order id or idempotency key that is known; None for a new one."""
        first: Proposal | Kept | None = self._partition.orders.get(proposal.order_id)
        if proposal.order_id in self._orders:
            self._rests_on[index] = self._orders[proposal.order_id]
            first = self._batch.proposals[self._orders[proposal.order_id]]
        if first is not None and first.content != proposal.content:
            return Outcome(Verdict.CONFLICT)
        key = proposal.idempotency_key
        if key is not None:
            user = self._partition.keys.get(key) or self._keys.get(key)
            if user is not None and user != proposal.order_id:
                if key in self._keys:
                    self._rests_on[index] = self._orders[user]
                return Outcome(Verdict.KEY_CONFLICT)
        return Outcome(Verdict.REPEAT, first.decision) if first is not None else None

    def _try(self, index: int, proposal: Proposal) -> Outcome:
        """Take all that a new order needs, or nothing of it."""
        for sku in proposal.short_skus:
            if self.rows[sku].gain != self._batch.gains[sku]:
                return Outcome(Verdict.LOST)
        for day in proposal.short_days:
            if self._partition.days.get(day, _NO_DAY).gain != self._batch.day_gains.get(day, -1):
                return Outcome(Verdict.LOST)
        for done, take in enumerate(proposal.takes):
            if not self._take(take):
                self._give_back(proposal.takes[:done], ())
                return Outcome(Verdict.LOST)
        for done, load in enumerate(proposal.loads):
            if not self._load(load):
                self._give_back(proposal.takes, proposal.loads[:done])
                return Outcome(Verdict.LOST)
        self._orders[proposal.order_id] = index
        if proposal.idempotency_key is not None:
            self._keys[proposal.idempotency_key] = proposal.order_id
        return Outcome(Verdict.COMMITTED, proposal.decision)

    def _take(self, take: Take) -> bool:
        cell = self.rows[take.sku].cell(take.slot)
        if cell is None or cell[0] != take.node:
            return False
        _, on_hand, held, safety, blocked = cell
        place = take.sku, take.slot
        taken = self.held.get(place, 0)
        if take.units > on_hand - held - taken - blocked - (take.safety if safety < 0 else safety):
            return False
        self.held[place] = taken + take.units
        return True

    def _load(self, load: LoadTake) -> bool:
        parcels, units = self._partition.days.get(load.day, _NO_DAY).load(load.node)
        taken = self.loads.get((load.day, load.node), (0, 0))
        if parcels + taken[0] + load.parcels > _bound(load.parcels_max):
            return False
        if units + taken[1] + load.units > _bound(load.units_max):
            return False
        self.loads[load.day, load.node] = taken[0] + load.parcels, taken[1] + load.units
        return True

    def _give_back(self, takes: tuple[Take, ...], loads: tuple[LoadTake, ...]) -> None:
        for take in takes:
            self.held[take.sku, take.slot] -= take.units
        for load in loads:
            parcels, units = self.loads[load.day, load.node]
            self.loads[load.day, load.node] = parcels - load.parcels, units - load.units

    def _cascade(self) -> None:
        """Undo what rested on takes that are not made: claims of shortage, and verdicts on the same order or key."""
        claims: dict[tuple[str, int], list[int]] = {}
        rests: dict[int, list[int]] = {}
        for index, outcome in enumerate(self._outcomes):
            if outcome.verdict is Verdict.COMMITTED:
                proposal = self._batch.proposals[index]
                for sku in proposal.short_skus:
                    claims.setdefault(("sku", sku), []).append(index)
                for day in proposal.short_days:
                    claims.setdefault(("day", day), []).append(index)
            if index in self._rests_on:
                rests.setdefault(self._rests_on[index], []).append(index)
        waiting = [k for k, outcome in enumerate(self._outcomes) if self._gave_up(k, outcome)]
        while waiting:
            index = waiting.pop()
            proposal = self._batch.proposals[index]
            places = {("sku", take.sku) for take in proposal.takes} | {("day", load.day) for load in proposal.loads}
            for other in [claimer for place in sorted(places) for claimer in claims.get(place, ())]:
                if self._outcomes[other].verdict is Verdict.COMMITTED:
                    undone = self._batch.proposals[other]
                    self._give_back(undone.takes, undone.loads)
                    self._outcomes[other] = Outcome(Verdict.LOST)
                    waiting.append(other)
                    for resting in rests.get(other, ()):
                        self._outcomes[resting] = Outcome(Verdict.LOST)

    def _gave_up(self, index: int, outcome: Outcome) -> bool:
        """Whether takes that others counted on are not made. A commit made again finds its takes made before."""
        if outcome.verdict is Verdict.REPEAT and index not in self._rests_on:
            return outcome.decision != self._batch.proposals[index].decision
        return outcome.verdict is not Verdict.COMMITTED


def _bound(maximum: int) -> int:
    """The most that may be counted, given a maximum or -1."""
    return min(maximum, LOAD_UNITS_MAX) if maximum >= 0 else LOAD_UNITS_MAX


def _write(partition: Partition, batch: Batch, chosen: list[Proposal], deciding: _Deciding, at_ms: int) -> None:
    """Write what stands. Nothing here can fail."""
    body = Body(window=batch.window_id)
    index: dict[int, int] = {}
    for (sku, slot), units in sorted(deciding.held.items()):
        if units:
            cell = deciding.rows[sku].cell(slot)
            assert cell is not None, "a cell that was taken from is there"
            node, on_hand, held, safety, blocked = cell
            assert held + units <= on_hand - blocked, "oversold"
            partition.put_cell(batch.skus[sku], slot, (node, on_hand, held + units, safety, blocked))
            row = index.setdefault(sku, len(index))
            body.cells += (row, slot, node, on_hand, held + units, safety, blocked, 0, units, 0, 0)
    for sku in index:
        body.rows += (batch.skus[sku], -1)
    for (day, node), (parcels, units) in sorted(deciding.loads.items()):
        if parcels or units:
            kept = partition.days.setdefault(day, Day())
            before = kept.load(node)
            kept.put(node, before[0] + parcels, before[1] + units)
            body.loads += (day, node, before[0] + parcels, before[1] + units, parcels, units)
    raw: list[bytes] = []
    for proposal in chosen:
        takes = [value for take in proposal.takes for value in (index[take.sku], take.slot, take.node, take.units)]
        loads = [value for load in proposal.loads for value in load[:4]]
        body.orders.append((proposal.state, proposal.idempotency_key or "", takes, loads))
        raw += (proposal.order_id.encode(), proposal.content, proposal.order, proposal.decision)
    at_ms = partition.append(at_ms, "commit", body, tuple(raw), batch.record)
    for proposal in chosen:
        partition.orders[proposal.order_id] = _kept(batch, proposal, at_ms)
        if proposal.idempotency_key is not None:
            partition.keys[proposal.idempotency_key] = proposal.order_id


def _kept(batch: Batch, proposal: Proposal, at_ms: int) -> Kept:
    return Kept(
        proposal.content,
        proposal.order,
        proposal.decision,
        proposal.state,
        [Change(at_ms, "order." + proposal.state)],
        tuple((batch.skus[take.sku], take.slot, take.node, take.units) for take in proposal.takes),
        tuple((load.day, load.node, load.parcels, load.units) for load in proposal.loads),
    )
