"""Order files: our format, foreign columns, bad rows; no row is ever lost."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.mapping import FieldMap, load_mapping
from api.cli.orderfile import OrderFile, ReadOrder, ReadRecord, read_records
from api.cli.rows import Rejected
from api.cli.terminal import CommandError
from engine.domain import Order

UCI = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HEART,6.0,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,71053,"METAL
LANTERN",6.0,2010-12-01 08:26:00,3.39,17850.0,United Kingdom
C536379,D,Discount,-1.0,2010-12-01 09:41:00,27.5,14527.0,United Kingdom
536370,POST,POSTAGE,3.0,2010-12-01 08:45:00,18.0,12583.0,France
536370,22728,ALARM CLOCK,24.0,2010-12-01 08:45:00,3.75,12583.0,France
"""
MAPPING = """
[columns]
order_id = "InvoiceNo"
sku = "StockCode"
quantity = "Quantity"
unit_price = "UnitPrice"
placed_at = "InvoiceDate"
[defaults]
country = "US"
[skip]
InvoiceNo = "^[CA]"
StockCode = "^POST$"
[formats]
instant = "%Y-%m-%d %H:%M:%S"
timezone = "Europe/London"
"""


def read(path: Path, mapping: FieldMap | None = None) -> tuple[list[ReadOrder], list[Rejected], OrderFile]:
    source = OrderFile(path, mapping or FieldMap())
    items = list(source)
    return [e for e in items if isinstance(e, ReadOrder)], [e for e in items if isinstance(e, Rejected)], source


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_foreign_columns_are_mapped(tmp_path: Path) -> None:
    """A retailer's own export is read by a mapping file alone, times in its own zone, 6.0 as six units."""
    mapping = load_mapping(written(tmp_path, "m.toml", MAPPING), "orders")
    orders, rejected, source = read(written(tmp_path, "uci.csv", UCI), mapping)
    assert rejected == []
    assert [(e.order.order_id, len(e.order.lines)) for e in orders] == [("536365", 2), ("536370", 1)]
    first = orders[0].order
    assert (first.lines[0].sku, first.lines[0].quantity, first.lines[0].unit_price) == ("85123A", 6, "2.55")
    assert first.placed_at is not None
    assert first.placed_at.isoformat() == "2010-12-01T08:26:00+00:00"
    assert sum(source.rows.skipped.values()) == 2
    assert source.rows.unused == ["Description", "CustomerID", "Country"]


def test_json_mapping_and_gzip_are_the_same(tmp_path: Path) -> None:
    """Neither the mapping's syntax nor compression changes what is read."""
    toml = load_mapping(written(tmp_path, "m.toml", MAPPING), "orders")
    json = load_mapping(written(tmp_path, "m.json", msgspec.json.encode(toml).decode()), "orders")
    packed = tmp_path / "uci.csv.gz"
    packed.write_bytes(gzip.compress(UCI.encode()))
    assert read(packed, json)[0] == read(written(tmp_path, "uci.csv", UCI), toml)[0]


def test_bad_rows_keep_their_whole_order_out_and_say_where(tmp_path: Path) -> None:
    """Half an order is worse than none: each row of it is reported, with the line of the fault."""
    text = "order_id,sku,quantity,country\nA,S1,1,US\nB,S1,1,US\nA,S2,many,US\nC,S1\n,S1,1,US\n"
    orders, rejected, _ = read(written(tmp_path, "o.csv", text))
    assert [e.order.order_id for e in orders] == ["B"]
    reasons = {row.line: row.reason for row in rejected}
    assert set(reasons) == {2, 4, 5, 6}
    assert "line 4" in reasons[2]
    assert reasons[4] == "quantity: 'many' is not a whole number"
    assert reasons[5] == "2 values for 4 columns"
    assert "order_id" in reasons[6]


def test_a_torn_row_keeps_its_order_out(tmp_path: Path) -> None:
    """A row cut short must not let the rest of its order through as if it were complete."""
    text = "order_id,sku,quantity,country\nA,S1,1,US\nA,S2\n"
    orders, rejected, _ = read(written(tmp_path, "o.csv", text))
    assert orders == []
    assert sorted(row.line for row in rejected) == [2, 3]


def test_rows_of_an_order_must_agree(tmp_path: Path) -> None:
    """Two destinations under one id are a fault, not a choice."""
    text = "order_id,sku,quantity,country,postal_code\nA,S1,1,US,10001\nA,S2,1,US,90001\n"
    orders, rejected, _ = read(written(tmp_path, "o.csv", text))
    assert orders == []
    assert any("postal_code" in row.reason for row in rejected)


