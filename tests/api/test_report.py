"""The report's page: complete in itself, safe with any name, and true to the answer that it tells."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from plotly import graph_objects

from api.report import page
from api.report.rendering import HEADLINES_TOLD, OPEN_TOLD
from api.report.telling import INDICATORS, MINUS, Teller, headline
from engine.domain import Limits
from engine.policy.document import Rule, Then
from engine.simulation.answering import Answer, Place, answered
from engine.simulation.comparing import FlowChange
from engine.simulation.figures import Load
from engine.simulation.questions import asked
from engine.simulation.scenario import BASELINE, Simulation, runs_of
from engine.simulation.simulating import performed, prepared
from engine.simulation.world import World
from tests.engine.simulation.worlds import simulation, with_policy, world

HOSTILE = "</script><script>alert(1)</script>&<img/src=x>"
FETCHING = {"src", "href", "srcset", "action", "data", "poster", "formaction"}
COLOURS = re.compile(r"(?<!%)\{(\w+)\}")


class Reader(HTMLParser):
    """Elements, scripts by type, and the text that a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[tuple[str, str]] = []
        self.scripts: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.opened: list[bool] = []
        self.policy = ""
        self.style = ""
        self._inside: str | None = None
        self._kind = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.fetched += [(tag, value or "") for name, value in attrs if name in FETCHING]
        assert not [name for name in told if name.startswith("on")], "no handlers in markup"
        if tag == "meta" and told.get("http-equiv") == "Content-Security-Policy":
            self.policy = told["content"] or ""
        if tag == "details":
            self.opened.append("open" in told)
        if tag in ("script", "style"):
            self._inside, self._kind = tag, told.get("type") or ""
            if tag == "script":
                self.scripts.append((self._kind, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None
        if tag in ("td", "th"):
            self.text.append(" ")

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            kind, body = self.scripts.pop()
            self.scripts.append((kind, body + data))
        elif self._inside == "style":
            self.style += data
        else:
            self.text.append(data)

    @property
    def figures(self) -> list[dict[str, Any]]:
        return [json.loads(body) for kind, body in self.scripts if kind == "application/json"]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text)).replace("\xa0", " ")


def read(answer: Answer) -> Reader:
    reader = Reader()
    reader.feed(page(answer).decode())
    reader.close()
    return reader


async def answer_of(of: Simulation, base: World) -> Answer:
    of = asked(of, base)
    begin = prepared(of, base)
    return answered(of, begin, [await performed(of, begin, one) for one in runs_of(of)])


@pytest.fixture(scope="module")
def told() -> Answer:
    """Two scenarios, one with a hostile name, and every question, with two seeds."""
    rules = [Rule(name=HOSTILE, then=Then(except_nodes=["W"]))]
    base = with_policy(world(12), limits=Limits(max_parcels=1), rules=rules)
    of = simulation(
        seeds=[1, 2],
        demand={"generator": {"since": "2026-11-23T12:00:00Z", "days": 0.1, "orders_per_day": 500}},
        pricing={"orders_min": 20, "programme_hours": 4, "minutes": 9},
        scenarios=[
            {"name": "no east", "patches": [{"close_node": {"node_id": "E"}}]},
            {"name": HOSTILE, "patches": [{"capacity": {"node_id": "E", "parcels_per_day": 10}}]},
        ],
        questions={
            "price_of_policy": {},
            "closings": True,
            "sweeps": [{"name": HOSTILE, "parameter": "safety_stock", "values": [0, 2, 200]}],
            "worth": {"skus": ["P", "Q"], "units": 5, "measured": True, "nodes": ["E"]},
        },
    )
    return asyncio.run(answer_of(of, base))


def test_the_page_opens_without_a_network(told):
    """Nothing refers outside but links within the page, and a policy keeps a browser from all else."""
    reader = read(told)
    assert {tag for tag, _ in reader.fetched} == {"a"}
    assert all(value.startswith("#") for _, value in reader.fetched)
    assert "url(" not in reader.style
    assert "@import" not in reader.style
    assert reader.policy.startswith("default-src 'none'; script-src 'sha256-")
    running = [body for kind, body in reader.scripts if kind != "application/json"]
    assert len(running) == 2
    for body in running:
        assert f"'sha256-{b64encode(sha256(body.encode()).digest()).decode()}'" in reader.policy
    directives = dict(part.strip().split(" ", 1) for part in reader.policy.split(";"))
    assert "unsafe" not in directives["script-src"]
    assert "http" not in reader.policy


