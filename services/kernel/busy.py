# SPDX-License-Identifier: EUPL-1.2
"""When the database is busy or away, a request is refused with "try again" and nothing is called a defect."""

import asyncpg
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from services.kernel.errors import ServiceUnavailable

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
            raise ServiceUnavailable from error


def _is_busy(error: BaseException | None) -> bool:
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        return error.connection_invalidated or state in BUSY_STATES or isinstance(error, OperationalError)
    state = str(getattr(error, "sqlstate", "")) if isinstance(error, asyncpg.PostgresError) else ""
    return state in BUSY_STATES or state.startswith(CONNECTION_CLASS)
