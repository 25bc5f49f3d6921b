"""The network as callers write it: nodes, carriers, lanes; its defaults, and every fault it can have.

Units of the wire: money as decimal strings, weights in grams, coordinates in degrees, durations as named.
An empty list means no restriction (`workdays: []`: open every day).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from engine.documents import decode, merge, parse, refuse, structural_faults
from engine.domain import Count, Country, Identifier, Money, Record, mills
from engine.errors import Fault, NotFoundError
from engine.promise import is_timezone

NODES_MAX = 2_000
"""The most nodes of one network: stock and eligibility of a window are dense over them."""

PRICE_MAX_MILLS = 10**9
"""The dearest price or cost term, a million of the currency: keeps every sum of a window within 64 bits."""

NOT_OFFERED = "not offered by this version"

Prefix = Annotated[str, Meta(min_length=1, max_length=16)]
Degrees = Annotated[float, Meta(ge=-90, le=90)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TransitDays = Annotated[int, Meta(ge=0, le=365)]
Grams = Annotated[int, Meta(ge=1, le=2**31 - 1)]

_CUTOFF = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Capacity(Record, frozen=True, kw_only=True):
    """What a node ships on one day at most; null for no limit."""

    parcels_per_day: Count | None = None
    units_per_day: Count | None = None


class NodeCosts(Record, frozen=True, kw_only=True):
    """Handling: money per parcel, per distinct order line in it, per unit."""

    per_parcel: Money = "0"
    per_line: Money = "0"
    per_unit: Money = "0"


class Serves(Record, frozen=True, kw_only=True):
    """Destinations of a node. An order without postal code is outside every prefix."""

    countries: list[Country] = field(default_factory=list)
    postal_prefixes: list[Prefix] = field(default_factory=list)
    except_postal_prefixes: list[Prefix] = field(default_factory=list)


class Node(Record, frozen=True, kw_only=True):
    """Where stock is. `priority` lower first. `cutoff` is local wall time; without it a day ends at midnight.

    Nodes of one `dock` are one origin in one country: a parcel may take stock from several of them. Location, calendar,
    lane, parcel capacity and `per_parcel` are those of its first node, by priority, then id, that may serve the order;
    `per_line`, `per_unit` and unit capacity those of the node that the stock is of.
    """

    node_id: Identifier
    country: Country
    kind: Literal["dc", "store", "dropship", "3pl"] = "dc"
    lat: Degrees | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    postal_code: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    timezone: Annotated[str, Meta(max_length=64)] = "UTC"
    active: bool = True
    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = 0
    dock: Identifier | None = None
    capacity: Capacity = Capacity()
    cutoff: Annotated[str, Meta(max_length=16)] | None = None
    handling_minutes: Annotated[int, Meta(ge=0, le=43_200)] = 0
    workdays: list[Weekday] = field(default_factory=list)
    holidays: Annotated[list[Annotated[str, Meta(max_length=16)]], Meta(max_length=5_000)] = field(default_factory=list)
    costs: NodeCosts = NodeCosts()
    serves: Serves = Serves()
    channels: list[Identifier] = field(default_factory=list)
    capabilities: list[Identifier] = field(default_factory=list)
    safety_units: Count = 0


class Zones(Record, frozen=True, kw_only=True):
    """How a carrier zones a shipment.

    By distance it is the index of the first `upper` >= the distance, else the last zone. By `matrix`, a matrix put at
    `/v1/zone-matrices/{id}` says it, whose zone z (from 1) is the z-th price; where it has no row for a node and a
    destination the service does not go.
    """

    kind: Literal["distance_miles", "distance_km", "matrix"]
    upper: list[Annotated[float, Meta(gt=0, le=1e6)]] = field(default_factory=list)
    matrix: Identifier | None = None


class RateRow(Record, frozen=True, kw_only=True):
    """Prices by zone of shipments whose billable weight is at most `up_to_g`."""

    up_to_g: Grams
    by_zone: list[Money]


class Carrier(Record, frozen=True, kw_only=True):
    """One service of a carrier. `levels` empty: every level. `max_weight_g` null: the last `up_to_g`."""

    carrier: Identifier
    service: Identifier
    zones: Zones
    rates: Annotated[list[RateRow], Meta(min_length=1, max_length=1_000)]
    transit_days: list[TransitDays]
    levels: list[Identifier] = field(default_factory=list)
    max_weight_g: Grams | None = None
    dim_divisor: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    surcharge_percent: Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3})?$(?!\n)")] = "0"


class Lane(Record, frozen=True, kw_only=True):
    """An agreed price from a node to a destination: `*`, `US`, `US-NY`, `US:100` (postal prefix) or a `ship_to.zone`.

    A lane has no weight limit. Its service serves the levels of the carriers that have a service of that name, or every
    level if none has.
    """

    node_id: Identifier
    to: Annotated[str, Meta(min_length=1, max_length=64)]
    service: Identifier
    parcel: Money = "0"
    line: Money = "0"
    unit: Money = "0"
    per_kg: Money = "0"
    transit_days: TransitDays = 0


class NetworkDocument(Record, frozen=True, kw_only=True):
    """The whole network of a partition."""

    nodes: Annotated[list[Node], Meta(min_length=1, max_length=NODES_MAX)]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")] = "USD"
    carriers: Annotated[list[Carrier], Meta(max_length=100)] = field(default_factory=list)
    lanes: Annotated[list[Lane], Meta(max_length=200_000)] = field(default_factory=list)

    @property
    def matrices(self) -> dict[str, list[int]]:
        """The zone matrices that carriers name, and the places of these carriers."""
        named: dict[str, list[int]] = {}
        for i, carrier in enumerate(self.carriers):
            if carrier.zones.kind == "matrix" and carrier.zones.matrix is not None:
                named.setdefault(carrier.zones.matrix, []).append(i)
        return named


def parse_network(body: bytes) -> NetworkDocument:
    """Decode and validate. Raises InvalidInputError with every fault, at most 100: first of form, then of meaning."""
    document = decode(body, NetworkDocument, "network")
    if faults := semantic_faults(document):
        refuse("The network contradicts itself or names things that do not exist.", faults)
    return document


def patch_node(document: NetworkDocument, node_id: str, body: bytes) -> NetworkDocument:
    """The document with one node changed by a JSON merge patch (RFC 7396): null brings a field's default back.

    Raises NotFoundError for an unknown node and InvalidInputError with paths relative to the node.
    """
    index = next((i for i, node in enumerate(document.nodes) if node.node_id == node_id), None)
    if index is None:
        raise NotFoundError(f"There is no node {node_id!r} in the network.")
    patch = parse(body, "patch")
    if not isinstance(patch, dict):
        refuse("The patch is not an object.", [Fault("$", "expected an object")])
    removed_nothing: list[str] = []
    merged = merge(msgspec.to_builtins(document.nodes[index]), patch, removed_nothing)
    faults = [Fault(path, "unknown field") for path in removed_nothing]
    if merged.get("node_id", node_id) != node_id:
        faults.append(Fault("$.node_id", "a node cannot be renamed"))
    faults += structural_faults(merged, Node)
    if faults:
        refuse("The patch does not have the documented form.", faults)
    node = msgspec.convert(merged, Node)
    nodes = [*document.nodes[:index], node, *document.nodes[index + 1 :]]
    if faults := [*_node_faults(node, "$"), *dict.fromkeys(_dock_faults(nodes, ["$"] * len(nodes)))]:
        refuse("The patched node contradicts itself or its dock.", faults)
    return msgspec.structs.replace(document, nodes=nodes)


def semantic_faults(document: NetworkDocument) -> list[Fault]:
    """Everything wrong with a document of the right form."""
    faults: list[Fault] = []
    node_ids: set[str] = set()
    for i, node in enumerate(document.nodes):
        path = f"$.nodes[{i}]"
        faults += _unique(node.node_id, node_ids, f"{path}.node_id", "node")
        faults += _node_faults(node, path)
    faults += _dock_faults(document.nodes, [f"$.nodes[{i}]" for i in range(len(document.nodes))])
    services: set[tuple[str, str]] = set()
    for i, carrier in enumerate(document.carriers):
        path = f"$.carriers[{i}]"
        faults += _unique((carrier.carrier, carrier.service), services, f"{path}.service", "carrier service")
        faults += _carrier_faults(carrier, path)
    lanes: set[tuple[str, str, str]] = set()
    for i, lane in enumerate(document.lanes):
        path = f"$.lanes[{i}]"
        if lane.node_id not in node_ids:
            faults.append(Fault(f"{path}.node_id", f"there is no node {lane.node_id!r}"))
        faults += _unique((lane.node_id, lane.to, lane.service), lanes, path, "lane")
        terms = (("parcel", lane.parcel), ("line", lane.line), ("unit", lane.unit), ("per_kg", lane.per_kg))
        faults += _price_faults(terms, path)
    return faults


def _unique(key: Any, seen: set[Any], path: str, what: str) -> Iterator[Fault]:
    if key in seen:
        yield Fault(path, f"the same {what} stands earlier in the document")
    seen.add(key)


def _price_faults(terms: Sequence[tuple[str, str]], path: str) -> Iterator[Fault]:
    for name, money in terms:
        if mills(money) > PRICE_MAX_MILLS:
            yield Fault(f"{path}.{name}", "at most 1000000.00")


def _node_faults(node: Node, path: str) -> Iterator[Fault]:
    if (node.lat is None) != (node.lon is None):
        yield Fault(f"{path}.{'lat' if node.lat is None else 'lon'}", "lat and lon go together")
    elif node.lat is None and node.postal_code is None:
        yield Fault(path, "needs lat and lon, or a postal_code")
    if not is_timezone(node.timezone):
        yield Fault(f"{path}.timezone", f"{node.timezone!r} is not a known time zone")
    if node.cutoff is not None and not _CUTOFF.fullmatch(node.cutoff):
        yield Fault(f"{path}.cutoff", f"{node.cutoff!r} is not a time of day HH:MM")
    for i, holiday in enumerate(node.holidays):
        if not is_date(holiday):
            yield Fault(f"{path}.holidays[{i}]", f"{holiday!r} is not a date YYYY-MM-DD")
    costs = node.costs
    terms = (("per_parcel", costs.per_parcel), ("per_line", costs.per_line), ("per_unit", costs.per_unit))
    yield from _price_faults(terms, f"{path}.costs")


def _dock_faults(nodes: Sequence[Node], paths: Sequence[str]) -> Iterator[Fault]:
    """A dock is one place: its nodes cannot lie in several countries. Each node is held against the dock's first."""
    first: dict[str, Node] = {}
    for node, path in zip(nodes, paths, strict=True):
        if node.dock is not None and (other := first.setdefault(node.dock, node)).country != node.country:
            reason = f"dock {node.dock!r} is in {other.country}, where its node {other.node_id!r} lies"
            yield Fault(f"{path}.dock", reason)


