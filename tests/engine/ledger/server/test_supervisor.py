"""The embedded store's life: starting, loading, restarting, ending, and dying with its parent."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import stat
import subprocess
import threading
from dataclasses import replace

import pytest
import redis

from engine.ledger.server import files
from engine.ledger.server.binary import find_binary
from engine.ledger.server.errors import DataDirBusyError, DiskFullError, ServerError, ServerStartError
from engine.ledger.server.supervisor import EmbeddedServer, Patience, Phase, next_delay_s
from tests.engine.ledger.server.supervisor_worlds import (
    alive,
    client,
    eventually,
    fake_program,
    owner_process,
    parent_of,
    wrapped_program,
)

QUICK = Patience(lock_s=10.0, ready_s=30.0, grace_s=10.0, restart_first_s=0.02, restart_max_s=0.2)


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


def test_an_acknowledged_write_is_there_after_a_restart(data_dir):
    """The point of it all: stop and start again, and nothing is lost."""
    with EmbeddedServer(data_dir) as server:
        client(server.url).set("order", "decided")
    with EmbeddedServer(data_dir) as server:
        assert client(server.url).get("order") == b"decided"


def test_the_store_keeps_freed_memory_at_hand(data_dir, tmp_path, monkeypatch):
    """Protects the cost of scripts in a large store; what the machine's owner says of it comes last, and holds."""
    told = tmp_path / "told"
    program = wrapped_program(tmp_path, before=f'echo "$GLIBC_TUNABLES" > {shlex.quote(str(told))}')
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=9")
    with EmbeddedServer(data_dir, program):
        assert told.read_text() == "glibc.malloc.tcache_count=65535:glibc.malloc.tcache_count=9\n"
    monkeypatch.delenv("GLIBC_TUNABLES")
    with EmbeddedServer(data_dir, program):
        assert told.read_text() == "glibc.malloc.tcache_count=65535\n"


def test_the_store_is_configured_for_safety(data_dir):
    """No network, no eviction, every write on disk before its answer, crash-tolerant loading, no debug commands."""
    with EmbeddedServer(data_dir, maxmemory_bytes=256 * 2**20) as server:
        store = client(server.url)
        configured = store.config_get("*")
        expected = {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "maxmemory": str(256 * 2**20),
            "aof-load-truncated": "yes",
            "aof-use-rdb-preamble": "yes",
            "protected-mode": "yes",
            "enable-debug-command": "no",
        }
        assert {name: configured[name] for name in expected} == expected
        with pytest.raises(redis.ResponseError):
            store.execute_command("DEBUG", "SLEEP", "0")


def test_other_users_cannot_reach_socket_files_or_log(data_dir):
    """Whoever can open the socket or the files can change stock, so only the owner may."""
    (data_dir / "appendonlydir").mkdir(parents=True, mode=0o755)
    with EmbeddedServer(data_dir) as server:
        for name in ("run", "appendonlydir"):
            assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o700
        for file in (files.socket_of(server.url), data_dir / "store.log", data_dir / "server.owner"):
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


def test_a_data_directory_with_a_long_name_works(tmp_path):
    """Unix socket paths end at about 104 bytes, data directories do not: the socket moves to a short private place."""
    data_dir = tmp_path / ("long " * 20) / ("müßig" * 20)
    with EmbeddedServer(data_dir) as server:
        socket = files.socket_of(server.url)
        assert len(os.fsencode(socket)) <= files.SOCKET_PATH_BYTES_MAX
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert client(server.url).ping()
        assert (data_dir / "appendonlydir").is_dir()
    assert not socket.parent.exists()


def test_stopping_lets_the_store_end_by_itself(data_dir):
    """SIGTERM and wait: the store closes its files, its process and socket are gone, and a second stop does nothing."""
    server = EmbeddedServer(data_dir, patience=QUICK)
    url = server.start()
    pid = server.status.pid
    server.stop()
    server.stop()
    assert "ready to exit" in (data_dir / "store.log").read_text()
    assert not alive(pid)
    assert not files.socket_of(url).exists()
    assert server.status.phase is Phase.STOPPED
    assert server.start() == url
    server.stop()


def test_a_store_that_does_not_end_is_killed(data_dir):
    """A stopped or wedged store must not keep the command line from ending."""
    server = EmbeddedServer(data_dir, patience=replace(QUICK, grace_s=0.2))
    server.start()
    pid = server.status.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert not alive(pid)