def test_rows_of_an_order_may_stand_apart(tmp_path: Path) -> None:
    """Exports are often sorted by SKU."""
    text = "order_id,sku,quantity,country\nA,S1,1,US\nB,S1,2,US\nA,S2,3,US\n"
    orders, rejected, _ = read(written(tmp_path, "o.csv", text))
    assert rejected == []
    assert [(e.order.order_id, e.lines) for e in orders] == [("A", (2, 4)), ("B", (3,))]


def test_bytes_that_are_not_text_are_a_bad_row(tmp_path: Path) -> None:
    """A stray byte costs its own order and nothing else."""
    path = tmp_path / "o.csv"
    path.write_bytes(b"order_id,sku,quantity,country\nA,\xff,1,US\nB,S1,1,US\n")
    orders, rejected, _ = read(path)
    assert [e.order.order_id for e in orders] == ["B"]
    assert [row.line for row in rejected] == [2]


def test_ndjson_is_the_api_format(tmp_path: Path) -> None:
    """What the API takes is what the file takes; a second line with the same id is refused."""
    order = b'{"order_id":"A","ship_to":{"country":"US"},"lines":[{"line_id":"1","sku":"S","quantity":1}]}'
    path = tmp_path / "o.ndjson"
    path.write_bytes(order + b"\n\n" + order + b"\nnot json\n" + order.replace(b'"A"', b'"B"').replace(b":1}", b":0}"))
    orders, rejected, source = read(path)
    assert [e.order for e in orders] == [msgspec.json.decode(order, type=Order)]
    assert [row.line for row in rejected] == [3, 4, 5]
    assert source.rows.read == 4


def test_nested_json_is_mapped_by_paths(tmp_path: Path) -> None:
    """A shop's own JSON is read by dotted paths."""
    mapping = FieldMap(
        columns={"order_id": "id", "country": "to.land", "sku": "item.code", "quantity": "n"},
        formats=msgspec.convert({"lines": "basket.rows"}, type(FieldMap().formats)),
    )
    text = '{"id": 17, "to": {"land": "US"}, "basket": {"rows": [{"item": {"code": "S1"}, "n": 2}]}}\n'
    orders, rejected, _ = read(written(tmp_path, "o.jsonl", text), mapping)
    assert rejected == []
    assert orders[0].order.order_id == "17"
    assert orders[0].order.lines[0].quantity == 2


@pytest.mark.parametrize(
    "text",
    ["[columns]\nnothing = 'a'\n", "[skip]\na = '('\n", "[formats]\ntimezone = 'Mars/One'\n", "= 1", "[other]\n"],
)
def test_a_wrong_mapping_is_refused_before_any_row(tmp_path: Path, text: str) -> None:
    """A typing error in the mapping must not look like a file full of bad rows."""
    with pytest.raises(CommandError):
        load_mapping(written(tmp_path, "m.toml", text), "orders")


def test_missing_columns_are_named(tmp_path: Path) -> None:
    """The message says which column is missing and which there are."""
    with pytest.raises(CommandError, match=r"no column quantity; it has order_id, sku"):
        read(written(tmp_path, "o.csv", "order_id,sku\nA,S\n"))


def test_skus_and_stock_are_read_likewise(tmp_path: Path) -> None:
    """The other two kinds share rows, mapping and faults."""
    path = written(tmp_path, "s.csv", "sku,weight_g,requires\nA,60.0,hazmat;cold\nB,heavy,\n")
    _, records = read_records(path, "skus", FieldMap())
    items = list(records)
    assert isinstance(items[0], ReadRecord)
    assert items[0].record.requires == ["hazmat", "cold"]
    assert isinstance(items[1], Rejected)
    path = written(tmp_path, "t.csv", "node_id,sku,on_hand\nN,A,5\n")
    _, records = read_records(path, "stock", FieldMap())
    assert [item.record.on_hand for item in records] == [5]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A", "B", "C", ""]),
            st.sampled_from(["S1", "S2", "", "S\n3", "ä"]),
            st.sampled_from(["1", "2.0", "x", "-1", ""]),
        ),
        max_size=12,
    )
)
def test_no_row_is_ever_lost(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]) -> None:
    """Rows read = rows in orders + rows rejected + rows skipped, whatever the file holds."""
    path = tmp_path_factory.mktemp("rows") / "o.csv"
    body = "".join(f'"{order}","{sku}","{quantity}",US\n' for order, sku, quantity in rows)
    path.write_text("order_id,sku,quantity,country\n" + body, newline="")
    orders, rejected, source = read(path, FieldMap(skip={"sku": "^S2$"}))
    assert source.rows.read == len(rows)
    accounted = sum(len(e.lines) for e in orders) + len(rejected) + sum(source.rows.skipped.values())
    assert accounted == len(rows)
    assert all(line.sku != "S2" for e in orders for line in e.order.lines)
