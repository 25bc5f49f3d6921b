"""The tables of a report as rows of text: indicators, and what changed for whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from api.report.telling import INDICATORS, Teller, sure
from engine.simulation.comparing import Move
from engine.simulation.simulating import Report

SHIFTS_TOLD, MOVES_TOLD = 10, 8


class Row(NamedTuple):
    """An indicator. `sure`: the interval leaves 0 out."""

    label: str
    baseline: str
    scenario: str
    difference: str
    interval: str
    sure: bool


def indicator_rows(teller: Teller, report: Report) -> list[Row]:
    """Every indicator that both runs have."""
    found = []
    for indicator in INDICATORS:
        pair = report.differences.get(indicator.name)
        if pair is not None:
            found.append(
                Row(
                    indicator.label,
                    teller.value(indicator, pair.baseline),
                    teller.value(indicator, pair.scenario),
                    teller.difference(indicator, pair.difference),
                    teller.interval(indicator, pair),
                    sure(pair.low, pair.high),
                )
            )
    return found


class ShiftRow(NamedTuple):
    """Orders that ship from elsewhere, and what they cost more."""

    before: str
    after: str
    orders: str
    cost: str
    each: str


class MoveRow(NamedTuple):
    """One order that ships from elsewhere."""

    order_id: str
    before: str
    after: str
    cost: str


class Moved(NamedTuple):
    """What changed for whom, over all seeds. `ways`: how many shifts there are, "" where all are told."""

    orders: int
    moved: int
    only_baseline: int
    only_scenario: int
    shifts: tuple[ShiftRow, ...]
    ways: str
    cheapest: tuple[MoveRow, ...]
    dearest: tuple[MoveRow, ...]


def moved(teller: Teller, report: Report) -> Moved:
    """Sums over the seeds, and the extremes of all of them."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for told in report.moves:
        for shift in told.shifts:
            orders, mills = sums.get((shift.before, shift.after), (0, 0))
            sums[shift.before, shift.after] = orders + shift.orders, mills + shift.mills
    shifts = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
    rows = [
        ShiftRow(
            _nodes(before),
            _nodes(after),
            f"{orders:,}",
            teller.money(mills / 1000, signed=True),
            teller.money(mills / 1000 / orders, signed=True),
        )
        for (before, after), (orders, mills) in shifts[:SHIFTS_TOLD]
    ]
    unknown = any(told.shifts_left_off for told in report.moves)
    cheapest = sorted((move for told in report.moves for move in told.cheapest), key=_by_money)
    dearest = sorted((move for told in report.moves for move in told.dearest), key=_by_money, reverse=True)
    return Moved(
        sum(told.orders for told in report.moves),
        sum(told.moved for told in report.moves),
        sum(told.only_baseline for told in report.moves),
        sum(told.only_scenario for told in report.moves),
        tuple(rows),
        f"{'more than ' if unknown else ''}{len(shifts):,}" if len(shifts) > len(rows) else "",
        _move_rows(teller, cheapest),
        _move_rows(teller, dearest),
    )


def _by_money(move: Move) -> tuple[int, str]:
    return move.mills, move.order_id


def _move_rows(teller: Teller, moves: Sequence[Move]) -> tuple[MoveRow, ...]:
    return tuple(
        MoveRow(move.order_id, _nodes(move.before), _nodes(move.after), teller.money(move.mills / 1000, signed=True))
        for move in moves[:MOVES_TOLD]
    )


def _nodes(names: str) -> str:
    return names.replace("+", " + ") or "nothing ships"


class Summary(NamedTuple):
    """A scenario in one line of the overview."""

    name: str
    to: str
    cost: str
    interval: str
    sure: bool
    per_order: str
    split: str
    filled: str
    late: str


def summaries(teller: Teller, reports: Iterable[tuple[Report, str]]) -> list[Summary]:
    """Reports and the ids of their sections."""
    by_name = {each.name: each for each in INDICATORS}
    found = []
    for report, to in reports:
        told = {
            name: teller.difference(by_name[name], report.differences[name].difference)
            for name in ("cost", "cost_per_order", "split_rate", "fill_units", "late_rate")
        }
        cost = report.differences["cost"]
        found.append(
            Summary(
                report.scenario,
                to,
                told["cost"],
                teller.interval(by_name["cost"], cost),
                sure(cost.low, cost.high),
                told["cost_per_order"],
                told["split_rate"],
                told["fill_units"],
                told["late_rate"],
            )
        )
    return found
