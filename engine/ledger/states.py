"""The states of an order and the commands that lead from one to another: one table, shared with the store's scripts.

`TABLE[state, command]` is the state that a command leads to, or one of three words: DECIDED (what the new decision
says), FIRM (what the standing decision says, without a deadline), SAME (nothing changes: the command was given
before). A pair that is not in the table is refused, with `why`.
"""

from __future__ import annotations

NEW, HELD, READY, REFUSED = "new", "held", "ready", "refused"
ALLOCATED, PARTIAL, BACKORDERED = "allocated", "partially_allocated", "backordered"
LAPSED, RELEASED, CANCELLED = "lapsed", "released", "cancelled"
STATES = (NEW, HELD, ALLOCATED, PARTIAL, BACKORDERED, READY, REFUSED, LAPSED, RELEASED, CANCELLED)
"""NEW: there is no such order. HELD: softly, until a deadline. ALLOCATED and PARTIAL: firmly. BACKORDERED: nothing yet,
it waits for stock. READY: with its nodes."""

HOLDING = frozenset({HELD, ALLOCATED, PARTIAL, READY})
"""The states in which an order has stock and capacity."""
WAITING = frozenset({PARTIAL, BACKORDERED, READY})
"""Those in which units that are missing may wait for stock."""
MOVABLE = frozenset({ALLOCATED, PARTIAL})
"""Those in which what ships may be decided again in the background."""
ENDED = frozenset(STATES) - HOLDING - WAITING - {NEW}
"""Those in which it has none, waits for none and may rest for ever: only from these it leaves the store, in time."""

DECIDE, CONFIRM, RELEASE, CANCEL, TO_NODE = "decide", "confirm", "release", "cancel", "ready"
REPLACE, REROUTE, FILL, LAPSE = "replace", "reroute", "fill", "lapse"
REOPTIMISE = "reoptimise"
COMMANDS = (DECIDE, CONFIRM, RELEASE, CANCEL, TO_NODE, REPLACE, REROUTE, FILL, LAPSE, REOPTIMISE)
"""FILL is given where stock arrives that an order waits for, LAPSE by the store's clock alone, REOPTIMISE where orders
ship for less from elsewhere."""
UNASKED = frozenset({FILL, REOPTIMISE})
"""Those that nobody asks for: they leave the order's excluded nodes and the token of its replacement as they are."""

DECIDED, FIRM, SAME = "decided", "firm", "same"
DECISIONS = (HELD, ALLOCATED, PARTIAL, BACKORDERED, REFUSED)
"""The states that a decision may lead to."""

TABLE: dict[tuple[str, str], str] = {
    (NEW, DECIDE): DECIDED,
    (HELD, CONFIRM): FIRM,
    (ALLOCATED, CONFIRM): SAME,
    (PARTIAL, CONFIRM): SAME,
    (BACKORDERED, CONFIRM): SAME,
    (READY, CONFIRM): SAME,
    (HELD, RELEASE): RELEASED,
    (ALLOCATED, RELEASE): RELEASED,
    (PARTIAL, RELEASE): RELEASED,
    (BACKORDERED, RELEASE): RELEASED,
    (RELEASED, RELEASE): SAME,
    (ALLOCATED, TO_NODE): READY,
    (PARTIAL, TO_NODE): READY,
    (READY, TO_NODE): SAME,
    (HELD, CANCEL): CANCELLED,
    (ALLOCATED, CANCEL): CANCELLED,
    (PARTIAL, CANCEL): CANCELLED,
    (BACKORDERED, CANCEL): CANCELLED,
    (READY, CANCEL): CANCELLED,
    (REFUSED, CANCEL): CANCELLED,
    (LAPSED, CANCEL): CANCELLED,
    (RELEASED, CANCEL): CANCELLED,
    (CANCELLED, CANCEL): SAME,
    (HELD, REPLACE): DECIDED,
    (BACKORDERED, REPLACE): DECIDED,
    (REFUSED, REPLACE): DECIDED,
    (LAPSED, REPLACE): DECIDED,
    (HELD, REROUTE): DECIDED,
    (ALLOCATED, REROUTE): DECIDED,
    (PARTIAL, REROUTE): DECIDED,
    (BACKORDERED, REROUTE): DECIDED,
    (PARTIAL, FILL): DECIDED,
    (BACKORDERED, FILL): DECIDED,
    (READY, FILL): READY,
    (HELD, LAPSE): LAPSED,
    (ALLOCATED, REOPTIMISE): ALLOCATED,
    (PARTIAL, REOPTIMISE): PARTIAL,
}

PAST = {
    CONFIRM: "confirmed", RELEASE: "released", CANCEL: "cancelled", TO_NODE: "ready", REPLACE: "replaced",
    REROUTE: "rerouted", FILL: "backorder_filled", LAPSE: "lapsed", REOPTIMISE: "reoptimised",
}  # fmt: skip
"""What an order's history and its events say of a command."""

_WHY = {
    NEW: "there is no such order",
    HELD: "its hold is soft: confirm it first",
    ALLOCATED: "its hold is firm",
    PARTIAL: "its hold is firm",
    BACKORDERED: "nothing is held for it, it waits for stock",
    READY: "it has gone to its nodes",
    REFUSED: "nothing is held for it",
    LAPSED: "its hold lapsed",
    RELEASED: "its hold was released",
    CANCELLED: "it was cancelled",
}


def why(state: str, command: str) -> str:
    """Why a command is not possible in a state, for people."""
    return f"{command} is not possible in state {state!r}: {_WHY[state]}"


def left(state: str, command: str) -> str:
    """Why a command that the table has is not possible on an order that left the store, for people."""
    return f"{command} is not possible any more: the order ended long ago, in state {state!r}, and is in the archive"


def admits(before: str, command: str, after: str) -> bool:
    """Whether the table leads from one state to another by a command."""
    target = TABLE.get((before, command))
    if target == DECIDED:
        return after in DECISIONS
    if target == FIRM:
        return after in (ALLOCATED, PARTIAL)
    return target is not None and after == (before if target == SAME else target)


def judged(state: str, deadline_ms: int, now_ms: int) -> str:
    """The state by the clock: a soft hold has lapsed at its deadline, whether or not anybody wrote it down."""
    return LAPSED if state == HELD and now_ms >= deadline_ms else state


def rendered() -> str:
    """The table as Lua: NEXT[state][command]."""
    rows = (
        f"  {state} = {{ " + ", ".join(f"{c} = '{t}'" for (s, c), t in TABLE.items() if s == state) + " },"
        for state in STATES
    )
    past = ", ".join(f"{command} = '{word}'" for command, word in PAST.items())
    head = "-- Units: none. The table of states and commands."
    waiting, unasked = (", ".join(f"{name} = true" for name in sorted(names)) for names in (WAITING, UNASKED))
    movable = ", ".join(f"{state} = true" for state in sorted(MOVABLE))
    tables = f"local PAST = {{ {past} }}\nlocal WAITING = {{ {waiting} }}\nlocal UNASKED = {{ {unasked} }}\n"
    tables += f"local MAY_MOVE = {{ {movable} }}\n"
    return head + "\nlocal NEXT = {\n" + "\n".join(rows) + "\n}\n" + tables
