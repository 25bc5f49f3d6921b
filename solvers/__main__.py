"""`python -m solvers`: compile the inner loops, once per installation, so that no start of the service waits for it."""

from __future__ import annotations

import sys
from importlib import import_module
from time import monotonic


def main() -> None:
    """Import what compiles itself; a minute the first time, a second or two ever after."""
    print("compiling the inner loops of the solvers (about a minute, once) ...", file=sys.stderr, flush=True)
    started = monotonic()
    import_module("solvers.choose")
    import_module("solvers.shadow")
    print(f"done in {monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
