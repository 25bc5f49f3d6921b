"""Ship and arrival dates: cut-offs to the stroke, daylight saving, weekends, holidays, lateness."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain import epoch_ms
from engine.promise import Calendars, NodeCalendar, is_timezone, late_days, local_day, to_date, to_day, wall_time_text

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORKDAYS = WEEK[:5]


def ship_date(at: str, **fields) -> date:
    """When one node ships what it is told at an instant."""
    calendar = {"timezone": "America/New_York", "cutoff_minutes": 15 * 60, "handling_minutes": 120}
    calendar |= {"weekdays": WORKDAYS, "holidays": ()} | fields
    calendars = Calendars([NodeCalendar(**calendar)], 10)
    instant = epoch_ms(datetime.fromisoformat(at))
    return to_date(calendars.ship_days(np.array([instant]))[0, 0])


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # Monday 2026-11-23; New York is UTC-5: 13:00 + 120 min = 15:00, the stroke counts as in time.
        ("2026-11-23T18:00:00+00:00", date(2026, 11, 23)),
        # One millisecond later it is the next workday.
        ("2026-11-23T18:00:00.001+00:00", date(2026, 11, 24)),
        # Friday afternoon -> Monday.
        ("2026-11-27T21:00:00+00:00", date(2026, 11, 30)),
        # Saturday morning is no workday, whatever the hour.
        ("2026-11-28T05:00:00+00:00", date(2026, 11, 30)),
        # Monday 03:30 UTC is still Sunday in New York: not a workday.
        ("2026-11-23T03:30:00+00:00", date(2026, 11, 23)),
    ],
)
def test_the_cut_off_is_inclusive_and_local(at, expected):
    """The contract's rule to the millisecond, on the node's own clock."""
    assert ship_date(at) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # Clocks go forward on Sunday 2026-03-08 at 02:00 in New York. Open on Sundays, cut-off 15:00 EDT = 19:00 UTC.
        ("2026-03-08T17:00:00+00:00", date(2026, 3, 8)),
        ("2026-03-08T17:00:00.001+00:00", date(2026, 3, 9)),
        # The day before it is 15:00 EST = 20:00 UTC.
        ("2026-03-07T18:00:00+00:00", date(2026, 3, 7)),
        # Clocks go back on Sunday 2026-11-01: 15:00 EST = 20:00 UTC again.
        ("2026-11-01T18:00:00+00:00", date(2026, 11, 1)),
        ("2026-11-01T18:00:00.001+00:00", date(2026, 11, 2)),
    ],
)
def test_the_cut_off_follows_daylight_saving(at, expected):
    """Twice a year a fixed offset would ship an hour's orders on the wrong day."""
    assert ship_date(at, weekdays=()) == expected


def test_handling_is_elapsed_time_on_the_short_day():
    """From 01:30 EST, 120 minutes later the clock shows 04:30 EDT: over a cut-off of 04:00, though 1:30 + 2 = 3:30."""
    assert ship_date("2026-03-08T06:30:00+00:00", weekdays=(), cutoff_minutes=240) == date(2026, 3, 9)
    assert ship_date("2026-03-08T06:00:00+00:00", weekdays=(), cutoff_minutes=240) == date(2026, 3, 8)


def test_a_skipped_cut_off_counts_as_if_the_clock_had_not_moved():
    """A cut-off of 02:30 does not exist on the short day: it is the instant 02:30 EST = 07:30 UTC."""
    assert ship_date("2026-03-08T05:30:00+00:00", weekdays=(), cutoff_minutes=150) == date(2026, 3, 8)
    assert ship_date("2026-03-08T05:30:00.001+00:00", weekdays=(), cutoff_minutes=150) == date(2026, 3, 9)


def test_without_a_cut_off_the_day_ends_at_midnight():
    """21:59:59.999 + 2 h is still Monday in New York, 22:00 + 2 h is Tuesday."""
    assert ship_date("2026-11-24T02:59:59.999+00:00", cutoff_minutes=1440) == date(2026, 11, 23)
    assert ship_date("2026-11-24T03:00:00+00:00", cutoff_minutes=1440) == date(2026, 11, 24)


def test_holidays_are_skipped():
    """Christmas on a Friday: Thursday evening's orders ship on Monday."""
    assert ship_date("2026-12-24T22:00:00+00:00", holidays=("2026-12-25",)) == date(2026, 12, 28)


def test_a_node_closed_for_months_opens_again():
    """A seasonal shop with half a year of holidays has a ship date, and it is the right one."""
    closed = tuple((date(2026, 11, 1) + timedelta(days=i)).isoformat() for i in range(200))
    assert ship_date("2026-11-23T12:00:00+00:00", weekdays=("sun",), holidays=closed) == date(2027, 5, 23)


def test_transit_counts_workdays_of_the_node():
    """From Thursday 2026-12-24 with Christmas off: 1 day is Monday, 4 days are Thursday."""
    calendars = Calendars([NodeCalendar("UTC", 1440, 0, WORKDAYS, ("2026-12-25",))], 4)
    arrivals = [to_date(day) for day in calendars.arrivals(to_day(date(2026, 12, 24)))[0]]
    assert arrivals == [date(2026, 12, day) for day in (24, 28, 29, 30, 31)]


