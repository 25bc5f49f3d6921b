"""Zone matrices: what is refused on which line, and which row wins for a node and a destination."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from engine.crew import pack, unpack
from engine.errors import InvalidInputError
from engine.network import Network, NetworkDocument, parse_network
from engine.zones import ZoneLimit, parse_matrix
from tests.engine.making import card, document, lowered_equal, node, order, window


def faults(text: str | bytes, limit: ZoneLimit | None = None) -> list[tuple[str, str]]:
    """The faults of a matrix as (path, reason)."""
    with pytest.raises(InvalidInputError) as caught:
        parse_matrix(text if isinstance(text, bytes) else text.encode(), limit)
    return [tuple(fault) for fault in caught.value.faults]


def parse(written) -> NetworkDocument:
    """A network document as it is read."""
    return parse_network(json.dumps(written).encode())


def by_matrix(**fields):
    """A card of three zones that a matrix tells."""
    return card(zones={"kind": "matrix", "matrix": "chart"}, **fields)


def network(nodes, rows: str, carriers=None, lanes=()) -> Network:
    """A network whose only card zones by these rows."""
    written = parse(document(nodes, carriers or [by_matrix()], lanes))
    numbers = {each.node_id: n for n, each in enumerate(written.nodes)}
    return Network.compile(written, numbers, 1, {"chart": parse_matrix(rows.encode())})


def zones(rows: str, nodes=None, **ship_to) -> list[int]:
    """The zone from each node to a destination, from 1; 0 where the service does not go."""
    nodes = nodes or [node("A", postal_code="92551"), node("B", postal_code="10001"), node("C")]
    made = network(nodes, rows)
    one = order("O", ("S", 1), ship_to={"lat": None, "lon": None, **ship_to})
    reachable, _ = made.rates.ways([one], made.distances([one]))
    found = []
    for n in range(len(nodes)):
        zone = made.rates.zone(0, [one], *pair_of(n), made.distances([one])).item() + 1
        assert (zone > 0) == reachable[0, n, 0]
        found.append(zone)
    return found


def pair_of(n: int):
    """Arrays of the only order and one node."""
    return np.zeros(1, np.int64), np.array([n])


def test_rows_come_back_as_they_are_stored():
    """Header, blank lines, spaces, a byte order mark and the spelling of postal codes are matters of form."""
    text = '\ufefforigin, Destination ,zone\r\n\r\nUS:92-5, US:1 00 ,2\r\n"N,1",*,3\r\nN2,US-NY,1'
    matrix = parse_matrix(text.encode())
    assert matrix.csv() == b'origin,destination,zone\nUS:925,US:100,2\n"N,1",*,3\nN2,US-NY,1\n'
    assert parse_matrix(matrix.csv()).csv() == matrix.csv()
    assert matrix.zones == 3
    assert parse_matrix(b"A,*,1").csv() == b"origin,destination,zone\nA,*,1\n"


def test_every_fault_has_its_line():
    """One upload tells all that is wrong: fields, names, zones, duplicates (postal codes in plain form)."""
    text = "\n".join([
        "origin,destination,zone", "A,US", "A,US,0", "A,US,1.5", ",US,1", "A,,1", "A," + "x" * 65 + ",1",
        "US:9 0,US,1", "US:90,US,2", "A,US,1001", "{,US,1", "A,US,x,1",
    ])  # fmt: skip
    found = faults(text)
    assert [path for path, _ in found] == [
        "line 2", "line 3: zone", "line 4: zone", "line 5: origin", "line 6: destination", "line 7: destination",
        "line 9", "line 10: zone", "line 11: origin", "line 12",
    ]  # fmt: skip
    assert found[6][1] == "the same origin and destination stand on line 8"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "line 1"),
        (b"origin,destination,zone\n", "line 1"),
        (b"A,*,1\nA,\xff,2", "line 2"),
        (b'A,*,1\n"B"x,*,1', "line 2"),
        (b'A,*,1\nB,"*,1', "line 2"),
    ],
)
def test_what_is_no_matrix_says_where(body, path):
    """Nothing at all, broken encoding and broken quoting give a line to look at."""
    assert faults(body)[-1][0] == path


def test_no_more_than_a_hundred_faults_are_named():
    """A file of another make does not become an answer of megabytes."""
    assert len(faults("\n".join(f"A,US:{k},none" for k in range(500)))) == 100


def test_zones_that_a_service_lacks_are_named_by_line():
    """Whoever replaces a chart learns which rows the network has no price for, and whose chart it is."""
    found = faults("A,*,3\nA,US,4\nB,*,5", ZoneLimit(3, "usps ground"))
    assert [path for path, _ in found] == ["line 2: zone", "line 3: zone"]
    assert "usps ground has 3" in found[0][1]


@pytest.mark.parametrize(
    ("rows", "ship_to", "expected"),
    [
        # The node itself beats its postal prefixes, the longer prefix the shorter; C has no postal code.
        ("US:9,*,1\nUS:925,*,2\nA,*,3", {}, [3, 0, 0]),
        ("US:9,*,1\nUS:925,*,2\nUS:1,*,3", {}, [2, 3, 0]),
        # The most specific destination of an origin: prefix, region, country, everywhere.
        ("A,*,1\nA,US,2\nA,US-NY,3", {"region": "NY"}, [3, 0, 0]),
        ("A,US-NY,1\nA,US:100,2", {"region": "NY", "postal_code": "10001"}, [2, 0, 0]),
        ("A,US:100,2\nA,US:1000,1", {"postal_code": "100-01"}, [1, 0, 0]),
        ("A,US:100,2\nA,EAST,3", {"postal_code": "10001", "zone": "EAST"}, [3, 0, 0]),
        # The origin is chosen first, among those that have the destination at all.
        ("A,US,1\nUS:925,US-NY,2", {"region": "NY"}, [1, 0, 0]),
        ("A,CA,1\nUS:925,US-NY,2", {"region": "NY"}, [2, 0, 0]),
        # Another country's prefix is not this node's, and no row is no service.
        ("CA:925,*,1", {}, [0, 0, 0]),
        ("A,CA,1\nB,US:999,1", {"postal_code": "10001"}, [0, 0, 0]),
        ("NOWHERE,*,1\nC,*,2", {}, [0, 0, 2]),
    ],
)
def test_the_most_specific_row_wins(rows, ship_to, expected):
    """A chart by prefix can be refined for single nodes and single destinations."""
    assert zones(rows, **ship_to) == expected


def test_zones_by_matrix_need_no_coordinates_and_price_by_zone():
    """A postal chart works where no place is known: zone 2 is the second price and the second transit time."""
    made = network([node("A")], "A,*,2")
    lost = order("O", ("S", 1), ship_to={"country": "FR", "lat": None, "lon": None})
    reachable, _ = made.rates.ways([lost], made.distances([lost]))
    assert reachable.tolist() == [[[True]]]
    assert made.rates.curves.price[made.rates.curve(0, zone_of(made, lost))].tolist() == [[6_000, 10_000]]
    assert made.rates.transit_days(0, zone_of(made, lost)).tolist() == [2]


def zone_of(made: Network, one):
    """The zone of an order from the only node, from 0."""
    return made.rates.zone(0, [one], *pair_of(0), made.distances([one]))


def test_a_lane_beats_a_matrix():
    """An agreed price replaces the card of its service, whatever zones it by."""
    lanes = [{"node_id": "A", "to": "*", "service": "ground", "parcel": "1.00"}]
    made = network([node("A")], "A,*,1", lanes=lanes)
    one = order("O", ("S", 1))
    reachable, _ = made.rates.ways([one], made.distances([one]))
    assert [service.is_lane for service in made.rates.services] == [True, False]
    assert reachable.tolist() == [[[True, False]]]


def test_a_matrix_survives_pickling_and_crosses_the_pipe():
    """Windows are decided in another process: the copy there must zone the same."""
    made = network([node("A"), node("B")], "A,US,1\nB,*,3")
    asked = window(made, [order("O", ("S", 2))], {"S": {"A": 1, "B": 5}})
    copied = pickle.loads(pickle.dumps(made))
    lowered_equal(asked, window(copied, asked.orders, {"S": {"A": 1, "B": 5}}))
    lowered_equal(asked, unpack(pack(asked, False, {}), {})[0])


def test_one_matrix_serves_several_services():
    """Two cards of one carrier mostly share a chart; each has its own prices."""
    made = network([node("A")], "A,*,3", [by_matrix(), by_matrix(service="air", transit_days=[1, 1, 1])])
    one = order("O", ("S", 1))
    for k, days in ((0, 1), (1, 4)):
        zone = made.rates.zone(k, [one], *pair_of(0), made.distances([one]))
        assert made.rates.transit_days(k, zone).tolist() == [days]


def test_a_network_without_its_matrix_does_not_compile():
    """A missing chart is a fault of the program, never a network with fewer services."""
    with pytest.raises(KeyError):
        Network.compile(parse(document([node("A")], [by_matrix()])), {"A": 0}, 1)
