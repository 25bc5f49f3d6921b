"""The store's options: no network, nothing forgotten, nothing evicted, and its memory bounded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.ledger.server.binary import Binary
from engine.ledger.server.files import log_path

MEMORY_SHARE = 0.6
"""Share of the machine's memory that the store may fill; the rest is for the service and for rewriting the file."""

REWRITE_BYTES = 256 * 2**20
"""The smallest file that is rewritten in the background; from there on, whenever it has doubled. Under load rewriting
took an eighth of the store's time, more than half of it compression, which is left out for that."""

PIECES_KEPT = 65_535
"""Freed pieces of memory of each small size that glibc keeps at hand, instead of 7; it counts no more. A script makes
and drops tens of thousands, and otherwise looks for each in the whole heap, which is in holes once a log was trimmed: a
fifth of the store's time in a large store, a tenth in a small one, for some tens of megabytes."""


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The store's environment: what is inherited, and a word to glibc before what that says to it. Others ignore it."""
    told = f"glibc.malloc.tcache_count={PIECES_KEPT}"
    before = inherited.get("GLIBC_TUNABLES")
    return {**inherited, "GLIBC_TUNABLES": f"{told}:{before}" if before else told}


def command(binary: Binary, data_dir: Path, socket_path: Path, maxmemory_bytes: int) -> list[str]:
    """The command line of the store. `maxmemory_bytes` 0: no limit.

    Every answered write is on disk (`always`), and a file cut short by a crash is loaded up to its last whole command.
    At the memory limit writes are refused and nothing is dropped.
    """
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "protected-mode": "yes",
        "daemonize": "no",
        "dir": str(data_dir),
        "logfile": str(log_path(data_dir)),
        "loglevel": "notice",
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "aof-load-truncated": "yes",
        "aof-use-rdb-preamble": "yes",
        "rdbcompression": "no",
        "auto-aof-rewrite-min-size": f"{REWRITE_BYTES}",
        "maxmemory": str(maxmemory_bytes),
        "maxmemory-policy": "noeviction",
    }
    if binary.since(valkey=(7, 2, 0), redis=(7, 0, 0)):
        options |= {
            "appenddirname": "appendonlydir",
            "enable-debug-command": "no",
            "enable-module-command": "no",
            "enable-protected-configs": "no",
        }
    return [str(binary.path), *(part for name, value in options.items() for part in (f"--{name}", value))]


def default_maxmemory_bytes() -> int:
    """`MEMORY_SHARE` of the memory that this process may use: the machine's, or its control group's if that is less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(file).read_text()))
        except (OSError, ValueError):
            continue
    return int(total * MEMORY_SHARE)
