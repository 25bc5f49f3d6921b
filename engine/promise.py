"""Calendars: when a node ships, when its parcel arrives, how many days late that is.

Days are int64 days since 1970-01-01 in the calendar of the place meant; instants are milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from solvers.problem import Bools, Ints

DAY_MS = 86_400_000
QUARTER_MS = 900_000
_SHEETS_MAX = 1_024
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH = date(1970, 1, 1)


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_timezone(name: str) -> bool:
    """Whether a name is one of the IANA time zone database."""
    return name in _timezones()


@lru_cache(maxsize=200_000)
def _offset_ms(timezone: str, quarter: int) -> int:
    offset = datetime.fromtimestamp(quarter * QUARTER_MS / 1000, ZoneInfo(timezone)).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)


def local_day(instant_ms: int, timezone: str) -> int:
    """The day that an instant falls on in a time zone. Offsets change on quarter hours only: kept by quarter."""
    return (instant_ms + _offset_ms(timezone, instant_ms // QUARTER_MS)) // DAY_MS


@lru_cache(maxsize=100_000)
def wall_time_ms(day: int, minutes: int, timezone: str) -> int:
    """The instant at which a day's clock shows `minutes` after midnight (1440: the next midnight).

    A wall time that the clock skips counts as if it had not been put forward yet; one shown twice means the first.
    """
    carry, minute = divmod(minutes, 1440)
    local = datetime.combine(to_date(day + carry), time(minute // 60, minute % 60), ZoneInfo(timezone))
    return round(local.timestamp() * 1000)


def to_date(day: int) -> date:
    """The calendar date of a day number."""
    return _EPOCH + timedelta(days=int(day))


def to_day(value: date) -> int:
    """The day number of a calendar date."""
    return (value - _EPOCH).days


@lru_cache(maxsize=100_000)
def wall_time_text(day: int, minutes: int, timezone: str) -> str:
    """RFC 3339 with the zone's own offset; 1440 minutes are the day's last second."""
    if minutes == 1440:
        local = datetime.combine(to_date(day), time(23, 59, 59), ZoneInfo(timezone))
    else:
        local = datetime.fromtimestamp(wall_time_ms(day, minutes, timezone) / 1000, UTC).astimezone(ZoneInfo(timezone))
    return local.isoformat()


class NodeCalendar(NamedTuple):
    """When one node works. `cutoff_minutes` after local midnight, 1440 for none; `weekdays` empty for every day."""

    timezone: str
    cutoff_minutes: int
    handling_minutes: int
    weekdays: tuple[str, ...]
    holidays: tuple[str, ...]


class _Sheet(NamedTuple):
    """One day at every node: open bool[N], the last instant to ship that day int64[N], the next open day int64[N]."""

    open: Bools
    cutoff_ms: Ints
    next_open: Ints


class Calendars:
    """The calendars of N nodes, immutable; what was worked out for a day is kept for the windows that follow."""

    def __init__(self, nodes: Sequence[NodeCalendar], transit_days_max: int) -> None:
        self.nodes = tuple(nodes)
        self.transit_days_max = transit_days_max
        self._handling_ms = np.array([node.handling_minutes * 60_000 for node in nodes], np.int64)
        self._open_weekday = np.array(
            [[not node.weekdays or name in node.weekdays for name in _WEEKDAYS] for node in nodes], bool
        )
        closed = [(n, to_day(date.fromisoformat(day))) for n, node in enumerate(nodes) for day in set(node.holidays)]
        self._closed = np.array(sorted(closed, key=lambda pair: pair[1]), np.int64).reshape(-1, 2)
        self._holidays_max = max((len(node.holidays) for node in nodes), default=0)
        self._timezones = tuple(dict.fromkeys(node.timezone for node in nodes))
        self._timezone_of = np.array([self._timezones.index(node.timezone) for node in nodes], np.int64)
        self._sheets: dict[int, _Sheet] = {}
        self._arrivals: dict[int, Ints] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Calendars, (self.nodes, self.transit_days_max)

    def ship_days(self, instants_ms: Ints) -> Ints:
        """The day on which each node would ship what it is told at each instant. int64[U] -> int64[U, N].

        On a workday, if instant + handling <= the cut-off of that day (inclusive, local wall time), that day; else the
        next workday, however long the handling is. Without a cut-off the day's last millisecond is its cut-off.
        """
        offsets = np.array(
            [[_offset_ms(name, int(instant) // QUARTER_MS) for name in self._timezones] for instant in instants_ms],
            np.int64,
        ).reshape(len(instants_ms), len(self._timezones))
        today = ((instants_ms[:, None] + offsets) // DAY_MS)[:, self._timezone_of]
        ready_ms = instants_ms[:, None] + self._handling_ms[None, :]
        days = np.empty_like(today)
        for day in np.unique(today):
            sheet = self._sheet(int(day))
            chosen = np.where(sheet.open & (ready_ms <= sheet.cutoff_ms), day, sheet.next_open)
            days = np.where(today == day, chosen, days)
        return days

    def arrivals(self, ship_day: int) -> Ints:
        """The day after t of the node's workdays from a ship day. int64[N, T + 1], t = 0 is the ship day itself."""
        table = self._arrivals.get(ship_day)
        if table is None:
            table = self._open_days(ship_day + 1, self.transit_days_max)
            table = np.concatenate([np.full((len(table), 1), ship_day), table], axis=1)
            if len(self._arrivals) >= _SHEETS_MAX:
                self._arrivals.clear()
            self._arrivals[ship_day] = table
        return table

    def next_open(self, day: int) -> Ints:
        """The first workday of each node after a day: int64[N]."""
        return self._sheet(day).next_open

    def open_days(self, day_by_node: Ints, horizon: int) -> Ints:
        """The workdays of each node from its day in int64[N] on, at most `horizon` calendar days later, in order.

        int64[horizon + 1, N], -1 beyond the last; row 0 is the day itself where the node works on it.
        """
        days = np.full((horizon + 1, len(self.nodes)), -1, np.int64)
        if not len(self.nodes):
            return days
        first = int(day_by_node.min())
        calendar = self._open(first, int(day_by_node.max()) - first + horizon + 1)
        ahead = (day_by_node - first)[:, None] + np.arange(horizon + 1)
        works = np.take_along_axis(calendar, ahead, axis=1)
        node, later = np.nonzero(works)
        days[np.cumsum(works, axis=1)[node, later] - 1, node] = day_by_node[node] + later
        return days

    def ship_by(self, node: int, day: int) -> str:
        """The cut-off of a ship day as RFC 3339 with the node's offset; without a cut-off the day's last second."""
        calendar = self.nodes[node]
        return wall_time_text(day, calendar.cutoff_minutes, calendar.timezone)

    def closes_ms(self, node: int, day: int) -> int:
        """The last instant at which a node ships on a day what it is told then; not before the day before ends."""
        before = wall_time_ms(day, 0, self.nodes[node].timezone) - 1
        return max(before, int(self._sheet(day).cutoff_ms[node] - self._handling_ms[node]))

    def _sheet(self, day: int) -> _Sheet:
        sheet = self._sheets.get(day)
        if sheet is None:
            cutoffs = [
                wall_time_ms(day, node.cutoff_minutes, node.timezone) - (node.cutoff_minutes == 1440)
                for node in self.nodes
            ]
            sheet = _Sheet(self._open(day, 1)[:, 0], np.array(cutoffs, np.int64), self._open_days(day + 1, 1)[:, 0])
            if len(self._sheets) >= _SHEETS_MAX:
                self._sheets.clear()
            self._sheets[day] = sheet
        return sheet

    def _open(self, first: int, span: int) -> Bools:
        """Whether each node works on each of `span` days from `first`: bool[N, span]."""
        days = first + np.arange(span)
        # Day 0 was a Thursday: the fourth of a week that begins on Monday.
        result: Bools = self._open_weekday[:, (days + 3) % 7]
        low, high = np.searchsorted(self._closed[:, 1], [first, first + span])
        result[self._closed[low:high, 0], self._closed[low:high, 1] - first] = False
        return result

    def _open_days(self, first: int, count: int) -> Ints:
        """The first `count` workdays of each node from `first` on: int64[N, count]."""
        # Every week has at least one weekday open, and each holiday costs at most one more week of search.
        span = 7 * count + 7
        while True:
            counted = np.cumsum(self._open(first, span), axis=1)
            if counted.shape[0] == 0 or counted[:, -1].min() >= count:
                break
            span += 7 * (self._holidays_max + 1)
        wanted = np.arange(1, count + 1)
        columns = [np.searchsorted(row, wanted) for row in counted]
        found: Ints = first + np.array(columns, np.int64).reshape(len(self.nodes), count)
        return found


def late_days(arrival_day: Ints, deliver_by_day: Ints) -> Ints:
    """Calendar days that arrivals come after the day promised; 0 if in time. Elementwise."""
    days: Ints = np.maximum(0, arrival_day - deliver_by_day)
    return days
