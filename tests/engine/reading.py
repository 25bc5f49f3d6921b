"""Decisions as a caller reads them: for the tests of what is decided."""

from __future__ import annotations

import json

from engine.ledger.port import Proposal
from engine.lifting import lift
from engine.lowering import WindowInput, lower
from solvers.choose import Budget, solve
from solvers.solution import check
from tests.engine.making import shipped


def decided(asked: WindowInput, *plans) -> tuple[Proposal, ...]:
    """The window lifted: by plans made by hand, or solved."""
    lowered = lower(asked)
    solution = shipped(lowered, *plans) if plans else solve(lowered.problem, Budget())
    assert check(lowered.problem, solution) == []
    return lift(lowered, solution, 12.3456)


def said(proposal: Proposal) -> dict:
    """The decision as a caller reads it."""
    return json.loads(proposal.decision)


def why(proposal: Proposal) -> list[tuple]:
    """What does not ship: (sku, quantity, reason, free, held, safety)."""
    names = ("sku", "quantity", "reason", "free", "held", "safety")
    return [tuple(line[name] for name in names) for line in said(proposal)["unallocated"]]


def where(proposal: Proposal) -> dict[tuple[str, str], int]:
    """What ships: {(node_id, sku): units}, the node being that of the stock."""
    found: dict[tuple[str, str], int] = {}
    for parcel in said(proposal)["parcels"]:
        for line in parcel["lines"]:
            key = (line.get("node_id", parcel["node_id"]), line["sku"])
            found[key] = found.get(key, 0) + line["quantity"]
    return found
