"""A store of an earlier version goes on: `earlier_store` is one, with orders in four states and no archive yet."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from engine.assembly import Engine, build
from engine.domain import Order
from engine.ledger.reconcile import reconcile
from engine.settings import Settings
from tests.engine.ledger.conftest import Server

STORED = Path(__file__).parent / "earlier_store"


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """This version's engine on a copy of that store."""
    with tempfile.TemporaryDirectory(prefix="earlier") as folder:
        shutil.copytree(STORED, Path(folder) / "appendonlydir")
        server = Server(Path(folder))
        server.start()
        made = build(Settings(data_dir=Path(folder)), server.url)
        await made.start()
        yield made
        await made.stop()
        server.stop()


async def test_an_earlier_store_opens_answers_and_goes_on(engine):
    """Its orders keep their state and first decision, its holds can be confirmed, new orders and policies are taken."""
    past = {f"O{n}": await engine.past.order("default", f"O{n}") for n in range(6)}
    assert [record.state for record in past.values()] == [
        "cancelled", "allocated", "allocated", "allocated", "released", "held",
    ]  # fmt: skip
    for record in past.values():
        again = await engine.gate.submit("default", msgspec.json.decode(record.order, type=Order))
        assert again == (True, record.decision)
    await engine.past.command("default", "O5", "confirm")
    assert (await engine.past.order("default", "O5")).state == "allocated"
    rules = {"rules": [{"name": "not from A", "then": {"except_nodes": ["A"]}}]}
    assert await engine.registry.put_policy("default", "default", msgspec.json.encode(rules)) == 2
    new = {"order_id": "N", "ship_to": {"country": "US"}, "lines": [{"line_id": "1", "sku": "X", "quantity": 3}]}
    answer = await engine.gate.submit("default", msgspec.convert(new, Order))
    assert [parcel["node_id"] for parcel in msgspec.json.decode(answer.decision)["parcels"]] == ["B"]
    report = await reconcile(engine.ledger, "default")
    assert report.clean, report.differences


async def test_the_history_of_an_earlier_store_reaches_the_archive(engine):
    """What was logged before there was an archive is archived from its first entry."""
    assert engine.projector is not None
    while await engine.projector.round():
        pass
    listed = await engine.history.orders("default", None, (0, 0, ""), 10)
    assert [item.order_id for item in listed] == [f"O{n}" for n in range(6)]
