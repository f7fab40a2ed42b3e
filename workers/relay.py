# SPDX-License-Identifier: EUPL-1.2
"""The relay: wakes when a commit rings, and at least every five seconds, and rings the workers for what is due.

It needs no Valkey to keep running: without it nothing is lost and the next sweep tries again. Any number of relays
may run; each row is claimed by one of them for a while.
"""

import asyncio
import contextlib

import structlog
from redis.exceptions import RedisError

from services.kernel import bell
from services.kernel.dispatch import Dispatcher, Due
from services.kernel.errors import ServiceUnavailable
from workers import queue
from workers.deliver import FACT
from workers.queue import Lane
from workers.subscriptions import FOLLOWERS, HEARD, JOBS

SWEEP_SECONDS = 5.0
SWEEP_SECONDS_MAX = 20.0
LISTEN_AGAIN_SECONDS = 1.0
FORGET_SECONDS = 3600.0
TURNS_MAX = 100
AWAY = (RedisError, OSError, TimeoutError, ServiceUnavailable)

log = structlog.get_logger()


class Relay:
    """One sweeping loop. `woken` is set by whoever hears the bell."""

    def __init__(self, dispatcher: Dispatcher, valkey_url: str) -> None:
        self._dispatcher = dispatcher
        self._valkey_url = valkey_url
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._forget_forever())
            tasks.create_task(self._listen())
            tasks.create_task(self._sweep_forever())

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(*AWAY):
                async with bell.listen(self._valkey_url) as organizations:
                    self._woken.set()  # what rang while nobody listened is found now
                    async for _ in organizations:
                        self._woken.set()
            await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    async def _sweep_forever(self) -> None:
        while True:
            self._woken.clear()
            try:
                async with asyncio.timeout(SWEEP_SECONDS_MAX):  # a Valkey that hangs must not hold up the next one
                    await self.sweep()
            except AWAY as error:
                log.warning("sweep_failed", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), SWEEP_SECONDS)

    async def _forget_forever(self) -> None:
        while True:
            try:
                await self._dispatcher.forget()
            except AWAY as error:
                log.warning("nothing_forgotten", error=type(error).__name__)
            await asyncio.sleep(FORGET_SECONDS)

    async def sweep(self) -> int:
        """Ring for everything that is due now. Returns how many rings were given."""
        rings = 0
        connection = await queue.connect(self._valkey_url)
        try:
            await queue.beat(connection, "relay")
            for _ in range(TURNS_MAX):
                turns = [
                    await self._dispatcher.claim(tenant_id, heard=HEARD, followers=FOLLOWERS)
                    for tenant_id in await self._dispatcher.due_organizations()
                ]
                for due in turns:
                    rings += await _ring(connection, due)
                if not any(due.is_full for due in turns):
                    break
        finally:
            await queue.close(connection)
        return rings


async def _ring(connection: queue.ArqRedis, due: Due) -> int:
    for fact in due.facts:
        await queue.ring(connection, Lane.SHORT, FACT, due.tenant_id, fact)
    for job_id, kind in due.jobs:
        lane = JOBS[kind].lane if kind in JOBS else Lane.SHORT
        await queue.ring(connection, lane, kind, due.tenant_id, job_id)
    return len(due.facts) + len(due.jobs)
