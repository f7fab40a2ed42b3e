# SPDX-License-Identifier: EUPL-1.2
"""Token buckets: how much a client of an organization may ask for, over all processes.

A bucket is full at the beginning, is emptied by what operations cost, and fills again with time. It lies in Valkey. A
process keeps a level of each bucket that it uses: as long as that is far from empty it takes from the level at once and
tells Valkey soon after, so that most operations wait for nobody. Near the bottom it asks Valkey first, and is exact.
While Valkey is away every process counts for itself: a limit is then kept per process, and never becomes an outage.
"""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import redis.asyncio as redis
import structlog
from cachetools import LRUCache
from prometheus_client import Counter
from redis.exceptions import RedisError

from services.kernel.errors import Throttled

CAPACITY = 10_000
RESTORED_A_SECOND = 100
EXACT_BELOW = 2_000
"""From here down Valkey is asked before anything is taken. As large as one operation may be: none gets past it."""
SETTLED_AFTER_SECONDS = 0.1
AWAY_SECONDS = 5.0
"""How long a process counts by itself before it asks Valkey again."""
LEVELS_MAX = 10_000
KEY_PREFIX = "belfry:bucket"

# What was spent already is taken in any case, and may leave a debt; what is asked for only if it is there.
TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local capacity, restored = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = capacity
if held[1] then
  tokens = math.min(capacity, held[1] + math.max(0, now - held[2]) * restored)
end
tokens = math.min(capacity, tokens - ARGV[3])
local allowed = 0
if tokens >= tonumber(ARGV[4]) then
  tokens = tokens - ARGV[4]
  allowed = 1
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], math.ceil((capacity - tokens) / restored) + 1)
return {allowed, tostring(tokens)}
"""

AWAY = Counter("belfry_buckets_counted_locally", "Times that Valkey was away when a bucket was to be taken from.")
log = structlog.get_logger()

Key = tuple[UUID, UUID]
"""An organization and a client of it."""


@dataclass(slots=True)
class Level:
    """What this process believes of a bucket: `tokens` at `at`. `spent` of it Valkey has not been told yet."""

    tokens: float
    at: float
    spent: float = 0.0

    def restore(self, now: float) -> None:
        self.tokens = min(CAPACITY, self.tokens + max(0.0, now - self.at) * RESTORED_A_SECOND)
        self.at = now

    def take(self, cost: float) -> None:
        self.tokens = min(CAPACITY, self.tokens - cost)
        self.spent += cost


class Buckets:
    """The buckets of all clients, as this process uses them."""

    def __init__(self, valkey: redis.Redis, *, monotonic_seconds: Callable[[], float] = time.monotonic) -> None:
        self._valkey, self._seconds = valkey, monotonic_seconds
        self._script = valkey.register_script(TAKE)
        self._levels: LRUCache[Key, Level] = LRUCache(LEVELS_MAX)
        self._unsettled: dict[Key, Level] = {}
        self._settling: asyncio.Task[None] | None = None
        self._away_until = 0.0

    def available(self, key: Key) -> int:
        """How much is there, as far as this process knows; whole tokens, never less than 0."""
        level = self._restored(key)
        return CAPACITY if level is None else max(0, math.floor(level.tokens))

    def require_any(self, key: Key) -> None:
        """Refuse a client whose bucket is known to be empty. Asks nobody. Raises Throttled."""
        level = self._restored(key)
        if level is not None and level.tokens < 1:
            raise _throttled(1 - level.tokens)

    async def take(self, key: Key, cost: int) -> None:
        """Take what an operation will cost at most. Raises Throttled with the time until it is there."""
        level = self._restored(key)
        if level is not None and level.tokens - cost >= EXACT_BELOW:
            level.take(cost)
            self._settle_soon(key, level)
        else:
            await self._take_exactly(key, cost)

    def spend(self, key: Key, cost: int) -> None:
        """Take what was spent already, whether it is there or not: a debt is paid off before anything else is given."""
        if cost > 0:
            level = self._restored(key) or self._levels.setdefault(key, Level(CAPACITY, self._seconds()))
            level.take(cost)
            self._settle_soon(key, level)

    def refund(self, key: Key, amount: int) -> None:
        """Give back what an operation did not cost after all."""
        level = self._restored(key)
        if level is not None and amount > 0:
            level.take(-amount)
            self._settle_soon(key, level)

    async def close(self) -> None:
        """Tell Valkey what was spent, if it listens."""
        if self._settling is not None:
            self._settling.cancel()
            with suppress(asyncio.CancelledError):
                await self._settling
        await self._settle()

    def _restored(self, key: Key) -> Level | None:
        level = self._levels.get(key)
        if level is not None:
            level.restore(self._seconds())
        return level

    async def _take_exactly(self, key: Key, cost: int) -> None:
        level = self._levels.setdefault(key, Level(CAPACITY, self._seconds()))
        told, level.spent = level.spent, 0.0
        self._unsettled.pop(key, None)
        if self._seconds() >= self._away_until:
            try:
                allowed, tokens = await self._script(_names(key), [CAPACITY, RESTORED_A_SECOND, told, cost])
            except (RedisError, OSError, TimeoutError) as error:
                self._is_away(error)
            else:
                # What was taken here meanwhile, the script has not seen.
                level.tokens, level.at = float(tokens) - level.spent, self._seconds()
                if not allowed:
                    raise _throttled(cost - level.tokens)
                return
        level.spent += told
        missing = cost - level.tokens
        if missing <= 0:
            level.take(cost)
        self._settle_soon(key, level)
        if missing > 0:
            raise _throttled(missing)

    def _settle_soon(self, key: Key, level: Level) -> None:
        self._unsettled[key] = level
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle_later())

    async def _settle_later(self) -> None:
        while self._unsettled:
            await asyncio.sleep(max(SETTLED_AFTER_SECONDS, self._away_until - self._seconds()))
            await self._settle()

    async def _settle(self) -> None:
        """Tell Valkey in one round trip what was spent, and learn what others have."""
        settled, self._unsettled = [(key, level, level.spent) for key, level in self._unsettled.items()], {}
        if not settled:
            return
        for _, level, _ in settled:
            level.spent = 0.0
        try:
            async with self._valkey.pipeline(transaction=False) as pipe:
                for key, _, spent in settled:
                    await self._script(_names(key), [CAPACITY, RESTORED_A_SECOND, spent, 0], client=pipe)
                answers = await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._is_away(error)
            for key, level, spent in settled:
                level.spent += spent
                self._unsettled[key] = level
            return
        for (_, level, _), (_, tokens) in zip(settled, answers, strict=True):
            level.tokens, level.at = float(tokens) - level.spent, self._seconds()

    def _is_away(self, error: Exception) -> None:
        self._away_until = self._seconds() + AWAY_SECONDS
        AWAY.inc()
        log.warning("buckets_counted_locally", error=type(error).__name__)


def _names(key: Key) -> list[str]:
    tenant_id, client_id = key
    return [f"{KEY_PREFIX}:{tenant_id}:{client_id}"]


def _throttled(missing: float) -> Throttled:
    return Throttled(retry_after_seconds=max(1, math.ceil(missing / RESTORED_A_SECOND)))