def test_links_lead_to_sections_of_the_page(told):
    """A headline that leads nowhere is worse than none."""
    body = page(told).decode()
    ids = set(re.findall(r'<(?:section|details)[^>]* id="([^"]+)"', body))
    links = {value[1:] for _, value in read(told).fetched}
    assert links
    assert links <= ids


def test_names_are_text_wherever_they_stand(told):
    """A scenario, rule or curve may be called anything: it is shown as it is, and is neither markup nor script."""
    body = page(told).decode()
    assert "<script>alert" not in body
    assert "<img" not in body
    reader = read(told)
    assert HOSTILE in reader.words
    assert len([kind for kind, _ in reader.scripts if not kind]) == 2
    labels = [text for figure in reader.figures for text in _texts(figure)]
    assert any("&lt;/script&gt;" in label for label in labels)
    assert not [label for label in labels if re.search(r"<(?!b>|/b>|br>|extra>|/extra>)", label)]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inside for text in _texts(each)]


def test_every_figure_is_one_that_plotly_can_draw(told):
    """Each is valid by Plotly's own schema once colours have values, and each colour is one that the page defines."""
    reader = read(told)
    assert len(reader.figures) > 10
    defined = set(re.findall(r"--(\w+):", reader.style))
    for figure in reader.figures:
        assert {match for text in _texts(figure) for match in COLOURS.findall(text)} <= defined
        graph_objects.Figure(json.loads(COLOURS.sub("#123456", json.dumps(figure))))


def test_light_dark_and_paper_define_the_same_colours(told):
    """A colour that one theme lacks would be the other's, unreadable on its ground."""
    blocks = re.findall(r":root \{(.*?)\}", read(told).style, re.DOTALL)
    assert len(blocks) == 3
    assert len({frozenset(re.findall(r"--(\w+):", block)) for block in blocks}) == 1


def test_the_waterfall_goes_from_the_baseline_to_the_scenario(told):
    """Cost by term adds up: what the chart draws is what the answer says, to the cent."""
    waterfalls = [trace for figure in read(told).figures for trace in figure["data"] if trace["type"] == "waterfall"]
    compared = [report for report in told.reports if report.differences]
    assert len(waterfalls) == len(compared)
    costs = {}
    for trace in waterfalls:
        first, *steps, last = trace["y"]
        assert first + sum(steps) == pytest.approx(last, abs=1e-6)
        costs[round(last, 3)] = first
    for report in compared:
        cost = report.differences["cost"]
        assert costs[round(cost.scenario, 3)] == pytest.approx(cost.baseline)


def test_parcels_per_order_are_shares_of_all_orders(told):
    """The histogram's bars are the figures' counts and add up to 100 %."""
    bars = [
        figure["data"]
        for figure in read(told).figures
        if [trace.get("name") for trace in figure["data"]] == ["Baseline", "Scenario"]
    ]
    assert bars
    baseline = told.reports[0].figures
    for before, after in bars:
        assert sum(before["y"]) == pytest.approx(100)
        assert sum(after["y"]) == pytest.approx(100)
        by_count = dict(zip(before["x"], before["y"], strict=True))
        assert by_count[1] == pytest.approx(100 * baseline.parcels_per_order[1] / baseline.orders)


def test_the_indicator_table_tells_every_difference_and_its_interval(told):
    """All indicators that were compared stand in the table with the same numbers, and how many seeds there were."""
    teller, words = Teller("USD"), read(told).words
    report = next(report for report in told.reports if report.scenario == "no east")
    told_of = [indicator for indicator in INDICATORS if indicator.name in report.differences]
    assert {indicator.name for indicator in told_of} == report.differences.keys()
    for indicator in told_of:
        pair = report.differences[indicator.name]
        row = " ".join(
            (
                indicator.label,
                teller.value(indicator, pair.baseline),
                teller.value(indicator, pair.scenario),
                teller.difference(indicator, pair.difference),
                teller.interval(indicator, pair),
            )
        )
        assert row in words
    assert "means over 2 seeds" in words


def test_each_scenario_and_question_has_its_sentence(told):
    """Who reads only the first screen has the answers in money."""
    words = read(told).words
    for report in told.reports:
        if report.scenario in ("no east", HOSTILE):
            found = headline(Teller("USD"), report, "")
            assert f"{found.amount} {found.subject} {found.sentence}" in words
    assert "Policy default costs $" in words
    assert f"Closing {told.closings[0].node_id} would" in words
    assert f"{told.closings[-1].node_id} would cost most" in words
    assert f"{HOSTILE} is cheapest at 0" in words
    assert "5 more of" in words


