"""What the README says works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from typer.testing import CliRunner

from api.app import create_app
from api.cli import app as cli
from engine.assembly import build_memory
from engine.sample.world import build_world

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


async def test_the_first_order_is_decided_as_printed():
    """A newcomer's first curl gets a decision, and the same bytes when it is sent again."""
    body = re.search(r"curl -s http://127.0.0.1:8080(/v1/orders).*?-d '(\{.*?\n\})'", README, re.DOTALL)
    assert body is not None
    engine = build_memory()
    await engine.start()
    world = build_world()
    await engine.registry.put_network("default", world.network)
    await engine.registry.put_skus("default", world.skus)
    await engine.stock.write("default", list(enumerate(world.stock)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(engine)), base_url="http://test") as client:
        first = await client.post(body.group(1), content=body.group(2))
        again = await client.post(body.group(1), content=body.group(2))
    await engine.stop()
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["status"] == "allocated"
    assert first.content == again.content


def test_every_command_that_it_names_exists():
    """The table of commands is the list of commands."""
    named = set(re.findall(r"^\| `apportion (\w+)", README, re.MULTILINE))
    known = {line.split()[0] for line in CliRunner().invoke(cli, ["--help"]).output.split("Commands:")[1].splitlines()
             if re.match(r"^  \w", line)}  # fmt: skip
    assert named == known


def test_the_pages_that_it_links_exist():
    """No link of the README leads nowhere."""
    for target in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / target).exists(), target
