"""Every decision of a run as a table in a Parquet file: one row an order, as `Outcome` tells it.

Instants are timestamps in UTC, money is in mills (`*_mills`). Rows leave memory group by group; the file has its name
only once it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.simulation.outcome import Outcome

GROUP_ROWS = 20_000
"""Rows that are kept in memory before they are written."""
INSTANTS = {"placed_ms": "placed_at", "decided_ms": "decided_at", "released_ms": "released_at"}
MONEY = ("shipping", "handling", "split", "late", "unfilled", "total")
TEXT = ("order_id", "status", "nodes", "window_id")


class DecisionsFile:
    """Takes outcomes as they come.

    Until `close` the rows are in a file beside it (`.part`), which the next one of this name writes over.
    """

    def __init__(self, path: Path) -> None:
        # A service starts without Arrow: only processes that write such files load it.
        import pyarrow as pa
        from pyarrow import parquet

        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._schema = _schema(pa)
        self._table = pa.table
        self._file = self._part.open("wb")
        self._writer = parquet.ParquetWriter(self._file, self._schema, compression="zstd")
        self._rows: list[Outcome] = []

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Some more orders."""
        self._rows += outcomes
        while len(self._rows) >= GROUP_ROWS:
            self._write(self._rows[:GROUP_ROWS])
            del self._rows[:GROUP_ROWS]

    def close(self) -> None:
        """All of them are there: the file gets its name, once it is on the disk."""
        if self._rows:
            self._write(self._rows)
            self._rows = []
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)

    def _write(self, rows: Sequence[Outcome]) -> None:
        columns = dict(zip(self._schema.names, map(list, zip(*rows, strict=True)), strict=True))
        self._writer.write_table(self._table(columns, schema=self._schema))


def _schema(pa: Any) -> Any:
    """The columns, in the sequence of an outcome's fields."""
    fields = []
    for name in Outcome._fields:
        if name in INSTANTS:
            fields.append(pa.field(INSTANTS[name], pa.timestamp("ms", tz="UTC"), nullable=False))
        elif name in MONEY:
            fields.append(pa.field(f"{name}_mills", pa.int64(), nullable=False))
        elif name in TEXT:
            fields.append(pa.field(name, pa.string(), nullable=False))
        elif name == "gap":
            fields.append(pa.field(name, pa.float64()))
        elif name == "cut":
            fields.append(pa.field(name, pa.bool_(), nullable=False))
        else:
            fields.append(pa.field(name, pa.int64(), nullable=False))
    return pa.schema(fields)
