# SPDX-License-Identifier: EUPL-1.2
"""The API as it is served: Uvicorn in this process on a free loopback port, and clients that speak to it."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from graphql_schema.app import HOST, create_app, server_config
from graphql_schema.schema import ApiSchema
from services.kernel.settings import Settings

STARTED_WITHIN_SECONDS = 20
FRAME_WITHIN_SECONDS = 20
AVAILABLE = re.compile(rb'"currentlyAvailable":\d+')
JSON = "application/json"
GRAPHQL = "application/graphql-response+json"


class EmbeddedServer(uvicorn.Server):
    """A server that leaves the signals of the test run alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def without_cost(content: bytes) -> bytes:
    """The bytes of an answer but for what was left of the caller's bucket, which is another number each time."""
    return AVAILABLE.sub(b"", content)


@dataclass(frozen=True)
class Served:
    """A running server. `url` has no slash at its end."""

    host: str
    port: int
    client: httpx2.AsyncClient

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def post(
        self,
        body: Any,
        token: str | None = None,
        *,
        accept: str | None = GRAPHQL,
        content_type: str | None = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """POST to /graphql: bytes as they are, everything else as JSON."""
        sent = {"Accept": accept, "Content-Type": content_type, "Authorization": token and f"Bearer {token}"}
        kept = {name: value for name, value in sent.items() if value is not None} | dict(headers or {})
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.client.post("/graphql", content=content, headers=kept)

    async def ask(self, token: str, query: str, **variables: Any) -> Any:
        """Run a document. Returns its data; errors fail the test."""
        answer = await self.post({"query": query, "variables": variables}, token)
        found = answer.json()
        assert "errors" not in found, found
        return found["data"]

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.client.get(path, **options)

    @asynccontextmanager
    async def socket(
        self, token: str | None = None, *, origin: str | None = None, protocol: str = "graphql-transport-ws"
    ) -> AsyncIterator["Socket"]:
        """A socket; with a token it is initialized and acknowledged."""
        url = f"ws://{self.host}:{self.port}/graphql"
        wish, page = Subprotocol(protocol), None if origin is None else Origin(origin)
        async with connect(url, subprotocols=[wish], origin=page, proxy=None, compression=None) as opened:
            wrapped = Socket(opened)
            if token is not None:
                await wrapped.send(type="connection_init", payload={"authorization": f"Bearer {token}"})
                assert (await wrapped.receive())["type"] == "connection_ack"
            yield wrapped

    @asynccontextmanager
    async def stream(
        self, token: str, query: str, *, accept: str = "text/event-stream", **variables: Any
    ) -> AsyncIterator["Stream"]:
        """An operation over server-sent events."""
        headers = {"Accept": accept, "Content-Type": JSON, "Authorization": f"Bearer {token}"}
        body = orjson.dumps({"query": query, "variables": variables})
        async with self.client.stream("POST", "/graphql", content=body, headers=headers) as response:
            yield Stream(response, response.aiter_text())


@dataclass
class Stream:
    """One end of an event stream."""

    response: httpx2.Response
    chunks: AsyncIterator[str]
    unread: str = ""

    async def frame(self) -> str | None:
        """The next event or comment as it was sent; None at the end."""
        async with asyncio.timeout(FRAME_WITHIN_SECONDS):
            while "\n\n" not in self.unread:
                chunk = await anext(self.chunks, None)
                if chunk is None:
                    assert self.unread == ""
                    return None
                self.unread += chunk
        found, _, self.unread = self.unread.partition("\n\n")
        return found

    async def event(self) -> tuple[str, Any]:
        """The next event: its kind and its data. Comments are passed over."""
        found = await self.rest(one=True)
        assert found, "The stream has ended."
        return found[0]

    async def rest(self, *, one: bool = False) -> list[tuple[str, Any]]:
        """All events up to the end."""
        found = list[tuple[str, Any]]()
        while not (one and found) and (frame := await self.frame()) is not None:
            if frame != ":":
                kind, data = frame.split("\n")
                payload = data.removeprefix("data:").strip()
                found.append((kind.removeprefix("event: "), orjson.loads(payload) if payload else None))
        return found


@dataclass(frozen=True)
class Socket:
    """One end of graphql-transport-ws."""

    connection: ClientConnection

    async def send(self, **message: Any) -> None:
        await self.connection.send(orjson.dumps(message).decode())

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(FRAME_WITHIN_SECONDS):
            return orjson.loads(await self.connection.recv())

    async def subscribe(self, query: str, identifier: str = "1", **variables: Any) -> None:
        await self.send(id=identifier, type="subscribe", payload={"query": query, "variables": variables})

    async def closed(self) -> int:
        """The code with which the server closes."""
        async with asyncio.timeout(FRAME_WITHIN_SECONDS):
            await self.connection.wait_closed()
        assert self.connection.close_code is not None
        return self.connection.close_code


@asynccontextmanager
async def served(settings: Settings, schema: ApiSchema | None = None) -> AsyncIterator[Served]:
    """Serve until the block ends."""
    listener = socket.socket()
    listener.bind((HOST, 0))
    server = EmbeddedServer(server_config(create_app(settings, schema=schema), settings.trusted_proxies))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(STARTED_WITHIN_SECONDS):
            while not server.started:
                if running.done():
                    await running
                await asyncio.sleep(0.01)
        host, port = listener.getsockname()
        async with httpx2.AsyncClient(base_url=f"http://{host}:{port}", timeout=30, trust_env=False) as client:
            del client.headers["Accept"]
            yield Served(host, port, client)
    finally:
        server.should_exit = True
        await running
        listener.close()
