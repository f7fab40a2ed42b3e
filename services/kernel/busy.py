# SPDX-License-Identifier: EUPL-1.2
"""When the database is busy or away, a request is refused with "try again" and nothing is called a defect."""

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from services.kernel.errors import ServiceUnavailable

log = structlog.get_logger()

BUSY_STATES = frozenset({"55P03", "40P01", "57014", "53300", "57P01", "57P03"})
"""SQLSTATEs that mean "not now": lock not available, deadlock, cancelled, too many connections, shutting down."""
CONNECTION_CLASS = "08"
"""The class of SQLSTATEs that mean: the connection is gone."""


class busy_is_unavailable:  # noqa: N801  reads as a statement
    """Turn "the database is busy or away" into a refusal that says: try again."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # No other I/O happens inside a transaction: a socket that is missing or refused is the database's.
        if isinstance(error, OSError | PoolTimeoutError) or _is_busy(error):
            # The reader is told to try again; why, is for whoever runs the installation.
            log.warning("database_unavailable", error=type(error).__name__, sqlstate=_state(error))
            raise ServiceUnavailable from error


def _is_busy(error: BaseException | None) -> bool:
    if isinstance(error, DBAPIError):
        state = _state(error)
        return error.connection_invalidated or state in BUSY_STATES or isinstance(error, OperationalError)
    state = _state(error) if isinstance(error, asyncpg.PostgresError) else ""
    return state in BUSY_STATES or state.startswith(CONNECTION_CLASS)


def _state(error: BaseException | None) -> str:
    """The SQLSTATE, empty when the error has none."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
