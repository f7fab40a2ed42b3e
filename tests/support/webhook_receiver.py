# SPDX-License-Identifier: EUPL-1.2
"""Other people's endpoints on loopback: each has a behavior, and verifies every message by the official library."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

REASONS = {200: "OK", 204: "No Content", 302: "Found", 410: "Gone", 429: "Too Many Requests", 500: "Failed"}
SPLIT = b"\r\n\r\n"


class Behavior(StrEnum):
    """What an endpoint does with what it is sent."""

    TAKES = "TAKES"
    FAILS = "FAILS"
    THROTTLES = "THROTTLES"
    """Says "later" to the first attempt of each message, and takes the second."""
    REDIRECTS = "REDIRECTS"
    IS_GONE = "IS_GONE"
    NEVER_ANSWERS = "NEVER_ANSWERS"


@dataclass(frozen=True)
class Received:
    """One attempt, as it came in."""

    headers: Mapping[str, str]
    body: bytes
    at: datetime

    @property
    def message(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Place:
    """One endpoint. `secrets` are those that its owner knows."""

    url: str
    behavior: Behavior = Behavior.TAKES
    secrets: list[str] = field(default_factory=list)
    attempts: list[Received] = field(default_factory=list)
    taken: dict[str, Received] = field(default_factory=dict)
    again: int = 0
    """How often a message came that had been taken before."""
    unverified: int = 0

    def verify(self, received: Received) -> Any:
        """The body, when one of the owner's secrets signed it."""
        for secret in self.secrets:
            with contextlib.suppress(WebhookVerificationError):
                return Webhook(secret).verify(received.body, dict(received.headers))
        return None


@dataclass
class Receiver:
    """A server with any number of endpoints."""

    port: int = 0
    places: dict[str, Place] = field(default_factory=dict)
    strays: int = 0
    """Requests to a path that nobody was told of: a redirect that was followed."""
    _connections: set[asyncio.Task[Any]] = field(default_factory=set)
    _seen: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def place(self, name: str, behavior: Behavior = Behavior.TAKES) -> Place:
        """One more endpoint."""
        path = f"/{name}"
        self.places[path] = Place(f"http://{self.host}{path}", behavior)
        return self.places[path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(SPLIT)).decode()
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        found = self.places.get(first.split()[1])
        if found is None:
            self.strays += 1
            return
        received = Received(headers, body, datetime.now(UTC))
        found.attempts.append(received)
        status = self._status(found, received)
        if status is None:
            await reader.read()  # until the caller goes away
            return
        extra = {429: "Retry-After: 1\r\n", 302: f"Location: http://{self.host}/stray\r\n"}.get(status, "")
        text = f"HTTP/1.1 {status} {REASONS[status]}\r\n{extra}Content-Length: 6\r\nConnection: close\r\n\r\nsecret"
        writer.write(text.encode())
        await writer.drain()
        if status < 300:
            found.again += received.message in found.taken
            found.taken.setdefault(received.message, received)

    def _status(self, place: Place, received: Received) -> int | None:
        if place.verify(received) is None:
            place.unverified += 1
            return 500
        is_first = received.message not in self._seen[place.url]
        self._seen[place.url].add(received.message)
        return {
            Behavior.TAKES: 200,
            Behavior.FAILS: 500,
            Behavior.THROTTLES: 429 if is_first else 200,
            Behavior.REDIRECTS: 302,
            Behavior.IS_GONE: 410,
            Behavior.NEVER_ANSWERS: None,
        }[place.behavior]

    async def close(self) -> None:
        for each in list(self._connections):
            each.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A server on a free loopback port until the block ends."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, backlog=1_000)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()
