"""What a walk found: which orders moved, or would have, and what that saves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from engine.domain import decimal, mills
from engine.ledger.port import Proposal
from engine.reoptimising.standing import Standing
from engine.reoptimising.swaps import Move

MOVES_TOLD = 100
"""The most moves that a report names."""

Why = Literal["period", "stock", "closing"]


class MoveTold(Struct, frozen=True, kw_only=True):
    """One order that moved, or would have: what it saves (negative where it made room for another), and its nodes."""

    order_id: str
    saving: str
    before: tuple[str, ...] = msgspec.field(name="from")
    after: tuple[str, ...] = msgspec.field(name="to")


class Report(Struct, kw_only=True):
    """What the last walk found for one policy. `moved`: in a dry run, what would have.

    `why`: its period was over, stock came, or orders were about to close. `dropped`: orders that were to move and did
    not, because something of their part changed meanwhile. `moves`: the first hundred.
    """

    policy_id: str
    mode: Literal["dry_run", "on"]
    why: Why
    at: datetime
    looked_at: int = 0
    moved: int = 0
    dropped: int = 0
    saving: str = "0"
    moves: list[MoveTold] = []


@dataclass(slots=True)
class Found:
    """What a walk found so far, by policy. `savings` in mills."""

    reports: dict[str, Report] = field(default_factory=dict)
    savings: dict[str, int] = field(default_factory=dict)
    left: Counter[int] = field(default_factory=Counter)
    """By when they closed: orders that moved to where they close at another time."""

    def count(
        self,
        report: Report,
        standings: Sequence[Standing],
        proposals: Mapping[int, Proposal],
        moved: Sequence[Move],
    ) -> None:
        """Put what moved into a report."""
        report.moved += len(moved)
        saved = self.savings.get(report.policy_id, 0) + sum(move.saving for move in moved)
        self.savings[report.policy_id] = saved
        report.saving = decimal(saved)
        for move in moved[: max(0, MOVES_TOLD - len(report.moves))]:
            standing = standings[move.place]
            after = _nodes(proposals[move.place])
            told = MoveTold(
                order_id=standing.order.order_id, saving=decimal(move.saving), before=standing.nodes(), after=after
            )
            report.moves.append(told)


class _Cost(Struct):
    total: str


class _Parcel(Struct):
    node_id: str


class _Decided(Struct):
    cost: _Cost
    parcels: tuple[_Parcel, ...]


_decided = msgspec.json.Decoder(_Decided).decode


def total(proposal: Proposal) -> int:
    """What a proposal costs, in mills."""
    return mills(_decided(proposal.decision).cost.total)


def _nodes(proposal: Proposal) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parcel.node_id for parcel in _decided(proposal.decision).parcels))
