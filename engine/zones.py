"""Zone matrices: which zone of a carrier's chart a parcel from somewhere to somewhere is in.

A matrix is CSV, `origin,destination,zone` (this first line may be left out). Origins are node ids or postal prefixes of
a node's country, `US:923`; destinations are written as those of lanes. Zones count from 1, as carriers print them: zone
z is the z-th entry of `by_zone` and `transit_days`. The most specific origin that has the destination wins (the node
itself, then the longest prefix), and of its rows the most specific destination. Without a row for a node and a
destination the service does not go there.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.destinations import Destinations, plain_place
from engine.documents import FAULTS_MAX, refuse
from engine.domain import Identifier, Order
from engine.errors import Fault
from engine.network_document import NetworkDocument, Node
from solvers.problem import Ints

ROWS_MAX = 200_000
"""The most rows of a matrix."""

ZONES_MAX = 1_000
"""The highest zone number."""

HEADER = ("origin", "destination", "zone")
_SIGNATURES_MAX = 4_096
_DESTINATION_CHARS_MAX = 64
_ZONE = re.compile(r"[1-9][0-9]{0,3}")

Column = NDArray[np.int32]


class ZoneLimit(NamedTuple):
    """How many zones a matrix may name, and whose chart says so."""

    zones: int
    service: str


@dataclass(frozen=True, slots=True, eq=False)
class ZoneMatrix:
    """The rows in plain form: `origin`, `destination` int32[R] into the names, `zone` int32[R] from 1."""

    origins: tuple[str, ...]
    destinations: tuple[str, ...]
    origin: Column
    destination: Column
    zone: Column

    @property
    def zones(self) -> int:
        """The highest zone."""
        return int(self.zone.max())

    def csv(self) -> bytes:
        """The rows as they are stored and read back, in the order in which they came."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(HEADER)
        names = zip(self.origin.tolist(), self.destination.tolist(), self.zone.tolist(), strict=True)
        writer.writerows((self.origins[o], self.destinations[d], zone) for o, d, zone in names)
        return text.getvalue().encode()


def parse_matrix(body: bytes, limit: ZoneLimit | None = None) -> ZoneMatrix:
    """Read a matrix; a quarter of a second for 100,000 rows. Raises InvalidInputError with faults by line."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        refuse("The matrix is not UTF-8.", [Fault(f"line {line}", f"not UTF-8 (byte {error.start})")])
    reading = _Reading(limit)
    for line, row in _rows(text, reading.faults):
        reading.take(line, row)
        if len(reading.faults) >= FAULTS_MAX:
            break
    if reading.faults:
        refuse("The matrix has faulty rows; nothing was changed.", reading.faults)
    if not reading.rows:
        refuse("The matrix is empty.", [Fault("line 1", "at least one row origin,destination,zone was expected")])
    columns = np.array([(*pair, zone) for pair, (_, zone) in reading.rows.items()], np.int32).T
    return ZoneMatrix(tuple(reading.origins), tuple(reading.destinations), columns[0], columns[1], columns[2])


def _rows(text: str, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields of all rows but blank ones and the header; what is no CSV ends it with a fault."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            fields = [field.strip(" ") for field in row]
            header = reader.line_num == 1 and tuple(field.lower() for field in fields) == HEADER
            if any(fields) and not header:
                yield reader.line_num, fields
    except csv.Error as error:
        faults.append(Fault(f"line {reader.line_num}", f"not CSV: {error}"))


class _Reading:
    """A matrix as far as it has been read. A name is brought to plain form and judged where it stands first."""

    def __init__(self, limit: ZoneLimit | None) -> None:
        self._limit = limit
        self.faults: list[Fault] = []
        self.origins: dict[str, int] = {}
        self.destinations: dict[str, int] = {}
        self.rows: dict[tuple[int, int], tuple[int, int]] = {}
        """(line, zone) by (origin, destination)."""
        self._origin_of: dict[str, int] = {}
        self._destination_of: dict[str, int] = {}
        self._zone_of: dict[str, int] = {}

    def take(self, line: int, row: list[str]) -> None:
        """Take one row, or note all that is wrong with it."""
        if len(row) != len(HEADER):
            self._fault(f"line {line}", f"{len(row)} fields where origin,destination,zone was expected")
            return
        origin, destination = self._origin_of.get(row[0]), self._destination_of.get(row[1])
        if origin is None:
            origin = self._origin(line, row[0])
        if destination is None:
            destination = self._destination(line, row[1])
        zone = self._zone_of.get(row[2]) or self._zone(line, row[2])
        if min(origin, destination, zone - 1) < 0:
            return
        earlier = self.rows.setdefault((origin, destination), (line, zone))
        if earlier[0] != line:
            self._fault(f"line {line}", f"the same origin and destination stand on line {earlier[0]}")
        elif len(self.rows) > ROWS_MAX:
            self._fault(f"line {line}", f"a matrix may have at most {ROWS_MAX} rows")

    def _origin(self, line: int, text: str) -> int:
        try:
            name = msgspec.convert(plain_place(text), Identifier)
        except msgspec.ValidationError:
            self._fault(f"line {line}: origin", "a node id or a postal prefix like US:923 was expected")
            return -1
        self._origin_of[text] = number = self.origins.setdefault(name, len(self.origins))
        return number

    def _destination(self, line: int, text: str) -> int:
        if not 1 <= len(text) <= _DESTINATION_CHARS_MAX:
            self._fault(f"line {line}: destination", f"1 to {_DESTINATION_CHARS_MAX} characters were expected")
            return -1
        name = plain_place(text)
        self._destination_of[text] = number = self.destinations.setdefault(name, len(self.destinations))
        return number

    def _zone(self, line: int, text: str) -> int:
        """The zone's number, 0 if it is none."""
        zone = int(text) if _ZONE.fullmatch(text) else 0
        if not 1 <= zone <= ZONES_MAX:
            self._fault(f"line {line}: zone", f"{text[:32]!r} is not a zone from 1 to {ZONES_MAX}")
            return 0
        if self._limit is not None and zone > self._limit.zones:
            reason = f"zone {zone}, where {self._limit.service} has {self._limit.zones} in the network"
            self._fault(f"line {line}: zone", reason)
            return 0
        self._zone_of[text] = zone
        return zone

    def _fault(self, path: str, reason: str) -> None:
        self.faults.append(Fault(path, reason))


