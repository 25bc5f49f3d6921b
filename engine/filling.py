"""An order that waits, decided again: what is left of it as an order of its own, and both decisions as one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import msgspec

from engine.decisions import (
    Backordered,
    Cost,
    Decision,
    Guidance,
    Parcel,
    Reason,
    encode,
    status_of,
    unfilled,
)
from engine.domain import Limits, Order, Sku, decimal, epoch_ms, mills
from engine.ledger import states
from engine.ledger.port import Again, OrderRecord, Proposal
from engine.policy import ObjectiveTerms
from engine.promise import local_day
from engine.waiting import Missing, joined, waits_of, worth_splitting

_order = msgspec.json.Decoder(Order)
_decision = msgspec.json.Decoder(Decision)

_OF_NETWORK = frozenset({Reason.UNKNOWN_SKU, Reason.NO_ELIGIBLE_NODE, Reason.NO_LANE})
"""What waited once goes on waiting while the network or the catalogue stops it: a node may come back."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """An order that waits: as it was asked, and as it is decided so far."""

    record: OrderRecord
    order: Order
    decision: Decision

    @staticmethod
    def of(record: OrderRecord) -> Waiter | None:
        """The order of a record, None if nothing of it waits."""
        if record.state not in states.WAITING or not record.waits:
            return None
        waiter = Waiter(record, _order.decode(record.order), _decision.decode(record.current))
        return waiter if waiter.decision.backordered else None

    def remainder(self, limits: Limits) -> Order:
        """What waits as an order of its own. `limits`: all that the whole order must keep, its own and the policy's."""
        waiting: dict[str, int] = {}
        for each in self.decision.backordered:
            waiting[each.line_id] = waiting.get(each.line_id, 0) + each.quantity
        lines = [
            msgspec.structs.replace(line, quantity=waiting[line.line_id])
            for line in self.order.lines
            if line.line_id in waiting
        ]
        own = self.order.limits
        most = own.max_parcels
        if limits.max_parcels is not None:
            most = max(1, limits.max_parcels - len(self.decision.parcels))
        without = list(dict.fromkeys((*own.except_nodes, *self.record.excluded)))
        left = msgspec.structs.replace(own, max_parcels=most, except_nodes=without)
        return msgspec.structs.replace(self.order, lines=lines, limits=left)


def filled(
    waiter: Waiter, proposal: Proposal, limits: Limits, items: Mapping[str, Sku], terms: ObjectiveTerms
) -> Proposal | None:
    """What the remainder's proposal adds to the order, as a proposal for the whole; None if it adds nothing."""
    order, old, new = waiter.order, waiter.decision, _decision.decode(proposal.decision)
    if not new.parcels:
        return None
    parcels = (*old.parcels, *(_numbered(order, k, each) for k, each in enumerate(new.parcels, len(old.parcels) + 1)))
    if old.parcels and not worth_splitting(order, limits, items, parcels):
        return None
    lines = {line.line_id: line for line in order.lines}
    kept = [Missing(lines[each.line_id], each.quantity, each.reason) for each in new.unallocated]
    kept = [each for each in kept if each.reason in _OF_NETWORK]
    later = (*new.backordered, *(Backordered(e.line.line_id, e.line.sku, e.quantity, None) for e in kept))
    never = (*old.unallocated, *(each for each in new.unallocated if each.reason not in _OF_NETWORK))
    decision = Decision(
        order_id=order.order_id,
        status=status_of(parcels, never, later),
        parcels=parcels,
        unallocated=never,
        backordered=later,
        cost=cost_of(order, parcels, unfilled(never, later), terms),
        guidance=_sum(old.guidance, new.guidance),
        window=new.window,
    )
    record = waiter.record
    return msgspec.structs.replace(
        proposal,
        content=record.content,
        order=record.order,
        decision=encode(decision),
        state=decision.status,
        again=Again(states.FILL, record.revision, ""),
        waits=joined(proposal.waits, waits_of(kept, items, limits)),
        rank=record.rank,
        closes_ms=min((at for at in (record.closes_ms, proposal.closes_ms) if at), default=0),
    )


def _numbered(order: Order, number: int, parcel: Parcel) -> Parcel:
    return msgspec.structs.replace(parcel, parcel_id=f"{order.order_id}-{number}")


def cost_of(order: Order, parcels: Sequence[Parcel], unfilled_units: int, terms: ObjectiveTerms) -> Cost:
    """The cost of an order by its parcels, as the contract has it."""
    shipping = sum(mills(parcel.cost.shipping) for parcel in parcels)
    handling = sum(mills(parcel.cost.handling) for parcel in parcels)
    split = mills(terms.split_parcel) * max(0, len(parcels) - 1)
    late = mills(terms.late_per_day) * _late_days(order, parcels)
    missing = mills(terms.unfilled_per_unit) * unfilled_units
    total = shipping + handling + split + late + missing
    return Cost(*(decimal(amount) for amount in (shipping, handling, split, late, missing, total)))


def _late_days(order: Order, parcels: Sequence[Parcel]) -> int:
    if order.deliver_by is None:
        return 0
    due = local_day(epoch_ms(order.deliver_by), order.ship_to.timezone or "UTC")
    arrivals = [(date.fromisoformat(parcel.deliver_by[:10]) - date(1970, 1, 1)).days for parcel in parcels]
    return max(0, max(arrivals, default=due) - due)


def _sum(one: Guidance, other: Guidance) -> Guidance:
    amounts = {name: mills(getattr(one, name)) + mills(getattr(other, name)) for name in Guidance.__struct_fields__}
    return Guidance(**{name: decimal(amount) for name, amount in amounts.items()})
