"""An order that stands, asked again: as it was asked, without what was excluded since, and no later than promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog

from engine.decisions import Decision, encode, unfilled
from engine.domain import Order, epoch_ms
from engine.filling import cost_of
from engine.ledger import states
from engine.ledger.port import Again, OrderRecord, Proposal
from engine.policy import ObjectiveTerms
from engine.promise import local_day

log = structlog.get_logger("apportion.reoptimise")

_order = msgspec.json.Decoder(Order)
_decision = msgspec.json.Decoder(Decision)


@dataclass(frozen=True, slots=True)
class Standing:
    """An order as it was asked, and as it is decided now."""

    record: OrderRecord
    order: Order
    decision: Decision

    @staticmethod
    def of(record: OrderRecord) -> Standing | None:
        """The order of a record, None unless it may be decided again."""
        if record.state not in states.MOVABLE:
            return None
        return Standing(record, _order.decode(record.order), _decision.decode(record.current))

    def asked_again(self) -> Order:
        """What ships of the order, as an order of its own: no unit more, no unit less.

        What arrives in time must do so by the day that was promised; what is late already may be later only where the
        objective pays for it, as for any order.
        """
        order, limits = self.order, self.order.limits
        without = list(dict.fromkeys((*limits.except_nodes, *self.record.excluded)))
        limits = msgspec.structs.replace(limits, except_nodes=without)
        zone = order.ship_to.timezone or "UTC"
        promised = max((datetime.fromisoformat(parcel.deliver_by) for parcel in self.decision.parcels), key=epoch_ms)
        due = order.deliver_by
        if due is None or local_day(epoch_ms(promised), zone) <= local_day(epoch_ms(due), zone):
            due, limits = promised, msgspec.structs.replace(limits, allow_late=False)
        left = self._left()
        lines = [
            msgspec.structs.replace(line, quantity=line.quantity - left.get(line.line_id, 0))
            for line in order.lines
            if line.quantity > left.get(line.line_id, 0)
        ]
        return msgspec.structs.replace(order, lines=lines, limits=limits, deliver_by=due)

    def _left(self) -> dict[str, int]:
        """Units that do not ship now, by line."""
        units = [(each.line_id, each.quantity) for each in self.decision.unallocated]
        units += [(each.line_id, each.quantity) for each in self.decision.backordered]
        left: dict[str, int] = {}
        for line_id, quantity in units:
            left[line_id] = left.get(line_id, 0) + quantity
        return left

    def moved(self, proposal: Proposal, saving: int, terms: ObjectiveTerms) -> Proposal:
        """A proposal for what ships as one for the whole order.

        Content and first decision stay, the hold is as firm as it was, and what does not ship does so for its reasons.
        """
        record, old, new = self.record, self.decision, _decision.decode(proposal.decision)
        decision = msgspec.structs.replace(
            new,
            status=old.status,
            unallocated=old.unallocated,
            backordered=old.backordered,
            cost=cost_of(self.order, new.parcels, unfilled(old.unallocated, old.backordered), terms),
        )
        return msgspec.structs.replace(
            proposal,
            content=record.content,
            order=record.order,
            decision=encode(decision),
            state=record.state,
            idempotency_key=None,
            hold_ms=None,
            again=Again(states.REOPTIMISE, record.revision, "", saving=saving, before=self.nodes()),
            waits=record.waits,
            rank=record.rank,
        )

    def nodes(self) -> tuple[str, ...]:
        """The nodes that ship it now, in the order of its parcels."""
        return tuple(dict.fromkeys(parcel.node_id for parcel in self.decision.parcels))


def standings_of(partition: str, records: Sequence[OrderRecord]) -> list[Standing]:
    """Those of the records that may be decided again; one that cannot be read is logged and stops no other."""
    found = []
    for record in records:
        try:
            standing = Standing.of(record)
        except msgspec.MsgspecError:
            log.exception("order_unreadable", partition=partition, order_id=record.order_id)
            continue
        if standing is not None:
            found.append(standing)
    return found
