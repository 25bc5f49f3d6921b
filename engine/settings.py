"""Settings of one service process, from the environment (`APPORTION_*`) or the command line."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """All settings with their defaults. Durations in the unit of their name."""

    model_config = SettingsConfigDict(env_prefix="APPORTION_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    data_dir: Path = Path("data")
    redis_url: str | None = None
    """A Redis or Valkey to use; none: an embedded one in `data_dir`."""

    archive_url: str | None = None
    """The database of the archive (`postgresql://...`); none: `archive.sqlite` in `data_dir`. All processes on one
    store need the same."""
    log_tail_entries: int = Field(default=1_000, ge=1)
    """Archived entries that stay in the store's log, for those who follow it."""
    order_retention_days: float = Field(default=7.0, ge=0)
    """How long an order stays in the store after it ended, and a movement id after it was applied."""
    ended_orders_max: int = Field(default=500_000, ge=0)
    """Ended orders that stay in the store at most, per partition; the oldest leave sooner."""
    record_days: float = Field(default=30.0, ge=0)
    """How long the archive keeps what explanations need of a window: all that its decisions depended on."""
    sweep_seconds: float = Field(default=5.0, gt=0)
    """How often old orders are looked for."""

    duties: bool = True
    """Whether this process offers itself for what one process of a store does for all: feeding the archive and making
    prices. At least one process on a store must; where several do, one at a time has the lease."""

    price_seconds: float = Field(default=5.0, ge=0)
    """How often shadow prices of stock are made anew, in a process of their own; 0: never."""
    price_orders_min: int = Field(default=500, ge=1)
    """Orders of a partition that must have been seen in its log before prices are made: of fewer nothing is known."""
    price_horizon_days: float = Field(default=7.0, gt=0)
    """How far ahead prices look: what stock, and room of days, can save until then; of a SKU that is to be replenished
    sooner, until that instant."""
    price_max_age_seconds: float = Field(default=600.0, gt=0)
    """Prices steer decisions for so long, and are made at least twice in this time though nothing happens; where no
    more are made, what was scarce then says nothing of today."""

    window_linger_ms: float = Field(default=2.0, ge=0, le=1_000)
    """How long a window stays open for company although the allocator is idle."""
    queue_orders_max: int = Field(default=20_000, ge=1)
    """Orders waiting for a window, over all partitions; one more is refused with a time to retry."""
    queue_lines_max: int = Field(default=500_000, ge=1)
    """The same bound in order lines, so that large orders cannot fill the memory."""
    window_lines_max: int = Field(default=4_000, ge=1)
    """A window closes at this many lines, whatever its number of orders (one larger order goes alone)."""
    order_timeout_ms: int = Field(default=10_000, ge=100)
    """How long one order may wait for its decision before the caller is told to retry."""
    body_bytes_max: int = Field(default=4 * 2**20, ge=1_024)
    """The largest body of a single document or order."""
    bulk_bytes_max: int = Field(default=512 * 2**20, ge=1_024)
    """The largest body of a bulk upload."""
    strict_skus: bool = False
    """Do not ship what the catalogue does not know; otherwise it is taken to weigh nothing."""
    drain_seconds: float = Field(default=8.0, ge=0)
    """How long a stopping process lets accepted orders finish."""