def test_a_wedged_guardian_does_not_keep_the_supervisor(data_dir, monkeypatch):
    """Should the guardian hang, store and guardian are both killed, by their ids."""
    monkeypatch.setattr("engine.ledger.server.process._MARGIN_S", 0.2)
    server = EmbeddedServer(data_dir, patience=replace(QUICK, grace_s=0.2))
    server.start()
    pid = server.status.pid
    guardian = parent_of(pid)
    os.kill(guardian, signal.SIGSTOP)
    server.stop()
    assert not alive(guardian)
    eventually(lambda: not alive(pid))


def test_a_killed_store_comes_back_with_its_data(data_dir):
    """kill -9 of the store: restarted at the same URL, the exit and its log visible, whoever asked is told."""
    told = []
    with EmbeddedServer(data_dir, patience=QUICK, on_exit=told.append) as server:
        client(server.url).set("order", "decided")
        os.kill(server.status.pid, signal.SIGKILL)
        eventually(lambda: server.status.running and server.status.restarts == 1)
        assert client(server.url).get("order") == b"decided"
        assert server.status.last_exit.code == -signal.SIGKILL
        assert any("Ready to accept" in line for line in server.status.last_exit.log)
        assert server.status.problem is None
    assert [status.phase for status in told] == [Phase.WAITING]
    assert "signal 9" in told[0].problem


def test_a_store_that_keeps_failing_is_tried_again_until_it_runs(data_dir, tmp_path):
    """Restarts go on with a bounded delay and end well once the cause is gone."""
    broken = tmp_path / "broken"
    program = wrapped_program(tmp_path, before=f'[ -e "{broken}" ] && echo "cannot write" >&2 && exit 3')
    with EmbeddedServer(data_dir, program, patience=QUICK) as server:
        broken.touch()
        os.kill(server.status.pid, signal.SIGKILL)
        eventually(lambda: server.status.restarts >= 3)
        assert not server.status.running
        assert server.status.last_exit.code == 3
        assert server.status.last_exit.log[-1] == "cannot write"
        broken.unlink()
        eventually(lambda: server.status.running)
        assert client(server.url).ping()


def test_delays_double_up_to_a_bound_and_start_over_after_a_stable_run():
    """A store that dies at once is not restarted in a frenzy, and one that ran well comes back at once."""
    patience = Patience(restart_first_s=0.1, restart_max_s=0.5, stable_s=30)
    delays = [0.0]
    for _ in range(5):
        delays.append(next_delay_s(delays[-1], 1.0, patience))
    assert delays == [0.0, 0.1, 0.2, 0.4, 0.5, 0.5]
    assert next_delay_s(0.5, 31.0, patience) == 0.1


def test_damaged_files_are_a_clear_error_and_nothing_stays(data_dir):
    """A store that cannot load its files is not retried: the error ends with its own words, and the lock is free."""
    with EmbeddedServer(data_dir) as server:
        for number in range(100):
            client(server.url).set(f"key{number}", "x" * 50)
    log = next((data_dir / "appendonlydir").glob("*.incr.aof"))
    content = bytearray(log.read_bytes())
    content[1000:1100] = b"#" * 100
    log.write_bytes(content)
    server = EmbeddedServer(data_dir, patience=QUICK)
    with pytest.raises(ServerStartError, match="Bad file format"):
        server.start()
    assert server.status.phase is Phase.STOPPED
    log.unlink()
    for file in (data_dir / "appendonlydir").iterdir():
        file.unlink()
    with EmbeddedServer(data_dir) as server:
        assert server.status.running


def test_a_file_cut_short_by_a_crash_loads(data_dir):
    """The last write may be torn by a power cut; everything before it is served."""
    with EmbeddedServer(data_dir) as server:
        client(server.url).set("first", "1")
        client(server.url).set("second", "2")
    log = next((data_dir / "appendonlydir").glob("*.incr.aof"))
    log.write_bytes(log.read_bytes()[:-3])
    with EmbeddedServer(data_dir) as server:
        assert client(server.url).mget("first", "second") == [b"1", None]


def test_a_store_that_never_answers_is_given_up(data_dir, tmp_path):
    """The wait for readiness is bounded, and what was started is ended."""
    program = fake_program(tmp_path, "Valkey server v=9.1.0", otherwise="exec sleep 60")
    told = []
    server = EmbeddedServer(data_dir, program, patience=replace(QUICK, ready_s=0.5), on_progress=told.append)
    with pytest.raises(ServerStartError, match="not ready within"):
        server.start()
    pids = {status.pid for status in told} - {None}
    assert len(pids) == 1
    assert not alive(pids.pop())


