"""Cutting a window into script calls, so that none blocks the store for long.

A claim of shortage rests on takes by other proposals. Whoever it may rest on must be decided before it or with it:
takers without claims go first, claims without takes last, and between them those that are both, kept together
where one's claim may rest on the other's take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


def cuts(batch: Batch) -> list[list[int]]:
    """Indexes of proposals per script call, in the order in which to make them."""
    proposals = batch.proposals
    cells = [len(proposal.takes) + len(proposal.loads) for proposal in proposals]
    documents = [len(proposal.order) + len(proposal.decision) for proposal in proposals]
    whole = list(range(len(proposals)))
    if not _full(len(whole), sum(cells), sum(documents)):
        return [whole] if whole else []
    claims = [bool(proposal.short_skus or proposal.short_days) for proposal in proposals]
    takers = [[k] for k in whole if not claims[k]]
    both = [k for k in whole if claims[k] and (proposals[k].takes or proposals[k].loads)]
    last = [[k] for k in whole if claims[k] and not (proposals[k].takes or proposals[k].loads)]
    return list(_packed(cells, documents, [*takers, *_groups(proposals, both), *last]))


def _full(orders: int, cells: int, documents: int) -> bool:
    """Whether this is too much for one script call."""
    return orders > CUT_ORDERS or cells > CUT_CELLS or documents > CUT_BYTES


def _packed(cells: Sequence[int], documents: Sequence[int], groups: Sequence[list[int]]) -> Iterator[list[int]]:
    cut: list[int] = []
    cells_in = bytes_in = 0
    for group in groups:
        for start in range(0, len(group), CUT_ORDERS_MAX):
            part = group[start : start + CUT_ORDERS_MAX]
            more, longer = sum([cells[k] for k in part]), sum([documents[k] for k in part])
            if cut and _full(len(cut) + len(part), cells_in + more, bytes_in + longer):
                yield cut
                cut, cells_in, bytes_in = [], 0, 0
            cut += part
            cells_in, bytes_in = cells_in + more, bytes_in + longer
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
