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
from services.kernel.outbound import OutboundClient
from services.kernel.settings import Settings


@dataclass(frozen=True)
class Runtime:
    """What the edges and handlers work with. Nothing in it belongs to one organization."""

    settings: Settings
    database: Database
    vault: Vault
    valkey: redis.Redis
    buckets: Buckets
    outbound: OutboundClient
    clock: Clock


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Open the pools and clients of one process."""
    valkey = bell.connect(settings.valkey_url)
    database = Database(settings.database_url, bell=bell.ValkeyBell(valkey), binding=settings.tenant_binding)
    buckets = Buckets(valkey)
    outbound = OutboundClient(allowed=settings.outbound_allow)
    try:
        yield Runtime(settings, database, Vault(settings.master_key), valkey, buckets, outbound, utc_now)
    finally:
        await outbound.aclose()
        await database.close()
        await buckets.close()
        await valkey.aclose()
