"""What is refused at a glance is what the whole check refuses, fault by fault; all else goes on to that."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.app import create_app
from engine.archive.history import History
from engine.assembly import Engine, build_memory
from engine.errors import Fault, InvalidInputError, NoNetworkError
from engine.settings import Settings
from engine.simulation import faults
from engine.simulation.jobs import glancing
from engine.simulation.jobs.accepting import Accept
from engine.simulation.jobs.folder import Folder
from engine.simulation.jobs.glancing import Glancing
from engine.simulation.jobs.intake import InPlace
from engine.simulation.scenario import Simulation, parse_simulation
from tests.api.conftest import NETWORK, STOCK, ndjson
from tests.api.test_simulations import CLOSED, GENERATOR, KITS, client_of, simulation

CATALOGUE = [{"sku": "A"}, {"sku": "B"}, {"sku": "K", "components": [{"sku": "A", "quantity": 1}]}]


class Behind:
    """What a glance left to it."""

    def __init__(self) -> None:
        self.taken: list[Accept] = []

    async def take(self, accept: Accept) -> None:
        self.taken.append(accept)


@pytest.fixture
async def engine(settings: Settings, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine with a network, stock, a catalogue and a policy with a rule."""
    made = build_memory(settings, archive_url="sqlite://", simulations=tmp_path / "simulations")
    application = create_app(made)
    await made.start()
    async with client_of(application) as client:
        for path, body in (("network", NETWORK), ("stock", STOCK)):
            assert (await client.put(f"/v1/{path}", json=body)).status_code == 200
        assert (await client.put("/v1/skus", content=ndjson(*CATALOGUE))).status_code == 200
    yield made
    application.retire()
    await made.stop()


def accept_of(of: Simulation, directory: Path) -> Accept:
    directory.mkdir()
    return Accept(Folder(directory), directory.name, "default", 0, of)


def parsed(**fields: Any) -> Simulation:
    return parse_simulation(json.dumps(simulation(**fields)).encode())


def scenario(*patches: dict[str, Any], name: str = "s") -> dict[str, Any]:
    return {"scenarios": [{"name": name, "patches": list(patches)}]}


FAULTY: dict[str, dict[str, Any]] = {
    "unknown node": scenario({"close_node": {"node_id": "X"}}),
    "contradiction": scenario({"prices": {"on": False}}, {"prices": {"on": True}}),
    "unknown SKUs beside a known one": {
        "demand": {"generator": GENERATOR | {"skus": {"A": 1, "X": 1, "Y": 2}}},
        **scenario({"close_node": {"node_id": "X"}}, {"close_node": {"node_id": "X"}}),
    },
    "unknown SKU of a patch": scenario({"add_stock": {"node_id": "NYC", "sku": "Z", "units": 5}}),
    "a cell that is too full": scenario({"add_stock": {"node_id": "NYC", "sku": "A", "units": 2**31 - 1}}),
    "unknown SKU that comes in": {
        "stock": {
            "replenishment": {"arrivals": [{"at": "2026-11-23T00:00:00Z", "node_id": "NYC", "sku": "Z", "quantity": 1}]}
        }
    },
    "10^9 orders": {"demand": {"generator": GENERATOR | {"orders_per_day": 1e9}}},
    "no orders": {"demand": {"generator": GENERATOR | {"orders_per_day": 0}}},
    "cyclic kit": {"skus": KITS},
    "kit of a stored kit": {"skus": [{"sku": "L", "components": [{"sku": "K", "quantity": 1}]}]},
    "no upload": {"demand": {"upload": {"file": "none"}}},
    "an upload to be mapped": {"demand": {"upload": {"file": "none", "mapping": {"columns": {"sku": "S"}}}}},
    "all closed": scenario({"close_node": {"node_id": "NYC"}}, {"close_node": {"node_id": "LAX"}}),
    "unknown policy": {"questions": {"price_of_policy": {"policy_id": "none"}}},
    "unknown SKU of a question": {"pricing": {}, "questions": {"worth": {"skus": ["A", "Q"], "units": 1}}},
    "two of a name": {"scenarios": [CLOSED, CLOSED]},
}


async def faults_of(take: Any, accept: Accept) -> tuple[str, tuple[Fault, ...]]:
    with pytest.raises(InvalidInputError) as raised:
        await take(accept)
    return raised.value.detail, raised.value.faults


