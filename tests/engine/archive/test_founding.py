"""An archive of another form: an earlier one goes on, a later one is refused; and no question walks over all of it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, inspect, update

from engine.archive import reading, stock_history, tables
from engine.archive.database import Archive, ArchiveUnavailableError, sqlite_url
from tests.engine.archive.conftest import NOW_MS

EARLIER = Path(__file__).parent / "earlier_archive.sql"
"""Of form 1: an order that holds, and one cancelled and one refused that left; stock of A and B that moved."""


@pytest.fixture
async def earlier(tmp_path: Path) -> AsyncIterator[Archive]:
    """This version's archive on a file of form 1."""
    file = sqlite3.connect(tmp_path / "archive.sqlite")
    file.executescript(EARLIER.read_text())
    file.close()
    made = Archive(sqlite_url(tmp_path))
    yield made
    await made.close()


async def test_an_earlier_archive_tells_the_same(earlier: Archive):
    """Protects history over an update: id, orders, what left, movements, ledgers and sums are there as they were."""
    assert await earlier.archive_id() == "8297fff22d79088f16664cd4a0527d84"
    rows = await earlier.read(reading.order_page, "p", None, (0, -1, ""), 9)
    assert [(row.order_id, row.state) for row in rows] == [("O", "allocated"), ("P", "cancelled"), ("R", "refused")]
    refused = await earlier.read(reading.order, "p", "R")
    assert refused is not None
    assert refused.decision == b'{"order_id":"R","status":"refused"}'
    assert await earlier.read(reading.ended, "p", 2 * NOW_MS, 9, 9) == [], "what left the store stays noted as gone"
    assert (await earlier.read(reading.decided, "p", ("P",), ("K",)))[1] == {"K": "P"}
    assert list(await earlier.read(reading.movements, "p", ("M", "other"))) == ["M"]
    changes = await earlier.read(stock_history.stock_ledger, "p", "A", (0, -1, -1), 99)
    assert [(each.node_id, each.kind, each.on_hand_delta, each.held_delta) for each in changes] == [
        ("N0", "receive", 9, 0), ("N1", "receive", 9, 0), ("N0", "commit", 0, 2),
        ("N1", "commit", 0, 2), ("N1", "cancel", 0, -2), ("N0", "count", -2, 0),
    ]  # fmt: skip
    checkpoint = await earlier.read(reading.checkpoint, "p")
    assert checkpoint is not None
    assert sorted(checkpoint.cells) == [("A", 0, 7, 2, -1, 0), ("A", 1, 9, 0, -1, 0), ("B", 0, 8, 1, 2, 0)]
    assert not await earlier.read(lambda connection: inspect(connection).has_table("stock_changes"))


async def test_a_later_archive_is_refused(url: str):
    """Protects an archive from a version that is too old for it, whose writes would be wrong."""
    first = Archive(url)
    await first.write(lambda connection: connection.execute(update(tables.form).values(number=tables.FORM + 1)))
    await first.close()
    second = Archive(url)
    with pytest.raises(ArchiveUnavailableError, match="start the version that wrote it"):
        await second.archive_id()
    await second.close()


async def test_no_question_of_one_order_or_sku_walks_over_the_log(earlier: Archive):
    """Protects answers from growing slower with the archive: what is large is searched by more than the partition.

    Asked for a list of pairs, SQLite read every entry there is.
    """

    def plans(connection: Connection) -> list[str]:
        asked: list[tuple[str, Any]] = []
        event.listen(connection, "before_cursor_execute", lambda _, __, sql, values, *___: asked.append((sql, values)))
        assert reading.decided(connection, "p", ("P",), ("K",))[0]
        assert reading.order(connection, "p", "O")
        assert reading.movements(connection, "p", ("M",))
        assert stock_history.stock_ledger(connection, "p", "A", (0, -1, -1), 5)
        for state in (None, "refused"):
            assert reading.order_page(connection, "p", state, (0, -1, ""), 5)
        assert reading.states(connection, "p", f"{2 * NOW_MS}-0", "", 5)
        assert reading.old_movements(connection, "p", 2 * NOW_MS, 5) == []
        reading.ended(connection, "p", 2 * NOW_MS, 5, 5)
        explained = [connection.exec_driver_sql("EXPLAIN QUERY PLAN " + sql, values) for sql, values in list(asked)]
        return [row[3] for plan in explained for row in plan]

    steps = [step for step in await earlier.read(plans) if not {"nodes", "progress"}.intersection(step.split())]
    assert len(steps) >= 8
    assert [step for step in steps if not step.startswith("SEARCH") or step.endswith("(partition=?)")] == []
