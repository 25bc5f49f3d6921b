"""An answer as one HTML page that needs nothing else: style, script, charting library and figures are in it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from markupsafe import Markup

from api.report import asked, charts, mapping, tables
from api.report.drawing import Chart, Span, intervals, money_axis
from api.report.telling import Headline, Teller, headline, period, seeds
from engine.simulation.answering import Answer, Estimate
from engine.simulation.simulating import Report

if TYPE_CHECKING:
    from jinja2 import Environment

HEADLINES_TOLD = 8
OPEN_TOLD = 3
"""So many scenarios' details are open at first; the others open at a click."""
PARTIAL = (
    "Some runs of this scenario or of the baseline are missing. Differences of money and indicators are of the seeds "
    "that both have; counts of parcels, flows and days are of all runs that are there."
)


class Detail(NamedTuple):
    """The section of one scenario. `partial`: why its charts compare other runs than its table; "" if they do not."""

    section: str
    headline: Headline
    rows: list[tables.Row]
    charts: tuple[Chart, ...]
    moved: tables.Moved
    seeds: str
    partial: str
    opened: bool


def page(answer: Answer) -> bytes:
    """The page, UTF-8. The same answer gives the same bytes."""
    teller = Teller(answer.currency)
    baseline = answer.reports[0]
    compared = [report for report in answer.reports if report.differences]
    sections = {report.scenario: f"scenario-{k + 1}" for k, report in enumerate(compared)}
    made = asked.scenarios_of(answer)
    own = [report for report in compared if report.scenario not in made]
    answers = list(asked.answers(teller, answer))
    told = _largest(own)
    headlines = [headline(teller, report, sections[report.scenario]) for report in told]
    library, script = _library(), _asset("page.js")
    context: dict[str, Any] = {
        "answer": answer,
        "period": period(answer),
        "baseline_cost": teller.money(_mean_cost(baseline)),
        "baseline_each": teller.money(_mean_each(baseline)),
        "orders": f"{baseline.figures.orders / max(1, len(baseline.seeds)):,.0f}",
        "seeds": len(baseline.seeds),
        "scenarios": len(compared),
        "headlines": [*headlines, *(each.headline for each in answers)],
        "told": len(told),
        "own": len(own),
        "overview": _overview(teller, compared) if len(compared) > 1 else None,
        "summaries": tables.summaries(teller, [(report, sections[report.scenario]) for report in compared]),
        "answers": answers,
        "details": [
            _detail(teller, answer, report, sections[report.scenario], opened=k < OPEN_TOLD and bool(own))
            for k, report in enumerate([*own, *(each for each in compared if each.scenario in made)])
        ],
        "json": _embedded,
        "style": Markup(_asset("page.css")),
        "library": Markup(library),
        "script": Markup(script),
        "script_hashes": [_hash_of(library), _hash_of(script)],
    }
    return _templates().get_template("page.html").render(context).encode()


def _largest(reports: Sequence[Report]) -> list[Report]:
    """All of them, or of many those that differ most, in their sequence."""
    far = sorted(reports, key=lambda report: -abs(report.differences["cost"].difference))[:HEADLINES_TOLD]
    names = {report.scenario for report in far}
    return [report for report in reports if report.scenario in names]


def _mean_cost(report: Report) -> float:
    return report.figures.total / 1000 / max(1, len(report.seeds))


def _mean_each(report: Report) -> float:
    return report.figures.total / 1000 / max(1, report.figures.orders)


def _overview(teller: Teller, reports: Sequence[Report]) -> Chart:
    """All scenarios beside the baseline."""
    spans = []
    for report in reports:
        cost = report.differences["cost"]
        found = Estimate(cost.difference, cost.low, cost.high)
        told = f"{teller.money(found.value, signed=True)} {teller.span(found)}".strip()
        spans.append(Span(report.scenario, found.value, found.low, found.high, told))
    return intervals(
        "All scenarios beside the baseline",
        "Difference of cost in the mean of a run, with 95 % intervals; grey where it may be chance.",
        spans,
        money_axis(teller.currency, "More or less than the baseline"),
    )


def _detail(teller: Teller, answer: Answer, report: Report, section: str, *, opened: bool) -> Detail:
    baseline = answer.reports[0]
    drawn = (
        charts.waterfall(teller, report),
        charts.split_histogram(baseline, report),
        mapping.flow_map(answer, baseline, report),
        charts.utilisation(baseline, report),
    )
    return Detail(
        section,
        headline(teller, report, section),
        tables.indicator_rows(teller, report),
        tuple(each for each in drawn if each is not None),
        tables.moved(teller, report),
        seeds(report),
        "" if report.seeds == baseline.seeds else PARTIAL,
        opened,
    )


def _embedded(value: Any) -> Markup:
    """JSON that can stand in a script element: nothing in it ends the element or begins a comment."""
    return Markup(msgspec.json.encode(value).decode().replace("<", "\\u003c"))


def _hash_of(script: str) -> str:
    """What a content security policy calls this script, and no other."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


@lru_cache(1)
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # loaded with the first page, not with a service

    return Environment(
        loader=PackageLoader("api.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache
def _asset(name: str) -> str:
    return files("api.report").joinpath("assets", name).read_text(encoding="utf-8")


@lru_cache(1)
def _library() -> str:
    """Plotly's own script, the one bundle that its package has."""
    return files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
