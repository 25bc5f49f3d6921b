"""Rows that could not be used, kept in a file beside the source: line, reason and the row as it stood."""

from __future__ import annotations

from io import TextIOWrapper
from pathlib import Path
from types import TracebackType

import msgspec

from api.cli.rows import Rejected
from api.cli.terminal import CommandError

SHOWN = 20
"""How many rejected rows are also shown to the person."""


class RejectFile:
    """Written as NDJSON, created with the first rejected row only. Text that was not valid keeps its bytes escaped."""

    def __init__(self, source: Path, path: Path | None) -> None:
        name = source.name if str(source) != "-" else "stdin"
        self.path = path if path is not None else Path(f"{name}.rejected.ndjson")
        self.count = 0
        self.first: list[Rejected] = []
        self._file: TextIOWrapper | None = None

    def __enter__(self) -> RejectFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, row: Rejected) -> None:
        """Keep one row."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(row)
        if self._file is None:
            try:
                self._file = self.path.open("w", encoding="utf-8")
            except OSError as error:
                raise CommandError(
                    f"bad rows cannot be kept in {self.path} ({error.strerror}); use --rejects"
                ) from error
        text = row.text.encode("utf-8", "backslashreplace").decode()
        entry = {"line": row.line, "key": row.key and row.key.encode("utf-8", "backslashreplace").decode()}
        self._file.write(msgspec.json.encode({**entry, "reason": row.reason, "text": text}).decode() + "\n")

    def lines(self) -> list[str]:
        """The first rejected rows, for people."""
        shown = [f"line {row.line}: {row.reason}" for row in self.first]
        more = self.count - len(shown)
        return [*shown, f"... and {more} more in {self.path}"] if more else shown
