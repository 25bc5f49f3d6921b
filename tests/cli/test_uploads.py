"""Files of a simulation: foreign columns by a mapping, and no row passed over."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from api.cli.uploads import orders_of, stock_of
from engine.errors import InvalidInputError
from engine.simulation.demand_document import Upload
from engine.simulation.recorded import Recorded
from tests.cli.test_order_files import MAPPING, UCI

UPLOAD = Upload(file="uci.csv", mapping=msgspec.toml.decode(MAPPING))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "uploaded.csv"
    path.write_text(text)
    return path


def test_a_retailers_own_export_is_the_demand_of_a_simulation(tmp_path):
    """Orders of foreign columns come by instant, what the mapping skips left out."""
    spool = orders_of(UPLOAD, written(tmp_path, UCI), tmp_path / "orders", 100)
    orders = list(Recorded(spool.path).orders())
    assert [(each.order_id, len(each.lines)) for each in orders] == [("536365", 2), ("536370", 1)]
    assert spool.orders == 2


@pytest.mark.parametrize(
    ("upload", "text", "path", "reason"),
    [
        (UPLOAD, UCI.replace("24.0", "many"), "uci.csv, line 7", "whole number"),
        (Upload(file="uci.csv"), UCI, "$.demand.upload", "no column"),
        (
            Upload(file="uci.csv", mapping={"columns": {"colour": "Sku"}}),
            UCI,
            "$.demand.upload",
            "unknown fields colour",
        ),
        (Upload(file="uci.csv", mapping={"columns": {"sku": 3}}), UCI, "$.demand.upload.mapping.columns[...]", "str"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_refused_with_line_or_path(tmp_path, upload, text, path, reason):
    """A simulation of part of a file would answer another question."""
    with pytest.raises(InvalidInputError) as refused:
        orders_of(upload, written(tmp_path, text), tmp_path / "orders", 100)
    [fault] = refused.value.faults
    assert fault.path == path
    assert reason in fault.reason


def test_stock_is_uploaded_in_foreign_columns_too(tmp_path):
    """Of several rows of a cell the last one counts, as in a count."""
    text = "place,sku,on_hand\nE,P,4\nW,P,5\nE,P,6\n"
    rows = stock_of(Upload(file="s.csv", mapping={"columns": {"node_id": "place"}}), written(tmp_path, text))
    assert [(row.node_id, row.sku, row.on_hand) for row in rows] == [("E", "P", 6), ("W", "P", 5)]
