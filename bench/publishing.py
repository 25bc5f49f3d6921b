"""How a bench ends: its figures to a file, to whoever reads JSON, or to people; and what must hold and does not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from api.cli.codes import ExitCode
from api.cli.terminal import Terminal


def publish(body: bytes, text: str, output: Path | None, *, json: bool) -> None:
    """Write `body`, a JSON document, to `output`, if there is one, and it or `text` to standard output."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(body)
    if json:
        sys.stdout.write(body.decode())
    else:
        print(f"\n{text}")


def verdict(terminal: Terminal, wrong: Sequence[str], *, interrupted: bool) -> int:
    """Tell what does not hold; the exit code."""
    for finding in wrong:
        terminal.warn(finding)
    return int(ExitCode.INTERRUPTED if interrupted else ExitCode.PROBLEMS if wrong else ExitCode.OK)