def test_ready_means_loaded(data_dir, tmp_path):
    """While the store loads it refuses commands; start tells of the progress and returns only when all is there."""
    with EmbeddedServer(data_dir) as server:
        pipeline = client(server.url).pipeline(transaction=False)
        for number in range(6_000):
            pipeline.set(f"key{number}", "x" * 200)
        pipeline.execute()
    slow = wrapped_program(tmp_path, options="--key-load-delay 80 --loading-process-events-interval-bytes 1024")
    told = []
    with EmbeddedServer(data_dir, slow, on_progress=told.append) as server:
        assert client(server.url).get("key5999") == b"x" * 200
    loading = [status.loaded_percent for status in told if status.phase is Phase.LOADING]
    assert loading
    assert loading == sorted(loading)
    assert 0 < loading[-1] < 100


async def test_the_event_loop_runs_on_while_the_store_starts_and_stops(data_dir, tmp_path):
    """Waiting for the store happens elsewhere: it starts when the loop lets it, and ends when the loop lets it."""
    may_start = tmp_path / "may start"
    program = wrapped_program(tmp_path, before=f"until [ -e {shlex.quote(str(may_start))} ]; do sleep 0.01; done")
    server = EmbeddedServer(data_dir, program, patience=replace(QUICK, ready_s=60.0, grace_s=60.0))
    starting = asyncio.create_task(server.__aenter__())
    await asyncio.to_thread(eventually, lambda: server.status.pid is not None)
    may_start.touch()
    await starting
    assert await asyncio.to_thread(client(server.url).ping)
    pid = server.status.pid
    os.kill(pid, signal.SIGSTOP)
    stopping = asyncio.create_task(server.__aexit__(None, None, None))
    await asyncio.to_thread(eventually, lambda: not server.status.running)
    os.kill(pid, signal.SIGCONT)
    await stopping
    assert "ready to exit" in (data_dir / "store.log").read_text()


async def test_cancelling_a_start_leaves_nothing_behind(data_dir, tmp_path):
    """Ctrl-C while a large file loads: the store ends, the directory is free."""
    program = fake_program(tmp_path, "Valkey server v=9.1.0", otherwise="exec sleep 60")
    server = EmbeddedServer(data_dir, program, patience=QUICK)
    starting = asyncio.create_task(server.__aenter__())
    await asyncio.to_thread(eventually, lambda: server.status.pid is not None)
    pid = server.status.pid
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not alive(pid)
    async with EmbeddedServer(data_dir, patience=QUICK) as second:
        assert second.status.running


def test_a_second_start_names_the_process_that_serves_the_directory(data_dir):
    """Two stores on one file would corrupt it; the second is refused, from this process or another."""
    with owner_process(data_dir) as owner, pytest.raises(DataDirBusyError, match=f"process {owner.pid} ") as refusal:
        EmbeddedServer(data_dir).start()
    assert refusal.value.pid == owner.pid
    with EmbeddedServer(data_dir), pytest.raises(DataDirBusyError, match=f"process {os.getpid()} "):
        EmbeddedServer(data_dir).start()


def test_a_server_object_starts_once(data_dir):
    """A second start of the same object is a mistake that must not make a second store."""
    server = EmbeddedServer(data_dir)
    with pytest.raises(ServerError, match="not been started"):
        _ = server.url
    with server, pytest.raises(ServerError, match="already"):
        server.start()


def test_the_store_dies_with_its_killed_parent_and_the_next_start_takes_over(data_dir):
    """kill -9 of the parent: no stray store, no stale lock, no lost write."""
    with owner_process(data_dir) as owner:
        client(owner.url).set("order", "decided")
        os.kill(owner.pid, signal.SIGKILL)
        with EmbeddedServer(data_dir, patience=QUICK) as server:
            assert not alive(owner.store_pid)
            assert client(server.url).get("order") == b"decided"


def test_a_forked_worker_keeps_neither_the_store_nor_the_directory(data_dir):
    """A worker that outlives its killed parent has inherited pipe and locks; nothing may hang on them."""
    with owner_process(data_dir, forks=True) as owner:
        os.kill(owner.pid, signal.SIGKILL)
        with EmbeddedServer(data_dir, patience=QUICK) as server:
            assert alive(owner.worker_pid)
            assert not alive(owner.store_pid)
            assert client(server.url).ping()


def test_the_store_survives_the_thread_that_started_it(data_dir):
    """Linux ties a child to the starting *thread*: that one must be the guardian's, not a thread that ends."""
    server = EmbeddedServer(data_dir)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    pid = server.status.pid
    assert client(server.url).ping()
    assert server.status.restarts == 0
    assert alive(pid)
    server.stop()


