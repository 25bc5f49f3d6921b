"""What all charts share: a figure in the form of Plotly's JSON schema, with colours by name.

A colour is a token such as `{blue}`: the page's script puts the style sheet's value in its place, for light, dark and
paper. Names of callers go through `text`, since Plotly reads some HTML in what it draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from api.report.telling import short

INK, MUTED, LINE, PAPER, MORE, LESS, BASE = ("{ink}", "{muted}", "{line}", "{paper}", "{more}", "{less}", "{base}")
"""Text, lesser text, rules, ground; what costs more or grew, what costs less or shrank; the baseline."""

Trace = dict[str, Any]


class Chart(NamedTuple):
    """One figure: a heading in words, how it is read, and what Plotly draws. `height` in pixels."""

    title: str
    note: str
    figure: dict[str, Any]
    height: int
    wide: bool = True


def text(name: str) -> str:
    """A caller's name as a chart's text, shortened."""
    return escape(short(name), quote=False)


def chart(title: str, note: str, data: Sequence[Trace], height: int, *, wide: bool = True, **layout: Any) -> Chart:
    """A chart of these traces; `layout` beside what the page's script says for all."""
    return Chart(title, note, {"data": list(data), "layout": layout}, height, wide)


def money_axis(currency: str, title: str, **more: Any) -> dict[str, Any]:
    """An axis of money; `title` is followed by its currency."""
    return {"title": {"text": f"{title} ({currency})"}, "tickformat": ",~r", "gridcolor": LINE, **more}


def named_axis(names: Sequence[str], **more: Any) -> dict[str, Any]:
    """A vertical axis with one line for each name, the first one on top; values are positions from 0."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [text(name) for name in names],
        "range": [len(names) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
        **more,
    }


class Span(NamedTuple):
    """One line of a chart of intervals."""

    name: str
    value: float
    low: float | None
    high: float | None
    told: str


def intervals(title: str, note: str, spans: Sequence[Span], axis: dict[str, Any]) -> Chart:
    """A dot for each value on a line of its own, with its interval, coloured by its sign; grey where it may be 0."""
    colours = [_colour(span) for span in spans]
    bars = {
        "type": "data",
        "symmetric": False,
        "array": [0 if span.high is None else span.high - span.value for span in spans],
        "arrayminus": [0 if span.low is None else span.value - span.low for span in spans],
        "thickness": 1.5,
        "width": 4,
        "color": MUTED,
    }
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [span.value for span in spans],
        "y": list(range(len(spans))),
        "error_x": bars,
        "marker": {"size": 11, "color": colours, "line": {"width": 1, "color": PAPER}},
        "hovertext": [f"<b>{text(span.name)}</b><br>{escape(span.told, quote=False)}" for span in spans],
        "hoverinfo": "text",
        "showlegend": False,
    }
    zero = {"rangemode": "tozero", "zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1}
    return chart(
        title,
        note,
        [trace],
        90 + 26 * len(spans),
        xaxis={**axis, **zero},
        yaxis=named_axis([span.name for span in spans]),
    )


def _colour(span: Span) -> str:
    if span.low is not None and span.high is not None and span.low <= 0 <= span.high:
        return BASE
    return MORE if span.value > 0 else LESS
