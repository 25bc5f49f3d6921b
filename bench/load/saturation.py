"""How much a service takes at most: a closed loop of 64 connections, ours and that of wrk where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from api.cli.codes import ExitCode
from api.cli.terminal import CommandError

CONNECTIONS = 64
SCRIPT = Path(__file__).with_name("orders.lua")
MARGIN_S = 30.0
"""What wrk may take beyond its time before it counts as hung."""


class Saturation(Struct, frozen=True, kw_only=True):
    """What a closed loop reached. `later`: answers 429 and 503 with Retry-After; `broken`: connections that failed."""

    decided: int
    seconds: float
    p50_ms: float
    p99_ms: float
    later: int = 0
    faults: int = 0
    first_fault: str = ""
    broken: int = 0

    @property
    def per_s(self) -> float:
        """Decisions a second."""
        return self.decided / max(1e-9, self.seconds)


def wrk(
    url: str, partition: str, run: str, bodies: Sequence[bytes], seconds: float, connections: int
) -> Saturation | None:
    """What wrk reaches with these orders under new ids; None if there is no wrk on the PATH. Raises CommandError."""
    program = shutil.which("wrk")
    if program is None:
        return None
    with tempfile.NamedTemporaryFile(suffix=".ndjson") as file:
        file.write(b"\n".join(map(_tail, bodies)) + b"\n")
        file.flush()
        command = [program, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "15s"]
        command += ["-s", str(SCRIPT), url, "--", file.name, run, partition]
        try:
            ran = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=seconds + MARGIN_S,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"wrk did not end within {error.timeout:.0f} s", ExitCode.UNAVAILABLE) from error
    line = ran.stdout.rstrip().rpartition("\n")[2]
    if ran.returncode or not line.startswith("{"):
        raise CommandError(f"wrk failed: {(ran.stderr or ran.stdout).strip()[-300:]}", ExitCode.UNAVAILABLE)
    return msgspec.json.decode(line, type=Saturation)


def _tail(body: bytes) -> bytes:
    """An order without its opening brace and its id, which is its first field."""
    assert body.startswith(b'{"order_id":"'), body[:40]
    return body[body.index(b'",') + 2 :]
