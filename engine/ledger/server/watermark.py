"""Writes stop before the disk is full: a store that syncs every write ends itself when it cannot."""

from __future__ import annotations

from pathlib import Path

from engine.ledger.server.errors import DiskFullError
from engine.ledger.server.files import require_free


class DiskWatermark:
    """Says, asked before every write, why none may be made; a few microseconds."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def __call__(self) -> str | None:
        try:
            require_free(self._data_dir)
        except DiskFullError as error:
            return str(error)
        return None
