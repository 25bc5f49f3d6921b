"""Writes end before the disk does."""

from __future__ import annotations

from collections import namedtuple

import pytest

from engine.ledger.port import LedgerRefusedError, StockKind, StockWrite
from engine.ledger.redis import RedisLedger
from engine.ledger.server import files
from engine.ledger.server.watermark import DiskWatermark

Usage = namedtuple("Usage", "total used free")


async def test_a_disk_that_is_nearly_full_refuses_writes_and_still_reads(server, partition, tmp_path, monkeypatch):
    """A store that syncs every write ends itself on a full disk: it is spared that, and reads go on."""
    ledger = RedisLedger(server.url, refusal=DiskWatermark(tmp_path))
    try:
        await ledger.put_network(partition, b"{}", ["N"])
        monkeypatch.setattr(files.shutil, "disk_usage", lambda _path: Usage(10**12, 10**12, 2**20))
        with pytest.raises(LedgerRefusedError, match="MiB are free"):
            await ledger.write_stock(partition, [StockWrite("A", 0, StockKind.RECEIVE, 1)])
        assert (await ledger.snapshot(partition, ["A"], [], [])).versions.network == 1
        monkeypatch.undo()
        await ledger.write_stock(partition, [StockWrite("A", 0, StockKind.RECEIVE, 1)])
        assert len((await ledger.stock(partition, "A")).slots) == 1
    finally:
        await ledger.close()
