"""Settings of simulations as jobs, from the environment (`APPORTION_SIMULATION_*`)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Terms(BaseSettings):
    """All of them with their defaults. Durations in the unit of their name."""

    model_config = SettingsConfigDict(env_prefix="APPORTION_SIMULATION_", extra="ignore")

    workers: int = Field(default=2, ge=1, le=64)
    """Processes that perform runs, in time that nobody else wants."""
    queue_max: int = Field(default=20, ge=1)
    """Jobs that have not ended, over all partitions; one more is refused with a time to retry."""
    queue_per_partition_max: int = Field(default=10, ge=1)
    """The same bound for one partition."""
    intakes_max: int = Field(default=2, ge=1)
    """Simulations that are checked at once, by one service process; others are refused with a time to retry."""
    intake_seconds: float = Field(default=300.0, gt=0)
    """How long checking one and writing its orders down may take."""
    patience_seconds: float = Field(default=900.0, gt=0)
    """A worker that closes no window for so long is taken to hang: it is ended, and its run tried once more."""
    keep_days: float = Field(default=30.0, ge=0)
    """How long a job stays after it has ended, and an upload after it came."""
    keep_max: int = Field(default=100, ge=1)
    """Ended jobs of a partition that stay at most; the oldest leave sooner."""
    uploads_max: int = Field(default=20, ge=1)
    """Uploaded files of a partition."""
