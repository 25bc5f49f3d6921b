"""Every decision as Parquet, read back by Arrow itself."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import parquet

from engine.simulation import decisions_file
from engine.simulation.decisions_file import DecisionsFile
from engine.simulation.outcome import Outcome
from engine.simulation.running import Watch, run
from tests.engine.making import MONDAY
from tests.engine.simulation.worlds import order, setting, world


async def outcomes() -> list[Outcome]:
    """Eleven orders, one of which nobody can fill."""
    found: list[Outcome] = []
    orders = [*(order(f"o{k}", k) for k in range(10)), order("none", 20, {"X": 1})]
    await run(setting(world()), orders, Watch(settled=found.extend))
    return found


async def test_rows_are_read_back_as_they_were_decided(tmp_path, monkeypatch):
    """What an analyst loads is what the run measured, to the mill and the millisecond, over several row groups."""
    monkeypatch.setattr(decisions_file, "GROUP_ROWS", 4)
    told = await outcomes()
    path = tmp_path / "decisions.parquet"
    file = DecisionsFile(path)
    file.add(told[:3])
    file.add(told[3:])
    file.close()
    table = parquet.read_table(path)
    assert parquet.ParquetFile(path).metadata.num_row_groups == 3
    rows = table.to_pylist()
    assert [row["order_id"] for row in rows] == [each.order_id for each in told]
    assert [row["total_mills"] for row in rows] == [each.total for each in told]
    assert [row["gap"] for row in rows] == [each.gap for each in told]
    first = rows[0]
    assert first["placed_at"] == MONDAY
    assert first["decided_at"] == datetime.fromtimestamp(told[0].decided_ms / 1000, UTC)
    assert (first["nodes"], first["parcels"], first["cut"]) == ("E", 1, False)
    assert len(table.schema.names) == len(Outcome._fields)


async def test_a_file_has_its_name_only_once_it_is_whole(tmp_path):
    """Whoever finds the file can read it: a run that was killed leaves none, and the next one writes over its part."""
    path = tmp_path / "decisions.parquet"
    unfinished = DecisionsFile(path)
    unfinished.add(await outcomes())
    assert not path.exists()
    again = DecisionsFile(path)
    again.close()
    assert parquet.read_table(path).num_rows == 0
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


async def test_memory_holds_no_more_than_a_group(tmp_path, monkeypatch):
    """A run of ten million orders is written in the memory of one group."""
    monkeypatch.setattr(decisions_file, "GROUP_ROWS", 4)
    file = DecisionsFile(tmp_path / "decisions.parquet")
    [one, *_] = await outcomes()
    for _ in range(100):
        file.add([one] * 3)
        assert len(file._rows) < 4
    file.close()
    assert parquet.read_table(tmp_path / "decisions.parquet").num_rows == 300


def test_a_service_starts_without_arrow():
    """Arrow loads for a third of a second: only who writes a file pays that."""
    code = "import sys, engine.simulation.decisions_file, engine.simulation.answering; print('pyarrow' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_an_unknown_directory_is_told_at_once(tmp_path):
    """A job learns before it runs that its decisions cannot be written."""
    with pytest.raises(FileNotFoundError):
        DecisionsFile(tmp_path / "missing" / "decisions.parquet")


def test_every_column_has_its_line_in_the_documentation(tmp_path):
    """Whoever opens the file finds what its columns mean, and no column that is not there."""
    file = DecisionsFile(tmp_path / "decisions.parquet")
    file.close()
    text = (Path(__file__).parents[3] / "docs" / "questions.md").read_text().partition("## Every decision")[2]
    told = [name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert told == parquet.read_schema(tmp_path / "decisions.parquet").names
