"""One batch on its way through the commit script: what each call is told, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.ledger.port import Batch, Outcome, Proposal, Verdict

_pack = msgspec.msgpack.Encoder().encode

_VERDICTS = {
    1: Verdict.COMMITTED,
    2: Verdict.REPEAT,
    3: Verdict.CONFLICT,
    4: Verdict.KEY_CONFLICT,
    5: Verdict.LOST,
    6: Verdict.STALE,
}


class Committing:
    """Carries from cut to cut what was given up, whether the window's record is written, and the outcomes so far."""

    def __init__(self, batch: Batch, *, together: bool = False) -> None:
        """`together`: what a call is told stands whole or not at all."""
        self._batch = batch
        self._together = together
        self._outcomes: list[Outcome | None] = [None] * len(batch.proposals)
        self._rows_given_up: set[int] = set()
        self._days_given_up: set[int] = set()
        self._ids: set[str] = set()
        """Order ids of the cuts so far: a repeat of one of these is a repeat within the batch."""
        self._record = batch.record
        self._recorded = ""
        """The entry that has it, once it is written."""

    def call(self, cut: Sequence[int]) -> tuple[bytes, bytes, bytes]:
        """Arguments for these proposals: what to decide, the window's record, and all documents in one string."""
        rows: dict[int, int] = {}
        days: dict[int, int] = {}
        told: list[tuple[Any, ...]] = []
        documents: list[bytes] = []
        for proposal in (self._batch.proposals[k] for k in cut):
            told.append(_told(proposal, rows, days))
            documents += (proposal.order_id.encode(), proposal.content, proposal.order, proposal.decision)
        header = (
            self._batch.window_id,
            self._batch.versions.network,
            self._batch.versions.policy,
            [self._batch.skus[sku] for sku in rows],
            [self._batch.gains[sku] for sku in rows],
            list(days),
            [self._batch.day_gains.get(day, -1) for day in days],
            [row for sku, row in rows.items() if sku in self._rows_given_up],
            [index for day, index in days.items() if day in self._days_given_up],
            told,
            list(map(len, documents)),
            self._batch.evicted,
            self._recorded,
            self._together,
        )
        return _pack(header), self._record, b"".join(documents)

    def answered(self, cut: Sequence[int], answer: tuple[bytes, list[int], list[bytes | None]]) -> None:
        """Take in the script's answer to `call` of the same cut."""
        entry_id, verdicts, decisions = answer
        if entry_id and not self._recorded:
            self._record, self._recorded = b"", entry_id.decode()
        for k, code, decision in zip(cut, verdicts, decisions, strict=True):
            proposal, verdict = self._batch.proposals[k], _VERDICTS[code]
            assert (verdict is Verdict.REPEAT) == (decision is not None), (
                "a repeat, and only a repeat, brings its decision"
            )
            stands = proposal.decision if verdict is Verdict.COMMITTED else decision
            self._outcomes[k] = Outcome(verdict, stands)
            made_before = (
                verdict is Verdict.REPEAT and stands == proposal.decision and proposal.order_id not in self._ids
            )
            if verdict is not Verdict.COMMITTED and not made_before:
                self._rows_given_up.update(take.sku for take in proposal.takes)
                self._days_given_up.update(load.day for load in proposal.loads)
            self._ids.add(proposal.order_id)

    def verdict(self, k: int) -> Verdict:
        """The verdict on a proposal that was answered."""
        outcome = self._outcomes[k]
        assert outcome is not None, "every proposal of a call has its verdict"
        return outcome.verdict

    def outcomes(self) -> list[Outcome]:
        """The verdict on each proposal, once all are answered."""
        found = [outcome for outcome in self._outcomes if outcome is not None]
        assert len(found) == len(self._batch.proposals), "every proposal has its verdict"
        return found


def _told(proposal: Proposal, rows: dict[int, int], days: dict[int, int]) -> tuple[Any, ...]:
    """A proposal with rows and days by their index in this call."""
    takes: list[int] = []
    for sku, slot, node, units, safety in proposal.takes:
        takes += (rows.setdefault(sku, len(rows)), slot, node, units, safety)
    loads: list[int] = []
    for load in proposal.loads:
        loads += (days.setdefault(load.day, len(days)), *load[1:])
    short_rows = [rows.setdefault(sku, len(rows)) for sku in proposal.short_skus]
    short_days = [days.setdefault(day, len(days)) for day in proposal.short_days]
    hold_ms = False if proposal.hold_ms is None else proposal.hold_ms
    return (
        proposal.state,
        proposal.idempotency_key or "",
        takes,
        loads,
        short_rows,
        short_days,
        hold_ms,
        proposal.again or False,
        [value for wait in proposal.waits for value in wait],
        proposal.rank,
        proposal.closes_ms,
    )
