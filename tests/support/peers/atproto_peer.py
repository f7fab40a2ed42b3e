# SPDX-License-Identifier: EUPL-1.2
"""The real AT Protocol servers as a child process: started on loopback, gone with us, nothing left behind.

if reason := install(): pytest.skip(reason)
async with running_peer(postgres_url, valkey_url) as peer: ...
"""

import asyncio
import itertools
import os
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import orjson

from services.embedded import NodeInstallation, NodePackages

__all__ = ["Peer", "PeerAccount", "install", "running_peer"]

SOURCE = Path(__file__).resolve().parent / "atproto"
PACKAGES = NodePackages(SOURCE, compiled="better-sqlite3", node=SOURCE / "requirements.txt")
install = PACKAGES.install
START_SECONDS_MAX = 180.0
STOP_SECONDS_MAX = 10.0
LINE_BYTES_MAX = 1_048_576
LOG_TAIL_BYTES = 4_000
VALKEY_DATABASE = 63
"""The last of the embedded server's numbered databases; the processes of a test run count from 0."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class PeerAccount:
    """One account on the peer; the password is the account's own."""

    name: str
    did: str
    handle: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer. Accounts: `town`, `citizen`, `neighbor`. `token_secret` signs its tokens, to make an old one."""

    pid: int
    pds_url: str
    app_view_url: str
    token_secret: str
    accounts: Mapping[str, PeerAccount]


@asynccontextmanager
async def running_peer(postgres_url: str, valkey_url: str) -> AsyncIterator[Peer]:
    """Start the servers with a database of their own, and end them.

    `postgres_url` is a superuser's (or one that may create databases), by TCP or by socket folder in `?host=`.
    `valkey_url` is `redis://host:port` or `unix:///path`. A peer that is installed but does not start is an error.
    """
    async with _database(postgres_url) as database_url, _valkey(valkey_url) as valkey:
        environment = {
            "PATH": os.defpath,
            "TMPDIR": tempfile.gettempdir(),
            "DB_POSTGRES_URL": database_url,
            "DB_POSTGRES_SCHEMA": "peer",
            "REDIS_HOST": valkey,
        }
        async with _process(PACKAGES.installation(), environment) as peer:
            yield peer


@asynccontextmanager
async def _process(found: NodeInstallation, environment: Mapping[str, str]) -> AsyncIterator[Peer]:
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            str(found.node),
            str(found.folder / "start.mjs"),
            cwd=found.folder,
            env=environment,
            stdin=PIPE,  # Its end is our end: the peer exits when this pipe closes, even if we are killed.
            stdout=PIPE,
            stderr=log,
            limit=LINE_BYTES_MAX,
        )
        try:
            try:
                peer = await asyncio.wait_for(_ready(process), START_SECONDS_MAX)
            except (TimeoutError, EOFError) as error:
                log.seek(0)
                told = log.read()[-LOG_TAIL_BYTES:].decode(errors="replace")
                raise RuntimeError(f"the AT Protocol peer is installed and does not start:\n{told}") from error
            draining = asyncio.create_task(_drain(process))
            try:
                yield peer
            finally:
                draining.cancel()
        finally:
            await _stop(process)


async def _ready(process: Process) -> Peer:
    """Wait for the one JSON line; other lines are the servers' own talk."""
    assert process.stdout is not None
    while line := await process.stdout.readline():
        try:
            told = orjson.loads(line)
            accounts = {account["name"]: PeerAccount(**account) for account in told["accounts"]}
            return Peer(told["pid"], told["pdsUrl"], told["appViewUrl"], told["tokenSecret"], accounts)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            continue
    raise EOFError


async def _drain(process: Process) -> None:
    # A full pipe would stop the servers in the middle of a line.
    assert process.stdout is not None
    while await process.stdout.read(LINE_BYTES_MAX):
        pass


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
        except TimeoutError:
            process.kill()
            await process.wait()
    if process.stdin is not None:
        process.stdin.close()


@asynccontextmanager
async def _database(postgres_url: str) -> AsyncIterator[str]:
    """A database of the peer's own, as a URL that Node's client reads."""
    admin = postgres_url.replace("postgresql+asyncpg://", "postgresql://")
    name = f"peer_{os.getpid()}_{next(_numbers)}"
    connection = await asyncpg.connect(admin)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield urlsplit(admin)._replace(path=f"/{name}").geturl()
        finally:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await connection.close()


@asynccontextmanager
async def _valkey(valkey_url: str) -> AsyncIterator[str]:
    """`host:port`, the only form the servers take; a socket is offered through a small bridge on loopback."""
    parts = urlsplit(valkey_url)
    if parts.scheme != "unix":
        yield f"{parts.hostname}:{parts.port}"
        return
    bridge = await asyncio.start_server(partial(_bridge, parts.path), "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{bridge.sockets[0].getsockname()[1]}"
    finally:
        bridge.close()


async def _bridge(path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join one TCP connection to the socket, in a numbered database that no test uses."""
    try:
        inner_reader, inner_writer = await asyncio.open_unix_connection(path)
        inner_writer.write(f"SELECT {VALKEY_DATABASE}\r\n".encode())
        await inner_reader.readline()
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
    except OSError:
        pass
    finally:
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
    finally:
        writer.close()
