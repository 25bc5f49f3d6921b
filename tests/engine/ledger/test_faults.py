"""Errors forced into scripts at every statement: before the log entry nothing changes, after it all is finished."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from msgspec.structs import replace

from engine.ledger import scripts
from engine.ledger.backlog import Incoming, Wait
from engine.ledger.port import Again, LedgerRefusedError, LedgerUnavailableError, StockKind, StockWrite, Verdict
from engine.ledger.reconcile import reconcile
from engine.ledger.redis import RedisLedger
from engine.ledger.retention import START, Leaving
from tests.chaos.trust import count
from tests.engine.ledger.conftest import Server
from tests.engine.ledger.shop import DAY, Shop, content, load

_NO_STATEMENT = ("--", "end", "else", "}", "local function")
"""How lines begin before which there is nothing to break; those inside an expression do not compile when broken."""


def broken_scripts(client: redis.Redis, text: str, times: int) -> list[tuple[int, str]]:
    """The script with an error before each statement in turn, at the n-th time it is reached."""
    if text not in _STATEMENTS:
        _STATEMENTS[text] = [at for at in range(text.count("\n") + 1) if _compiles(client, text, at)]
    return [(at + 1, _broken(text, at, times)) for at in _STATEMENTS[text]]


_STATEMENTS: dict[str, list[int]] = {}
"""Of scripts, the lines that begin a statement."""


def _compiles(client: redis.Redis, text: str, at: int) -> bool:
    """Whether a statement begins on a line, so that the script compiles with an error put before it."""
    line = text.split("\n")[at].strip()
    if not line or line.startswith(_NO_STATEMENT):
        return False
    try:
        client.script_load(_broken(text, at, 1))
    except redis.exceptions.ResponseError:
        return False  # the line continues an expression
    return True


def _broken(text: str, at: int, times: int) -> str:
    lines = text.split("\n")
    bomb = f"reached = reached + 1 if reached == {times} then error('forced') end "
    return "\n".join(["local reached = 0", *lines[:at], bomb + lines[at], *lines[at + 1 :]])


class Trial:
    """One partition, one call with a broken script, and what became of it."""

    def __init__(self, store: RedisLedger, client: redis.Redis, lapsed: bool = False) -> None:
        self.store = store
        self.lapsed = lapsed
        self.client = client
        self.shop = Shop(store, f"fault-{uuid4().hex[:10]}")
        self._tag = f"{{{self.shop.partition}}}:"

    def dump(self) -> dict[bytes, bytes]:
        """Every key as it is stored."""
        return {key: self.client.dump(key) for key in self.client.scan_iter(self._tag + "*", count=10_000)}

    async def prepare(self, crowded: bool = False) -> None:
        """In an empty store, stock and one order that holds some of it; `crowded`: the list of stocked SKUs is full."""
        self.client.flushall()
        await self.shop.open(stock={("A", 0): 9, ("B", 1): 9})
        await self.shop.order("O", {("A", 0): 2, ("B", 1): 1}, loads=(load(0), load(1)), idempotency_key="K")
        soft = {("A", 0): 1, ("B", 1): 1}
        await self.shop.order("H", soft, loads=(load(0), load(1)), hold_ms=3_600_000)
        waits = (Wait("A", 2), Wait("B", 1))
        await self.shop.order("W", {("A", 0): 1}, state="partially_allocated", waits=waits, rank=5)
        coming = [Incoming("I", "A", 0, 4, 9), Incoming("J", "B", 0, 4, 9)]
        await self.store.write_incoming(self.shop.partition, coming)
        await self.shop.order("M", {("B", 1): 1}, loads=(load(1),), closes_ms=9_000)
        if self.lapsed:
            await self.shop.order("G", soft, loads=(load(0), load(1)), hold_ms=-5_000)
        if crowded:
            writes = [StockWrite(f"D{k:03}", 0, StockKind.SNAPSHOT, 1) for k in range(126)]
            await self.store.write_stock(self.shop.partition, writes)

    async def call(self, name: str) -> Any:
        """The call that a script of this name serves."""
        store, partition = self.store, self.shop.partition
        if name == "cancel":
            return await store.cancel(partition, "O")
        if name == "confirm":
            return await store.command(partition, "H", "confirm", "C")
        if name == "release":
            return await store.command(partition, "H", "release")
        if name == "settle":
            return await store.command(partition, "G", "cancel", "C")
        if name == "sweep":
            return await store.sweep(partition)
        if name in ("replace", "reroute"):
            return await self.again(name)
        if name == "fill":
            return await self.fill()
        if name == "swap":
            return await self.swap()
        if name == "cancel_waiting":
            return await store.cancel(partition, "W")
        if name == "incoming":
            rows = [Incoming("I", "B", 1, 2, 8), Incoming("J", "B", 0, 0, 9), Incoming("K", "A", 0, 1, 7)]
            return await store.write_incoming(partition, rows)
        if name in ("stock", "divide"):
            writes = [
                StockWrite("A", 0, StockKind.RECEIVE, 3, movement_id="M", incoming_id="I"),
                StockWrite("A", 2, StockKind.RECEIVE, 3, movement_id="N"),
                StockWrite("C", 0, StockKind.SNAPSHOT, 5, 1),
            ]
            return await store.write_stock(partition, writes)
        if name == "network":
            return await store.put_network(partition, b"{}", ["N1", "N0", "X"])
        if name == "matrix":
            network = (await store.versions(partition)).network
            return await store.put_matrix(partition, "chart", b"1", network, used=True)
        if name == "policy":
            return await store.put_policy(partition, "default", b"{}")
        if name == "forecast":
            return await store.put_forecast(partition, b"[]")
        if name == "skus":
            return await store.put_skus(partition, {"A": b"1", "B": b"2"})
        seen = await self.shop.look("A", "B", days=(DAY, DAY + 1))
        orders = [
            self.shop.proposal(seen, "P", {("A", 0): 3, ("B", 1): 2}, loads=(load(0), load(2, day=DAY + 1))),
            self.shop.proposal(seen, "Q", {("A", 0): 1, ("B", 1): 9}, loads=(load(0),)),
            self.shop.proposal(seen, "R", {("A", 0): 1}, idempotency_key="L", loads=(load(1),)),
            self.shop.proposal(seen, "S", {("B", 1): 1}, short=["A"]),
            self.shop.proposal(seen, "O", {}, content=content("other")),
            self.shop.proposal(seen, "T", {}, idempotency_key="K"),
        ]
        return await self.shop.commit(seen, *orders)

    async def fill(self) -> Any:
        """The order that waits gets one more unit of one SKU."""
        seen = await self.store.snapshot(self.shop.partition, ["A", "B"], [DAY], [], ("W", ""))
        assert seen.standing is not None
        self.shop.skus = ["A", "B"]
        order = self.shop.proposal(seen, "W", {("A", 0): 1}, loads=(load(0),), state="partially_allocated")
        more = replace(order, waits=(Wait("A", 1), Wait("B", 1)), rank=5)
        return await self.shop.commit(seen, replace(more, again=Again("fill", seen.standing.record.revision, "")))

    async def swap(self) -> Any:
        """Two orders change places."""
        self.shop.skus = ["A", "B"]
        seen = await self.store.snapshot(self.shop.partition, ["A", "B"], [DAY], [], moving=["O", "M"])
        proposals = [
            replace(
                self.shop.proposal(seen, order_id, cells, loads=(load(1),), closes_ms=8_000),
                again=Again("reoptimise", seen.moving.get(order_id, 0), "", saving=50, before=("N0",)),
            )
            for order_id, cells in (("O", {("A", 0): 1, ("B", 1): 2}), ("M", {("A", 0): 2}))
        ]
        return await self.store.swap(self.shop.partition, self.shop.batch(seen, *proposals), [[0, 1]])

    async def again(self, name: str) -> Any:
        """The held order takes less of one SKU and more of another."""
        seen = await self.store.snapshot(self.shop.partition, ["A", "B"], [DAY], [], ("H", "C"))
        assert seen.standing is not None
        self.shop.skus = ["A", "B"]
        order = self.shop.proposal(seen, "H", {("B", 1): 3}, loads=(load(1),), content=content("other"))
        again = Again(name, seen.standing.record.revision, "C", "digest", "", ("N0",))
        return await self.shop.commit(seen, replace(order, again=again, hold_ms=3_600_000))


NAMES = (
    "commit", "cancel", "stock", "network", "matrix", "policy", "skus", "forecast", "confirm", "release", "replace",
    "reroute", "fill", "cancel_waiting", "incoming", "swap", "divide",
)  # fmt: skip
LAPSING = ("settle", "sweep")
"""Calls on holds that have lapsed; they make several entries, of which each stands for itself."""
SCRIPTS = {
    "cancel": "command",
    "confirm": "command",
    "release": "command",
    "settle": "command",
    "replace": "commit",
    "reroute": "commit",
    "fill": "commit",
    "cancel_waiting": "command",
    "swap": "commit",
    "divide": "stock",
}
"""Scripts by call, where the names differ."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of these tests' own, which syncs no write: trials by the hundred, of which none kills it."""
    with tempfile.TemporaryDirectory(prefix="faults") as folder:
        running = Server(Path(folder), appendfsync="no")
        running.start()
        yield running
        running.stop()


