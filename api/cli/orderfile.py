"""Order files: rows of lines (CSV) or one order per line (NDJSON) become orders, each whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from api.cli.mapping import LIMIT_FIELDS, LINE_FIELDS, ORDER_FIELDS, SHIP_TO_FIELDS, FieldMap
from api.cli.rows import Rejected, Row, RowError, RowReader, convert, value_at
from engine.domain import Order, OrderLine, Sku, StockRow

_HEAD_FIELDS = ORDER_FIELDS | SHIP_TO_FIELDS | LIMIT_FIELDS
_RECORDS: dict[str, type[Any]] = {"skus": Sku, "stock": StockRow}


class ReadOrder(NamedTuple):
    """An order and the lines of the file that it came from."""

    order: Order
    lines: tuple[int, ...]


class ReadRecord(NamedTuple):
    """A SKU or stock row and its line."""

    record: Sku | StockRow
    line: int


class OrderFile:
    """Reads orders. After the iteration every row of the file was in an order, rejected, or skipped by a rule."""

    def __init__(self, path: Path, mapping: FieldMap) -> None:
        self.rows = RowReader(path, "orders", mapping)
        self._map = mapping

    def __iter__(self) -> Iterator[ReadOrder | Rejected]:
        return self._from_json() if self.rows.is_json else self._from_csv()

    def _from_csv(self) -> Iterator[ReadOrder | Rejected]:
        """Rows of one order may stand anywhere in the file; orders come out by first appearance."""
        drafts: dict[str, list[Row | Rejected]] = {}
        for row in self.rows.csv_rows():
            key = row.key if isinstance(row, Rejected) else row.fields.get("order_id")
            if key is None:
                yield row if isinstance(row, Rejected) else Rejected(row.line, None, "order_id is empty", row.text)
            else:
                drafts.setdefault(key.strip(), []).append(row)
        while drafts:
            order_id = next(iter(drafts))
            yield from _assemble(order_id, drafts.pop(order_id))

    def _from_json(self) -> Iterator[ReadOrder | Rejected]:
        """Without a mapping each line is an order as the API takes it."""
        decoder = msgspec.json.Decoder(Order)
        foreign = self._map != FieldMap()
        seen: dict[str, int] = {}
        for number, text in self.rows.json_lines():
            key: str | None = None
            try:
                if foreign:
                    source = msgspec.json.decode(text)
                    if not isinstance(source, Mapping):
                        raise RowError("not a JSON object")
                    if self.rows.skip_json(source):
                        continue
                    found = value_at(source, self._map.column("order_id"))
                    key = None if found is None else str(found)
                    order = self._foreign(number, source, text)
                else:
                    order = decoder.decode(text)
                key = order.order_id
                _refuse_repeated_lines(order)
                if key in seen:
                    raise RowError(f"order_id {key!r} stands on line {seen[key]} already")
            except (RowError, msgspec.MsgspecError, UnicodeError) as error:
                yield Rejected(number, key, str(error), text)
                continue
            seen[key] = number
            yield ReadOrder(order, (number,))

    def _foreign(self, number: int, source: Mapping[str, Any], text: str) -> Order:
        head = _usable(self.rows.row(number, source, text, frozenset(_HEAD_FIELDS)))
        items = value_at(source, self._map.formats.lines)
        if not isinstance(items, list):
            raise RowError(f"there is no array {self._map.formats.lines!r} with the order's lines")
        lines = []
        for position, item in enumerate(items, start=1):
            fields = _usable(self.rows.row(number, item, text, frozenset(LINE_FIELDS))).fields
            lines.append(convert({"line_id": str(position), **fields}, OrderLine))
        return _order(head.fields, lines)


def read_records(path: Path, kind: str, mapping: FieldMap) -> tuple[RowReader, Iterator[ReadRecord | Rejected]]:
    """SKUs or stock rows, one per row."""
    reader = RowReader(path, kind, mapping)

    def records() -> Iterator[ReadRecord | Rejected]:
        for row in _json_rows(reader) if reader.is_json else reader.csv_rows():
            if isinstance(row, Rejected):
                yield row
                continue
            try:
                yield ReadRecord(convert(row.fields, _RECORDS[kind]), row.line)
            except RowError as error:
                yield Rejected(row.line, str(row.fields.get("sku")), str(error), row.text)

    return reader, records()


def _json_rows(reader: RowReader) -> Iterator[Row | Rejected]:
    for number, text in reader.json_lines():
        try:
            source = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeError) as error:
            yield Rejected(number, None, str(error), text)
            continue
        if not isinstance(source, Mapping):
            yield Rejected(number, None, "not a JSON object", text)
        elif not reader.skip_json(source):
            yield reader.row(number, source, text)


def _usable(row: Row | Rejected) -> Row:
    if isinstance(row, Rejected):
        raise RowError(row.reason)
    return row


def _assemble(order_id: str, rows: list[Row | Rejected]) -> Iterator[ReadOrder | Rejected]:
    """One order of CSV rows; a bad row keeps the whole order out, and every row of it is reported."""
    faults: dict[int, str] = {row.line: row.reason for row in rows if isinstance(row, Rejected)}
    good = [row for row in rows if isinstance(row, Row)]
    lines: list[OrderLine] = []
    for position, row in enumerate(good, start=1):
        fields = {field: value for field, value in row.fields.items() if field in LINE_FIELDS}
        try:
            lines.append(convert({"line_id": str(position), **fields}, OrderLine))
            _refuse_other_head(good[0], row)
        except RowError as error:
            faults[row.line] = str(error)
    order: Order | None = None
    if not faults:
        try:
            placed = [row.fields["placed_at"] for row in good if "placed_at" in row.fields]
            head = {**good[0].fields, "placed_at": min(placed)} if placed else good[0].fields
            order = _order(head, lines)
            _refuse_repeated_lines(order)
        except RowError as error:
            order, faults[good[0].line] = None, str(error)
    if order is not None:
        yield ReadOrder(order, tuple(row.line for row in good))
        return
    because = f"its order {order_id!r} has a fault on line {min(faults)}"
    for row in rows:
        yield Rejected(row.line, order_id, faults.get(row.line, because), row.text)


def _order(fields: Mapping[str, Any], lines: list[OrderLine]) -> Order:
    def part(names: frozenset[str]) -> dict[str, Any]:
        return {name: fields[name] for name in names if name in fields}

    return convert(
        {**part(ORDER_FIELDS), "ship_to": part(SHIP_TO_FIELDS), "limits": part(LIMIT_FIELDS), "lines": lines}, Order
    )


def _refuse_other_head(first: Row, row: Row) -> None:
    """Rows of one order must agree on everything that is not of a line; of several instants the earliest counts."""
    for field, value in row.fields.items():
        if field == "placed_at" or field not in _HEAD_FIELDS or field not in first.fields:
            continue
        if first.fields[field] != value:
            raise RowError(
                f"{field}: {value} differs from {first.fields[field]} on line {first.line} of the same order"
            )


def _refuse_repeated_lines(order: Order) -> None:
    ids = [line.line_id for line in order.lines]
    if len(set(ids)) != len(ids):
        raise RowError("lines: the same line_id stands twice")
