"""What people see of a simulation: faults, how far it is, and the figures of each scenario beside the baseline."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
from rich.table import Table

from api.cli.codes import ExitCode
from api.cli.terminal import CommandError, ProgressLine, Terminal
from engine.errors import EngineError
from engine.simulation.answering import Answer
from engine.simulation.comparing import Paired
from engine.simulation.simulating import Report

SCENARIOS_SHOWN = 8
FAULTS_SHOWN = 20
INDENTED_BYTES_MAX = 2_000_000
"""A longer answer is written without line breaks: they would double it, and nobody reads it by eye."""


def _money(value: float) -> str:
    return f"{value:,.2f}"


def _rate(value: float) -> str:
    return f"{100 * value:.2f} %"


def _count(value: float) -> str:
    return f"{value:,.0f}"


SHOWN: dict[str, tuple[str, Callable[[float], str]]] = {
    "cost": ("cost", _money),
    "cost_per_order": ("cost per order", _money),
    "shipping": ("shipping", _money),
    "parcels_per_order": ("parcels per order", lambda value: f"{value:.3f}"),
    "split_rate": ("orders split", _rate),
    "fill_units": ("units filled", _rate),
    "late_rate": ("orders late", _rate),
    "km_per_parcel": ("km per parcel", lambda value: f"{value:,.1f}"),
    "carbon_kg": ("kg CO2e", _count),
}
"""Indicators of the table: how they are called and written. All others are in the report."""


def refused(what: str, error: EngineError) -> CommandError:
    """A document that cannot be simulated, with each fault on a line."""
    faults = [f"  {fault.path}: {fault.reason}" for fault in error.faults[:FAULTS_SHOWN]]
    more = len(error.faults) - len(faults)
    lines = [f"{what}: {error.detail}", *faults, *([f"  and {more} more"] if more > 0 else [])]
    return CommandError("\n".join(lines), ExitCode.USAGE)


def as_file(answer: bytes) -> bytes:
    """An answer as report.json has it."""
    return msgspec.json.format(answer, indent=1) if len(answer) <= INDENTED_BYTES_MAX else answer


class Far:
    """How far a simulation is, on a progress line."""

    def __init__(self, line: ProgressLine) -> None:
        self._line = line
        self._orders = 0

    def tell(self, orders: float, runs_done: int, runs: int, eta_s: int | None) -> None:
        """So many orders of all runs came."""
        steps = max(0, round(orders) - self._orders)
        self._orders += steps
        left = "" if eta_s is None else f", {timedelta(seconds=eta_s)} left"
        self._line.advance(steps, f"({runs_done} of {runs} runs{left})")


def show(terminal: Terminal, answer: Answer) -> None:
    """Each scenario beside the baseline."""
    base, *others = answer.reports
    seeds = len(base.seeds)
    terminal.say(
        f"{answer.name}: {base.figures.orders // seeds:,} orders a run, {seeds} seed{'s' if seeds > 1 else ''}; "
        f"money in {answer.currency}"
    )
    for report in others[:SCENARIOS_SHOWN]:
        terminal.say("")
        terminal.out.print(_table(report, answer.confidence))
    if len(others) > SCENARIOS_SHOWN:
        terminal.say(f"{len(others) - SCENARIOS_SHOWN} more scenarios are in the report")


def _table(report: Report, confidence: float) -> Table:
    table = Table(title=report.scenario.replace("[", r"\["), title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    interval = [f"{100 * confidence:.0f} % interval"] if len(report.seeds) > 1 else []
    for column in ("baseline", "scenario", "difference", *interval):
        table.add_column(column, justify="right")
    for name, (told, written) in SHOWN.items():
        if name in report.differences:
            table.add_row(told, *_row(report.differences[name], written))
    return table


def _row(found: Paired, written: Callable[[float], str]) -> list[str]:
    cells = [written(found.baseline), written(found.scenario), _signed(found.difference, written)]
    if found.low is not None and found.high is not None:
        cells.append(f"{_signed(found.low, written)} to {_signed(found.high, written)}")
    return cells


def _signed(value: float, written: Callable[[float], str]) -> str:
    """A difference; of rates in points."""
    return ("+" if value > 0 else "") + written(value).replace("%", "pt")
