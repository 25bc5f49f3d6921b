"""Numbers and sentences as readers see them: money, shares, differences and their intervals."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from engine.simulation.answering import Answer, Estimate
from engine.simulation.comparing import Paired
from engine.simulation.simulating import Report

SIGNS = {"USD": "$", "EUR": "€", "GBP": "£"}
MINUS = "\u2212"
NAME_LETTERS = 44
"""Letters of a name in a chart; tables and headings have the whole."""
WHOLE_FROM = 1_000
"""Money from here on is told in whole units of the currency."""


class Indicator(NamedTuple):
    """How an indicator is told. `form`: "money", "share", "count", or decimals as "0.00"."""

    name: str
    label: str
    form: str
    unit: str = ""


INDICATORS = (
    Indicator("cost", "Cost", "money"),
    Indicator("cost_per_order", "Cost per order", "money"),
    Indicator("shipping", "Shipping", "money"),
    Indicator("handling", "Handling", "money"),
    Indicator("split", "Split penalties", "money"),
    Indicator("late", "Lateness", "money"),
    Indicator("unfilled", "Unfilled units", "money"),
    Indicator("orders", "Orders", "count"),
    Indicator("parcels", "Parcels", "count"),
    Indicator("parcels_per_order", "Parcels per order", "0.000"),
    Indicator("split_rate", "Orders in several parcels", "share"),
    Indicator("fill_units", "Units that ship", "share"),
    Indicator("fill_lines", "Lines that ship whole", "share"),
    Indicator("fill_orders", "Orders that ship whole", "share"),
    Indicator("late_rate", "Dated orders that are late", "share"),
    Indicator("late_days", "Days late, together", "count"),
    Indicator("km_per_parcel", "Distance per parcel", "0", "km"),
    Indicator("carbon_kg", "CO₂ equivalent", "count", "kg"),
    Indicator("moves", "Orders moved before release", "count"),
    Indicator("gap", "Proven gap to the optimum", "share"),
)
TERMS = ("shipping", "handling", "split", "late", "unfilled")
"""The parts of cost."""
LABELS = {each.name: each.label for each in INDICATORS}


def short(name: str) -> str:
    """A name that fits beside a chart."""
    return name if len(name) <= NAME_LETTERS else name[: NAME_LETTERS - 1].rstrip() + "…"


class Teller:
    """Tells numbers of one answer, in its currency."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self._sign = SIGNS.get(currency, f"{currency} ")

    def money(self, value: float, *, signed: bool = False) -> str:
        """`$1,235`, `$9.20`; `signed`: with a plus where it is above 0."""
        digits = 0 if abs(value) >= WHOLE_FROM else 2
        amount = f"{abs(value):,.{digits}f}"
        return _sign_of(value, amount, signed=signed) + self._sign + amount

    def value(self, indicator: Indicator, value: float) -> str:
        """An indicator."""
        return self._told(indicator, value, signed=False)

    def difference(self, indicator: Indicator, value: float) -> str:
        """A difference of it; of shares in percentage points."""
        return self._told(indicator, value, signed=True)

    def _told(self, indicator: Indicator, value: float, *, signed: bool) -> str:
        if indicator.form == "money":
            return self.money(value, signed=signed)
        if indicator.form == "share":
            amount, unit = f"{abs(value) * 100:.2f}", "pp" if signed else "%"
        elif indicator.form == "count":
            whole = abs(value - round(value)) < 1e-9 or abs(value) >= WHOLE_FROM
            amount, unit = f"{abs(value):,.{0 if whole else 1}f}", indicator.unit
        else:
            amount, unit = f"{abs(value):,.{len(indicator.form.partition('.')[2])}f}", indicator.unit
        return f"{_sign_of(value, amount, signed=signed)}{amount} {unit}".rstrip()

    def interval(self, indicator: Indicator, found: Paired) -> str:
        """From one end to the other; "" with one seed."""
        if found.low is None or found.high is None:
            return ""
        return f"{self.difference(indicator, found.low)} to {self.difference(indicator, found.high)}"

    def span(self, found: Estimate) -> str:
        """Of money; "" with one seed."""
        if found.low is None or found.high is None:
            return ""
        return f"{self.money(found.low, signed=True)} to {self.money(found.high, signed=True)}"


def _sign_of(value: float, amount: str, *, signed: bool) -> str:
    if not amount.strip("0.,"):
        return ""
    return MINUS if value < 0 else "+" if signed else ""


def sure(low: float | None, high: float | None) -> bool:
    """Whether an interval leaves 0 out; False without one."""
    return low is not None and high is not None and (low > 0 or high < 0)


def direction(value: float, low: float | None, high: float | None) -> str:
    """How a difference of money looks: "more", "less", or "same" where it is nothing or may be chance."""
    if low is not None and not sure(low, high):
        return "same"
    return "more" if value > 0 else "less" if value < 0 else "same"


class Headline(NamedTuple):
    """One answer in a sentence. `amount`: how much more money, signed; `interval`: of it, "" with one seed; `aside`:
    how sure that is; `to`: the id of the section that tells more."""

    amount: str
    direction: str
    subject: str
    sentence: str
    interval: str
    aside: str
    to: str


def headline(teller: Teller, report: Report, to: str) -> Headline:
    """What a scenario costs beside the baseline."""
    cost, each = report.differences["cost"], report.differences["cost_per_order"]
    way = direction(cost.difference, cost.low, cost.high)
    if cost.difference == 0 and not cost.low and not cost.high:
        sentence = "costs what the baseline does."
    else:
        percent = f"{abs(cost.difference / cost.baseline) * 100:.1f} %, " if cost.baseline else ""
        word = "more" if cost.difference > 0 else "less"
        amount = teller.money(abs(cost.difference))
        sentence = f"costs {amount} {word} a run ({percent}{teller.money(each.difference, signed=True)} an order)."
    found = Estimate(cost.difference, cost.low, cost.high)
    amount = teller.money(cost.difference, signed=True)
    return Headline(amount, way, report.scenario, sentence, teller.span(found), certainty(found), to)


def certainty(found: Estimate) -> str:
    """How sure a difference is, where its interval does not say enough."""
    if found.low is None:
        return "One seed: how much of that is chance is not known."
    return "" if sure(found.low, found.high) or found.low == found.high else "It may be chance."


def seeds(report: Report) -> str:
    """How many runs a figure is the mean of."""
    count = len(report.moves) or len(report.seeds)
    return f"{count} {'seed' if count == 1 else 'seeds'}"


def period(answer: Answer) -> str:
    """The dates on which orders of the first report were placed."""
    days = sorted(answer.reports[0].figures.days) if answer.reports else []
    if not days:
        return "no orders"
    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    count = (last - first).days + 1
    if count == 1:
        return f"one day, {_written(first)}"
    return f"{count} days, {_written(first)} to {_written(last)}"


def _written(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
