"""Orders that stand and are to be decided again in the background: for prices they are demand like any other."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from engine.domain import Order
from engine.ledger.moving import Place
from engine.ledger.port import Ledger
from engine.registry import Books
from engine.reoptimising.standing import standings_of

ORDERS_MAX = 500
"""Of one partition, those first that close first; beyond it they count as they stand."""
PAGE_ORDERS = 50


async def standing_orders(ledger: Ledger, partition: str, books: Books, now_ms: int) -> list[Order]:
    """What ships of the orders whose policy has them decided again, each as an order of its own, placed by now."""
    moving = {policy_id for policy_id, edition in books.policies.items() if edition.policy.reoptimise.mode == "on"}
    found: list[Order] = []
    if not moving:
        return found
    at = Place(now_ms + 1)
    while len(found) < ORDERS_MAX and (page := await ledger.movable(partition, at, PAGE_ORDERS)):
        at = at.past(page)
        for standing in standings_of(partition, page):
            if standing.order.policy_id in moving:
                asked = standing.asked_again()
                placed = asked.placed_at or datetime.fromtimestamp(now_ms / 1000, UTC)
                found.append(msgspec.structs.replace(asked, placed_at=placed))
        if len(page) < PAGE_ORDERS:
            break
    return found[:ORDERS_MAX]
