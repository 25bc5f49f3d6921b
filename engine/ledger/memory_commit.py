"""The memory ledger's commit: decide all proposals in sequence over an overlay, then write those that stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from engine.ledger import layout, memory_holds, states
from engine.ledger.journal import Body
from engine.ledger.layout import LOAD_UNITS_MAX
from engine.ledger.memory_backlog import enlist, put_waited, waits_of
from engine.ledger.memory_holds import amounts_of
from engine.ledger.memory_state import Day, Kept, Partition, Stocked
from engine.ledger.port import Batch, Change, LoadTake, Outcome, Proposal, Take, Verdict

_NO_STOCK, _NO_DAY = Stocked(), Day()


def commit(partition: Partition, batch: Batch, at_ms: int) -> list[Outcome]:
    """As `Ledger.commit`, at one instant."""
    deciding = _Deciding(partition, batch, at_ms)
    outcomes = deciding.outcomes()
    chosen = [
        (proposal, deciding.olds.get(index))
        for index, (proposal, outcome) in enumerate(zip(batch.proposals, outcomes, strict=True))
        if outcome.verdict is Verdict.COMMITTED
    ]
    if chosen:
        _write(partition, batch, chosen, deciding, at_ms)
    return outcomes


def swap(partition: Partition, batch: Batch, parts: Sequence[Sequence[int]], at_ms: int) -> list[bool]:
    """As `Ledger.swap`, at one instant; the first part that stands brings the window's record."""
    stood: list[bool] = []
    recorded = ""
    for part in parts:
        some = replace(
            batch, proposals=tuple(batch.proposals[k] for k in part), record=b"" if recorded else batch.record
        )
        deciding = _Deciding(partition, some, at_ms)
        stood.append(deciding.all_together())
        if stood[-1]:
            chosen = [(proposal, deciding.olds.get(k)) for k, proposal in enumerate(some.proposals)]
            _write(partition, some, chosen, deciding, at_ms, recorded)
            recorded = recorded or partition.newest()
    return stood


