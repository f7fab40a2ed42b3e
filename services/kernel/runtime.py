# SPDX-License-Identifier: EUPL-1.2
"""The composition root: everything a process needs, made once from the settings, closed at its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import redis.asyncio as redis

from services.kernel import bell
from services.kernel.buckets import Buckets
from services.kernel.clock import Clock, utc_now
from services.kernel.database import Database
from services.kernel.encryption import Vault
from services.kernel.outbound import OutboundClient, OutboundLimits
from services.kernel.settings import Settings

WEBHOOK_LIMITS = OutboundLimits(read_seconds=15, total_seconds=15, answer_bytes_max=65_536)
WEBHOOK_CONNECTIONS_MAX = 512


@dataclass(frozen=True)
class Runtime:
    """What the edges and handlers work with. Nothing in it belongs to one organization."""

    settings: Settings
    database: Database
    vault: Vault
    valkey: redis.Redis
    buckets: Buckets
    outbound: OutboundClient
    webhooks: OutboundClient
    """The same with many more places and less patience: somebody who does not answer must not hold up the others."""
    clock: Clock


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Open the pools and clients of one process."""
    valkey = bell.connect(settings.valkey_url)
    database = Database(settings.database_url, bell=bell.ValkeyBell(valkey), binding=settings.tenant_binding)
    buckets = Buckets(valkey)
    outbound = OutboundClient(allowed=settings.outbound_allow)
    webhooks = OutboundClient(
        allowed=settings.outbound_allow, limits=WEBHOOK_LIMITS, connections_max=WEBHOOK_CONNECTIONS_MAX
    )
    try:
        yield Runtime(settings, database, Vault(settings.master_key), valkey, buckets, outbound, webhooks, utc_now)
    finally:
        await webhooks.aclose()
        await outbound.aclose()
        await database.close()
        await buckets.close()
        await valkey.aclose()
