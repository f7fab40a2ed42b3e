# SPDX-License-Identifier: EUPL-1.2
"""Sockets close soon after their credential ended or its rights changed, also when nothing happens on them.

One statement asks for all sockets of an organization.
"""

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import Protocol
from uuid import UUID

from graphql_schema.billing import bucket_of
from graphql_schema.limits import CONNECTIONS_PER_CLIENT_MAX
from services.identity.queries import Holdings, no_longer_holding
from services.kernel.access import Actor
from services.kernel.errors import ServiceUnavailable, Throttled
from services.kernel.runtime import Runtime

ACCESS_CHECK_SECONDS = 5.0


class Guarded(Protocol):
    """An open connection, and who opened it."""

    @property
    def token(self) -> str: ...
    @property
    def actor(self) -> Actor | None: ...

    async def end(self) -> None:
        """Close it. May be called again."""


class Guard:
    """The guard of this process. It looks as long as there is a connection."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._connections: set[Guarded] = set()
        self._looking: asyncio.Task[None] | None = None

    def require_room(self, actor: Actor) -> None:
        """Raises Throttled when whoever asks has as many connections of this process as one may have."""
        mine = sum(each.actor is not None and bucket_of(each.actor) == bucket_of(actor) for each in self._connections)
        if mine >= CONNECTIONS_PER_CLIENT_MAX:
            raise Throttled("At most {count} connections at a time.", count=CONNECTIONS_PER_CLIENT_MAX)

    def add(self, connection: Guarded) -> None:
        """Watch over a connection."""
        self._connections.add(connection)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    def remove(self, connection: Guarded) -> None:
        """Forget a connection. May be called again."""
        self._connections.discard(connection)
        if not self._connections and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(ACCESS_CHECK_SECONDS)
            organizations: dict[UUID, list[tuple[Guarded, Actor]]] = defaultdict(list)
            for each in self._connections:
                if each.actor is not None:
                    organizations[each.actor.tenant_id].append((each, each.actor))
            for tenant_id, guarded in organizations.items():
                with suppress(ServiceUnavailable):
                    held = Holdings.of(tenant_id, [(connection.token, actor) for connection, actor in guarded])
                    for place in await no_longer_holding(self.runtime.database, held):
                        await guarded[place][0].end()
