# SPDX-License-Identifier: EUPL-1.2
"""Who is woken when an organization commits something: one listener a process, shared by all its live streams.

The ring only shortens the wait. A stream reads PostgreSQL by itself every few seconds, so a lost ring costs no event.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from services.kernel import bell

RECONNECT_SECONDS = 1.0
log = structlog.get_logger()


class Rings:
    """Streams attend to their organization; `listen` wakes them."""

    def __init__(self) -> None:
        self._attending: dict[UUID, set[asyncio.Event]] = {}

    @contextmanager
    def attend(self, tenant_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the organization rings; whoever waits clears it."""
        event = asyncio.Event()
        attending = self._attending.setdefault(tenant_id, set())
        attending.add(event)
        try:
            yield event
        finally:
            attending.discard(event)
            if not attending and self._attending.get(tenant_id) is attending:
                del self._attending[tenant_id]

    def wake(self, tenant_id: UUID) -> None:
        """Wake the streams of one organization."""
        for event in self._attending.get(tenant_id, ()):
            event.set()

    async def listen(self, url: str) -> None:
        """Listen to Valkey until cancelled, again after every loss. After a loss everybody looks once."""
        while True:
            try:
                async with bell.listen(url) as rings:
                    self._wake_all()
                    async for tenant_id in rings:
                        self.wake(tenant_id)
            except (RedisError, OSError, TimeoutError, ValueError) as error:
                log.warning("rings_lost", kind=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    def _wake_all(self) -> None:
        for tenant_id in list(self._attending):
            self.wake(tenant_id)
