"""The service's log: JSON lines on stderr. Tracebacks carry no local variables, for those hold orders and addresses."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure(level: int = logging.WARNING) -> None:
    """Set up logging, unless the program that runs us has done so already. INFO shows the access log."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_stderr,
        cache_logger_on_first_use=True,
    )


def _stderr(*names: Any) -> structlog.PrintLogger:  # noqa: ARG001 -- structlog passes the logger's name
    """A logger on stderr."""
    return structlog.PrintLogger(sys.stderr)
