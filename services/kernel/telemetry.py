# SPDX-License-Identifier: EUPL-1.2
"""Logs: one JSON object a line, ids and codes only. No words of citizens, no tokens, no SQL."""

import logging
import sys

import structlog

from services.kernel.serialization import to_json


def configure_logging(level: str) -> None:
    """Send everything that is logged to standard error, as JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=lambda value, **_: to_json(value).decode()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for noisy in ("arq", "httpcore2", "httpx2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
