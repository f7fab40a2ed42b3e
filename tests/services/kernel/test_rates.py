# SPDX-License-Identifier: EUPL-1.2
"""Rate limits: exact within a window, shared by processes, bounded, and never an outage."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from services.kernel import bell, rates
from services.kernel.rates import Limit, RateCounter

SECRET = b"nothing secret 16"
LIMIT = Limit("test", count_max=3, window_seconds=60)
AWAY = "redis://127.0.0.1:1/0"


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[redis.Redis]:
    client = bell.connect(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
async def nowhere() -> AsyncIterator[redis.Redis]:
    client = bell.connect(AWAY)
    yield client
    await client.aclose()


async def allowed(counter: RateCounter, subject: str, times: int, limit: Limit = LIMIT) -> list[bool]:
    return [(await counter.take(limit, subject)).allowed for _ in range(times)]


async def test_so_many_uses_and_not_one_more(valkey: redis.Redis, request: pytest.FixtureRequest) -> None:
    counter = RateCounter(valkey, secret=SECRET)
    assert await allowed(counter, request.node.name, 5) == [True] * 3 + [False] * 2
    assert await allowed(counter, "somebody else", 1, Limit("other", 3, 60)) == [True]
    verdict = await counter.take(LIMIT, request.node.name)
    assert 1 <= verdict.retry_after_seconds <= 60


async def test_processes_count_together_however_they_overlap(
    valkey: redis.Redis, valkey_url: str, request: pytest.FixtureRequest
) -> None:
    clients = [bell.connect(valkey_url) for _ in range(4)]
    counters = [RateCounter(client, secret=SECRET) for client in clients]
    limit = Limit("together", 50, 60)
    verdicts = await asyncio.gather(*(counters[n % 4].take(limit, request.node.name) for n in range(200)))
    assert sum(verdict.allowed for verdict in verdicts) == 50
    for client in clients:
        await client.aclose()


async def test_a_window_ends_and_refused_uses_do_not_prolong_it(
    valkey: redis.Redis, request: pytest.FixtureRequest
) -> None:
    counter = RateCounter(valkey, secret=SECRET)
    limit = Limit("short", 1, 60)
    await counter.take(limit, request.node.name)
    [key] = [key async for key in valkey.scan_iter(match="belfry:rate:short:*")]
    await valkey.pexpire(key, 30_000)
    assert (await counter.take(limit, request.node.name)).retry_after_seconds <= 30
    await valkey.pexpire(key, 0)
    assert (await counter.take(limit, request.node.name)).allowed


async def test_valkey_holds_no_address_and_every_key_ends(valkey: redis.Redis) -> None:
    counter = RateCounter(valkey, secret=SECRET)
    await counter.take(Limit("address", 3, 60), "192.0.2.77")
    [key] = [key async for key in valkey.scan_iter(match="belfry:rate:address:*")]
    assert b"192.0.2" not in key
    assert 0 < await valkey.pttl(key) <= 60_000


async def test_a_lost_script_is_loaded_again(valkey: redis.Redis, request: pytest.FixtureRequest) -> None:
    counter = RateCounter(valkey, secret=SECRET)
    await counter.take(LIMIT, request.node.name)
    await valkey.script_flush()
    assert await allowed(counter, request.node.name, 3) == [True, True, False]


async def test_without_valkey_each_process_counts_by_itself(nowhere: redis.Redis) -> None:
    seconds = Seconds()
    counter = RateCounter(nowhere, secret=SECRET, monotonic_seconds=seconds)
    assert await allowed(counter, "one", 5) == [True] * 3 + [False] * 2
    seconds.now += 59.5
    verdict = await counter.take(LIMIT, "one")
    assert (verdict.allowed, verdict.retry_after_seconds) == (False, 1)
    seconds.now += 0.5
    assert await allowed(counter, "one", 4) == [True] * 3 + [False]


async def test_valkey_is_asked_again_after_a_pause(valkey: redis.Redis, request: pytest.FixtureRequest) -> None:
    seconds = Seconds()
    counter = RateCounter(valkey, secret=SECRET, monotonic_seconds=seconds)
    pool, valkey.connection_pool = valkey.connection_pool, bell.connect(AWAY).connection_pool
    subject = request.node.name
    assert await allowed(counter, subject, 4) == [True] * 3 + [False]
    valkey.connection_pool = pool
    assert await allowed(counter, subject, 1) == [False]
    seconds.now += rates.AWAY_SECONDS
    assert await allowed(counter, subject, 4) == [True] * 3 + [False]


async def test_memory_is_bounded_and_the_busy_are_not_forgotten(
    nowhere: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "LOCAL_SUBJECTS_MAX", 10)
    counter = RateCounter(nowhere, secret=SECRET)
    assert await allowed(counter, "busy", 4) == [True] * 3 + [False]
    for number in range(100):
        await counter.take(LIMIT, f"passer-by {number}")
        assert not (await counter.take(LIMIT, "busy")).allowed
    assert len(counter._local._windows) == 10