@pytest.mark.parametrize("name", FAULTY)
async def test_a_glance_finds_what_the_whole_check_does(engine: Engine, tmp_path: Path, name: str):
    """Protects "all that is wrong is told at once": neither a fault less nor one more, in the same words."""
    of, behind, uploads = parsed(**FAULTY[name]), Behind(), tmp_path / "uploads"
    glance = Glancing(engine.ledger, uploads, behind)
    whole = InPlace(engine.ledger, History(engine.ledger, None), uploads, strict_skus=False)
    at_a_glance = await faults_of(glance.take, accept_of(of, tmp_path / "glance"))
    assert at_a_glance == await faults_of(whole.take, accept_of(of, tmp_path / "whole"))
    assert behind.taken == []


SOUND: dict[str, dict[str, Any]] = {
    "plain": {},
    "the whole catalogue sells": {
        "demand": {"generator": {name: value for name, value in GENERATOR.items() if name != "skus"}}
    },
    "stock moved": scenario({"move_stock": {"from_node": "NYC", "to_node": "LAX", "share": 0.5}}),
    "a kit of known parts": {"skus": [{"sku": "L", "components": [{"sku": "A", "quantity": 2}]}]},
    "questions": {
        "pricing": {}, "scenarios": [],
        "questions": {"closings": True, "worth": {"skus": ["A"], "units": 3, "measured": True}},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
async def test_what_is_sound_goes_on(engine: Engine, tmp_path: Path, name: str):
    """A glance knows of little stock and of few SKUs, and takes neither for a fault."""
    behind = Behind()
    accept = accept_of(parsed(**SOUND[name]), tmp_path / "sound")
    await Glancing(engine.ledger, tmp_path / "uploads", behind).take(accept)
    assert behind.taken == [accept]


async def test_what_would_take_long_is_left_to_the_process(engine: Engine, tmp_path: Path, monkeypatch):
    """Protects orders: the service's own time goes to small documents only, faulty or not."""
    behind = Behind()
    glance = Glancing(engine.ledger, tmp_path / "uploads", behind)
    patches = [{"close_node": {"node_id": "X"}}]
    many = [{"name": f"s{k}", "patches": patches} for k in range(50)]
    large = {
        "long": {"demand": {"generator": GENERATOR | {"days": 300}}, **scenario(*patches)},
        "names": {"demand": {"generator": GENERATOR | {"skus": {f"S{k}": 1 for k in range(51)}}}},
        "own": {"stock": {"upload": {"file": "none"}}, **scenario(*patches)},
    }
    for name, fields in large.items():
        await glance.take(accept_of(parsed(**fields), tmp_path / name))
    monkeypatch.setattr(glancing, "NETWORK_BYTES_MAX", 100)
    await glance.take(accept_of(parsed(**scenario(*patches)), tmp_path / "network"))
    monkeypatch.undo()
    monkeypatch.setattr(glancing, "STEPS_MAX", 200)
    await glance.take(accept_of(parsed(scenarios=many), tmp_path / "many"))
    assert len(behind.taken) == 5


async def test_a_partition_without_a_network_is_told_so_at_a_glance(engine: Engine, tmp_path: Path):
    """There is nothing to simulate on, which takes no process to see."""
    accept = accept_of(parsed(), tmp_path / "empty")._replace(partition="empty")
    with pytest.raises(NoNetworkError):
        await Glancing(engine.ledger, tmp_path / "uploads", Behind()).take(accept)


async def test_the_event_loop_goes_on_while_a_document_is_glanced_at(engine: Engine, tmp_path: Path, monkeypatch):
    """Protects orders: however long a glance should take, nothing waits for it."""
    looked_at = faults.require

    def slowly(*arguments: Any) -> None:
        time.sleep(0.6)  # a thread's, for which the loop would wait if it were its own
        looked_at(*arguments)

    monkeypatch.setattr(faults, "require", slowly)
    gaps, loop = [0.0], asyncio.get_running_loop()
    taking = asyncio.create_task(
        Glancing(engine.ledger, tmp_path / "uploads", Behind()).take(accept_of(parsed(), tmp_path / "one"))
    )
    before = loop.time()
    while not taking.done():
        await asyncio.sleep(0.001)
        gaps.append(loop.time() - before)
        before = loop.time()
    await taking
    assert sum(gaps) >= 0.6
    assert max(gaps) < 0.4