calendar_days = st.dates(date(2024, 1, 1), date(2030, 12, 31))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        ["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Europe/London"]
    ),
    st.integers(0, 1440),
    st.integers(0, 1440),
    st.sets(st.sampled_from(WEEK)),
    st.sets(calendar_days, max_size=8),
    st.datetimes(datetime(2025, 1, 1), datetime(2029, 12, 31)),
    st.integers(0, 12),
)
def test_dates_agree_with_the_rule_written_plainly(timezone, cutoff, handling, weekdays, holidays, at, transit):
    """The vectorised calendar and a day-by-day walk with datetimes name the same ship and arrival dates."""
    zone, instant = ZoneInfo(timezone), at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)

    def is_open(day):
        return (not weekdays or WEEK[day.weekday()] in weekdays) and day not in holidays

    def after(day):
        day += timedelta(days=1)
        return day if is_open(day) else after(day)

    today = instant.astimezone(zone).date()
    midnight = datetime(today.year, today.month, today.day, tzinfo=zone)
    ready = instant + timedelta(minutes=handling)
    if cutoff == 1440:
        in_time = ready < (midnight + timedelta(days=1)).astimezone(UTC)
    else:
        in_time = ready <= midnight.replace(hour=cutoff // 60, minute=cutoff % 60).astimezone(UTC)
    expected = today if is_open(today) and in_time else after(today)

    made = NodeCalendar(timezone, cutoff, handling, tuple(weekdays), tuple(day.isoformat() for day in holidays))
    calendars = Calendars([made], 12)
    day = int(calendars.ship_days(np.array([epoch_ms(instant)]))[0, 0])
    assert to_date(day) == expected
    for _ in range(transit):
        expected = after(expected)
    assert to_date(calendars.arrivals(day)[0, transit]) == expected


def test_many_nodes_and_instants_at_once():
    """Each node and instant keeps its own answer when they are worked out together."""
    zones = ("America/New_York", "Asia/Tokyo", "UTC")
    nodes = [NodeCalendar(zone, 900, 60 * i, WORKDAYS[i:], ()) for i, zone in enumerate(zones)]
    instants = np.arange(40, dtype=np.int64) * 5 * 3_600_000 + epoch_ms(datetime(2026, 11, 20, tzinfo=UTC))
    together = Calendars(nodes, 3).ship_days(instants)
    for n, each in enumerate(nodes):
        assert together[:, n].tolist() == Calendars([each], 3).ship_days(instants)[:, 0].tolist()


def test_late_days_never_fall_below_zero():
    """Early is not a credit: only days after the promise count."""
    assert late_days(np.array([10, 12, 9]), np.array([10, 10, 10])).tolist() == [0, 2, 0]


def test_the_day_of_an_instant_is_local():
    """04:30 UTC on the 24th is the 23rd in New York: a promise is judged by the customer's calendar."""
    instant = epoch_ms(datetime(2026, 11, 24, 4, 30, tzinfo=UTC))
    assert to_date(local_day(instant, "America/New_York")) == date(2026, 11, 23)
    assert to_date(local_day(instant, "UTC")) == date(2026, 11, 24)


def test_wall_times_carry_the_offset_of_their_day():
    """What a person reads on a parcel is the node's clock, in winter and in summer."""
    assert wall_time_text(to_day(date(2026, 11, 23)), 900, "America/New_York") == "2026-11-23T15:00:00-05:00"
    assert wall_time_text(to_day(date(2026, 7, 1)), 1440, "America/New_York") == "2026-07-01T23:59:59-04:00"


def test_only_real_time_zones_are_known():
    """Names that are paths or folders of the database are no zones."""
    assert is_timezone("Europe/Berlin")
    assert not any(is_timezone(name) for name in ("", "Europe", "../etc/passwd", "Europe/Bielefeld", "CEST"))


def test_open_days_are_the_workdays_within_the_horizon():
    """A full day rolls to the next workday of the node: past weekends and holidays, never beyond the end."""
    weekdays = NodeCalendar("UTC", 1440, 0, WORKDAYS, ("2026-11-26",))
    calendars = Calendars([weekdays, NodeCalendar("UTC", 1440, 0, (), ())], 10)
    wednesday, friday = to_day(date(2026, 11, 25)), to_day(date(2026, 11, 27))
    assert calendars.open_days(np.array([wednesday, friday]), 2).tolist() == [
        [wednesday, friday],
        [friday, friday + 1],
        [-1, friday + 2],
    ]
    assert calendars.open_days(np.array([wednesday, friday]), 0).tolist() == [[wednesday, friday]]


@given(st.lists(st.integers(20_000, 20_030), min_size=1, max_size=3), st.integers(0, 12))
def test_open_days_agree_with_the_next_workday(days, horizon):
    """Row by row it is the next workday after the row before, as long as that lies within the horizon."""
    node = NodeCalendar("UTC", 1440, 0, ("tue", "wed", "sat"), ("2024-10-15", "2024-10-16"))
    calendars = Calendars([node] * len(days), 5)
    found = calendars.open_days(np.array(days), horizon)
    for n, day in enumerate(days):
        expected, at = [], day - 1
        while (at := int(calendars.next_open(at)[n])) <= day + horizon:
            expected.append(at)
        assert found[:, n].tolist() == expected + [-1] * (horizon + 1 - len(expected))
