"""What an operator can watch, in one place. Names and units as Prometheus wants them.

Where several service processes stand behind one port, each keeps its figures in files of a directory that they share,
and whichever is asked adds them all up.
"""

from __future__ import annotations

import os
from collections import Counter as Count
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from engine.ledger.port import Outcome, Proposal, Verdict

if TYPE_CHECKING:
    from engine.archive.projector import Told

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names the shared directory in the environment, where prometheus_client looks for it."""

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
GAPS = (0.0, 0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1)
LAGS = (0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.5)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


def share(directory: Path, number: int) -> None:
    """Keep the figures of this process in `directory`, from now on; call it before the first metric is made.

    `number`: which of the processes this is. Who takes up the number of one that died counts on from where that one
    was, so counters never fall and files never pile up.
    """
    os.environ[SHARED] = str(directory)
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


def forget(directory: Path, number: int) -> None:
    """A process that shared its figures is dead: what it said of the present holds no more, what it counted does."""
    mark_process_dead(number, str(directory))  # type: ignore[no-untyped-call]


def exposition(*registries: CollectorRegistry) -> bytes:
    """Prometheus' text: of these registries, or of all processes that share, then some milliseconds of CPU."""
    if SHARED not in os.environ:
        return b"".join(map(generate_latest, registries))
    everyone = CollectorRegistry()
    MultiProcessCollector(everyone, os.environ[SHARED])  # type: ignore[no-untyped-call]
    return generate_latest(everyone)


class Metrics:
    """All metrics of one process, on a registry of their own so that several engines can live in one process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.waiting = Gauge(
            "apportion_orders_waiting", "Orders waiting for a window", registry=registry, multiprocess_mode="livesum"
        )
        self.verdicts = Counter(
            "apportion_orders",
            "Orders by verdict: committed (by state), repeat, conflict, lost and stale (these two are solved again)",
            ["verdict", "state"],
            registry=registry,
        )
        self.window_orders = Histogram(
            "apportion_window_orders", "Orders decided together", buckets=SIZES, registry=registry
        )
        self.wait = Histogram(
            "apportion_wait_seconds", "From submission to the closing of the window", buckets=SECONDS, registry=registry
        )
        self.solve = Histogram(
            "apportion_solve_seconds", "Lowering, solving, checking, lifting", buckets=SECONDS, registry=registry
        )
        self.gap = Histogram(
            "apportion_window_gap", "Proven gap of windows, as a fraction", buckets=GAPS, registry=registry
        )
        self.unproven = Counter("apportion_windows_unproven", "Windows without a proven bound", registry=registry)
        self.snapshot = Histogram(
            "apportion_snapshot_seconds", "Reading stock for a window", buckets=SECONDS, registry=registry
        )
        self.commit = Histogram(
            "apportion_commit_seconds", "Committing a window, durable", buckets=SECONDS, registry=registry
        )
        self.abandoned = Counter(
            "apportion_solves_abandoned", "Solves that crashed or passed the safety cut", registry=registry
        )
        self.store_errors = Counter("apportion_store_errors", "Store calls that failed", registry=registry)
        self.loop_lag = Histogram(
            "apportion_loop_lag_seconds", "How late the event loop ran a timer", buckets=LAGS, registry=registry
        )
        self.price_sheets = Counter(
            "apportion_price_sheets", "Price sheets made, by source: lp or adaptive", ["source"], registry=registry
        )
        self.price_seconds = Histogram(
            "apportion_price_seconds", "Making one price sheet", buckets=(*SECONDS, 15.0, 60.0), registry=registry
        )
        self.price_age = Gauge(
            "apportion_price_age_seconds",
            "Age of the stock that the last sheet rests on",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.price_failures = Counter(
            "apportion_price_failures", "Programmes of prices that failed, and ends of the pricer", registry=registry
        )
        self._count_archive(registry)
        self._count_moves(registry)
        self._simulations = Gauge(
            "apportion_simulations",
            "Simulations by state: queued, running; told by the process that performs them",
            ["state"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.simulations(0, 0)

    def simulations(self, queued: int, running: int) -> None:
        """So many wait, and so many are performed."""
        self._simulations.labels("queued").set(queued)
        self._simulations.labels("running").set(running)

    def archived(self, told: Told) -> None:
        """The projector told how it fares."""
        self.archive_lag_entries.set(told.lag_entries)
        self.archive_lag_seconds.set(told.lag_seconds)
        self.archived_entries.inc(told.entries)
        self.archive_errors.inc(told.errors)
        self.evicted_orders.inc(told.evicted)

    def priced(self, source: str, seconds: float, age_ms: int) -> None:
        """A price sheet was made."""
        self.price_sheets.labels(source).inc()
        self.price_seconds.observe(seconds)
        self.price_age.set(age_ms / 1000)

    def reoptimised(self, mode: str, looked_at: int, moved: int, dropped: int, saving: float) -> None:
        """A walk over standing orders ended."""
        for outcome, orders in (("looked_at", looked_at), ("moved", moved), ("dropped", dropped)):
            self.reoptimised_orders.labels(mode, outcome).inc(orders)
        self.reoptimised_saving.labels(mode).inc(saving)

    def _count_archive(self, registry: CollectorRegistry) -> None:
        self.archive_lag_entries = Gauge(
            "apportion_archive_lag_entries",
            "Log entries that are not in the archive yet",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.archive_lag_seconds = Gauge(
            "apportion_archive_lag_seconds",
            "Age of the oldest log entry not in the archive",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.archived_entries = Counter("apportion_archived_entries", "Log entries archived", registry=registry)
        self.archive_errors = Counter(
            "apportion_archive_errors", "Rounds of the archive that failed, and ends of its process", registry=registry
        )
        self.evicted_orders = Counter(
            "apportion_evicted_orders", "Ended orders that left the store for the archive", registry=registry
        )

    def _count_moves(self, registry: CollectorRegistry) -> None:
        self.reoptimised_orders = Counter(
            "apportion_reoptimised_orders",
            "Standing orders decided again, by mode: looked_at, moved (in a dry run: would have), dropped",
            ["mode", "outcome"],
            registry=registry,
        )
        self.reoptimised_saving = Counter(
            "apportion_reoptimised_saving",
            "What moving orders saved (in a dry run: would have, counted at every look), in units of the currency",
            ["mode"],
            registry=registry,
        )

    def window(self, waited_ms: Sequence[float]) -> None:
        """A window closed, its orders having waited so long."""
        self.window_orders.observe(len(waited_ms))
        for wait in waited_ms:
            self.wait.observe(wait / 1000)

    def solved(self, seconds: float, gap: float | None) -> None:
        """A window was decided (and may be decided again)."""
        self.solve.observe(seconds)
        if gap is None:
            self.unproven.inc()
        else:
            self.gap.observe(gap)

    def repeated(self, orders: int) -> None:
        """Orders were answered from the record."""
        self.verdicts.labels("repeat", "").inc(orders)

    def settled(self, proposals: Iterable[Proposal], outcomes: Iterable[Outcome]) -> None:
        """The ledger's word on every proposal of a window."""
        words = Count(
            (outcome.verdict.value, proposal.state if outcome.verdict is Verdict.COMMITTED else "")
            for proposal, outcome in zip(proposals, outcomes, strict=True)
        )
        for key, orders in words.items():
            self.verdicts.labels(*key).inc(orders)
