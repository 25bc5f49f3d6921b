"""The catalogue's one rule, that kits are made of plain parts, against uploads, stored entries and other writers."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.catalogue import Catalogue, Intake, own_faults
from engine.clock import SystemClock
from engine.domain import Sku
from engine.errors import InvalidInputError
from engine.ledger.memory import MemoryLedger
from engine.registry import Registry


def entry(sku: str, *parts: str, **fields) -> Sku:
    """A plain entry, or a kit of one of each part."""
    return msgspec.convert({"sku": sku, "components": [{"sku": p, "quantity": 1} for p in parts], **fields}, Sku)


async def upload(catalogue: Catalogue, *entries: Sku, slices: int = 1) -> dict[int, list[str]]:
    """Upload entries in slices; returns the paths of faults by line."""
    intake = Intake(catalogue, "p")
    rows = list(enumerate(entries, 1))
    faults = {}
    for start in range(0, len(rows), slices):
        faults |= await intake.take(rows[start : start + slices])
    faults |= await intake.finish()
    return {line: [fault.path for fault in found] for line, found in sorted(faults.items())}


async def stored(ledger: MemoryLedger) -> dict[str, set[str]]:
    """The components of every stored entry."""
    _, bodies = await ledger.skus_since("p", 0)
    return {sku: {each["sku"] for each in msgspec.json.decode(body)["components"]} for sku, body in bodies.items()}


@pytest.fixture
def ledger() -> MemoryLedger:
    """An empty ledger."""
    return MemoryLedger(SystemClock())


def test_an_entry_is_judged_by_itself_first():
    """A kit of itself, a part named twice, and a substitute that is none, each with its path."""
    wrong = entry("A", "A", "B", "B", substitutes=[{"sku": "A", "ratio": 1}, {"sku": "C", "ratio": 2}] * 2)
    assert [fault.path for fault in own_faults(wrong)] == [
        "$.components[0].sku", "$.components[2].sku", "$.substitutes[0].sku", "$.substitutes[2].sku",
        "$.substitutes[3].sku",
    ]  # fmt: skip
    assert own_faults(entry("KIT", "A", "B", substitutes=[{"sku": "OTHER", "ratio": 1}])) == []


@pytest.mark.parametrize("slices", [1, 2, 10])
async def test_every_row_of_a_cycle_is_named_and_good_rows_apply(ledger, slices):
    """A -> B -> C -> A in one upload: all three are refused, in whatever slices they came, and D stands."""
    rows = [entry("A", "B"), entry("D", "X"), entry("B", "C"), entry("X"), entry("C", "A")]
    assert set(await upload(Catalogue(ledger), *rows, slices=slices)) == {1, 3, 5}
    assert await stored(ledger) == {"D": {"X"}, "X": set()}


async def test_a_stored_kit_cannot_become_a_part(ledger):
    """The row that names it is refused, with the place where it does."""
    catalogue = Catalogue(ledger)
    assert await upload(catalogue, entry("KIT", "A")) == {}
    assert await upload(catalogue, entry("SET", "B", "KIT")) == {1: ["$.components[1].sku"]}
    assert await upload(Catalogue(ledger), entry("SET", "B", "KIT")) == {1: ["$.components[1].sku"]}


async def test_a_part_cannot_become_a_kit_and_the_kits_are_named(ledger):
    """Whoever turns a part into a kit learns which kits use it, at most five by name."""
    catalogue = Catalogue(ledger)
    await upload(catalogue, *(entry(f"KIT{k}", "A") for k in range(7)))
    intake = Intake(catalogue, "p")
    faults = await intake.take([(1, entry("A", "B"))]) | await intake.finish()
    [fault] = faults[1]
    assert fault.path == "$.components"
    assert all(repr(f"KIT{k}") in fault.reason for k in range(5))
    assert "2 more" in fault.reason
    assert await stored(ledger) == {f"KIT{k}": {"A"} for k in range(7)}


async def test_an_upload_may_rebuild_kits(ledger):
    """What it replaces no longer counts: a kit dissolved and used as a part, a part promoted to a kit."""
    catalogue = Catalogue(ledger)
    await upload(catalogue, entry("P", "A"), entry("Q", "B"))
    assert await upload(catalogue, entry("Q", "P"), entry("P")) == {}
    assert await upload(catalogue, entry("B", "C"), entry("Q", "D")) == {}
    assert await stored(ledger) == {"P": set(), "Q": {"D"}, "B": {"C"}}


async def test_a_refused_row_does_not_make_way_for_others(ledger):
    """Q would stop using B, but Q is refused; so B, which only that would have let through, is refused as well."""
    catalogue = Catalogue(ledger)
    await upload(catalogue, entry("Q", "B"), entry("P", "A"))
    found = await upload(catalogue, entry("B", "C"), entry("Q", "P"))
    assert found == {1: ["$.components"], 2: ["$.components[0].sku"]}


async def test_the_last_row_of_a_sku_counts(ledger):
    """A row that a refused one replaces is not applied either, and says so."""
    catalogue = Catalogue(ledger)
    assert await upload(catalogue, entry("P", "A"), entry("P", "B"), entry("P")) == {}
    assert await stored(ledger) == {"P": set()}
    await upload(catalogue, entry("K", "A"))
    found = await upload(catalogue, entry("P", "B"), entry("P", "K"))
    assert found == {1: ["$.sku"], 2: ["$.components[0].sku"]}


async def test_an_upload_keeps_only_so_many_components(ledger, monkeypatch):
    """Kits wait for the end of their upload, and memory has one: what goes beyond is refused by line."""
    monkeypatch.setattr("engine.catalogue.PARTS_MAX", 3)
    assert await upload(Catalogue(ledger), entry("P", "A"), entry("Q", "A"), entry("B")) == {2: ["$.components"]}
    assert await stored(ledger) == {"B": set(), "P": {"A"}}


NAMES = st.sampled_from("ABCDE")
UPLOADS = st.lists(st.lists(st.tuples(NAMES, st.sets(NAMES, max_size=2)), min_size=1, max_size=4), max_size=6)


@given(UPLOADS)
@settings(deadline=None)
def test_writers_at_the_same_time_never_nest_kits(uploads):
    """Several processes upload at once, each with its own picture: the catalogue is sound after every single write."""

    async def run() -> None:
        ledger = _Watched(SystemClock())
        made = [[entry(sku, *sorted(parts - {sku})) for sku, parts in rows] for rows in uploads]
        await asyncio.gather(*(upload(Catalogue(ledger), *rows) for rows in made))

    asyncio.run(run())


class _Watched(MemoryLedger):
    """Breathes before each call, so that writers interleave, and looks at every write."""

    async def skus_since(self, *arguments, **named):
        await asyncio.sleep(0)
        return await super().skus_since(*arguments, **named)

    async def put_skus(self, *arguments, **named):
        await asyncio.sleep(0)
        version = await super().put_skus(*arguments, **named)
        _, bodies = await super().skus_since("p", 0)
        parts = {sku: msgspec.json.decode(body)["components"] for sku, body in bodies.items()}
        assert not [sku for found in parts.values() for each in found if parts.get(sku := each["sku"])]
        return version


async def test_the_registry_refuses_what_an_upload_would(ledger):
    """Seeding goes the same way: what is refused is named, the rest is in the catalogue."""
    registry = Registry(ledger)
    with pytest.raises(InvalidInputError) as caught:
        await registry.put_skus("p", [entry("A", "A"), entry("B"), entry("C", "D")])
    assert [fault.path for fault in caught.value.faults] == ["entry 1: $.components[0].sku"]
    assert set(await stored(ledger)) == {"B", "C"}
    assert await registry.put_skus("p", []) == 2
