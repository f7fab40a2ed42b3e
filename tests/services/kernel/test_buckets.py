# SPDX-License-Identifier: EUPL-1.2
"""Buckets over a real Valkey: exact near the bottom, whoever takes; kept by each process while Valkey is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio as redis

from services.kernel import bell, buckets, identifiers
from services.kernel.buckets import CAPACITY, EXACT_BELOW, RESTORED_A_SECOND, Buckets, Key
from services.kernel.errors import Throttled


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[redis.Redis]:
    client = bell.connect(valkey_url)
    yield client
    await client.aclose()


@asynccontextmanager
async def process(valkey_url: str, **options: object) -> AsyncIterator[Buckets]:
    """The buckets of one process."""
    client = bell.connect(valkey_url)
    found = Buckets(client, **options)  # type: ignore[arg-type]
    yield found
    await found.close()
    await client.aclose()


def a_client() -> Key:
    return identifiers.new(), identifiers.new()


async def taken(where: Buckets, key: Key, cost: int, times: int) -> int:
    """How often a cost was granted."""
    granted = 0
    for _ in range(times):
        try:
            await where.take(key, cost)
            granted += 1
        except Throttled:
            pass
    return granted


async def test_a_new_bucket_is_full_and_what_is_taken_is_missing(valkey_url: str) -> None:
    async with process(valkey_url) as here:
        key = a_client()
        assert here.available(key) == CAPACITY
        await here.take(key, 1_500)
        assert CAPACITY - 1_500 <= here.available(key) <= CAPACITY - 1_400
        here.refund(key, 1_000)
        assert CAPACITY - 500 <= here.available(key) <= CAPACITY - 400
        here.require_any(key)


async def test_an_empty_bucket_says_when_there_is_enough_again(valkey_url: str) -> None:
    async with process(valkey_url) as here:
        key = a_client()
        assert await taken(here, key, 2_000, 20) == 5
        with pytest.raises(Throttled) as refused:
            await here.take(key, 2_000)
        assert 1 <= (refused.value.retry_after_seconds or 0) <= 2_000 // RESTORED_A_SECOND
        here.require_any(a_client())


async def test_a_bucket_that_is_known_to_be_empty_is_refused_without_asking(valkey_url: str) -> None:
    seconds = 0.0
    async with process(valkey_url, monotonic_seconds=lambda: seconds) as here:
        key = a_client()
        await here.take(key, CAPACITY)
        with pytest.raises(Throttled):
            here.require_any(key)
        seconds += 0.5
        here.require_any(key)


@pytest.mark.parametrize("processes", [1, 4])
async def test_all_processes_together_never_grant_more_than_there_is(valkey_url: str, processes: int) -> None:
    """Those who begin at the same moment know of each other soon after; near the bottom at once."""
    key, started = a_client(), asyncio.get_running_loop().time()
    async with process(valkey_url) as one, process(valkey_url) as two, process(valkey_url) as three:
        everywhere = [one, two, three, one][:processes]
        for where in everywhere:
            await where.take(key, 0)
        granted = sum(await asyncio.gather(*(taken(each, key, 700, 40) for each in everywhere)))
        elapsed = asyncio.get_running_loop().time() - started
        # Between two settlements a process may take what others took too: down to where it asks, and no further.
        slack = (processes > 1) * 2 * (CAPACITY - EXACT_BELOW)
        assert granted * 700 <= CAPACITY + slack + elapsed * RESTORED_A_SECOND
        assert granted * 700 >= CAPACITY - 700


async def test_what_one_process_takes_the_others_learn(valkey_url: str) -> None:
    key = a_client()
    async with process(valkey_url) as one, process(valkey_url) as other:
        await one.take(key, 10)
        await other.take(key, 10)
        for _ in range(4):
            await one.take(key, 1_500)
        await asyncio.sleep(3 * buckets.SETTLED_AFTER_SECONDS)
        await other.take(key, 10)
        await asyncio.sleep(3 * buckets.SETTLED_AFTER_SECONDS)
        assert other.available(key) < CAPACITY - 5_000
        assert await taken(other, key, 1_000, 10) <= 4


async def test_flushing_fills_the_buckets_and_breaks_nothing(valkey_url: str, valkey: redis.Redis) -> None:
    key = a_client()
    async with process(valkey_url) as here:
        assert await taken(here, key, 2_000, 20) == 5
        await valkey.flushdb()
        assert await taken(here, key, 2_000, 20) == 5


async def test_while_valkey_is_away_a_process_counts_by_itself(unused_tcp_port: int) -> None:
    seconds, key = 0.0, a_client()
    async with process(f"redis://127.0.0.1:{unused_tcp_port}/0", monotonic_seconds=lambda: seconds) as here:
        before = buckets.AWAY._value.get()
        assert await taken(here, key, 1_000, 30) == 10
        assert buckets.AWAY._value.get() > before
        seconds += 10.0
        assert await taken(here, key, 1_000, 5) == 1
        assert here.available(key) == 0
        # What was not told yet is told when it is back; nobody waits for it.
        assert here._unsettled


async def test_what_was_taken_meanwhile_is_told_when_valkey_is_back(valkey_url: str, valkey: redis.Redis) -> None:
    seconds, key = 0.0, a_client()
    async with process(valkey_url, monotonic_seconds=lambda: seconds) as here:
        here._away_until = 1.0
        assert await taken(here, key, 500, 4) == 4
        seconds = 2.0
    async with process(valkey_url) as other:
        await other.take(key, 0)
        await other.take(key, CAPACITY // 2 + 2_000)
        assert other.available(key) < CAPACITY // 2 - 3_000


async def test_a_bucket_is_forgotten_when_it_is_full_again(valkey_url: str, valkey: redis.Redis) -> None:
    key = a_client()
    async with process(valkey_url) as here:
        await here.take(key, 300)
    [name] = [each async for each in valkey.scan_iter(match=f"*{key[1]}")]
    assert 0 < await valkey.ttl(name) <= 300 // RESTORED_A_SECOND + 1
