"""Patches of one scenario that contradict each other: two that claim the same thing of the world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.errors import Fault
from engine.simulation.patches import Patch

Claim = tuple[str, ...]
"""What a patch changes, as words; of two claims of which one begins with the other, only one can be made."""


def contradictions(patches: Sequence[Patch], path: str) -> Iterator[Fault]:
    """Each patch that claims what an earlier one did, or that changes nothing. Every patch says one thing."""
    made: list[tuple[Claim, int]] = []
    for k, patch in enumerate(patches):
        [(name, change)] = patch.said().items()
        claims = _claims(name, change)
        if not claims:
            yield Fault(f"{path}[{k}].{name}", "changes nothing: say what it is to be")
        for claim in claims:
            other = next((where for earlier, where in made if _same(claim, earlier)), None)
            if other is not None:
                what = " ".join(claim)
                reason = f"{path}[{other}] changes {what} already: keep one, or make two scenarios"
                yield Fault(f"{path}[{k}].{name}", reason)
                break
        made += [(claim, k) for claim in claims]
        if name == "strike":
            yield from _overlaps(patches, k, path)


def _same(one: Claim, other: Claim) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _claims(name: str, change: Any) -> list[Claim]:
    """What a patch changes."""
    if name == "close_node":
        return [("node", change.node_id)]
    if name == "add_node":
        return [("node", change.node.node_id, "itself")]
    if name in ("capacity", "cutoff"):
        given = msgspec.structs.asdict(change)
        return [
            ("node", change.node_id, field)
            for field, value in given.items()
            if field != "node_id" and value is not msgspec.UNSET
        ]
    if name == "move_stock":
        if change.from_node == change.to_node or not change.share:
            return []
        ends = ("node", change.to_node, "stock", "from", change.from_node)
        return [(*ends, sku) for sku in change.skus] or [ends]
    if name == "add_stock":
        return [("node", change.node_id, "more", change.sku)]
    if name in ("rate_card", "surcharge"):
        return [("service", change.carrier, *([change.service] if change.service is not None else []))]
    if name == "safety_stock":
        nodes = ["safety of", change.node_id or "all nodes"]
        return [(*nodes, sku) for sku in change.skus] or [tuple(nodes)]
    if name == "policy":
        return [("policy", change.policy_id, *leaf) for leaf in _leaves(change.merge)]
    if name == "drop_rule":
        return [("policy", change.policy_id, "rules", change.name)]
    if name == "window":
        given = msgspec.structs.asdict(change)
        return [("window", field) for field, value in given.items() if value is not msgspec.UNSET]
    if name == "strike":
        return [("strike", change.carrier, change.service or "", str(change.since))]
    return [(name,)]


def _leaves(merge: Any, before: Claim = ()) -> Iterator[Claim]:
    """The paths that a merge patch writes to."""
    for key, value in merge.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*before, key))
        else:
            yield (*before, key)


def _overlaps(patches: Sequence[Patch], k: int, path: str) -> Iterator[Fault]:
    """A strike that lasts while an earlier one of the same service does."""
    mine = patches[k].strike
    assert mine is not None, "asked of strikes"
    for other, patch in enumerate(patches[:k]):
        theirs = patch.strike
        if theirs is None or theirs.carrier != mine.carrier or theirs.since == mine.since:
            continue
        alike = None in (mine.service, theirs.service) or mine.service == theirs.service
        if alike and theirs.since < mine.until and mine.since < theirs.until:
            yield Fault(f"{path}[{k}].strike", f"lasts while {path}[{other}] does: make them one")
