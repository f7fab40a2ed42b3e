# SPDX-License-Identifier: EUPL-1.2
"""Subscribers over real sockets that do nothing but count what they are told, so that a thousand cost little."""

import asyncio
import base64
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

HOST = "127.0.0.1"
AT_ONCE = 20
TOLD = b'"type":"next"'
ACKNOWLEDGED = b'"connection_ack"'
ERRORS = (b'"type":"error"', b'"errors"')
PING, PONG = b"\x89\x04", b"\x8a\x84\x00\x00\x00\x00"
"""The beginnings of the server's control frame with four bytes, and of the answer. Neither can stand in JSON."""
ANSWERED_WITHIN_SECONDS = 120.0
BEGINNING_SECONDS = 0.4


class Listener(asyncio.Protocol):
    """One socket with one subscription. `told` counts its events."""

    def __init__(self, token: str, asked: Mapping[str, Any]) -> None:
        self.token, self.asked = token, asked
        self.told = 0
        self.acknowledged = asyncio.get_running_loop().create_future()
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /graphql HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        seen = self._rest + data
        self.told += seen.count(TOLD)
        if any(each in seen for each in ERRORS):
            raise RuntimeError(seen.decode(errors="replace"))
        place = seen.rfind(PING)
        if place >= 0 and self._transport is not None:  # a pong too many does no harm
            self._transport.write(PONG + seen[place + len(PING) : place + len(PING) + 4])
        if b"101 Switching" in seen:
            self.send({"type": "connection_init", "payload": {"authorization": f"Bearer {self.token}"}})
        if ACKNOWLEDGED in seen and not self.acknowledged.done():
            self.send({"id": "1", "type": "subscribe", "payload": dict(self.asked)})
            self.acknowledged.set_result(None)
        # Shorter than what is looked for, and without a whole one: nothing is counted twice or missed.
        self._rest = seen[-(len(TOLD) - 1) :]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.acknowledged.done():
            self.acknowledged.set_exception(exc or ConnectionError("The socket closed."))

    def send(self, message: dict[str, object]) -> None:
        """One masked text frame; the mask is nothing."""
        content = orjson.dumps(message)
        length = (
            struct.pack("!BB", 0x81, 0x80 | len(content))
            if len(content) < 126
            else struct.pack("!BBH", 0x81, 0x80 | 126, len(content))
        )
        if self._transport is not None:
            self._transport.write(length + bytes(4) + content)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


async def listen(port: int, wishes: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Listener]:
    """Open a socket for each (token, payload of subscribe), a few at a time, and subscribe.

    A subscription that has begun says nothing, so each few are given some time.
    """
    gate, loop = asyncio.Semaphore(AT_ONCE), asyncio.get_running_loop()

    async def one(token: str, asked: Mapping[str, Any]) -> Listener:
        async with gate:
            _, listener = await loop.create_connection(lambda: Listener(token, asked), HOST, port)
            async with asyncio.timeout(ANSWERED_WITHIN_SECONDS):
                await listener.acknowledged
            await asyncio.sleep(BEGINNING_SECONDS)
            return listener

    return await asyncio.gather(*(one(*wish) for wish in wishes))
