"""Rows of a CSV or NDJSON file with their line numbers, renamed to our fields; what cannot be used is never dropped."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from api.cli.mapping import FIELDS, INSTANTS, LISTS, NUMBERS, REQUIRED, FieldMap
from api.cli.terminal import CommandError


class Rejected(NamedTuple):
    """A row that cannot be used. `line` counts from 1; `text` is the row as it stood."""

    line: int
    key: str | None
    reason: str
    text: str


class Row(NamedTuple):
    """A usable row: our fields, only those that are not empty."""

    line: int
    fields: dict[str, Any]
    text: str


class RowError(ValueError):
    """A value that cannot be read; the text names the field."""


class RowReader:
    """Reads one file. After the iteration `read` and `skipped` tell how many rows there were."""

    def __init__(self, path: Path, kind: str, mapping: FieldMap) -> None:
        self._path = path
        self._kind = kind
        self._map = mapping
        self._skips = mapping.skips()
        self._zone = mapping.zone()
        self.read = 0
        self.skipped: Counter[str] = Counter()
        self.unused: list[str] = []

    @property
    def is_json(self) -> bool:
        """NDJSON by its name; anything else is CSV."""
        name = self._path.name.removesuffix(".gz")
        return name.endswith((".ndjson", ".jsonl", ".json"))

    @contextmanager
    def _open(self) -> Iterator[io.TextIOBase]:
        encoding = self._map.formats.encoding
        try:
            if str(self._path) == "-":
                yield io.TextIOWrapper(sys.stdin.buffer, encoding=encoding, newline="", errors="surrogateescape")
                return
            opener = gzip.open if self._path.suffix == ".gz" else open
            with (
                opener(self._path, "rb") as raw,
                io.TextIOWrapper(raw, encoding=encoding, newline="", errors="surrogateescape") as text,
            ):
                yield text
        except (OSError, LookupError, EOFError) as error:
            raise CommandError(f"{self._path} cannot be read ({error})") from error

    def csv_rows(self) -> Iterator[Row | Rejected]:
        """The data rows of a CSV file with a header."""
        with self._open() as text:
            lines = _Lines(text)
            reader = csv.reader(lines, delimiter=self._map.formats.delimiter, strict=True)
            header = self._header(reader)
            while True:
                lines.taken.clear()
                start = reader.line_num + 1
                try:
                    values = next(reader, None)
                except csv.Error as error:
                    self.read += 1
                    yield Rejected(start, None, f"not CSV: {error}", lines.text())
                    continue
                if values is None:
                    return
                if not values:
                    continue
                self.read += 1
                if len(values) != len(header):
                    reason = f"{len(values)} values for {len(header)} columns"
                    yield Rejected(start, self._key(header, values), reason, lines.text())
                    continue
                source = dict(zip(header, values, strict=True))
                if self._skip(source):
                    continue
                yield self.row(start, source, lines.text())

    def _key(self, header: list[str], values: list[str]) -> str | None:
        """The id of the order that a torn row belongs to, as far as it can be told."""
        column = self._map.column(REQUIRED[self._kind][0])
        index = header.index(column) if column in header else len(values)
        return values[index].strip() or None if index < len(values) else None

    def json_lines(self) -> Iterator[tuple[int, str]]:
        """The lines of an NDJSON file that are not blank."""
        with self._open() as text:
            for number, line in enumerate(text, start=1):
                if line.strip():
                    self.read += 1
                    yield number, line.rstrip("\r\n")

    def row(
        self, line: int, source: Mapping[str, Any], text: str, only: frozenset[str] | None = None
    ) -> Row | Rejected:
        """Rename and read the values of one row; `only` limits it to these fields."""
        fields: dict[str, Any] = {}
        try:
            _refuse_undecodable(text)
            for field in FIELDS[self._kind] if only is None else only:
                value = value_at(source, self._map.column(field))
                if value is None or value == "":
                    value = self._map.defaults.get(field)
                if value is not None and value != "":
                    fields[field] = self._value(field, value)
        except RowError as error:
            key = value_at(source, self._map.column(REQUIRED[self._kind][0]))
            return Rejected(line, None if key is None else str(key), str(error), text)
        return Row(line, fields, text)

    def skip_json(self, source: Mapping[str, Any]) -> bool:
        """Whether a skip rule leaves this record out; counts it."""
        return self._skip(source)

    def _skip(self, source: Mapping[str, Any]) -> bool:
        for column, pattern in self._skips:
            value = value_at(source, column)
            if value is not None and pattern.search(str(value)):
                self.skipped[column] += 1
                return True
        return False

    def _header(self, reader: Any) -> list[str]:
        try:
            header = next(reader, None)
        except csv.Error as error:
            raise CommandError(f"{self._path} has no readable header ({error})") from error
        if not header:
            raise CommandError(f"{self._path} is empty: a header line with column names is needed")
        if len(set(header)) != len(header):
            raise CommandError(f"{self._path} names a column twice: {', '.join(header)}")
        named = set(self._map.columns.values()) | set(self._map.skip)
        missing = sorted(named - set(header)) + [
            field
            for field in REQUIRED[self._kind]
            if self._map.column(field) not in header and field not in self._map.defaults | self._map.columns
        ]
        if missing:
            raise CommandError(
                f"{self._path} has no column {', '.join(missing)}; it has {', '.join(header)}. "
                "A mapping file can rename columns (docs/import.md)"
            )
        used = named | {self._map.column(field) for field in FIELDS[self._kind]}
        self.unused = [column for column in header if column not in used]
        return header

    def _value(self, field: str, value: Any) -> Any:
        """One cell as its field wants it; msgspec does the rest."""
        if field in LISTS:
            return value.replace(";", " ").split() if isinstance(value, str) else value
        if field in INSTANTS:
            return self._instant(field, value)
        if not isinstance(value, str):
            return _plain(value) if field in {"order_id", "line_id", "sku", "postal_code"} else value
        value = value.strip()
        if field in NUMBERS:
            return _integer(field, value)
        return value

    def _instant(self, field: str, value: Any) -> datetime:
        try:
            pattern = self._map.formats.instant
            instant = datetime.strptime(value, pattern) if pattern else datetime.fromisoformat(value)
        except (ValueError, TypeError) as error:
            raise RowError(f"{field}: {value!r} is not an instant ({error})") from error
        return instant if instant.tzinfo is not None else instant.replace(tzinfo=self._zone)


class _Lines:
    """Physical lines for the CSV reader, remembering those of the record under way."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text
        self.taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.taken.append(line)
        return line

    def text(self) -> str:
        return "".join(self.taken).rstrip("\r\n")


def value_at(source: Any, path: str) -> Any:
    """A value by column name, or by dotted path in nested JSON; None where there is none."""
    if isinstance(source, Mapping) and path in source:
        return source[path]
    for part in path.split("."):
        if not isinstance(source, Mapping) or part not in source:
            return None
        source = source[part]
    return source


def _refuse_undecodable(text: str) -> None:
    """Bytes that the file's encoding does not know were kept as surrogates, so that the row can be given back."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowError("the row holds bytes that are not text in the file's encoding") from None


def _plain(value: Any) -> str:
    """An id that JSON holds as a number."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _integer(field: str, value: str) -> int:
    """A whole number; spreadsheets write 6 as 6.0."""
    whole, _, part = value.partition(".")
    if part.strip("0"):
        raise RowError(f"{field}: {value!r} is not a whole number")
    try:
        return int(whole)
    except ValueError:
        raise RowError(f"{field}: {value!r} is not a whole number") from None


def convert(fields: dict[str, Any], kind: type[Any]) -> Any:
    """Fields as a domain value; raises RowError in the words of the field."""
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        place = path.rstrip("`").removeprefix("$").removeprefix(".")
        raise RowError(f"{place}: {reason}" if place else reason) from error