class _Deciding:
    """One batch being decided. What is taken here is not in the partition before all is decided."""

    def __init__(self, partition: Partition, batch: Batch, at_ms: int) -> None:
        self._partition = partition
        self._batch = batch
        self._at_ms = at_ms
        self._settled: set[str] = set()
        self._settle()
        self.skus = list(batch.skus)
        self._index = {sku: k for k, sku in enumerate(self.skus)}
        self.rows = [partition.rows.get(sku, _NO_STOCK) for sku in batch.skus]
        self.olds: dict[int, Kept] = {}
        """What the orders that are decided again held, by proposal."""
        self.held: dict[tuple[int, int], int] = {}
        """Units taken here by (index of the SKU, slot)."""
        self.loads: dict[tuple[int, int], tuple[int, int]] = {}
        """(parcels, units) taken here by (day, node)."""
        self._orders: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._outcomes: list[Outcome] = []
        self._rests_on: dict[int, int] = {}
        """Index of the earlier proposal of the same order, or of the same key, that a verdict here rests on."""

    def _settle(self) -> None:
        """What has lapsed of what this batch takes, and of its orders, is free before anything is decided."""
        if not self._partition.soft and not self._partition.holds:
            return
        wanted: dict[tuple[str, int], None] = {}
        for proposal in self._batch.proposals:
            wanted |= {(f"s{self._batch.skus[take.sku]}", take.slot): None for take in proposal.takes}
            wanted |= {(f"d{load.day}", load.node): None for load in proposal.loads}
        lapsed = self._partition.lapsed(memory_holds.names_of(wanted), self._at_ms)
        memory_holds.free(self._partition, lapsed, self._at_ms, wanted=wanted)
        for proposal in self._batch.proposals:
            old = self._partition.orders.get(proposal.order_id)
            if proposal.again is not None and old is not None and old.judged(self._at_ms) != old.state:
                memory_holds.settle(self._partition, proposal.order_id, self._at_ms)
                self._settled.add(proposal.order_id)

    def outcomes(self) -> list[Outcome]:
        """The verdict on each proposal."""
        versions = self._partition.versions()
        stale = versions[:2] != self._batch.versions[:2]
        for index, proposal in enumerate(self._batch.proposals):
            known = self._known if proposal.again is None else self._known_again
            outcome = known(index, proposal)
            if outcome is None and (stale or (proposal.again is None and self._left_since(proposal))):
                outcome = Outcome(Verdict.STALE)
            if outcome is None:
                outcome = self._try(index, proposal)
            self._outcomes.append(outcome)
        self._cascade()
        return self._outcomes

    def all_together(self) -> bool:
        """Whether all can be had at once, what the orders held being free for any of them."""
        if self._partition.versions()[:2] != self._batch.versions[:2]:
            return False
        for index, proposal in enumerate(self._batch.proposals):
            if self._known_again(index, proposal) is not None or self.olds[index].state != proposal.state:
                return False
            self._orders[proposal.order_id] = index
        for index in self.olds:
            self._move_old(index, -1)
        return all(self._take_all(proposal) for proposal in self._batch.proposals)

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

    def _known_again(self, index: int, proposal: Proposal) -> Outcome | None:
        """The verdict on an order to be decided again, if it is known already; else what it holds is noted."""
        old, again = self._partition.orders.get(proposal.order_id), proposal.again
        assert again is not None, "asked of orders that are decided again"
        if old is None or proposal.order_id in self._orders:
            return Outcome(Verdict.LOST)
        if again.command != states.FILL and again.token in old.commands:
            digest, decision = old.commands[again.token]
            return Outcome(Verdict.REPEAT, decision) if digest == again.digest else Outcome(Verdict.KEY_CONFLICT)
        if again.command == states.REPLACE and old.token == again.token:
            return Outcome(Verdict.REPEAT, old.decision)
        if old.revision != again.revision + (proposal.order_id in self._settled):
            return Outcome(Verdict.LOST)
        if (old.judged(self._at_ms), again.command) not in states.TABLE:
            return Outcome(Verdict.LOST)
        self.olds[index] = old
        return None

    def _move_old(self, index: int, sign: int) -> None:
        """Change what the order of a proposal held before, if anything, by sign; a fill leaves it."""
        old = None if _fills(self._batch.proposals[index]) else self.olds.get(index)
        for sku, slot, _, units in () if old is None else old.takes:
            if sku not in self._index:
                self._index[sku] = len(self.skus)
                self.skus.append(sku)
                self.rows.append(self._partition.rows[sku])
            place = self._index[sku], slot
            self.held[place] = self.held.get(place, 0) + sign * units
        for day, node, parcels, units in () if old is None else old.loads:
            taken = self.loads.get((day, node), (0, 0))
            self.loads[day, node] = taken[0] + sign * parcels, taken[1] + sign * units

    def _try(self, index: int, proposal: Proposal) -> Outcome:
        """Take all that an order needs, or nothing of it; what it held before is free for it."""
        self._move_old(index, -1)
        if not self._take_all(proposal):
            self._move_old(index, 1)
            return Outcome(Verdict.LOST)
        self._orders[proposal.order_id] = index
        if proposal.idempotency_key is not None:
            self._keys[proposal.idempotency_key] = proposal.order_id
        return Outcome(Verdict.COMMITTED, proposal.decision)

    def _take_all(self, proposal: Proposal) -> bool:
        for sku in proposal.short_skus:
            name = f"s{self._batch.skus[sku]}"
            seen = self._partition.seen_gain(name, self.rows[sku].gain, self._at_ms)
            if seen != self._batch.gains[sku]:
                return False
        for day in proposal.short_days:
            gain = self._partition.days.get(day, _NO_DAY).gain
            if self._partition.seen_gain(f"d{day}", gain, self._at_ms) != self._batch.day_gains.get(day, -1):
                return False
        for done, take in enumerate(proposal.takes):
            if not self._take(take):
                self._give_back(proposal.takes[:done], ())
                return False
        for done, load in enumerate(proposal.loads):
            if not self._load(load):
                self._give_back(proposal.takes, proposal.loads[:done])
                return False
        return True

    def _take(self, take: Take) -> bool:
        sku, slot, node, units, default = take
        cell = self.rows[sku].cell(slot)
        if cell is None or cell[0] != node:
            return False
        _, on_hand, held, safety, blocked = cell
        taken = self.held.get((sku, slot), 0)
        if units > on_hand - held - taken - blocked - (default if safety < 0 else safety):
            return False
        self.held[sku, slot] = taken + units
        return True

    def _load(self, load: LoadTake) -> bool:
        day, node, parcels, units, parcels_max, units_max = load
        before = self._partition.days.get(day, _NO_DAY).load(node)
        taken = self.loads.get((day, node), (0, 0))
        parcels, units = parcels + taken[0], units + taken[1]
        if before[0] + parcels > _bound(parcels_max) or before[1] + units > _bound(units_max):
            return False
        self.loads[day, node] = parcels, units
        return True

    def _give_back(self, takes: tuple[Take, ...], loads: tuple[LoadTake, ...]) -> None:
        for take in takes:
            self.held[take.sku, take.slot] -= take.units
        for load in loads:
            parcels, units = self.loads[load.day, load.node]
            self.loads[load.day, load.node] = parcels - load.parcels, units - load.units

    def _cascade(self) -> None:
        """Undo what rested on takes that are not made: claims of shortage, and verdicts on the same order or key."""
        waiting = [k for k, outcome in enumerate(self._outcomes) if self._gave_up(k, outcome)]
        if not waiting:
            return
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
        while waiting:
            index = waiting.pop()
            proposal = self._batch.proposals[index]
            places = {("sku", take.sku) for take in proposal.takes} | {("day", load.day) for load in proposal.loads}
            for other in [claimer for place in sorted(places) for claimer in claims.get(place, ())]:
                if self._outcomes[other].verdict is Verdict.COMMITTED:
                    undone = self._batch.proposals[other]
                    self._give_back(undone.takes, undone.loads)
                    self._move_old(other, 1)
                    self._outcomes[other] = Outcome(Verdict.LOST)
                    waiting.append(other)
                    for resting in rests.get(other, ()):
                        self._outcomes[resting] = Outcome(Verdict.LOST)

    def _gave_up(self, index: int, outcome: Outcome) -> bool:
        """Whether takes that others counted on are not made. A commit made again finds its takes made before."""
        if outcome.verdict is Verdict.REPEAT and index not in self._rests_on:
            return outcome.decision != self._batch.proposals[index].decision
        return outcome.verdict is not Verdict.COMMITTED


