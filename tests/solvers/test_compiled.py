"""The compiled rooms: all of them are made at installation."""

from __future__ import annotations

from pathlib import Path

import solvers
from solvers.__main__ import COMPILED


def test_every_room_that_compiles_is_compiled_at_installation() -> None:
    """A room that was forgotten would be compiled when the service starts, while orders wait for it."""
    here = Path(solvers.__file__).parent
    entries = {f"solvers.{path.stem}" for path in here.glob("*.py") if "\n@compiled(" in path.read_text()}
    loaded = set(COMPILED)
    for room in COMPILED:
        text = (here / f"{room.removeprefix('solvers.')}.py").read_text()
        loaded |= {other for other in entries if f"from {other} import" in text}
    assert entries <= loaded
    assert len(entries) > 3
