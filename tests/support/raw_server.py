# SPDX-License-Identifier: EUPL-1.2
"""A server of raw bytes on loopback, to cut a connection at exactly one chosen point, and a resolver with a script."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from services.kernel.outbound import OutboundClient, OutboundError, OutboundLimits

TOWN = "town.example.test"
BODY = b'{"text": "one answer"}'
QUICK = OutboundLimits(connect_seconds=1.0, read_seconds=0.3, total_seconds=2.0)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    port: int
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0


@dataclass
class FakeResolver:
    """Answers from a script, one line per lookup, the last one forever."""

    script: list[list[str]]
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.script[min(len(self.asked), len(self.script)) - 1]


@asynccontextmanager
async def raw_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """A server on a free loopback port; the handler gets the connection before anything is read."""
    server_box: list[RawServer] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_box[0].connections += 1
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    server_box.append(RawServer(server.sockets[0].getsockname()[1]))
    try:
        yield server_box[0]
    finally:
        server.close()


def answering(answer: bytes, heads: list[bytes] | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_request(reader)
        if heads is not None:
            heads.append(head)
        writer.write(answer)
        await writer.drain()
        # Let the client read everything before the connection is reset.
        await reader.read()

    return handler


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            head += await reader.readexactly(int(line.partition(b":")[2]))
    return head


def client_for(port: int, *, limits: OutboundLimits = QUICK, tls: ssl.SSLContext | None = None) -> OutboundClient:
    resolver = FakeResolver([["127.0.0.1"]])
    return OutboundClient(
        allowed=frozenset({f"127.0.0.1:{port}", f"{TOWN}:{port}"}), limits=limits, resolver=resolver, tls=tls
    )


async def failure_of(client: OutboundClient, url: str, **arguments: object) -> OutboundError:
    with pytest.raises(OutboundError) as caught:
        await client.request("POST", url, content=BODY, **arguments)  # type: ignore[arg-type]
    await client.aclose()
    return caught.value


async def cut_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the whole request, then reset."""
    await read_request(reader)
