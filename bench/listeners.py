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
ERRORS = b'"errors"'
TEXT, PING, PONG = 0x81, 0x89, 0x8A
SHORT_MAX = 126
"""From here on the length of a frame stands behind its second byte: in two bytes, or in eight."""
ANSWERED_WITHIN_SECONDS = 120.0
BEGINNING_SECONDS = 0.4


class Listener(asyncio.Protocol):
    """One socket with one subscription. `told` counts its events."""

    def __init__(self, token: str, asked: Mapping[str, Any]) -> None:
        self.token, self.asked = token, asked
        self.told, self.is_lost = 0, False
        self.acknowledged = asyncio.get_running_loop().create_future()
        self._unread, self._is_upgraded = b"", False
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
        self._unread += data
        if not self._is_upgraded:
            head, end, rest = self._unread.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head:
                raise RuntimeError(head.decode(errors="replace"))
            self._is_upgraded, self._unread = True, rest
            self.send({"type": "connection_init", "payload": {"authorization": f"Bearer {self.token}"}})
        while (frame := self._frame()) is not None:
            self._read(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        """The next whole frame: its first byte and its content. A server's frames have no mask."""
        unread, begins = self._unread, 2
        if len(unread) < begins:
            return None
        length = unread[1]
        if length >= SHORT_MAX:
            begins += 2 if length == SHORT_MAX else 8
            if len(unread) < begins:
                return None
            length = int.from_bytes(unread[2:begins])
        if len(unread) < begins + length:
            return None
        self._unread = unread[begins + length :]
        return unread[0], unread[begins : begins + length]

    def _read(self, kind: int, content: bytes) -> None:
        if kind == PING and self._transport is not None:
            self._transport.write(bytes([PONG, 0x80 | len(content)]) + bytes(4) + content)
        elif TOLD in content and ERRORS not in content:
            self.told += 1
        elif ACKNOWLEDGED in content:
            self.send({"id": "1", "type": "subscribe", "payload": dict(self.asked)})
            self.acknowledged.set_result(None)
        elif kind == TEXT:
            raise RuntimeError(content.decode(errors="replace"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
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
