"""What a policy may not say: every fault of the document, first of form, then of meaning.

Rules are judged against the network of the moment. A later network may lack a node that a rule names; the name is then
passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from engine.documents import decode, refuse
from engine.domain import Limits
from engine.errors import Fault
from engine.network import Network
from engine.policy.document import ObjectiveTerms, Policy, Rule, Then
from engine.policy.rules import contains, span
from engine.policy.steering import Bar, Places, bars_of, bars_of_policy, left


def parse_policy(body: bytes, network: Network | None) -> Policy:
    """Decode and validate; without a network no node is known. Raises InvalidInputError with at most 100 faults."""
    policy = decode(body, Policy, "policy")
    if faults := list(semantic_faults(policy, Places(network))):
        refuse("The policy contradicts itself or names things that do not exist.", faults)
    return policy


def semantic_faults(policy: Policy, places: Places) -> Iterator[Fault]:
    """Everything wrong with a policy of the right form."""
    yield from _weight_faults(policy.objective)
    yield from _unknown_in(policy.limits, "$.limits", places)
    names: set[str] = set()
    for r, rule in enumerate(policy.rules):
        path = f"$.rules[{r}]"
        if rule.name in names:
            yield Fault(f"{path}.name", f"an earlier rule is called {rule.name!r}")
        names.add(rule.name)
        yield from _when_faults(rule, path)
        yield from _then_faults(rule.then, f"{path}.then", places)
    if places.count:
        yield from _contradictions(policy, places)
    yield from _overridden_modes(policy.rules)


def _weight_faults(objective: ObjectiveTerms) -> Iterator[Fault]:
    for name in ("shipping", "handling", "stock_price"):
        weight = Decimal(str(getattr(objective, name)))
        if weight > 100:
            yield Fault(f"$.objective.{name}", "more than 100")
        if weight * 1000 % 1:
            yield Fault(f"$.objective.{name}", "more than three decimal places")


def _when_faults(rule: Rule, path: str) -> Iterator[Fault]:
    for name in ("priority", "value"):
        low, high = span(getattr(rule.when, name))
        if low > high:
            yield Fault(f"{path}.when.{name}", "min is above max: no order matches")


def _then_faults(then: Then, path: str, places: Places) -> Iterator[Fault]:
    yield from _unknown(then.nodes, f"{path}.nodes", places)
    yield from _unknown(then.except_nodes, f"{path}.except_nodes", places)
    yield from _unknown_in(then.limits, f"{path}.limits", places)
    kept_out = ~left(_known(bars_of(then, "", places)), places)
    for node_id in then.money:
        n = places.index(node_id)
        if n is None:
            yield Fault(f"{path}.money.{node_id}", f"there is no node {node_id!r}")
        elif kept_out[n]:
            yield Fault(f"{path}.money.{node_id}", f"the rule itself keeps node {node_id!r} out")
    if then.kinds and places.count and not places.named((), then.kinds).any():
        yield Fault(f"{path}.kinds", "no node of the network is of these kinds")


def _unknown_in(limits: Limits, path: str, places: Places) -> Iterator[Fault]:
    yield from _unknown(limits.nodes, f"{path}.nodes", places)
    yield from _unknown(limits.except_nodes, f"{path}.except_nodes", places)


def _unknown(node_ids: Sequence[str], path: str, places: Places) -> Iterator[Fault]:
    for k, node_id in enumerate(node_ids):
        if places.index(node_id) is None:
            yield Fault(f"{path}[{k}]", f"there is no node {node_id!r}")


def _contradictions(policy: Policy, places: Places) -> Iterator[Fault]:
    """Where no node is left: by the limits, by one rule, or by those that hold whenever a rule does."""
    of_policy = _known(bars_of_policy(policy, places))
    if not left(of_policy, places).any():
        yield Fault("$.limits", "no node is left: all that are allowed are excluded, too")
        return
    own = [_known(bars_of(rule.then, rule.name, places)) for rule in policy.rules]
    empty = [not left(bars, places).any() for bars in own]
    for r, rule in enumerate(policy.rules):
        if empty[r]:
            yield Fault(f"$.rules[{r}].then", "no node is left: all that the rule allows it excludes, too")
        elif own[r]:
            with_it = [k for k in _whenever(policy.rules, r) if own[k] and not empty[k]]
            others: list[Bar] = of_policy + [bar for k in with_it for bar in own[k]]
            if not left(own[r] + others, places).any():
                named = ", ".join(dict.fromkeys(repr(bar.by) for bar in others))
                yield Fault(f"$.rules[{r}].then", f"no node is left to rule {rule.name!r} together with {named}")


def _known(bars: Iterable[Bar]) -> list[Bar]:
    """Without restrictions to what the network does not know at all: those are faults of their own."""
    return [bar for bar in bars if "except" in bar.field or not bar.nodes.all()]


def _whenever(rules: Sequence[Rule], r: int) -> list[int]:
    """The other rules that hold whenever rule r does; of rules for the very same orders only the earlier."""
    return [
        k
        for k, rule in enumerate(rules)
        if k != r and contains(rule.when, rules[r].when) and (k < r or not contains(rules[r].when, rule.when))
    ]


def _overridden_modes(rules: Sequence[Rule]) -> Iterator[Fault]:
    """Modes that can never count, because a later rule for the same orders or more picks another."""
    choosing = [(r, rule) for r, rule in enumerate(rules) if rule.then.mode is not None]
    for place, (r, rule) in enumerate(choosing):
        for _, later in choosing[place + 1 :]:
            if later.then.mode != rule.then.mode and contains(later.when, rule.when):
                reason = f"rule {later.name!r} comes later, matches all that this one matches, and picks another mode"
                yield Fault(f"$.rules[{r}].then.mode", reason)
                break
