# SPDX-License-Identifier: EUPL-1.2
"""The doorbell over Valkey: one channel, whose messages say in which organization something was committed.

It is rung after a commit and nobody waits for it. PostgreSQL is read either way: a lost ring costs seconds.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import redis.asyncio as redis
import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

CHANNEL = "belfry:committed"
RING_SECONDS_MAX = 0.5
log = structlog.get_logger()


def connect(url: str) -> redis.Redis:
    """A client that fails fast: nothing in Belfry may wait for Valkey."""
    return redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
        url, socket_timeout=RING_SECONDS_MAX, socket_connect_timeout=RING_SECONDS_MAX, health_check_interval=30
    )


class ValkeyBell:
    """Rings for whoever listens: relays and live subscriptions."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    async def ring(self, tenant_id: UUID) -> None:
        """Say that something was committed. Never raises: the sweep finds it anyway."""
        try:
            await self._client.publish(CHANNEL, str(tenant_id))
        except (RedisError, OSError, TimeoutError):
            log.warning("bell_not_rung", tenant_id=str(tenant_id))


@asynccontextmanager
async def listen(url: str) -> AsyncIterator[AsyncIterator[UUID]]:
    """The organizations that ring, as they ring. Ends with an exception when Valkey goes; listen again."""
    client = redis.Redis.from_url(url, socket_connect_timeout=RING_SECONDS_MAX)  # pyright: ignore[reportUnknownMemberType]
    channel = client.pubsub()
    try:
        await channel.subscribe(CHANNEL)
        yield _organizations(channel)
    finally:
        await channel.aclose()
        await client.aclose()


async def _organizations(channel: PubSub) -> AsyncIterator[UUID]:
    async for message in channel.listen():
        if message["type"] == "message":
            yield UUID(message["data"].decode())
