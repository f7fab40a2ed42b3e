# SPDX-License-Identifier: EUPL-1.2
"""A small HTTP proxy of ours that misbehaves on demand, in front of a fake or a real peer, on loopback only.

Rules are consumed in the order in which they were planned: the first one that fits a request decides its fate, `times`
times; a request that no rule fits passes. Every connection carries one request, so a cut is always the cut of one.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

HEAD_BYTES_MAX = 65_536
BODY_BYTES_MAX = 4_194_304
HOP_HEADERS = (b"connection:", b"keep-alive:", b"host:")


class Fault(StrEnum):
    """What happens to a request. Only DELAY, the two CUTs and FAIL_AFTER let it reach the server."""

    PASS = "PASS"
    DELAY = "DELAY"
    DROP_BEFORE = "DROP_BEFORE"
    CUT_AFTER = "CUT_AFTER"
    CUT_INSIDE = "CUT_INSIDE"
    FAIL_AFTER = "FAIL_AFTER"
    ANSWER = "ANSWER"


@dataclass(slots=True)
class Rule:
    """`path` is a part of the request's target; `status`, `headers`, `body` are the answer of FAIL_AFTER and ANSWER."""

    fault: Fault
    path: str = ""
    method: str = ""
    times: int = 1
    seconds: float = 0.0
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"

    def fits(self, method: str, target: str) -> bool:
        return self.times > 0 and self.method in ("", method) and self.path in target

    def answer(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Fault", f"content-length: {len(self.body)}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in {"content-type": "application/json", **self.headers}.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came by; `forwarded` says whether the server got all of it."""

    method: str
    target: str
    fault: Fault
    forwarded: bool
    body: bytes = field(repr=False)


class FaultProxy:
    """`async with FaultProxy("http://127.0.0.1:2583") as proxy:` then use `proxy.url` and `proxy.plan(...)`."""

    def __init__(self, target_url: str) -> None:
        target = urlsplit(target_url)
        if target.hostname not in ("127.0.0.1", "::1", "localhost") or target.port is None or target.scheme != "http":
            raise ValueError("the fault proxy stands only in front of plain http on loopback")
        self._host, self._port = target.hostname, target.port
        self._rules: list[Rule] = []
        self._server: asyncio.Server | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self.port = 0
        self.seen: list[Seen] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def counts(self) -> Counter[Fault]:
        """How many requests met each fate."""
        return Counter(seen.fault for seen in self.seen)

    def plan(self, *rules: Rule) -> None:
        """Add rules behind those already planned."""
        self._rules += rules

    def forwarded(self, path: str) -> int:
        """How many requests with this in their target reached the server."""
        return sum(1 for seen in self.seen if seen.forwarded and path in seen.target)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """While inside, nobody listens on the port: connections are refused."""
        await self._close()
        try:
            yield
        finally:
            await self._listen()

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()
        # A request that is still delayed must not arrive after the test that sent it.
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=HEAD_BYTES_MAX)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target = head.split(b" ", 2)[:2]
            body = await reader.readexactly(_content_length(head))
            await self._decide(method.decode(), target.decode(), head, body, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            if not writer.is_closing():
                # An abort is a reset: the client sees a cut at once and not a polite end.
                writer.transport.abort()

    async def _decide(self, method: str, target: str, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        rule = next((rule for rule in self._rules if rule.fits(method, target)), Rule(Fault.PASS))
        rule.times -= 1
        forwarded = rule.fault not in (Fault.DROP_BEFORE, Fault.ANSWER)
        self.seen.append(Seen(method, target, rule.fault, forwarded, body))
        if rule.fault is Fault.DELAY:
            await asyncio.sleep(rule.seconds)
        answer = await self._forward(head, body) if forwarded else rule.answer()
        if rule.fault in (Fault.DROP_BEFORE, Fault.CUT_AFTER):
            return
        if rule.fault is Fault.CUT_INSIDE:
            answer = answer[: answer.index(b"\r\n\r\n") + 4 + 1]
        elif rule.fault is Fault.FAIL_AFTER:
            answer = rule.answer()
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith(HOP_HEADERS)]
        host = f"host: {self._host}:{self._port}".encode()
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(b"\r\n".join([first, host, b"connection: close", *kept]) + b"\r\n\r\n" + body)
            await writer.drain()
            return await reader.read(-1)
        finally:
            writer.close()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return min(int(line.partition(b":")[2]), BODY_BYTES_MAX)
    return 0
