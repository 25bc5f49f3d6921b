"""The only place that chooses implementations."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from engine.allocator import Allocator
from engine.archive.database import Archive, sqlite_url
from engine.archive.history import History
from engine.archive.keeper import archive_companion
from engine.archive.projector import Projector
from engine.archive.recall import Recall
from engine.background import Background
from engine.backorders import Backorders
from engine.clock import Clock, SystemClock
from engine.companion import Begin, Companion
from engine.crew import Crew, CrewError, Crews, InlineCrew, ProcessCrew
from engine.domain import Order
from engine.gate import Gate, Ticket
from engine.inquiries import Inquiries
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Ledger, LedgerUnavailableError
from engine.ledger.redis import RedisLedger
from engine.ledger.server.watermark import DiskWatermark
from engine.metrics import Metrics
from engine.policy import WindowTerms
from engine.pricing.keeper import pricing_companion
from engine.records import Records
from engine.registry import Registry
from engine.reoptimising.task import Reoptimiser
from engine.settings import Settings
from engine.simulation.jobs.checking import ProcessIntake, Source
from engine.simulation.jobs.desk import UPLOADS, Simulations
from engine.simulation.jobs.glancing import Glancing
from engine.simulation.jobs.terms import Terms
from engine.stock import StockRoom
from engine.sweeper import Sweeper

log = structlog.get_logger("apportion.engine")

SIMULATIONS = "simulations"
"""Where jobs of simulation are, in the data directory."""

READINESS_SECONDS = 0.25
"""How often the store is asked whether it is there."""

STANDBY_SECONDS = 10.0
"""From the start until the process of the desk is loaded, unless it is needed sooner: the first orders come first."""

DESK_NICENESS = 10
"""The process that explains, and decides aside, stands back behind the one whose windows callers wait for."""

PULSE_SECONDS = 0.02
"""How often the lag of the event loop is measured: often enough that a minute of load has a 99.9th percentile."""


class Engine:
    """One process's engine: the parts, their start and their end.

    `pricing`, `archiving`: what does these duties in a process of its own. Without `archiving` an archive is fed in
    place, by `projector`, which is None otherwise.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        crew: Crew,
        clock: Clock,
        metrics: Metrics,
        refusal: Callable[[], str | None] = lambda: None,
        desk: Crew | None = None,
        archive: Archive | None = None,
        pricing: Companion | None = None,
        archiving: Companion | None = None,
        process_id: str = "",
        simulations: Simulations | None = None,
    ) -> None:
        process_id = process_id or secrets.token_hex(4)
        self.settings = settings
        self.clock = clock
        self.ledger = ledger
        self.registry = Registry(
            ledger, strict_skus=settings.strict_skus, prices_max_age_s=settings.price_max_age_seconds
        )
        self.past = Recall(ledger, archive)
        self.history = History(ledger, archive)
        self.stock = StockRoom(self.past, self.registry)
        self._archive = archive
        self._pricing = pricing
        self.projector: Projector | None = None
        if archive is not None and archiving is None and settings.duties:
            self.projector = Projector(ledger, archive, clock, settings, metrics.archived, process_id)
        self._feeding = archiving or self.projector
        self._metrics = metrics
        self._refusal = refusal
        self._crew = crew
        self._desk = desk or crew
        self.inquiries = Inquiries(ledger, self.registry, Records(self.past, self.registry), self._desk, clock)
        self.sweeper = Sweeper(ledger)
        self.backorders = Backorders(ledger, self.registry, crew, clock, metrics, process_id)
        crews = Crews(crew, desk)
        self._allocator = Allocator(self.past, self.registry, crews, clock, metrics, process_id, self.backorders.fill)
        self.gate = Gate(self.allocate, self._window_terms, settings, clock, metrics)
        self.reoptimiser = Reoptimiser(ledger, self.registry, self._desk, clock, metrics, process_id, self.gate.busy)
        self._standby = Background(self._prepare, "desk")
        self.simulations = simulations or Simulations(None, None, Terms(), clock)
        self.simulations.pressure = self.gate.pressure
        self.simulations.count = metrics.simulations
        self._watch = Background(self._look, "readiness")
        self._pulse = Background(self._beat, "pulse")
        self._reasons = ["starting"]

    @property
    def metrics(self) -> CollectorRegistry:
        """What `/metrics` shows."""
        return self._metrics.registry

    async def allocate(self, partition: str, tickets: Sequence[Ticket], aside: int = 0) -> None:
        """Decide a window that was closed: what the gate calls. `aside`: rounds that no other waits for."""
        self.sweeper.serve(partition)
        await self._allocator.allocate(partition, tickets, aside)

    async def _window_terms(self, partition: str, order: Order) -> WindowTerms:
        return (await self.registry.policy_of(partition, order)).window

    async def start(self) -> None:
        """Be ready for orders. Raises LedgerUnavailableError, CrewError."""
        await self._crew.start()
        await self.ledger.ping()
        self._reasons = []
        self._standby.start()
        if self._feeding is not None:
            self._feeding.start()
        self._watch.start()
        self._pulse.start()
        self.sweeper.start()
        self.backorders.start()
        if self._pricing is not None:
            self._pricing.start()
        self.reoptimiser.start()
        self.simulations.start()

    async def _prepare(self) -> None:
        """Have the desk's process loaded before it is needed, so that no order of many lines waits for that."""
        await asyncio.sleep(STANDBY_SECONDS)
        try:
            await self._desk.start()
        except (CrewError, OSError) as error:
            log.warning("desk_not_ready", reason=str(error))  # whoever needs it first tries again

    async def _beat(self) -> None:
        while True:
            due = self.clock.monotonic() + PULSE_SECONDS
            await asyncio.sleep(PULSE_SECONDS)
            self._metrics.loop_lag.observe(max(0.0, self.clock.monotonic() - due))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(READINESS_SECONDS)
            try:
                await asyncio.wait_for(self.ledger.ping(), 1.0)
                refusal = self._refusal()
                self._reasons = [refusal] if refusal else []
            except (LedgerUnavailableError, TimeoutError) as error:
                self._reasons = [f"the store does not answer: {error}"]
            except OSError as error:
                self._reasons = [f"the data directory cannot be read: {error}"]

    def unready(self) -> list[str]:
        """Why orders should go elsewhere now; empty when ready."""
        return self._reasons

    async def stop(self) -> None:
        """Take no more, answer what was accepted, end what was started."""
        await self._pulse.stop()
        await self._watch.stop()
        self._reasons = ["stopping"]
        await self.simulations.stop()
        await self.gate.drain()
        if self._pricing is not None:
            await self._pricing.stop()
        await self.reoptimiser.stop()
        await self.backorders.stop()
        await self.sweeper.stop()
        await self._standby.stop()
        await self._crew.stop()
        if self._feeding is not None:
            await self._feeding.stop()
        if self._archive is not None:
            await self._archive.close()
        await self._desk.stop()
        await self.registry.close()
        await self.ledger.close()