def limit_of(document: NetworkDocument, matrix: str) -> ZoneLimit | None:
    """What a matrix may name so that every service of a network that uses it has a price; None if none uses it."""
    used = [document.carriers[i] for i in document.matrices.get(matrix, ())]
    limits = [ZoneLimit(len(carrier.transit_days), f"{carrier.carrier} {carrier.service}") for carrier in used]
    return min(limits, default=None)


def chart_faults(document: NetworkDocument, matrices: Mapping[str, ZoneMatrix]) -> list[Fault]:
    """The carriers whose matrix is not there, or names zones that they have no price for."""
    faults: list[Fault] = []
    for name, places in document.matrices.items():
        for i in places:
            path, count = f"$.carriers[{i}].zones.matrix", len(document.carriers[i].transit_days)
            if name not in matrices:
                faults.append(Fault(path, f"there is no zone matrix {name!r}"))
            elif matrices[name].zones > count:
                reason = f"{name!r} names zone {matrices[name].zones}, where transit_days has {count}"
                faults.append(Fault(path, reason))
    return faults


class NodeZones:
    """A matrix as the nodes of one network see it. What was worked out for a destination is kept."""

    def __init__(self, matrix: ZoneMatrix, nodes: Sequence[Node]) -> None:
        self._nodes = len(nodes)
        self._origins = _origins_of(matrix, nodes)
        used = np.isin(matrix.origin, self._origins)
        rows = np.flatnonzero(used)[np.argsort(matrix.destination[used], kind="stable")]
        named, starts = np.unique(matrix.destination[rows], return_index=True)
        parts = zip(named.tolist(), np.split(rows, starts[1:]), strict=True) if len(named) else ()
        self._cells = {matrix.destinations[d]: (matrix.origin[at], matrix.zone[at] - 1) for d, at in parts}
        self._places = Destinations(self._cells)
        self._none = len(matrix.origins)
        self._known: dict[tuple[str, ...], Ints] = {}

    def to(self, order: Order) -> Ints:
        """The zone from each node to an order's destination, from 0: int64[N], -1 where the service does not go."""
        places = self._places.of(order)
        found = self._known.get(places)
        if found is None:
            by_origin = np.full(self._none + 1, -1, np.int64)
            for place in places:
                origin, zone = self._cells[place]
                by_origin[origin] = zone
            # The most specific origin that has a zone: the first column where there is one.
            by_column = by_origin[self._origins]
            column = (by_column >= 0).argmax(axis=1)
            found = by_column[np.arange(self._nodes), column]
            if len(self._known) >= _SIGNATURES_MAX:
                self._known.clear()
            self._known[places] = found
        return found


def _origins_of(matrix: ZoneMatrix, nodes: Sequence[Node]) -> Ints:
    """The origins of each node, the most specific first: int64[N, D], padded with the number that no origin has."""
    number = {name: o for o, name in enumerate(matrix.origins)}
    places = Destinations(matrix.origins)
    names = [
        [node.node_id, *reversed(places.prefixes_of(node.country, node.postal_code or ""))]
        for node in nodes
    ]  # fmt: skip
    found = [[number[name] for name in dict.fromkeys(each) if name in number] for each in names]
    width = max((len(each) for each in found), default=0) + 1
    return np.array([each + [len(number)] * (width - len(each)) for each in found], np.int64).reshape(-1, width)