@pytest.fixture(autouse=True)
def forgotten(server: Server) -> Iterator[None]:
    """The server keeps none of the many broken scripts."""
    yield
    server.client().script_flush()


@pytest.mark.parametrize(("name", "times"), [*((name, 1) for name in NAMES), ("commit", 2), ("stock", 3)])
async def test_an_error_at_any_statement(server: Server, store: RedisLedger, name: str, times: int):
    """Protects R11: an error while deciding changes nothing, one while writing is finished by the next script.

    What changed nothing leaves the very bytes of before: the first of these goes on from there, for all the others.
    """
    client = server.client()
    sound = scripts.load()[script_name := SCRIPTS.get(name, name)]
    halves = untouched = entries = 0
    before: dict[bytes, bytes] = {}
    trial: Trial | None = None
    every = count(4, 1) if name in SCRIPTS and name != "divide" else 1 if times == 1 else 2
    for line, broken in broken_scripts(client, sound.text, times)[::every]:
        if trial is None:
            trial = Trial(store, client)
            await trial.prepare(crowded=name == "divide")
            before, entries = trial.dump(), len(await trial.shop.log())
        store._scripts[script_name] = scripts.script(broken)
        try:
            answer = await trial.call(name)
        except LedgerUnavailableError as error:
            text = str(error)
        else:
            assert answer, line  # not reached so often by this call
            trial = None
            continue
        finally:
            store._scripts[script_name] = sound
        assert "forced" in text, (line, text)
        logged = client.xlen(f"{{{trial.shop.partition}}}:log")
        if logged == entries:
            untouched += 1
            assert trial.dump() == before, f"line {line} of {name} left something"
            if untouched > 1:
                continue
        else:
            halves += 1
            assert logged == entries + 1, line
        await store.versions(trial.shop.partition)
        finished = trial.dump()
        await _again(trial, name, logged > entries)
        changing = ("network", "matrix", "policy", "skus", "forecast", "fill", "swap")
        assert logged == entries or name in changing or trial.dump() == finished, line
        trial = None
    assert halves > 0, "the writing phase was reached"
    assert untouched > 0 or times > 1, "the deciding phase was reached"


