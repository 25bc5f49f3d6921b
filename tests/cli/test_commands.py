"""The commands as scripts see them: exit codes, JSON, messages without tracebacks."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from api.cli import COMMANDS, app
from api.cli.codes import ExitCode
from tests.cli.conftest import apportion

RUNNER = CliRunner()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_and_the_exit_codes(name: str) -> None:
    """Nobody should have to read the source to use a command."""
    result = RUNNER.invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert f"apportion {name}" in result.output
    assert "Exit codes" in result.output
    assert "--json" in result.output


def test_doctor_finds_a_healthy_machine(tmp_path: Path) -> None:
    """What the tests run on must pass, and the findings are one JSON document."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        free = taken.getsockname()[1]
    result = RUNNER.invoke(app, ["doctor", "--data-dir", str(tmp_path / "data"), "--port", str(free), "--json"])
    document = msgspec.json.decode(result.output)
    assert document["healthy"], document
    assert result.exit_code == ExitCode.OK


def test_doctor_names_a_taken_port(tmp_path: Path) -> None:
    """A service that would not start must be known before it is started."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        result = RUNNER.invoke(app, ["doctor", "--data-dir", str(tmp_path), "--port", str(port)])
    assert result.exit_code == ExitCode.PROBLEMS
    assert f"127.0.0.1:{port} is not free" in result.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_serve_refuses_to_be_reached_from_outside(host: str, tmp_path: Path) -> None:
    """Without authentication nobody but this machine may reach the service."""
    result = RUNNER.invoke(app, ["serve", "--host", host, "--port", "0", "--data-dir", str(tmp_path)])
    assert result.exit_code == ExitCode.USAGE
    assert "no authentication" in result.output


def test_workers_that_cannot_start_end_the_command(tmp_path: Path) -> None:
    """A wrong URL is told at once, with the reason, and not tried for ever behind an open port."""
    nowhere = f"unix://{tmp_path}/nowhere.sock"
    result = apportion("serve", "--workers", "2", "--port", "0", "--data-dir", str(tmp_path), "--redis-url", nowhere)
    assert result.returncode == ExitCode.UNAVAILABLE
    assert "the service could not start" in result.stderr
    assert "a service process could not start" in result.stderr
    assert "listens" not in result.stdout
    assert "Traceback" not in result.stderr


def test_serve_names_a_taken_port(tmp_path: Path) -> None:
    """The most common way not to start gets the clearest message."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        result = RUNNER.invoke(app, ["serve", "--port", str(port), "--data-dir", str(tmp_path)])
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert f"port {port}" in result.output


def test_replay_without_a_service_says_so(tmp_path: Path) -> None:
    """A service that is not there is code 3 and one line, not a traceback."""
    orders = tmp_path / "o.csv"
    orders.write_text("order_id,sku,quantity,country\nA,S,1,US\n")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    result = RUNNER.invoke(app, ["replay", str(orders), "--url", f"http://127.0.0.1:{port}", "--patience", "0"])
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "Traceback" not in result.output


def test_import_dry_run_reports_bad_rows(tmp_path: Path) -> None:
    """Bad rows end with code 1, are shown with their line, and are kept in a file."""
    (tmp_path / "o.csv").write_text("order_id,sku,quantity,country\nA,S,1,US\nB,S,none,US\n")
    result = apportion("import", "o.csv", "--dry-run", "--output", "out.ndjson", cwd=tmp_path)
    assert result.returncode == ExitCode.PROBLEMS, result.stderr
    assert "line 3: quantity: 'none' is not a whole number" in result.stdout
    kept = msgspec.json.decode((tmp_path / "o.csv.rejected.ndjson").read_bytes())
    assert (kept["line"], kept["key"], kept["text"]) == (3, "B", "B,S,none,US")
    assert msgspec.json.decode((tmp_path / "out.ndjson").read_bytes())["order_id"] == "A"


def test_reconcile_without_data_is_a_usage_error(tmp_path: Path) -> None:
    """A wrong directory must not be created and then be called clean."""
    missing = tmp_path / "none"
    result = RUNNER.invoke(app, ["reconcile", "--data-dir", str(missing)])
    assert result.exit_code == ExitCode.USAGE
    assert not missing.exists()
