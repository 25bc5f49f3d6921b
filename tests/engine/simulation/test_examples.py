"""The example scenarios of the documentation, on the sample merchant."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.network import parse_network
from engine.sample.world import build_world
from engine.simulation.questions import asked
from engine.simulation.scenario import Run, parse_simulation, runs_of
from engine.simulation.simulating import performed, prepared
from engine.simulation.world import World

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "simulations").glob("*.yaml"))


@pytest.fixture(scope="module")
def sample() -> World:
    made = build_world(skus=500)
    return World(network=parse_network(made.network), skus=made.skus, stock=made.stock)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_an_example_is_sound_and_its_first_windows_run(path, sample):
    """Whoever copies an example gets answers: it fits the sample merchant, and every scenario begins."""

    class EnoughError(Exception):
        pass

    def enough(came: int, _: int) -> None:
        if came > 50:
            raise EnoughError

    of = asked(parse_simulation(path.read_bytes(), as_yaml=True), sample)
    begin = prepared(of, sample)
    for name in {one.scenario for one in runs_of(of)}:
        with pytest.raises(EnoughError):
            await performed(of, begin, Run(name, of.seeds[0]), through=enough)