def _fills(proposal: Proposal) -> bool:
    """Whether a proposal adds to what its order has."""
    return proposal.again is not None and proposal.again.command == states.FILL


def _bound(maximum: int) -> int:
    """The most that may be counted, given a maximum or -1."""
    return min(maximum, LOAD_UNITS_MAX) if maximum >= 0 else LOAD_UNITS_MAX


def _write(
    partition: Partition,
    batch: Batch,
    chosen: list[tuple[Proposal, Kept | None]],
    deciding: _Deciding,
    at_ms: int,
    recorded: str = "",
) -> None:
    """Write what stands. Nothing here can fail. `recorded`: the entry that has the window's record, if not this one."""
    body = Body(window=batch.window_id, record=recorded)
    index, freer = _write_rows(partition, deciding, body)
    waited: dict[str, int] = {}
    _write_days(partition, deciding, body)
    raw: list[bytes] = []
    kept: list[Kept] = []
    for proposal, old in chosen:
        order = _kept(batch, proposal, old, at_ms)
        takes: list[int] = []
        for sku, slot, node, units in order.takes:
            takes += (index.setdefault(sku, len(index)), slot, node, units)
        told: list[object] = [order.state, proposal.idempotency_key or "", takes, list(chain(*order.loads))]
        if order.deadline or old is not None or order.waits or order.closes_ms:
            told += (order.deadline, order.firm)
            anew = old is not None and proposal.again is not None
            told.append(proposal.again._replace(revision=order.revision) if anew and proposal.again else False)
        if order.waits or order.closes_ms:
            told += (waits_of(order.waits), order.rank)
        if order.closes_ms:
            told.append(order.closes_ms)
        if order.waits or old is not None:
            enlist(partition, proposal.order_id, old, -1, waited)
            enlist(partition, proposal.order_id, order, 1, waited)
        body.orders.append(tuple(told))
        if order.deadline:
            memory_holds.soften(partition, amounts_of(order.takes, order.loads), order.deadline, 1)
        if old is not None and old.state == states.HELD:
            memory_holds.soften(partition, amounts_of(old.takes, old.loads), old.deadline, -1)
        raw += (proposal.order_id.encode(), proposal.content, proposal.order, proposal.decision)
        kept.append(order)
    body.rows = [value for sku in index for value in (sku, partition.rows[sku].gain if sku in freer else -1)]
    put_waited(partition, waited, body)
    at_ms = partition.append(at_ms, "commit", body, tuple(raw), batch.record)
    recorded = recorded or partition.newest()
    became = {state: Change(at_ms, "order." + state) for state in {order.state for order in kept}}
    for (proposal, _), order in zip(chosen, kept, strict=True):
        if proposal.again is not None:
            order.history.append(Change(at_ms, "order." + states.PAST[proposal.again.command]))
        order.history.append(became[order.state])
        order.recorded = recorded
        partition.keep(proposal.order_id, order)
        if proposal.idempotency_key is not None:
            partition.keys[proposal.idempotency_key] = proposal.order_id


