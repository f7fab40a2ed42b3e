# SPDX-License-Identifier: EUPL-1.2
"""Subscribers without sockets: told by a feed together with others, or each by themselves, as a test asks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from sqlmodel import col

from graphql_schema.context import Context
from graphql_schema.live.feeds import Feeds
from graphql_schema.rings import Rings
from graphql_schema.schema import ApiSchema
from graphql_schema.seats import Seat, SendPayload
from services.identity.queries import actor_of_token
from services.kernel.audit import AuditHead
from services.kernel.isolation import owned
from services.kernel.runtime import Runtime
from tests.graphql_schema.street import Street

TOLD_WITHIN_SECONDS = 20


class Nobody:
    """An audience in which a stream that has caught up ends."""

    def admit(self, seat: Seat, stream: Any, position: int) -> bool:
        return True

    def leave(self, seat: Seat) -> None:
        """There is nothing to free."""


@dataclass
class Listener:
    """One subscriber: who, and what it asked for. `told` are the payloads that came through the feed."""

    schema: ApiSchema
    runtime: Runtime
    token: str
    document: str
    variables: Mapping[str, Any]
    seat: Seat
    told: list[str]

    async def context(self, seat: Seat | None) -> Context:
        actor = await actor_of_token(self.runtime.database, self.token)
        return Context(self.runtime, actor, "test", token=self.token, rings=Rings(), seat=seat)

    async def alone(self, seat: Seat, after: str | None = None) -> list[str]:
        """What it is told by itself until its seat is taken."""
        results = await self.schema.stream(
            self.document,
            variable_values={**self.variables, "after": after},
            context_value=await self.context(seat),
        )
        found: list[str] = []
        async with contextlib.aclosing(results):
            async for each in results:
                assert not each.errors, each.errors
                found.append(orjson.dumps({"data": each.data}).decode())
        return found

    async def sit_down(self, after: str) -> None:
        """Begin now, with others. Nothing may happen until then."""
        assert await self.alone(self.seat, after) == []
        assert self.seat.is_taken


@dataclass
class Audience:
    """Listeners of one organization, with a feed of their own."""

    street: Street
    schema: ApiSchema
    feeds: Feeds
    listeners: list[Listener]

    async def add(self, token: str, document: str, **variables: Any) -> Listener:
        told: list[str] = []
        seat = Seat(self.feeds, into(told))
        listener = Listener(self.schema, self.street.runtime, token, document, variables, seat, told)
        await listener.sit_down(await self.street.now())
        self.listeners.append(listener)
        return listener

    async def head(self) -> int:
        async with self.street.database.snapshot(self.street.organization.system) as snapshot:
            return await snapshot.scalar(owned(AuditHead).with_only_columns(col(AuditHead.seq)))

    async def settled(self) -> None:
        """Until everybody has been told everything."""
        head = await self.head()
        self.feeds.rings.wake(self.street.organization.id)
        async with asyncio.timeout(TOLD_WITHIN_SECONDS):
            while any(each.seat.is_taken and each.seat.position < head for each in self.listeners):
                await asyncio.sleep(0.005)

    def take(self) -> list[list[str]]:
        """What each was told since the last time."""
        found = [list(each.told) for each in self.listeners]
        for each in self.listeners:
            each.told.clear()
        return found


def into(told: list[str]) -> SendPayload:
    """Sends at once, into a list."""

    async def send(payload: str) -> None:
        told.append(payload)

    return send


@asynccontextmanager
async def audience(street: Street, schema: ApiSchema) -> AsyncIterator[Audience]:
    """Nobody yet."""
    feeds = Feeds(street.runtime, Rings())
    gathered = Audience(street, schema, feeds, [])
    try:
        yield gathered
    finally:
        for each in gathered.listeners:
            each.seat.leave()
        await feeds.close()
