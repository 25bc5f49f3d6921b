"""Files of a simulation: orders and stock in anybody's columns, by the mapping that `apportion import` takes.

A simulation of part of a file would answer another question: one bad row refuses it, and every bad row is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from api.cli.mapping import FieldMap, checked
from api.cli.orderfile import OrderFile, read_records
from api.cli.rows import Rejected
from api.cli.terminal import CommandError
from engine.documents import FAULTS_MAX, fault_of
from engine.domain import StockRow
from engine.errors import Fault, InvalidInputError
from engine.simulation.demand_document import Upload
from engine.simulation.recorded import Spool, Spooling

T = TypeVar("T")


def orders_of(upload: Upload, file: Path, spool: Path, orders_max: int) -> Spool:
    """The orders of an uploaded file, written down by instant. Raises InvalidInputError with the lines of all faults.

    CSV, or NDJSON by its name; either may end in `.gz`.
    """
    path = "$.demand.upload"
    try:
        spooling = Spooling(spool, orders_max)
        for read in _sound(OrderFile(file, _mapping(upload, "orders", path)), upload.file):
            spooling.add(read.order)
        return spooling.finish()
    except CommandError as error:
        raise InvalidInputError.at(path, str(error)) from error


def stock_of(upload: Upload, file: Path) -> tuple[StockRow, ...]:
    """The stock of an uploaded file; the last row of a cell counts. Raises InvalidInputError as `orders_of` does."""
    path = "$.stock.upload"
    try:
        _, records = read_records(file, "stock", _mapping(upload, "stock", path))
        rows = [read.record for read in _sound(records, upload.file)]
    except CommandError as error:
        raise InvalidInputError.at(path, str(error)) from error
    cells = {(row.node_id, row.sku): row for row in rows if isinstance(row, StockRow)}
    return tuple(cells.values())


def _sound(items: Iterable[T | Rejected], name: str) -> Iterator[T]:
    """The rows, until one is bad: then the rest is only looked through for others, and all are told."""
    source = iter(items)
    for item in source:
        if not isinstance(item, Rejected):
            yield item
            continue
        others = (other for other in source if isinstance(other, Rejected))
        bad = [item, *islice(others, FAULTS_MAX - 1)]
        faults = [Fault(f"{name}, line {row.line}", row.reason) for row in bad]
        raise InvalidInputError(f"{name} has rows that cannot be used: correct them, or skip them by `mapping`", faults)


def _mapping(upload: Upload, kind: str, path: str) -> FieldMap:
    try:
        return checked(msgspec.convert(upload.mapping, FieldMap), kind, "the mapping")
    except msgspec.ValidationError as error:
        raise InvalidInputError.at(*fault_of(error, f"{path}.mapping")) from error
