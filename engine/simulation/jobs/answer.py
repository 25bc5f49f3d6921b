"""What the results of all runs say: the one place that knows by what they are told."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from engine.simulation.simulating import Report, Result, reported
from engine.simulation.scenario import Simulation
from engine.simulation.world import World


class Answer(Struct, frozen=True):
    """The baseline, then the scenarios in their sequence."""

    reports: tuple[Report, ...]


def answered(simulation: Simulation, world: World, results: Sequence[Result]) -> Answer:
    """The answer to a simulation whose runs are all there."""
    return Answer(tuple(reported(simulation, world, results)))


written = msgspec.json.encode
"""An answer as JSON."""
read = msgspec.json.Decoder(Answer).decode
"""What `written` wrote."""
