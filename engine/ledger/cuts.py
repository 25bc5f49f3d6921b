"""Cutting a window into script calls, so that none blocks the store for long.

A claim of shortage rests on takes by other proposals. Whoever it may rest on must be decided before it or with it:
takers without claims go first, claims without takes last, and between them those that are both, kept together
where one's claim may rest on the other's take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from engine.ledger.port import Batch, Proposal

CUT_CELLS = 320
"""Cells and loads of one script call."""
CUT_BYTES = 250_000
"""Documents of one script call, in bytes."""
CUT_ORDERS = 80
"""Orders of one script call: about 3 ms on an idle core, so that a busy one keeps below 10, and below 20 where units
that have lapsed must be freed first."""
CUT_ORDERS_MAX = 1_500
"""A group that must stay together is split all the same here: a call takes at most about 8,000 values."""


class _Size(NamedTuple):
    """How much one script call would have to do."""

    orders: int
    cells: int
    documents: int

    def plus(self, other: _Size) -> _Size:
        return _Size(self.orders + other.orders, self.cells + other.cells, self.documents + other.documents)

    def full(self) -> bool:
        return self.orders > CUT_ORDERS or self.cells > CUT_CELLS or self.documents > CUT_BYTES


def cuts(batch: Batch) -> list[list[int]]:
    """Indexes of proposals per script call, in the order in which to make them."""
    proposals = batch.proposals
    sizes = [_Size(1, len(p.takes) + len(p.loads), len(p.order) + len(p.decision)) for p in proposals]
    whole = list(range(len(proposals)))
    if not _sum(sizes).full():
        return [whole] if whole else []
    claims = [bool(proposal.short_skus or proposal.short_days) for proposal in proposals]
    takers = [[k] for k in whole if not claims[k]]
    both = [k for k in whole if claims[k] and (proposals[k].takes or proposals[k].loads)]
    last = [[k] for k in whole if claims[k] and not (proposals[k].takes or proposals[k].loads)]
    return list(_packed(sizes, [*takers, *_groups(proposals, both), *last]))


def _sum(sizes: Iterable[_Size]) -> _Size:
    return _Size(*(sum(column) for column in zip(_Size(0, 0, 0), *sizes, strict=True)))


def _packed(sizes: Sequence[_Size], groups: Sequence[list[int]]) -> Iterator[list[int]]:
    cut: list[int] = []
    filled = _Size(0, 0, 0)
    for group in groups:
        for start in range(0, len(group), CUT_ORDERS_MAX):
            part = group[start : start + CUT_ORDERS_MAX]
            size = _sum(sizes[k] for k in part)
            if cut and filled.plus(size).full():
                yield cut
                cut, filled = [], _Size(0, 0, 0)
            cut, filled = cut + part, filled.plus(size)
    if cut:
        yield cut


def _groups(proposals: Sequence[Proposal], members: Sequence[int]) -> list[list[int]]:
    """Members joined where one claims what another takes, in order of their first."""
    claimed: dict[tuple[str, int], int] = {}
    parent = {k: k for k in members}

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    taken = {place for k in members for place in _places(proposals[k])}
    for k in members:
        for place in taken.intersection(_claims(proposals[k])):
            parent[root(k)] = root(claimed.setdefault(place, k))
    for k in members:
        for place in _places(proposals[k]):
            if place in claimed:
                parent[root(k)] = root(claimed[place])
    groups: dict[int, list[int]] = {}
    for k in members:
        groups.setdefault(root(k), []).append(k)
    return list(groups.values())


def _claims(proposal: Proposal) -> list[tuple[str, int]]:
    return [*(("sku", sku) for sku in proposal.short_skus), *(("day", day) for day in proposal.short_days)]


def _places(proposal: Proposal) -> list[tuple[str, int]]:
    return [*(("sku", take.sku) for take in proposal.takes), *(("day", load.day) for load in proposal.loads)]
