# SPDX-License-Identifier: EUPL-1.2
"""What goes away some day, told in headers, and counted, so that its users can be asked to move."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from email.utils import format_datetime
from uuid import UUID

import structlog

from graphql_schema.reading.deprecated import Deprecated
from services.identity import commands
from services.kernel.access import Actor
from services.kernel.database import Database
from services.kernel.errors import BelfryError

NOTICE = timedelta(days=180)
"""A removal is announced at least so long before."""
FLUSH_SECONDS = 10.0
USES_MAX = 10_000
"""What is counted between two writes; more than that is not counted."""

log = structlog.get_logger()
Key = tuple[UUID | None, str]
"""The API client, none for people, and what it used."""


def headers(found: Iterable[Deprecated]) -> dict[str, str]:
    """`Deprecation` (RFC 9745) and `Sunset` (RFC 8594), of whatever goes first.

    When it was announced is not kept: the latest day on which it can have been is said.
    """
    first = min((each.removed_after for each in found if each.removed_after is not None), default=None)
    if first is None:
        return {}
    gone = datetime.combine(first + timedelta(days=1), time(), UTC)
    return {
        "Deprecation": f"@{int((gone - NOTICE).timestamp())}",
        "Sunset": format_datetime(gone, usegmt=True),
        "Link": '</docs/api>; rel="deprecation"',
    }


class Uses:
    """Counts who uses what is deprecated, and writes it down every few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted: defaultdict[UUID, Counter[Key]] = defaultdict(Counter)
        self._writing: asyncio.Task[None] | None = None

    def note(self, actor: Actor, found: Iterable[Deprecated]) -> None:
        """Somebody used this now."""
        counted = self._counted[actor.tenant_id]
        for each in found:
            key = (actor.client_id, each.name)
            if key in counted or sum(map(len, self._counted.values())) < USES_MAX:
                counted[key] += 1
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_later())

    async def close(self) -> None:
        """Write down what is left."""
        if self._writing is not None:
            self._writing.cancel()
            with suppress(asyncio.CancelledError):
                await self._writing
            await self.write()

    async def write(self) -> None:
        """Write down what was counted. What cannot be written now is kept for the next time."""
        counted, self._counted = self._counted, defaultdict(Counter)
        for tenant_id, uses in counted.items():
            try:
                async with self._database.unit_of_work(Actor.system(tenant_id)) as uow:
                    await commands.count_deprecated(uow, uses=uses)
            except BelfryError as error:
                log.warning("uses_not_written", tenant_id=str(tenant_id), error=error.code)
                self._counted[tenant_id].update(uses)

    async def _write_later(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        await self.write()
