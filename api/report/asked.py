"""What was asked, in words, charts and tables: the price of a policy, closings, curves, where stock is worth most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from api.report.drawing import BASE, INK, LESS, LINE, MUTED, Chart, Span, chart, intervals, money_axis, named_axis
from api.report.telling import Headline, Indicator, Teller, certainty, direction
from engine.simulation.answering import Answer, Curve, Estimate, Worth
from engine.simulation.comparing import Paired
from engine.simulation.questions import plain

SKUS_DRAWN, NODES_DRAWN, PLACES_TOLD = 8, 12, 3
PARAMETERS = {
    "safety_stock": "Units kept back of every cell",
    "window": "Seconds that windows stay open",
    "max_parcels": "Parcels of an order at most",
    "hold": "Hours that orders are held",
}
PANELS = (
    ("cost", "Cost beside the baseline", 1.0),
    ("split_rate", "Orders in several parcels (pp)", 100.0),
    ("fill_units", "Units that ship (pp)", 100.0),
    ("late_rate", "Dated orders that are late (pp)", 100.0),
)
"""What a curve shows of each value, and by how much it is multiplied."""
WIDE = 50
"""Numbers that differ by more than this factor are drawn by their logarithms."""
SHARE = Indicator("", "", "share")


class Answered(NamedTuple):
    """One question: its heading, the answer in a sentence, how sure it is, charts, and a table of texts.

    `figure` cells of a table stand to the right: all but the first.
    """

    section: str
    question: str
    headline: Headline
    charts: tuple[Chart, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def scenarios_of(answer: Answer) -> set[str]:
    """Those that only questions made."""
    found = {closing.scenario for closing in answer.closings}
    if answer.price_of_policy is not None:
        policy = answer.price_of_policy
        found |= {part.scenario for part in (*policy.parts, *([policy.together] if policy.together else []))}
    found |= {point.scenario for curve in answer.curves for point in curve.points}
    found |= {cell.scenario for worth in answer.worth for cell in worth.cells if cell.scenario is not None}
    return found


def answers(teller: Teller, answer: Answer) -> Iterator[Answered]:
    """All that was asked, in the sequence of the document."""
    if answer.price_of_policy is not None and answer.price_of_policy.parts:
        yield _policy(teller, answer)
    if answer.closings:
        yield _closings(teller, answer)
    for k, curve in enumerate(answer.curves):
        if curve.points:
            yield _curve(teller, curve, f"curve-{k + 1}")
    if answer.worth:
        yield _worth(teller, answer.worth)


def _headline(
    teller: Teller, found: Estimate, subject: str, sentence: str, to: str, aside: str | None = None
) -> Headline:
    way = direction(found.value, found.low, found.high)
    told = certainty(found) if aside is None else aside
    return Headline(teller.money(found.value, signed=True), way, subject, sentence, teller.span(found), told, to)


def _span(teller: Teller, name: str, found: Estimate) -> Span:
    told = f"{teller.money(found.value, signed=True)} {teller.span(found)}".strip()
    return Span(name, found.value, found.low, found.high, told)


def _policy(teller: Teller, answer: Answer) -> Answered:
    policy = answer.price_of_policy
    assert policy is not None, "asked for only where it was answered"
    dearest, whole = policy.parts[0], policy.together or policy.parts[0]
    sentence = (
        f"costs {teller.money(whole.cost.value)} a run beside one without rules and limits; "
        f"its dearest part is {dearest.what}, {teller.money(dearest.cost.value, signed=True)}."
    )
    shown = [*policy.parts, *([policy.together] if policy.together else [])]
    names = [part.what or "all together" for part in shown]
    spans = [_span(teller, name, part.cost) for name, part in zip(names, shown, strict=True)]
    return Answered(
        "policy",
        f"What do the rules and limits of policy {policy.policy_id} cost?",
        _headline(teller, whole.cost, f"Policy {policy.policy_id}", sentence, "policy"),
        (
            intervals(
                "What each part costs",
                "What the baseline pays more than the same runs without that part, with 95 % intervals.",
                spans,
                money_axis(teller.currency, "Cost of a run"),
            ),
        ),
        ("Part", "Costs a run", "95 % interval"),
        tuple(
            (name, teller.money(part.cost.value, signed=True), teller.span(part.cost))
            for name, part in zip(names, shown, strict=True)
        ),
        "Parts that bind each other do not add up: without one of them the other may still force the same.",
    )


def _closings(teller: Teller, answer: Answer) -> Answered:
    first, last = answer.closings[0], answer.closings[-1]
    unfilled = {each.scenario: each.differences["unfilled"].difference for each in answer.reports if each.differences}
    verb = "would save" if first.cost.value < 0 else "would cost least:"
    sentence = f"{verb} {teller.money(abs(first.cost.value))} a run"
    if last is not first:
        sentence += f"; {last.node_id} would cost most: {teller.money(last.cost.value)}"
    spans = [_span(teller, closing.node_id, closing.cost) for closing in answer.closings]
    return Answered(
        "closings",
        "What would closing each node cost?",
        _headline(teller, first.cost, f"Closing {first.node_id}", sentence + ".", "closings"),
        (
            intervals(
                "Nodes by what closing them costs",
                "Each closed alone, its stock left there; with 95 % intervals. Rent and wages saved are not in it.",
                spans,
                money_axis(teller.currency, "Cost of a run beside the baseline"),
            ),
        ),
        ("Node", "Closing costs a run", "95 % interval", "Of it units that do not ship", "Parcels a run now"),
        tuple(
            (
                closing.node_id,
                teller.money(closing.cost.value, signed=True),
                teller.span(closing.cost),
                teller.money(unfilled[closing.scenario], signed=True),
                f"{closing.parcels:,.0f}",
            )
            for closing in answer.closings
        ),
    )


def _curve(teller: Teller, curve: Curve, section: str) -> Answered:
    best = min(curve.points, key=lambda point: (point.indicators["cost"].difference, point.value))
    cost = _estimate(best.indicators["cost"])
    way = "more" if cost.value > 0 else "less"
    sentence = f"is cheapest at {plain(best.value)}: {teller.money(abs(cost.value))} {way} a run than the baseline."
    rows = tuple(
        (
            plain(point.value),
            teller.money(point.indicators["cost"].difference, signed=True),
            teller.span(_estimate(point.indicators["cost"])),
            *(teller.difference(SHARE, point.indicators[name].difference) for name, _, _ in PANELS[1:]),
        )
        for point in curve.points
    )
    return Answered(
        section,
        f"What does {curve.name} trade off?",
        _headline(teller, cost, curve.name, sentence, section),
        (_panels(teller, curve),),
        ("Value", "Cost of a run", "95 % interval", "In several parcels", "Units that ship", "Late"),
        rows,
    )


def _estimate(found: Paired) -> Estimate:
    return Estimate(found.difference, found.low, found.high)


def _panels(teller: Teller, curve: Curve) -> Chart:
    """One small chart for each indicator, all over the same numbers."""
    values = [point.value for point in curve.points]
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    titles = []
    for k, (name, title, times) in enumerate(PANELS):
        found = [point.indicators[name] for point in curve.points]
        axis = "" if k == 0 else str(k + 1)
        left, bottom = (k % 2) * 0.55, 0.0 if k > 1 else 0.6
        traces.append(_line(values, found, times, axis))
        layout[f"xaxis{axis}"] = {
            "domain": [left, left + 0.45],
            "anchor": f"y{axis}",
            "type": "log" if min(values) > 0 and max(values) > WIDE * min(values) else "linear",
            "showgrid": False,
            "zeroline": False,
            "tickmode": "array" if len(values) <= 8 else "auto",
            "tickvals": values,
            "ticktext": [plain(value) for value in values],
            **({"title": {"text": PARAMETERS[curve.parameter]}} if k > 1 else {}),
        }
        layout[f"yaxis{axis}"] = {
            "domain": [bottom, bottom + 0.36],
            "anchor": f"x{axis}",
            "gridcolor": LINE,
            "zeroline": True,
            "zerolinecolor": INK,
            "tickformat": ",~r",
        }
        unit = f" ({teller.currency})" if name == "cost" else ""
        titles.append(
            {"text": title + unit, "x": left, "y": bottom + 0.37, "xref": "paper", "yref": "paper"}
            | {"xanchor": "left", "yanchor": "bottom", "showarrow": False, "font": {"color": INK}}
        )
    note = "Differences beside the baseline (0), in the mean of a run, with 95 % intervals."
    return chart("The curve", note, traces, 460, showlegend=False, annotations=titles, **layout)


def _line(values: list[float], found: list[Paired], times: float, axis: str) -> dict[str, Any]:
    sure_of = all(each.low is not None for each in found)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": values,
        "y": [each.difference * times for each in found],
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
        "line": {"color": LESS, "width": 2},
        "marker": {"color": LESS, "size": 7},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "visible": sure_of,
            "array": [((each.high or 0) - each.difference) * times for each in found],
            "arrayminus": [(each.difference - (each.low or 0)) * times for each in found],
            "color": MUTED,
            "thickness": 1.2,
            "width": 3,
        },
        "hovertemplate": "%{x}: %{y:,.2f}<extra></extra>",
    }


def _worth(teller: Teller, worth: tuple[Worth, ...]) -> Answered:
    best = max((each for each in worth if each.cells), key=_most, default=None)
    rows = [
        (
            f"{each.units:,} × {each.sku} at {cell.node_id}",
            teller.money(cell.price.value),
            f"{cell.priced * 100:.0f} %",
            teller.money(cell.by_price),
            "" if cell.measured is None else teller.money(cell.measured.value, signed=True),
            "" if cell.measured is None else teller.span(cell.measured),
        )
        for each in worth
        for cell in each.cells[:PLACES_TOLD]
    ]
    short = ", ".join(f"{each.short:,.0f} of {each.sku}" for each in worth if each.short) or "none"
    return Answered(
        "worth",
        "Where would more stock be worth most?",
        _worth_headline(teller, best),
        tuple(_supply(teller, each) for each in worth if each.cells)[:SKUS_DRAWN],
        (f"The {PLACES_TOLD} best places of each", "A unit", "Has a price", "Times units", "Measured", "95 % interval"),
        tuple(rows),
        "The price of a unit is what it is expected to save later while it lies there, in the mean over the sheets of "
        "a run. Times the units it is a first guess: too high where units are many, for each saves less than the one "
        "before, and too low where stock runs out, for what is sold out has no price. What "
        f"was measured, in runs with the units, has neither fault. Units a run that did not ship: {short}.",
    )


def _worth_headline(teller: Teller, best: Worth | None) -> Headline:
    if best is None:
        sentence = "cannot be told by shadow prices: no unit of them ever had one."
        return Headline("?", "same", "What more of these SKUs is worth", sentence, "", "", "worth")
    cell, subject = best.cells[0], f"{best.units:,} more of {best.sku}"
    if cell.measured is None:
        sentence = f"are worth most at {cell.node_id}: {teller.money(cell.by_price)} a run by their shadow price."
        hint = "The price is that of the next unit: many units together may save far less."
        return _headline(teller, Estimate(-cell.by_price, None, None), subject, sentence, "worth", hint)
    ends = (None if end is None else 0.0 - end for end in (cell.measured.high, cell.measured.low))
    sentence = f"are worth most at {cell.node_id}: a run with them costs {teller.money(cell.measured.value)} less."
    return _headline(teller, Estimate(0.0 - cell.measured.value, *ends), subject, sentence, "worth")


def _most(worth: Worth) -> float:
    cell = worth.cells[0]
    return cell.by_price if cell.measured is None else cell.measured.value


def _supply(teller: Teller, worth: Worth) -> Chart:
    """Price times units as bars and what was measured as dots, node by node."""
    cells = worth.cells[:NODES_DRAWN]
    places = list(range(len(cells)))
    priced = {
        "type": "bar",
        "orientation": "h",
        "name": "Price times units",
        "x": [cell.by_price for cell in cells],
        "y": places,
        "marker": {"color": BASE, "opacity": 0.55},
        "hovertemplate": "by price %{x:,.2f}<extra></extra>",
    }
    measured = [(k, cell.measured) for k, cell in enumerate(cells) if cell.measured is not None]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "Measured",
        "x": [found.value for _, found in measured],
        "y": [k for k, _ in measured],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [0 if found.high is None else found.high - found.value for _, found in measured],
            "arrayminus": [0 if found.low is None else found.value - found.low for _, found in measured],
            "color": MUTED,
            "thickness": 1.5,
        },
        "marker": {"color": LESS, "size": 11},
        "hovertemplate": "measured %{x:,.2f}<extra></extra>",
    }
    note = "What they would save in a run, by node."
    if (nodes := len(worth.cells) + worth.left_off) > len(cells):
        note += f" The {len(cells)} best of {nodes} nodes."
    return chart(
        f"{worth.units:,} units of {worth.sku}",
        note,
        [priced, dots] if measured else [priced],
        140 + 26 * len(cells),
        wide=False,
        xaxis=money_axis(teller.currency, "Saved in a run", rangemode="tozero"),
        yaxis=named_axis([cell.node_id for cell in cells]),
        showlegend=bool(measured),
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
    )