def is_date(text: str) -> bool:
    """Whether a text is a date of the calendar, YYYY-MM-DD."""
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _carrier_faults(carrier: Carrier, path: str) -> Iterator[Fault]:
    zones, count = carrier.zones, len(carrier.transit_days)
    if zones.kind == "matrix":
        if zones.matrix is None:
            yield Fault(f"{path}.zones.matrix", "kind matrix needs the id of a zone matrix")
        if zones.upper:
            yield Fault(f"{path}.zones.upper", "belongs to zones by distance")
    elif zones.matrix is not None:
        yield Fault(f"{path}.zones.matrix", "belongs to kind matrix")
    yield from _ascending(zones.upper, f"{path}.zones.upper", "")
    # n boundaries make n + 1 zones; n zones are n boundaries of which the last one's prices apply beyond it as well.
    if zones.kind == "matrix" and count == 0:
        yield Fault(f"{path}.transit_days", "at least one zone was expected")
    elif zones.kind != "matrix" and not (0 <= count - len(zones.upper) <= 1 and count):
        wanted = " or ".join(str(n) for n in (len(zones.upper), len(zones.upper) + 1) if n)
        yield Fault(f"{path}.transit_days", f"{count} zones where zones.upper makes {wanted}")
    yield from _ascending([row.up_to_g for row in carrier.rates], f"{path}.rates", ".up_to_g")
    for i, row in enumerate(carrier.rates):
        if len(row.by_zone) != count:
            reason = f"{len(row.by_zone)} zones where transit_days has {count}"
            yield Fault(f"{path}.rates[{i}].by_zone", reason)
        terms = [(f"[{zone}]", money) for zone, money in enumerate(row.by_zone)]
        for fault in _price_faults(terms, ""):
            yield Fault(f"{path}.rates[{i}].by_zone{fault.path.removeprefix('.')}", fault.reason)


def _ascending(values: Sequence[float], path: str, field: str) -> Iterator[Fault]:
    for i in range(1, len(values)):
        if values[i] <= values[i - 1]:
            yield Fault(f"{path}[{i}]{field}", f"{values[i]} does not ascend after {values[i - 1]}")
