"""Row uploads (stock, movements, SKUs): split, decoded and applied in slices while they arrive.

Good rows apply, bad ones come back with their line. If no row could be applied the answer is a problem.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request

from api.bodies import decode
from api.problems import MalformedBodyError, TooLargeError
from api.records import Record, records
from engine.errors import ConflictError, EngineError, Fault, InvalidInputError
from engine.stock import RowFault, Tally

Row = TypeVar("Row")

ROWS_MAX = 1_000_000
ROWS_PER_SLICE = 500
ROW_BYTES_MAX = 64 * 1024
FAULTS_LISTED = 1_000
"""Faulty rows that an answer names; the rest is only counted."""

HOPELESS_FAULTS = 10_000
"""An upload whose first rows are all faulty is read no further."""


class LineFault(Struct, frozen=True):
    """A row that was not applied: its line (NDJSON) or element (array), counted from 1."""

    line: int
    path: str
    reason: str


@dataclass(slots=True)
class Upload(Generic[Row]):
    """One upload under way."""

    decoder: msgspec.json.Decoder[Row]
    apply: Callable[[Sequence[tuple[int, Row]]], Awaitable[Tally]]
    finish: Callable[[], Awaitable[Tally]] | None = None
    """Applies what could only be applied once all rows were there; its tally corrects those before."""
    rows: int = 0
    applied: int = 0
    repeated: int = 0
    faulty: int = 0
    faults: list[RowFault] = field(default_factory=list)
    conflicts: int = 0
    unreadable: MalformedBodyError | None = None
    _pending: list[tuple[int, Row]] = field(default_factory=list)

    async def run(self, request: Request, body_bytes_max: int) -> None:
        """Take the whole upload. Raises an EngineError if nothing of it could be applied."""
        async with aclosing(records(request, body_bytes_max, ROW_BYTES_MAX)) as incoming:
            async for record in incoming:
                self.rows += 1
                if self.rows > ROWS_MAX:
                    await self._end()
                    raise TooLargeError(f"an upload may have at most {ROWS_MAX} rows; those before that were applied")
                self._decode(record)
                if len(self._pending) >= ROWS_PER_SLICE:
                    await self._flush()
                if self.faulty >= HOPELESS_FAULTS and not self.applied and not self.repeated:
                    break
        await self._end()
        if self.faulty and not self.applied and not self.repeated:
            raise self._nothing_applied()

    def _decode(self, record: Record) -> None:
        try:
            if record.fault is not None:
                raise MalformedBodyError(record.fault, 0)
            self._pending.append((record.number, decode(self.decoder, record.data)))
        except EngineError as error:
            if isinstance(error, MalformedBodyError) and self.unreadable is None:
                self.unreadable = error
                error.byte += record.start
            fault = error.faults[0]
            self._fault(RowFault(record.number, fault.path, fault.reason))

    async def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        self._add(await self.apply(pending))

    async def _end(self) -> None:
        await self._flush()
        if self.finish is not None:
            self._add(await self.finish())

    def _add(self, tally: Tally) -> None:
        self.applied += tally.applied
        self.repeated += tally.repeated
        for _, found in groupby(tally.faults, key=lambda fault: fault.line):
            self._fault(*found)

    def _fault(self, *faults: RowFault) -> None:
        """One row that was not applied, for one reason or several."""
        self.faulty += 1
        self.conflicts += all(fault.conflict for fault in faults)
        if len(self.faults) < FAULTS_LISTED:
            self.faults += faults

    def listed(self) -> list[LineFault]:
        """The faults in order of line."""
        return [LineFault(fault.line, fault.path, fault.reason) for fault in sorted(self.faults)]

    def _nothing_applied(self) -> EngineError:
        faults = [Fault(f"line {fault.line}: {fault.path}", fault.reason) for fault in sorted(self.faults)]
        detail = f"none of {self.rows} rows could be applied; the first: {faults[0].path}: {faults[0].reason}"
        if self.unreadable is not None:
            return MalformedBodyError(detail, self.unreadable.byte, faults)
        return ConflictError(detail, faults) if self.conflicts == self.faulty else InvalidInputError(detail, faults)