async def test_one_seed_has_no_interval():
    """Nothing is said of chance where there is nothing to say it from."""
    answer = await answer_of(simulation(pricing={"on": False}), world())
    words = read(answer).words
    assert "how much of that is chance is not known" in words
    assert "means over 1 seed;" in words
    assert not re.search(r"95 % interval [+\-−$0-9]", words)


async def test_a_scenario_that_changes_nothing_is_told_so():
    """Nothing is neither more nor less."""
    of = simulation(pricing={"on": False}, scenarios=[{"name": "same", "patches": [{"safety_stock": {"units": 0}}]}])
    words = read(await answer_of(of, world())).words
    assert "same costs what the baseline does." in words
    assert "None." not in words


def test_missing_runs_are_told(told):
    """Where a run failed, sums of different runs stand side by side in the charts: the page says so, and only then."""
    warning = "Some runs of this scenario or of the baseline are missing."
    assert warning not in read(told).words
    short = msgspec.structs.replace(told.reports[1], seeds=told.reports[1].seeds[:1])
    lacking = msgspec.structs.replace(told, reports=(told.reports[0], short, *told.reports[2:]))
    assert read(lacking).words.count(warning) == 1


async def test_a_run_in_which_nothing_ships_has_a_page():
    """Empty stock: no loads, no flows, no map of parcels, and no division by nothing."""
    of = simulation(pricing={"on": False}, scenarios=[{"name": "more", "patches": [{"demand_factor": 2}]}])
    words = read(await answer_of(of, world({("E", "P"): 0}))).words
    assert "more costs" in words


def test_the_same_answer_gives_the_same_page(told):
    """Also after it went through JSON, as jobs keep it."""
    assert page(told) == page(told)
    assert page(msgspec.json.decode(msgspec.json.encode(told), type=Answer)) == page(told)


def test_a_large_simulation_stays_readable(told):
    """Fifty scenarios, a thousand nodes: the page tells the most important ones and says that it does."""
    base, first = told.reports[0], next(report for report in told.reports if report.scenario == "no east")
    names = [f"N{k}" for k in range(1_000)]
    loads = {name: {"2026-11-23": Load(1 + k, 2 * k)} for k, name in enumerate(names)}
    usage = tuple(first.utilisation[0]._replace(node_id=name, parcels=1 + k) for k, name in enumerate(names))
    figures = msgspec.structs.replace(first.figures, loads=loads)
    flows = tuple(FlowChange(name, "US-NY", k - 500, k - 500, 0) for k, name in enumerate(names))
    reports = [base] + [
        msgspec.structs.replace(first, scenario=f"s{k}", figures=figures, nodes={}, utilisation=usage, flows=flows)
        for k in range(50)
    ]
    nodes = tuple(Place(name, 30 + k % 20, -120 + k % 50) for k, name in enumerate(names))
    large = Answer(
        name="large", currency="USD", grams_per_parcel_km=0.2, nodes=nodes, regions=told.regions, reports=tuple(reports)
    )
    body = page(large)
    reader = read(large)
    assert len(body) < 15_000_000
    assert f"The {HEADLINES_TOLD} largest differences of 50 scenarios; all are below." in reader.words
    assert reader.opened == [True] * OPEN_TOLD + [False] * (50 - OPEN_TOLD)
    assert "The 40 largest of 999 changed flows." in reader.words
    assert "200 of 1000 nodes." in reader.words
    assert "The 25 busiest of 1" in reader.words


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [
        (0.0, "$0.00", "$0.00"),
        (-0.001, "$0.00", "$0.00"),
        (9.2, "$9.20", "+$9.20"),
        (-9.2, f"{MINUS}$9.20", f"{MINUS}$9.20"),
        (1234.6, "$1,235", "+$1,235"),
    ],
)
def test_money_is_told_as_people_write_it(value, plain, signed):
    """Signs before the currency, no minus zero, cents where they matter."""
    assert (Teller("USD").money(value), Teller("USD").money(value, signed=True)) == (plain, signed)
    assert Teller("SEK").money(1.5) == "SEK 1.50"


def test_a_service_starts_without_what_only_pages_need():
    """Arrow, SciPy's functions and the templates' compiler load with the first report, not with every service."""
    code = (
        "import sys, api.app; before = set(sys.modules); import api.report; "
        "print(sorted({'pyarrow', 'plotly', 'jinja2', 'scipy.special'} & (set(sys.modules) - before)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_baseline_is_the_first_report(told):
    """The page compares with the first report: answers are made so."""
    assert told.reports[0].scenario == BASELINE
