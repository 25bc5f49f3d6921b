"""An order that stands, asked again: as it was asked, without what was excluded since, and no later than promised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from engine.decisions import Decision
from engine.domain import Order, epoch_ms
from engine.ledger import states
from engine.ledger.port import OrderRecord
from engine.promise import local_day

_order = msgspec.json.Decoder(Order)
_decision = msgspec.json.Decoder(Decision)


@dataclass(frozen=True, slots=True)
class Standing:
    """An order as it was asked, and as it is decided now: all of it ships."""

    record: OrderRecord
    order: Order
    decision: Decision

    @staticmethod
    def of(record: OrderRecord) -> Standing | None:
        """The order of a record, None unless all of it is allocated and not with its nodes."""
        if record.state != states.ALLOCATED:
            return None
        standing = Standing(record, _order.decode(record.order), _decision.decode(record.current))
        return standing if standing.decision.status == "allocated" else None

    def asked_again(self) -> Order:
        """The order to decide.

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
        return msgspec.structs.replace(order, limits=limits, deliver_by=due)

    def nodes(self) -> tuple[str, ...]:
        """The nodes that ship it now, in the order of its parcels."""
        return tuple(dict.fromkeys(parcel.node_id for parcel in self.decision.parcels))
