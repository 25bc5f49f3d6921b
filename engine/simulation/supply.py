"""What comes in while orders do: arrivals that were planned, and what nodes order to be stocked as at first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import msgspec

from engine.assembly import Engine
from engine.domain import IncomingRow, Movement, StockRow, epoch_ms, instant_of
from engine.errors import InvalidInputError
from engine.simulation.agenda import Agenda
from engine.simulation.scenario import OrderUpTo, Replenishment
from engine.simulation.world import World

HOUR_MS = 3_600_000
PAGE = 1_000


class Supply:
    """Receives stock at the instants of a plan, and announces it as early as it is known."""

    def __init__(self, engine: Engine, partition: str, world: World, plan: Replenishment) -> None:
        self._engine = engine
        self._partition = partition
        self._plan = plan
        self._first = {(row.sku, row.node_id): row.on_hand for row in world.stock}
        self._incoming = world.incoming
        self._deliveries = 0
        self._due: dict[tuple[str, str], int] = {}
        """Units that were ordered and have not come."""

    async def begin(self, agenda: Agenda, start_ms: int) -> None:
        """Announce what is planned, and have it received when it comes."""
        planned = [
            Movement(
                movement_id=f"plan-{number}", node_id=each.node_id, sku=each.sku, kind="receive", quantity=each.quantity
            )
            for number, each in enumerate(self._plan.arrivals)
        ]
        coming = [(epoch_ms(each.at), move) for each, move in zip(self._plan.arrivals, planned, strict=True)]
        coming += [
            (
                epoch_ms(row.expected_at),
                Movement(
                    movement_id=row.incoming_id,
                    node_id=row.node_id,
                    sku=row.sku,
                    kind="receive",
                    quantity=row.quantity,
                ),
            )
            for row in self._incoming
        ]
        coming.sort(key=lambda each: each[0])
        for due_ms, together in groupby(coming, lambda each: each[0]):
            await self._expect(agenda, max(due_ms, start_ms), [move for _, move in together])
        if self._plan.order_up_to is not None:
            terms = self._plan.order_up_to
            self._review_at(agenda, start_ms + round(terms.every_hours * HOUR_MS), terms)

    def _review_at(self, agenda: Agenda, due_ms: int, terms: OrderUpTo) -> None:
        async def review(at_ms: int) -> None:
            await self._order(agenda, at_ms, terms)
            self._review_at(agenda, at_ms + round(terms.every_hours * HOUR_MS), terms)

        agenda.at(due_ms, review)

    async def _order(self, agenda: Agenda, at_ms: int, terms: OrderUpTo) -> None:
        """Every cell orders what it lacks of its level; stock that is blocked or kept back counts as there."""
        there: dict[tuple[str, str], int] = {}
        cursor = ""
        while True:
            cursor, page = await self._engine.stock.page(self._partition, None, cursor, PAGE)
            there.update({(each.sku, cell.node_id): cell.on_hand - cell.held for each in page for cell in each.nodes})
            if not cursor:
                break
        self._deliveries += 1
        moves = []
        for number, (cell, first) in enumerate(self._first.items()):
            lacks = int(first * terms.level) - there.get(cell, 0) - self._due.get(cell, 0)
            if lacks > 0:
                sku, node_id = cell
                name = f"order-{self._deliveries}-{number}"
                moves.append(Movement(movement_id=name, node_id=node_id, sku=sku, kind="receive", quantity=lacks))
                self._due[cell] = self._due.get(cell, 0) + lacks
        await self._expect(agenda, at_ms + round(terms.lead_hours * HOUR_MS), moves)

    async def _expect(self, agenda: Agenda, due_ms: int, moves: Sequence[Movement]) -> None:
        """Announce units, and have them received."""
        if not moves:
            return
        rows = [
            IncomingRow(
                incoming_id=move.movement_id,
                node_id=move.node_id,
                sku=move.sku,
                quantity=move.quantity,
                expected_at=instant_of(due_ms),
            )
            for move in moves
        ]
        await self._engine.stock.write_incoming(self._partition, list(enumerate(rows, start=1)))

        async def receive(_: int) -> None:
            await self._receive(moves)

        agenda.at(due_ms, receive)

    async def _receive(self, moves: Sequence[Movement]) -> None:
        for move in moves:
            cell = move.sku, move.node_id
            self._due[cell] = max(0, self._due.get(cell, 0) - move.quantity)
        arrived: list[tuple[int, StockRow | Movement]] = [
            (line, msgspec.structs.replace(move, incoming_id=move.movement_id))
            for line, move in enumerate(moves, start=1)
        ]
        tally = await self._engine.stock.write(self._partition, arrived)
        if tally.faults:
            raise InvalidInputError(f"a delivery could not be received: {tally.faults[0]}")
        while await self._engine.backorders.look(self._partition):
            pass
