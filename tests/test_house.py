"""The rules of the house: who may import whom, how large a room may grow, what every test must say."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = [path for room in ("solvers", "engine", "api", "bench") for path in sorted((ROOT / room).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
ROOM_LINES_MAX = 420
FUNCTION_LINES_MAX = 70


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_imports_point_inwards():
    """The domain stays pure: bench -> api -> engine -> solvers, and each library in its own room."""
    linter = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_only_the_ledger_imports_redis():
    """One room knows the store's client, so that a store can be exchanged there.

    Peers of the bench are not ours, and scales ask the store itself what it weighs.
    """
    knowing = (ROOT / "engine" / "ledger", ROOT / "bench" / "peers", ROOT / "bench" / "scale" / "weight.py")
    guilty = [
        name_of(path)
        for path in PRODUCT
        if re.search(r"^\s*(import|from) redis", path.read_text(), re.MULTILINE)
        and not any(path.is_relative_to(room) for room in knowing)
    ]
    assert guilty == []


def test_only_the_archive_imports_sqlalchemy():
    """One room knows the SQL toolkit, so that a database can be exchanged there."""
    guilty = [
        name_of(path)
        for path in PRODUCT
        if re.search(r"^\s*(import|from) sqlalchemy", path.read_text(), re.MULTILINE)
        and not path.is_relative_to(ROOT / "engine" / "archive")
    ]
    assert guilty == []


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_rooms_and_functions_stay_small(path):
    """A room or function that outgrows its idea is split before it becomes a maze."""
    assert len(path.read_text().splitlines()) <= ROOM_LINES_MAX
    long = [
        f"{function.name}: {function.end_lineno - function.lineno + 1} lines"
        for function in functions(path)
        if function.end_lineno - function.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_the_allocator_reads_as_a_story():
    """The file that newcomers read first stays under 100 lines."""
    assert len((ROOT / "engine" / "allocator.py").read_text().splitlines()) < 100


def test_no_room_without_a_name():
    """A room called utils, helpers, common or manager says nothing of what is in it."""
    nameless = re.compile(r"(utils?|helpers?|common|manager)(\.py)?$")
    rooms = [part for path in PRODUCT for part in path.relative_to(ROOT).parts]
    assert [room for room in rooms if nameless.match(room)] == []


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_every_room_says_what_it_is_for(path):
    """Each module opens with a docstring, and no unfinished work hides in a comment."""
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert re.findall(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", text) == []


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_every_test_says_what_it_protects(path):
    """A test without a sentence is a test that nobody dares to change."""
    silent = [
        function.name
        for function in functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []


def test_solvers_and_engine_never_read_a_clock_or_dice_of_their_own():
    """Determinism: time and randomness come in as arguments (clock.py, assembly.py and I/O edges excepted)."""
    forbidden = re.compile(
        r"\b(time\.(time|monotonic|perf_counter)\(|datetime\.now\(|random\.(random|randint|choice)\()"
    )
    edges = {"engine/clock.py"}
    guilty = [
        f"{name_of(path)}: {match.group()}"
        for path in PRODUCT
        if path.parts[len(ROOT.parts)] in ("solvers", "engine")
        and name_of(path) not in edges
        and "engine/ledger" not in name_of(path)
        for match in forbidden.finditer(path.read_text())
    ]
    assert guilty == []
