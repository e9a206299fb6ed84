"""How the program logs: events with fields on standard error, libraries only when they have something to say."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up(level: int = logging.INFO) -> None:
    """Plain lines for a terminal; JSON lines for a service's journal."""
    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # these write whole packets; what they have to say reaches the health board in our own words
    for name in ("pymodbus.logging", "aiomqtt", "mqtt"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
