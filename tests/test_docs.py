"""The pages in `docs` that show requests: each is sent as it stands there, in order, and answered as it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic_settings import BaseSettings

from api.app import create_app
from engine.assembly import build_memory
from engine.domain import Limits
from engine.policy import Policy
from engine.settings import Settings
from engine.simulation.jobs.terms import Terms
from engine.simulation.patches import Patch
from engine.simulation.scenario import Simulation

ROOT = Path(__file__).parent.parent
PAGES = ("network.md", "orders.md", "policies.md", "simulation.md")
EXAMPLE = re.compile(r"^```http\n(\w+) (\S+)\n(.*?)\n?\n(\d{3}) ?(.*?)\n```$", re.MULTILINE | re.DOTALL)


def holds(answer: Any, printed: Any) -> bool:
    """Whether an answer has all that is printed; lists as long as printed."""
    if isinstance(printed, dict):
        return isinstance(answer, dict) and all(key in answer and holds(answer[key], printed[key]) for key in printed)
    if isinstance(printed, list):
        same = isinstance(answer, list) and len(answer) == len(printed)
        return same and all(map(holds, answer, printed))
    return bool(answer == printed)


async def test_every_example_is_answered_as_printed(tmp_path: Path):
    """A reader who types the examples in, page by page, sees what the pages say."""
    engine = build_memory(archive_url="sqlite://", simulations=tmp_path)
    await engine.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(engine)), base_url="http://test") as client:
        for page in PAGES:
            text = (ROOT / "docs" / page).read_text()
            examples = EXAMPLE.findall(text)
            assert len(examples) == text.count("```http"), page
            for method, path, body, status, printed in examples:
                answer = await client.request(method, path, content=body)
                where = f"{page}: {method} {path} {body}: {answer.text}"
                assert answer.status_code == int(status), where
                assert not printed or holds(answer.json(), json.loads(printed)), where
    await engine.stop()


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("docs/orders.md", Limits),
        ("docs/policies.md", Policy),
        ("docs/simulation.md", Simulation),
        ("docs/simulation.md", Patch),
        ("README.md", Settings),
        ("docs/simulation.md", Terms),
    ],
)
def test_every_field_has_its_line(page, kind):
    """Limits of an order, fields of a policy and settings of a process are all told, and nothing that is not there."""
    if issubclass(kind, BaseSettings):
        known = {f"{kind.model_config['env_prefix']}{name}".upper() for name in kind.model_fields}
        told = set(re.findall(r"^\| `(APPORTION_\w+)`", (ROOT / page).read_text(), re.MULTILINE))
        assert told == known
        return
    text = (ROOT / page).read_text()
    told = {name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert set(kind.__struct_fields__) <= told