def build(settings: Settings, redis_url: str, data_dir: Path | None = None) -> Engine:
    """The engine as it runs in production, on a store that is there already.

    `data_dir`: where an embedded store writes; no order is taken while its disk is nearly full.
    """
    metrics = Metrics()
    refusal = DiskWatermark(data_dir) if data_dir is not None else _never
    ledger = RedisLedger(redis_url, refusal=refusal)
    crew, desk = ProcessCrew(metrics), ProcessCrew(metrics, niceness=DESK_NICENESS)
    clock, archive = SystemClock(), archive_of(settings)
    begin = Begin(redis_url, secrets.token_hex(4), archive.url, settings.model_dump_json())
    pricing = pricing_companion(begin, clock, metrics) if settings.duties and settings.price_seconds else None
    archiving = archive_companion(begin, metrics) if settings.duties and not archive.in_memory else None
    directory, terms = settings.data_dir / SIMULATIONS, Terms()
    source = Source(
        url=redis_url, archive=archive.url, uploads=str(directory / UPLOADS), strict_skus=settings.strict_skus
    )
    intake = Glancing(ledger, directory / UPLOADS, ProcessIntake(source, terms.intake_seconds))
    simulations = Simulations(directory, intake, terms, clock, DiskWatermark(settings.data_dir))
    return Engine(
        settings, ledger, crew, clock, metrics, refusal, desk, archive, pricing, archiving, simulations=simulations
    )


def _never() -> None:
    return None


def archive_of(settings: Settings) -> Archive:
    """The archive that the settings name; nothing is opened yet."""
    return Archive(settings.archive_url or sqlite_url(settings.data_dir))


def build_memory(
    settings: Settings | None = None,
    clock: Clock | None = None,
    *,
    archive_url: str = "",
    simulations: Path | None = None,
    terms: Terms | None = None,
) -> Engine:
    """The same engine on the memory twin, deciding in place: for tests, baselines and simulation.

    `archive_url`: "" keeps no archive, `sqlite://` one in memory. `simulations`: where their jobs are; None: there are
    none. They are checked in place, for no other process sees this ledger, and performed as ever.
    """
    clock, settings, terms = clock or SystemClock(), settings or Settings(), terms or Terms()
    ledger, archive = MemoryLedger(clock), Archive(archive_url) if archive_url else None
    kept = None
    if simulations is not None:
        # Simulations are engines of this module, so this can only be loaded once there is one.
        from engine.simulation.jobs.intake import InPlace

        uploads = simulations / UPLOADS
        intake = InPlace(ledger, History(ledger, archive), uploads, strict_skus=settings.strict_skus)
        kept = Simulations(simulations, Glancing(ledger, uploads, intake), terms, clock)
    crew = InlineCrew(time.monotonic)
    return Engine(settings, ledger, crew, clock, Metrics(), archive=archive, simulations=kept)


def build_simulation(settings: Settings, clock: Clock) -> tuple[Engine, MemoryLedger]:
    """The same engine for a run in simulated time: it reads no other clock and leaves no records of windows.

    Without the wall clock nothing is cut short by time, and window ids count from 1: the same orders give the same
    decisions, byte for byte. The ledger is told apart because only a memory ledger can forget.
    """
    ledger = MemoryLedger(clock)
    crew = InlineCrew(clock.monotonic, recorded=False)
    return Engine(settings, ledger, crew, clock, Metrics(), process_id="simulation"), ledger
