# SPDX-License-Identifier: EUPL-1.2
"""Time as an argument. Leases and service levels use the database's clock (`uow.now`); this one serves the edges."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present instant, aware, in UTC."""


def utc_now() -> datetime:
    """The host's clock."""
    return datetime.now(UTC)
