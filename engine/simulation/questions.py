"""Questions that are many scenarios: the price of a policy, of closing each node, and what one number trades off."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from engine.domain import Limits
from engine.policy import Policy
from engine.simulation.patches import CloseNode, DropRule, Patch, PolicyChange
from engine.simulation.scenario import Scenario
from engine.simulation.world import World


def price_of_policy(policy_id: str, policy: Policy) -> list[Scenario]:
    """Each rule and each limit of a policy dropped alone, and all of them together: what the baseline pays for each.

    Empty for a policy that has neither.
    """
    found = [
        Scenario(
            name=f"without rule {rule.name}", patches=[Patch(drop_rule=DropRule(policy_id=policy_id, name=rule.name))]
        )
        for rule in policy.rules
    ]
    plain = msgspec.structs.asdict(Limits())
    for name, value in msgspec.structs.asdict(policy.limits).items():
        if value != plain[name]:
            merge = PolicyChange(policy_id=policy_id, merge={"limits": {name: None}})
            found.append(Scenario(name=f"without limit {name}", patches=[Patch(policy=merge)]))
    if len(found) > 1:
        free = PolicyChange(policy_id=policy_id, merge={"limits": None, "rules": None})
        found.append(Scenario(name="without rules and limits", patches=[Patch(policy=free)]))
    return found


def closings(world: World) -> list[Scenario]:
    """Each active node closed alone."""
    return [
        Scenario(name=f"close {node.node_id}", patches=[Patch(close_node=CloseNode(node_id=node.node_id))])
        for node in world.network.nodes
        if node.active
    ]


def sweep(name: str, values: Iterable[float], patch: Callable[[float], Patch]) -> list[Scenario]:
    """One scenario for each value of a number: the points of a trade-off curve."""
    return [Scenario(name=f"{name} {value:g}", patches=[patch(value)]) for value in values]