def _write_rows(partition: Partition, deciding: _Deciding, body: Body) -> tuple[dict[str, int], dict[str, None]]:
    """Put what was taken into rows; returns their places in the entry, and those that became freer."""
    index: dict[str, int] = {}
    freer: dict[str, None] = {}
    for (sku, slot), units in sorted(deciding.held.items()):
        if units:
            name = deciding.skus[sku]
            row = deciding.rows[sku]
            before = row.cell(slot)
            assert before is not None, "a cell that was taken from is there"
            node, on_hand, held, safety, blocked = before
            held += units
            assert units < 0 or held <= on_hand - blocked, "oversold"
            after = node, on_hand, held, safety, blocked
            row.put(slot, after)
            partition.count_use(before, after)
            body.cells += (index.setdefault(name, len(index)), slot, *after, 0, units, 0, 0)
            if units < 0:
                freer[name] = None
    for name in freer:
        partition.rows[name].gained()
    return index, freer


def _write_days(partition: Partition, deciding: _Deciding, body: Body) -> None:
    freer: dict[int, None] = {}
    for (day, node), (parcels, units) in sorted(deciding.loads.items()):
        if parcels or units:
            kept = partition.days.setdefault(day, Day())
            before = kept.load(node)
            kept.put(node, before[0] + parcels, before[1] + units)
            body.loads += (day, node, before[0] + parcels, before[1] + units, parcels, units)
            if parcels < 0 or units < 0:
                freer[day] = None
    for day in freer:
        partition.days[day].gained()
        body.days += (day, partition.days[day].gain)


def _kept(batch: Batch, proposal: Proposal, old: Kept | None, at_ms: int) -> Kept:
    """An order as it stands after its decision; its history so far."""
    again = proposal.again
    command = again.command if again is not None and old is not None else states.DECIDE
    first = old if command in (states.REROUTE, *states.UNASKED) else None
    skus = batch.skus
    takes = tuple([(skus[sku], slot, node, units) for sku, slot, node, units, _ in proposal.takes])
    loads = tuple([load[:4] for load in proposal.loads])
    state, deadline = proposal.state, _deadline(proposal, old, command, at_ms)
    if old is not None and command == states.FILL:
        takes, loads = old.takes + takes, old.loads + loads
        state = states.READY if old.state == states.READY else state
    order = Kept(
        content=proposal.content if first is None else first.content,
        order=proposal.order if first is None else first.order,
        decision=proposal.decision if first is None else first.decision,
        state=states.HELD if deadline else state,
        history=[] if old is None else old.history,
        takes=takes,
        loads=loads,
        current=b"" if first is None else proposal.decision,
        deadline=deadline,
        firm=state,
        waits=proposal.waits,
        rank=proposal.rank if proposal.waits else 0,
        closes_ms=proposal.closes_ms,
    )
    if old is not None and again is not None:
        order.revision, order.token, order.excluded = old.revision + 1, again.token, again.excluded
        order.commands = old.commands
        if command == states.REROUTE:
            order.commands[again.token] = again.digest, proposal.decision
        elif command in states.UNASKED:
            order.token, order.excluded = old.token, old.excluded
    return order


def _deadline(proposal: Proposal, old: Kept | None, command: str, at_ms: int) -> int:
    """When the hold lapses, 0 for never. A re-route keeps it, and so does what is added to a firm hold."""
    if not proposal.takes:
        return 0
    if old is not None and command == states.REROUTE:
        return old.deadline
    if old is not None and command == states.FILL and old.state != states.BACKORDERED:
        return 0
    return 0 if proposal.hold_ms is None else layout.deadline_ms(at_ms, proposal.hold_ms)
