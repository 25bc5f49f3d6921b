"""What is to become a job, and who makes one of it. Light, so that a service loads no engine of simulations."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from engine.simulation.jobs.folder import Folder
from engine.simulation.scenario import Simulation


class Accept(NamedTuple):
    """What is to become a job. `folder`: reserved for it, and empty."""

    folder: Folder
    job_id: str
    partition: str
    submitted_ms: int
    simulation: Simulation


class Intake(Protocol):
    """Makes jobs."""

    async def take(self, accept: Accept) -> None:
        """Found the job in its folder. Raises InvalidInputError with every fault and its path, NoNetworkError,
        UnavailableError, and what the ledger raises."""
