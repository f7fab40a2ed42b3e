# SPDX-License-Identifier: EUPL-1.2
"""The API as a process of its own, many requests to it, and what processes cost meanwhile."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from services.kernel.settings import Settings

HOST = "127.0.0.1"
STARTED_WITHIN_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")


@dataclass(frozen=True)
class Api:
    """A running API process."""

    pid: int
    port: int

    def request(self, token: str, body: bytes, *, ordinary: bool) -> bytes:
        """One POST as it travels."""
        asked = "X-Execution: ordinary\r\n" if ordinary else ""
        head = (
            f"POST /graphql HTTP/1.1\r\nHost: {HOST}:{self.port}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\n{asked}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[Api]:
    """Start one for these settings, and stop it."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    environment = dict(os.environ) | {  # noqa: TID251  a child inherits what its parent has
        "BELFRY_ENVIRONMENT": settings.environment.value,
        "BELFRY_DATABASE_URL": settings.database_url,
        "BELFRY_VALKEY_URL": settings.valkey_url,
        "BELFRY_KEY": settings.key.get_secret_value() if settings.key else "",
        "BELFRY_PORT": str(port),
        "BELFRY_LOG_LEVEL": "WARNING",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "graphql_schema.app", env=environment)
    try:
        deadline = time.monotonic() + STARTED_WITHIN_SECONDS
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                break
            except OSError:
                if time.monotonic() > deadline or process.returncode is not None:
                    raise
                await asyncio.sleep(0.1)
        yield Api(process.pid, port)
    finally:
        process.terminate()
        await process.wait()


@dataclass
class Lane:
    """What a stretch of requests gave: how many, in which time, at which cost."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list[float])
    api_cpu: float = 0.0
    database_cpu: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds below which that share of the requests was answered."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def api_milliseconds(self) -> float:
        return 1000 * self.api_cpu / len(self.latencies)

    @property
    def database_milliseconds(self) -> float:
        return 1000 * self.database_cpu / len(self.latencies)


async def as_fast_as_possible(port: int, request: bytes, seconds: float, connections: int) -> list[float]:
    """Keep some connections busy. Returns the seconds that each answer took."""
    latencies: list[float] = []
    ends = time.perf_counter() + seconds

    async def keep_busy() -> None:
        async with connected(port) as (reader, writer):
            while (began := time.perf_counter()) < ends:
                await exchange(reader, writer, request)
                latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(keep_busy() for _ in range(connections)))
    return latencies


async def at_a_rate(port: int, request: bytes, seconds: float, rate: float, connections: int) -> list[float]:
    """Send at fixed instants, whatever the answers do; waiting for a free connection counts."""
    latencies: list[float] = []
    due: asyncio.Queue[float | None] = asyncio.Queue()

    async def serve() -> None:
        async with connected(port) as (reader, writer):
            while (planned := await due.get()) is not None:
                await exchange(reader, writer, request)
                latencies.append(time.perf_counter() - planned)

    serving = [asyncio.create_task(serve()) for _ in range(connections)]
    began = time.perf_counter()
    for number in range(int(seconds * rate)):
        planned = began + number / rate
        await asyncio.sleep(max(0.0, planned - time.perf_counter()))
        due.put_nowait(planned)
    for _ in serving:
        due.put_nowait(None)
    await asyncio.gather(*serving)
    return latencies


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One connection that is kept alive."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """One request and the body of its answer, which must be data without errors."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
    body = await reader.readexactly(length)
    if b" 200 " not in head[:16] or body.startswith(b'{"errors"'):
        raise RuntimeError(body[:500].decode(errors="replace"))
    return body


def cpu_seconds(pids: Iterable[int]) -> float:
    """The processor time that processes, and those of their children that have ended, have used so far."""
    total = 0
    for pid in pids:
        try:
            fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended since
        total += sum(map(int, fields[11:15]))
    return total / TICKS


async def postmaster(connection: asyncpg.Connection) -> int:
    """The process that started all backends of a server."""
    backend = await connection.fetchval("select pg_backend_pid()")
    return int((PROC / str(backend) / "stat").read_text().rpartition(")")[2].split()[1])


def resident_mebibytes(pid: int) -> float:
    """The memory that a process holds."""
    return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE / (1 << 20)


def family(pid: int) -> Sequence[int]:
    """A process and those that it has started."""
    found = [pid]
    for each in PROC.iterdir():
        if each.name.isdigit():
            try:
                parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found.append(int(each.name))
    return found