def test_ctrl_c_does_not_reach_the_store(data_dir):
    """A terminal's Ctrl-C goes to a whole process group; the store must outlast the service's last commit."""
    with EmbeddedServer(data_dir) as server:
        store_pid = server.status.pid
        guardian = parent_of(store_pid)
        assert os.getpgid(store_pid) == os.getpgid(guardian) != os.getpgid(0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(guardian, number)
        assert client(server.url).ping()
        assert server.status.restarts == 0


def test_a_killed_guardian_takes_the_store_with_it_and_both_come_back(data_dir):
    """Without its guardian the store might outlive everybody; it is ended and started again under a new one."""
    with EmbeddedServer(data_dir, patience=QUICK) as server:
        client(server.url).set("order", "decided")
        store_pid = server.status.pid
        os.kill(parent_of(store_pid), signal.SIGKILL)
        eventually(lambda: server.status.running and server.status.restarts == 1)
        assert not alive(store_pid)
        assert server.status.last_exit.code is None
        assert client(server.url).get("order") == b"decided"


def _orphan(data_dir):
    """A store that holds the directory's lock though owner and guardian are dead, as can happen without Linux."""
    lock = files.DirLock.take(data_dir, 1.0)
    place = files.place_socket(data_dir)
    program = find_binary(None, data_dir).path
    store = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", place.path, "--dir", data_dir, "--save", "", "--appendonly", "yes"],
        pass_fds=(lock.store_fd,),
        stdout=subprocess.DEVNULL,
    )
    lock.say(store.pid, place)
    eventually(lambda: client(place.url).ping())
    record = (data_dir / "server.owner").read_text()
    lock.release()
    (data_dir / "server.owner").write_text(record.replace(f'"pid":{os.getpid()}', '"pid":4194999'))
    return store, place


def test_an_orphaned_store_is_asked_to_end(data_dir):
    """A store without an owner serves nobody: the next start ends it through its socket and takes over its data."""
    store, place = _orphan(data_dir)
    client(place.url).set("order", "decided")
    with EmbeddedServer(data_dir, patience=replace(QUICK, lock_s=1.0)) as server:
        assert store.wait(5) == 0
        assert client(server.url).get("order") == b"decided"


def test_an_orphaned_store_that_does_not_end_is_named(data_dir):
    """It is not ours to kill: the error says which process it is, and comes after a bounded wait."""
    store, _ = _orphan(data_dir)
    os.kill(store.pid, signal.SIGSTOP)
    try:
        with pytest.raises(DataDirBusyError, match=str(store.pid)) as refusal:
            EmbeddedServer(data_dir, patience=replace(QUICK, lock_s=0.4)).start()
        assert refusal.value.pid == store.pid
    finally:
        store.kill()
        store.wait()


def test_tools_find_the_running_store(data_dir):
    """`reconcile` and others ask for the store of a data directory: its URL while it runs, else nothing."""
    assert files.running_url(data_dir) is None
    with EmbeddedServer(data_dir) as server:
        assert files.running_url(data_dir) == server.url
    assert files.running_url(data_dir) is None


def test_too_little_disk_is_a_clear_error_at_the_start(data_dir):
    """A store that cannot write exits; better to say so before it holds an order."""
    with pytest.raises(DiskFullError, match="Free some space"):
        EmbeddedServer(data_dir, min_free_bytes=2**62).start()
    assert files.require_free(data_dir, 1) > 0


def test_a_restart_waits_for_space(data_dir, monkeypatch):
    """While the disk is full the store is not started over and over; it comes back when there is room."""
    with EmbeddedServer(data_dir, patience=QUICK) as server:
        monkeypatch.setattr(files, "free_bytes", lambda _: 0)
        os.kill(server.status.pid, signal.SIGKILL)
        eventually(lambda: "MiB are free" in (server.status.problem or ""))
        assert server.status.phase is Phase.WAITING
        monkeypatch.undo()
        eventually(lambda: server.status.running)
        assert server.status.restarts == 1


def test_the_log_is_bounded(data_dir, monkeypatch):
    """The log of a store that runs for years must not fill the disk; the one before is kept."""
    monkeypatch.setattr("engine.ledger.server.supervisor._LOG_CHECK_S", 0.05)
    monkeypatch.setattr(files.bound_log, "__defaults__", (200,))
    with EmbeddedServer(data_dir) as server:
        eventually((data_dir / "store.log.1").exists)
        client(server.url).bgrewriteaof()
        eventually((data_dir / "store.log").exists)


def test_a_callback_that_raises_does_no_harm(data_dir):
    """Progress display must never take the store down."""

    def broken(_status):
        raise RuntimeError("no terminal")

    with EmbeddedServer(data_dir, on_progress=broken, on_exit=broken, patience=QUICK) as server:
        os.kill(server.status.pid, signal.SIGKILL)
        eventually(lambda: server.status.running and server.status.restarts == 1)
