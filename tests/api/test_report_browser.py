"""The page in a real browser, where there is one: what is drawn, and what a printer gets."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.report import page
from engine.simulation.answering import Answer
from engine.simulation.bounding import node_sums
from tests.api.test_report import answer_of
from tests.api.test_report_map import crowd
from tests.engine.simulation.worlds import simulation, world

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="there is no browser"),
    pytest.mark.timeout(180),
]
MEASURE = """
<script>
const boxes = (plot) => [...plot.querySelectorAll(".textpoint text")].map((each) => {
  const { left, right, top, bottom } = each.getBoundingClientRect();
  return { name: each.textContent, left, right, top, bottom };
}).filter((each) => each.name);
setTimeout(() => {
  const plots = [...document.querySelectorAll(".plot")];
  const drawn = () => plots.filter((plot) => plot.querySelector("svg")).length;
  const open = () => document.querySelectorAll("details[open]").length;
  const map = plots.find((plot) => plot.querySelector(".textpoint text"));
  const found = { drawn: drawn(), open: open(), names: boxes(map), plots: plots.length };
  dispatchEvent(new Event("beforeprint"));
  Object.assign(found, { printed: drawn(), printedOpen: open() });
  dispatchEvent(new Event("afterprint"));
  const out = document.createElement("pre");
  out.textContent = "FOUND" + JSON.stringify({ ...found, openAgain: open() }) + "FOUND";
  document.body.append(out);
}, 3000);
</script>
"""


def looked_at(answer: Answer, directory: Path, width: int) -> dict[str, Any]:
    """What a browser of this width made of the page; scripts of ours may run in it besides its own."""
    assert BROWSER is not None
    body, policies = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page(answer).decode())
    assert policies == 1
    file = directory / f"page-{width}.html"
    file.write_text(body.replace("</body>", MEASURE + "</body>"))
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={directory / 'profile'}"]
    arguments += ["--virtual-time-budget=8000", f"--window-size={width},4000", "--dump-dom", file.as_uri()]
    ran = subprocess.run([BROWSER, *arguments], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"FOUND(\{.*\})FOUND</pre>", ran.stdout)
    assert found is not None, ran.stderr[-2000:]
    looked: dict[str, Any] = json.loads(found[1])
    return looked


async def crowded() -> Answer:
    """Five scenarios, so that some are closed at first, on a map with a crowd of nodes."""
    answer = await answer_of(simulation(pricing={"on": False}), world())
    made, before, after = crowd(60)
    base, report = answer.reports[0], answer.reports[1]
    figures = [msgspec.structs.replace(each.figures, loads=other.figures.loads, regions=other.figures.regions)
               for each, other in ((base, before), (report, after))]  # fmt: skip
    scenarios = [
        msgspec.structs.replace(
            report, scenario=f"s{k}", figures=figures[1], nodes=node_sums(figures[1]), flows=after.flows
        )
        for k in range(5)
    ]
    reports = (msgspec.structs.replace(base, figures=figures[0], nodes=node_sums(figures[0])), *scenarios)
    return msgspec.structs.replace(answer, nodes=made.nodes, regions=made.regions, reports=reports)


@pytest.mark.parametrize("width", [1200, 640])
async def test_names_on_the_map_do_not_overlap_and_paper_has_every_section(tmp_path: Path, width: int):
    """As the browser draws them no two names share a pixel; printing opens and draws what is closed, then closes it."""
    found = looked_at(await crowded(), tmp_path, width)
    names = found["names"]
    assert len(names) >= 5
    assert "FC-000" in {name["name"] for name in names}, "it ships no more"
    for k, one in enumerate(names):
        for other in names[k + 1 :]:
            beside = one["right"] <= other["left"] or other["right"] <= one["left"]
            assert beside or one["bottom"] <= other["top"] or other["bottom"] <= one["top"], (one, other)
    assert found["drawn"] < found["plots"] == found["printed"]
    assert (found["open"], found["printedOpen"], found["openAgain"]) == (3, 5, 3)