async def _again(trial: Trial, name: str, written: bool) -> None:
    """All that has stock is listed, and the same call again does not make twice what was finished."""
    listed = [sku for sku, _ in (await trial.store.stock_page(trial.shop.partition, "", 1_000))[1]]
    assert listed == sorted({change.sku for entry in await trial.shop.log() for change in entry.cells})
    report = await reconcile(trial.store, trial.shop.partition)
    assert report.clean, report.differences
    answer = await trial.call(name)
    if name == "swap":
        assert answer == [True]
    if name in ("replace", "reroute"):
        assert answer == [Verdict.REPEAT if written else Verdict.COMMITTED]
    if name == "commit":
        first = Verdict.REPEAT if written else Verdict.COMMITTED
        assert answer == [first, Verdict.LOST, first, Verdict.LOST, Verdict.CONFLICT, Verdict.KEY_CONFLICT]


@pytest.mark.parametrize("name", LAPSING)
async def test_an_error_while_holds_lapse(server: Server, store: RedisLedger, name: str):
    """Protects R11: whatever breaks while a hold lapses, units are freed once and the order lapses once."""
    client = server.client()
    script_name = SCRIPTS.get(name, name)
    sound = scripts.load()[script_name]
    forced = 0
    for line, broken in broken_scripts(client, sound.text, 1)[:: count(4, 1)]:
        trial = Trial(store, client, lapsed=True)
        await trial.prepare()
        store._scripts[script_name] = scripts.script(broken)
        try:
            while await trial.call(name) and name == "sweep":
                pass
        except LedgerUnavailableError as error:
            forced += "forced" in str(error)
        finally:
            store._scripts[script_name] = sound
        await store.versions(trial.shop.partition)
        report = await reconcile(store, trial.shop.partition)
        assert report.clean, (line, report.differences)
        while await trial.call(name) and name == "sweep":
            pass
        kept = await store.order(trial.shop.partition, "G")
        assert kept is not None
        assert kept.stored_state == ("cancelled" if name == "settle" else "lapsed"), line
        assert [change.event for change in kept.history].count("order.lapsed") == 1, line
        assert (await trial.shop.cell("A", 0))[1] == 4, line
    assert forced > count(10, 50)


