"""Each process's copy of the documents: never wrong, and no process has to be told."""

from __future__ import annotations

import json

import pytest

from engine.clock import SystemClock
from engine.errors import InvalidInputError
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError, Versions
from engine.registry import POLICIES_MAX, Registry
from tests.engine.making import document, node, order


async def two() -> tuple[Registry, Registry]:
    """The registries of two processes over one store that has a network."""
    ledger = MemoryLedger(SystemClock())
    here, there = Registry(ledger), Registry(ledger)
    await here.put_network("p", json.dumps(document([node("A")])).encode())
    await here.books("p")
    return here, there


async def test_a_policy_put_by_another_process_is_known_at_once():
    """An order that names a new policy is taken by every process as soon as the write has answered."""
    here, there = await two()
    named = order("O", ("X", 1), policy_id="new")
    with pytest.raises(InvalidInputError, match=r"\$\.policy_id"):
        await here.policy_of("p", named)
    await there.put_policy("p", "new", b'{"mode": "nearest"}')
    assert (await here.policy_of("p", named)).mode == "nearest"


async def test_policies_that_did_not_change_are_kept():
    """A change of one policy does not make every process decode all of them again."""
    here, there = await two()
    for policy_id in ("a", "b"):
        await there.put_policy("p", policy_id, b"{}")
    before = (await here.books("p", Versions(1, 3, 0))).policies
    await there.put_policy("p", "b", b'{"mode": "sequence"}')
    after = (await here.books("p", Versions(1, 4, 0))).policies
    assert after["a"] is before["a"]
    assert after["b"].policy.mode == "sequence"


async def test_a_partition_has_so_many_policies_at_most():
    """Every process holds all of them in memory; one that is there may always be replaced."""
    here, _ = await two()
    for k in range(POLICIES_MAX):
        await here.put_policy("p", f"p{k}", b"{}")
    with pytest.raises(InvalidInputError, match="at most"):
        await here.put_policy("p", "one-more", b"{}")
    assert await here.put_policy("p", "p0", b"{}") == 2


@pytest.mark.parametrize("failure", [LedgerUnavailableError, LedgerRefusedError])
async def test_prices_that_cannot_be_read_are_read_later(failure: type[Exception], monkeypatch: pytest.MonkeyPatch):
    """No window fails for them, and the next one asks again."""
    here, _ = await two()
    asked: list[str] = []

    async def fail(partition: str) -> None:
        asked.append(partition)
        raise failure("not now")

    monkeypatch.setattr(here._ledger, "prices", fail)
    for _ in range(2):
        await here.books("p", Versions(1, 1, 0, prices=1))
        [reading] = here._reading.values()
        await reading
    assert asked == ["p", "p"]
