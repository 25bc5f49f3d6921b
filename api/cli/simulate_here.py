"""A simulation that runs on this machine without a service: a job in a directory of its own, resumed where it was."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from api.cli.codes import ExitCode
from api.cli.mapping import FieldMap
from api.cli.orderfile import read_records
from api.cli.rows import Rejected
from api.cli.simulate_told import Far, as_file, refused, show
from api.cli.terminal import CommandError, Terminal
from api.cli.uploads import orders_of, stock_of
from api.report import page
from engine.clock import SystemClock
from engine.domain import Sku
from engine.errors import InvalidInputError
from engine.network import parse_network
from engine.sample.world import build_world
from engine.simulation.answering import Answer
from engine.simulation.jobs.accepting import Accept
from engine.simulation.jobs.folder import Folder
from engine.simulation.jobs.intake import found, orders_max
from engine.simulation.jobs.job import Job, Progress, State, come, eta_s, expected
from engine.simulation.jobs.performing import Performing
from engine.simulation.jobs.shelf import Shelf
from engine.simulation.jobs.terms import Terms
from engine.simulation.jobs.worker import Worker
from engine.simulation.questions import asked
from engine.simulation.scenario import Simulation
from engine.simulation.world import World

_ANSWER = msgspec.json.Decoder(Answer)


class Here(NamedTuple):
    """How to run it. `file`: the document, beside which its uploads are; `directory`: where all of it is written."""

    file: Path
    directory: Path
    workers: int
    network: Path | None
    catalogue: Path | None
    sample_skus: int


async def simulate_here(terminal: Terminal, simulation: Simulation | None, here: Here) -> ExitCode:
    """Run it to its end; without a document go on with what lies in the directory."""
    folder, shelf = Folder(here.directory / "job"), Shelf(here.directory)
    try:
        if simulation is not None:
            _accept(simulation, here, folder)
        elif not folder.is_founded():
            raise CommandError(f"{here.directory} holds no simulation that could go on")
        if not shelf.lock():  # until this process ends
            raise CommandError(f"another process is at the simulation in {here.directory}", ExitCode.UNAVAILABLE)
        progress = await _perform(terminal, folder, here)
    except OSError as error:
        raise CommandError(f"{here.directory} cannot be used: {error}") from error
    if progress.state is State.FAILED:
        faults = [f"  {fault.path}: {fault.reason}" for fault in progress.faults]
        raise CommandError("\n".join([f"the simulation failed: {progress.problem}", *faults]), ExitCode.PROBLEMS)
    answer = _ANSWER.decode(folder.answer.read_bytes())
    _write(folder, here.directory, answer)
    if not terminal.json:
        show(terminal, answer)
    terminal.result(
        {"directory": str(here.directory), "answer": answer},
        [f"report: {here.directory / 'report.html'}", f"every decision: {here.directory / 'decisions'}"],
    )
    return ExitCode.OK


def _accept(simulation: Simulation, here: Here, folder: Folder) -> None:
    """Check it, and write down all that its runs need."""
    if folder.path.exists():
        reason = "holds a simulation already: go on with --resume, or name another --output"
        raise CommandError(f"{here.directory} {reason}")
    coming = Folder(here.directory / "job.coming")
    shutil.rmtree(coming.path, ignore_errors=True)
    coming.path.mkdir(parents=True)
    demand, stock = simulation.demand, simulation.stock
    try:
        if demand.history is not None:
            raise CommandError("a period of history is in the archive of a service: let it answer, with --url")
        world, beside = _world(here), here.file.parent
        if stock.upload is not None:
            world = msgspec.structs.replace(world, stock=stock_of(stock.upload, beside / stock.upload.file))
        simulation = asked(simulation, world)
        spool = None
        if demand.upload is not None:
            spool = orders_of(demand.upload, beside / demand.upload.file, coming.spool, orders_max(simulation))
        found(Accept(coming, here.file.stem, "here", SystemClock().epoch_ms(), simulation), world, spool)
        coming.path.rename(folder.path)
    except InvalidInputError as error:
        raise refused(str(here.file), error) from error
    finally:
        shutil.rmtree(coming.path, ignore_errors=True)
        with suppress(OSError):  # not empty: there is a job
            here.directory.rmdir()


def _world(here: Here) -> World:
    """The merchant that it runs on. Raises CommandError."""
    if here.network is None:
        if here.catalogue is not None:
            raise CommandError("--catalogue goes with --network")
        sample = build_world(skus=here.sample_skus)
        return World(network=parse_network(sample.network), skus=sample.skus, stock=sample.stock)
    try:
        network = parse_network(here.network.read_bytes())
    except OSError as error:
        raise CommandError(f"{here.network} cannot be read: {error.strerror}") from error
    except InvalidInputError as error:
        raise refused(str(here.network), error) from error
    return World(network=network, skus=() if here.catalogue is None else _catalogue(here.catalogue), stock=())


def _catalogue(file: Path) -> tuple[Sku, ...]:
    _, records = read_records(file, "skus", FieldMap())
    skus: dict[str, Sku] = {}
    for read in records:
        if isinstance(read, Rejected):
            raise CommandError(f"{file}, line {read.line}: {read.reason}")
        if isinstance(read.record, Sku):
            skus[read.record.sku] = read.record
    return tuple(skus.values())


async def _perform(terminal: Terminal, folder: Folder, here: Here) -> Progress:
    """All runs that are not there yet, and the answer."""
    job, clock = folder.job(), SystemClock()
    workers = [Worker(Terms().patience_seconds) for _ in range(here.workers)]
    with terminal.progress("simulating", round(expected(job))) as line:
        far = Far(line)

        def told(job: Job, progress: Progress) -> None:
            done = sum(course.state is State.DONE for course in progress.runs)
            far.tell(come(job, progress), done, len(job.runs), eta_s(job, progress, clock.epoch_ms()))

        try:
            return await Performing(folder, workers, clock, told=told).perform()
        except asyncio.CancelledError:
            terminal.warn(f"what is done is kept: apportion simulate --resume {here.directory} goes on")
            raise
        finally:
            for worker in workers:
                await worker.end()


def _write(folder: Folder, directory: Path, answer: Answer) -> None:
    """What people look at, beside the job."""
    (directory / "report.json").write_bytes(as_file(folder.answer.read_bytes()))
    (directory / "report.html").write_bytes(page(answer))
    tables = directory / "decisions"
    tables.mkdir(exist_ok=True)
    for number, planned in enumerate(folder.job().runs):
        table = tables / table_name(number, planned.scenario, planned.seed)
        table.unlink(missing_ok=True)
        try:
            os.link(folder.decisions(number), table)
        except OSError:  # a file system without links
            shutil.copyfile(folder.decisions(number), table)


def table_name(number: int, scenario: str, seed: int) -> str:
    """The file of a run's decisions; the number tells apart what names leave alike."""
    name = re.sub(r"[^0-9A-Za-z]+", "-", scenario).strip("-")[:60]
    return f"{number:03d}-{name}-seed-{seed}.parquet"
