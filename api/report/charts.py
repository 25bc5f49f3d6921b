"""The charts of one scenario beside the baseline: cost by term, parcels of an order, how full nodes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from math import ceil

from api.report.drawing import BASE, INK, LESS, LINE, MORE, MUTED, Chart, chart, money_axis, named_axis, text
from api.report.telling import LABELS, TERMS, Teller
from engine.simulation.figures import Figures, Utilisation
from engine.simulation.simulating import Report

NODES_TOLD, COLUMNS_MAX = 25, 62
PARCELS_TOLD = 5
"""Orders of so many parcels and more stand together."""


def waterfall(teller: Teller, report: Report) -> Chart:
    """From the baseline's cost to the scenario's, term by term, both in the mean of a run."""
    terms = [report.differences[name] for name in TERMS]
    steps = [term.difference for term in terms]
    cost = report.differences["cost"]
    levels = [cost.baseline]
    for step in steps:
        levels.append(levels[-1] + step)
    low, high = min(levels), max(levels)
    room = max((high - low) * 0.35, abs(high) * 0.002, 0.01)
    bottom = max(0.0, low - room)
    trace = {
        "type": "waterfall",
        "x": list(range(len(TERMS) + 2)),
        "y": [cost.baseline, *steps, cost.scenario],
        "measure": ["absolute", *["relative"] * len(TERMS), "total"],
        "text": [
            teller.money(cost.baseline),
            *[teller.money(step, signed=True) or "0" for step in steps],
            teller.money(cost.scenario),
        ],
        "textposition": "outside",
        "cliponaxis": False,
        "textfont": {"color": INK},
        "hoverinfo": "skip",
        "increasing": {"marker": {"color": MORE}},
        "decreasing": {"marker": {"color": LESS}},
        "totals": {"marker": {"color": BASE}},
        "connector": {"line": {"color": LINE, "width": 1}},
    }
    cut = " The axis does not begin at 0." if bottom > 0 else ""
    return chart(
        "Where the money goes",
        f"From the baseline's cost to the scenario's, in the mean of a run.{cut}",
        [trace],
        340,
        wide=False,
        xaxis={
            "tickmode": "array",
            "tickvals": list(range(len(TERMS) + 2)),
            "ticktext": ["Baseline", *[LABELS[name].replace(" ", "<br>") for name in TERMS], "Scenario"],
            "showgrid": False,
            "tickfont": {"size": 11},
        },
        yaxis=money_axis(teller.currency, "Cost of a run", range=[bottom, high + room], zeroline=False),
        showlegend=False,
        bargap=0.35,
    )


def split_histogram(baseline: Report, report: Report) -> Chart:
    """How many orders go in how many parcels, as shares of all."""
    counts = sorted({min(k, PARCELS_TOLD) for each in (baseline, report) for k in each.figures.parcels_per_order})
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": counts,
            "y": [share * 100 for share in _parcel_shares(each.figures, counts)],
            "marker": {"color": colour},
            "hovertemplate": "%{y:.2f} % of orders<extra></extra>",
        }
        for name, each, colour in (("Baseline", baseline, BASE), ("Scenario", report, LESS))
    ]
    told = ["none" if k == 0 else f"{k} +" if k == PARCELS_TOLD else str(k) for k in counts]
    return chart(
        "Parcels per order",
        "Shares of all orders of all seeds.",
        traces,
        340,
        wide=False,
        xaxis={"title": {"text": "Parcels"}, "tickmode": "array", "tickvals": counts, "ticktext": told},
        yaxis={"title": {"text": "Orders (%)"}, "gridcolor": LINE, "rangemode": "tozero"},
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
        bargap=0.25,
        bargroupgap=0.05,
    )


def _parcel_shares(figures: Figures, counts: Sequence[int]) -> list[float]:
    found = dict.fromkeys(counts, 0)
    for k, orders in figures.parcels_per_order.items():
        found[min(k, PARCELS_TOLD)] += orders
    return [found[k] / figures.orders if figures.orders else 0.0 for k in counts]


def utilisation(baseline: Report, report: Report) -> Chart | None:
    """How full each node's days are, in the baseline and beside it; in parcels where no node has a limit.

    Of the first seed; of a long time the fullest day of each week or longer step. None if nothing ships.
    """
    both = (*baseline.utilisation, *report.utilisation)
    if not both:
        return None
    limited = any(row.used is not None for row in both)
    totals: dict[str, int] = {}
    untold: set[str] = set()
    for each in (baseline, report):
        shipped = each.shipped()
        untold |= shipped.keys() - each.figures.loads.keys()
        for name, load in shipped.items():
            totals[name] = totals.get(name, 0) + load.parcels
    known = totals.keys() - untold
    node_ids = sorted(known, key=lambda node_id: (-totals[node_id], node_id))[:NODES_TOLD]
    days = sorted({date.fromisoformat(row.date).toordinal() for row in both})
    step = _step(days[-1] - days[0] + 1)
    starts = sorted({day - (day - days[0]) % step for day in days})
    dates = [date.fromordinal(start).isoformat() for start in starts]
    traces = [
        _heat(_fullest(rows, days[0], step, limited=limited), node_ids, dates, limited=limited)
        | {"xaxis": axis, "yaxis": "y"}
        for rows, axis in ((baseline.utilisation, "x"), (report.utilisation, "x2"))
    ]
    dated = {"type": "category", "tickangle": -45, "showgrid": False, "nticks": 8}
    what = "% of the day's limit" if limited else "parcels of a day"
    note = f"By node and the day that parcels leave, first seed; {what}."
    if step > 1:
        note += f" Of {step} days the fullest."
    if len(totals) > len(node_ids):
        note += f" The {len(node_ids)} busiest of {len(totals)} nodes."
    titles = [
        {"text": title, "x": x, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        | {"showarrow": False, "font": {"color": MUTED}}
        for title, x in (("Baseline", 0), ("Scenario", 0.52))
    ]
    return chart(
        "How full the nodes are",
        note,
        traces,
        130 + 18 * len(node_ids),
        xaxis={**dated, "domain": [0, 0.48]},
        xaxis2={**dated, "domain": [0.52, 1]},
        yaxis=named_axis(node_ids),
        annotations=titles,
        coloraxis={
            "colorscale": [[0, "{heat0}"], [0.5, "{heat1}"], [1, "{heat2}"]],
            "cmin": 0,
            "colorbar": {"title": {"text": "%" if limited else "parcels"}, "thickness": 12, "outlinewidth": 0},
            **({"cmax": 100} if limited else {}),
        },
    )


def _step(days: int) -> int:
    """Days of a column: one, or as many weeks as it takes."""
    return 1 if days <= COLUMNS_MAX else 7 * ceil(days / (7 * COLUMNS_MAX))


def _fullest(
    rows: Sequence[Utilisation], first: int, step: int, *, limited: bool
) -> dict[tuple[str, str], Utilisation]:
    """By node and the first day of a column: its fullest day."""
    found: dict[tuple[str, str], Utilisation] = {}
    for row in rows:
        day = date.fromisoformat(row.date).toordinal()
        at = row.node_id, date.fromordinal(day - (day - first) % step).isoformat()
        if at not in found or _weight(row, limited=limited) > _weight(found[at], limited=limited):
            found[at] = row
    return found


def _weight(row: Utilisation, *, limited: bool) -> tuple[float, int]:
    return (row.used or 0.0) if limited else 0.0, row.parcels


def _heat(
    known: Mapping[tuple[str, str], Utilisation], node_ids: Sequence[str], dates: Sequence[str], *, limited: bool
) -> dict[str, object]:
    values: list[list[float | None]] = []
    told: list[list[str]] = []
    for node_id in node_ids:
        line = [known.get((node_id, day)) for day in dates]
        values.append([_fullness(each, limited=limited) for each in line])
        told.append([_told(each) for each in line])
    return {
        "type": "heatmap",
        "x": list(dates),
        "y": list(range(len(node_ids))),
        "z": values,
        "text": told,
        "hovertemplate": "%{x}<br>%{text}<extra></extra>",
        "hoverongaps": False,
        "coloraxis": "coloraxis",
        "xgap": 1,
        "ygap": 1,
    }


def _fullness(each: Utilisation | None, *, limited: bool) -> float | None:
    if each is None:
        return None
    if not limited:
        return each.parcels
    return None if each.used is None else round(each.used * 100, 1)


def _told(each: Utilisation | None) -> str:
    if each is None:
        return ""
    full = "no limit" if each.used is None else f"{each.used * 100:.1f} % full"
    return f"{text(each.node_id)}: {each.parcels:,} parcels, {each.units:,} units, {full}"