async def test_an_error_while_an_order_leaves(server: Server, store: RedisLedger):
    """Protects R5: broken off anywhere, an order and its key are each there or known to have left, and can leave."""
    client = server.client()
    sound = scripts.load()["evict"]
    forced = 0
    for line, broken in broken_scripts(client, sound.text, 1)[:: count(3, 1)]:
        trial = Trial(store, client)
        await trial.prepare()
        partition = trial.shop.partition
        await trial.call("cancel")
        await store.archived(partition, "archive", (await store.retention(partition)).newest, START)
        leaving = partition, "archive", [Leaving("O", "cancelled", 2, "K")], ()
        store._scripts["evict"] = scripts.script(broken)
        try:
            await store.evict(*leaving)
        except LedgerUnavailableError as error:
            forced += "forced" in str(error)
        finally:
            store._scripts["evict"] = sound
        seen = await store.snapshot(partition, (), (), ("O",), None, ("K",))
        assert "O" in {*seen.decided, *seen.perhaps_gone}, line
        assert client.exists(f"{{{partition}}}:idem:K") or seen.keys_perhaps_gone, line
        assert await store.evict(*leaving) == [True], line
        seen = await store.snapshot(partition, (), (), ("O",), None, ("K",))
        assert (seen.decided, seen.perhaps_gone, seen.keys_perhaps_gone) == ({}, ("O",), ("K",)), line
    assert forced > count(5, 20)


KEYS = ("stock:A", f"load:{DAY}", "order:P", "idem:L", "meta", "log", "days", "due", "holds", "movable")


@pytest.mark.parametrize("key", KEYS)
async def test_keys_of_the_wrong_type_are_found_while_deciding(server: Server, store: RedisLedger, key: str):
    """Protects R11: whatever lies where a key of ours should be, a commit notices before it writes anything."""
    client = server.client()
    trial = Trial(store, client)
    await trial.prepare()
    seen = await trial.shop.look("A", "B")
    order = trial.shop.proposal(
        seen, "P", {("B", 1): 1, ("A", 0): 1}, loads=(load(0), load(0, day=DAY + 1)), idempotency_key="L"
    )
    name = f"{{{trial.shop.partition}}}:{key}"
    client.delete(name)
    client.sadd(name, "something else")
    before = trial.dump()
    with pytest.raises(LedgerUnavailableError, match="WRONGTYPE"):
        await trial.shop.commit(seen, order)
    assert trial.dump() == before


async def test_a_full_store_refuses_and_recovers(server: Server, store: RedisLedger, partition: str):
    """Protects R24: a store at its memory limit refuses writes by name, still reads, and goes on when there is room."""
    shop = await Shop(store, partition).open(stock={("A", 0): 5})
    client = server.client()
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(LedgerRefusedError, match="maxmemory"):
            await shop.write("A", 0, StockKind.RECEIVE, 1)
        seen = await shop.look("A")
        with pytest.raises(LedgerRefusedError, match="maxmemory"):
            await shop.commit(seen, shop.proposal(seen, "O", {("A", 0): 1}))
        assert await shop.cell("A", 0) == (5, 0, -1, 0)
    finally:
        client.config_set("maxmemory", 0)
    assert await shop.order("O", {("A", 0): 1}) is Verdict.COMMITTED


async def test_a_full_disk_stops_no_reading(server: Server, partition: str):
    """Protects R24: what only reads asks nobody whether there is room, not even on the way of one order."""
    full: list[str] = []
    store = RedisLedger(server.url, refusal=lambda: full[0] if full else None)
    shop = await Shop(store, partition).open(stock={("A", 0): 5})
    assert await shop.order("O", {("A", 0): 1}) is Verdict.COMMITTED
    full.append("the disk is nearly full")
    with pytest.raises(LedgerRefusedError, match="nearly full"):
        await store.cancel(partition, "O")
    assert await store.order(partition, "O") is not None
    assert (await shop.cell("A", 0))[1] == 1
    await store.close()


async def test_scripts_state_their_units():
    """Protects readers: the first line of every script file says what its numbers count."""
    parts = [text for script in scripts.load().values() for text in re.split(r"(?m)^(?=-- Units: )", script.text)]
    assert all(part.startswith("-- Units: ") for part in parts if part)
