# SPDX-License-Identifier: EUPL-1.2
"""The queue behind a port of five functions: connect, ring, serve, beat, close. The only module that knows arq.

It is a doorbell. State, attempts and schedules are rows; a ring says "look at this row" and may come twice or never.
"""

import os
import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import orjson
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Worker, func

HEALTH_PREFIX = "belfry:health:"
HEALTH_SECONDS = 10
RUN = "run"

Run = Callable[[str, UUID, UUID], Awaitable[None]]
"""(kind, tenant id, row id): what a ring carries, and nothing else."""


class Lane(StrEnum):
    """Work of one time-out class. A crashed job holds up its lane for the lane's own time-out only.

    What waits for strangers goes outward: it may wait long, so there are many places, and it holds up nobody else.
    """

    SHORT = "short"
    LONG = "long"
    OUTWARD = "outward"


@dataclass(frozen=True, slots=True)
class _Limits:
    seconds: int
    jobs: int


LIMITS = {
    Lane.SHORT: _Limits(seconds=20, jobs=20),
    Lane.LONG: _Limits(seconds=300, jobs=8),
    Lane.OUTWARD: _Limits(seconds=90, jobs=300),
}


async def connect(url: str) -> ArqRedis:
    """A connection to ring through. Raises when Valkey is away; the caller tries again."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_retries = 0
    return await create_pool(settings, job_serializer=orjson.dumps, job_deserializer=orjson.loads)


async def ring(queue: ArqRedis, lane: Lane, kind: str, tenant_id: UUID, row_id: UUID) -> None:
    """Say that a row is due. The job's own id is random: the queue would swallow a repeated one."""
    await queue.enqueue_job(
        RUN, kind, str(tenant_id), str(row_id), _job_id=uuid4().hex, _queue_name=f"belfry:{lane.value}"
    )


async def serve(url: str, lane: Lane, run: Run) -> None:
    """Take rings of one lane until cancelled. Ends with an exception when Valkey goes; the supervisor starts again."""

    async def answer(ctx: dict[Any, Any], kind: str, tenant_id: str, row_id: str) -> None:  # noqa: ARG001  arq's own
        await run(kind, UUID(tenant_id), UUID(row_id))

    limits = LIMITS[lane]
    worker = Worker(
        functions=[func(answer, name=RUN)],
        queue_name=f"belfry:{lane.value}",
        redis_settings=RedisSettings.from_dsn(url),
        job_timeout=limits.seconds,
        job_completion_wait=limits.seconds + 5,
        poll_delay=0.1,
        max_jobs=limits.jobs,
        queue_read_limit=1000,
        max_tries=1,
        keep_result=0,
        log_results=False,
        allow_abort_jobs=False,
        health_check_interval=HEALTH_SECONDS,
        health_check_key=_health_key(lane.value),
        handle_signals=False,
        timezone=UTC,
        job_serializer=orjson.dumps,
        job_deserializer=orjson.loads,
    )
    try:
        await worker.async_run()
    finally:
        await worker.close()


async def beat(queue: ArqRedis, name: str) -> None:
    """Say that a process of this name is alive; the word expires by itself."""
    await queue.psetex(_health_key(name), (HEALTH_SECONDS * 2 + 1) * 1000, b"alive")


async def close(queue: ArqRedis) -> None:
    await queue.aclose()


def _health_key(name: str) -> str:
    return f"{HEALTH_PREFIX}{name}:{platform.node()}:{os.getpid()}"
