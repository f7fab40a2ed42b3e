# SPDX-License-Identifier: EUPL-1.2
"""A seat among those who watch the same: where what is told to many at once waits for one socket."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol

from graphql_schema.reading.sharing import SharedOperation

WAITING_MAX = 100
"""Payloads that may wait for a slow reader. Beyond that it reads at its own pace, by itself."""


class Audience(Protocol):
    """Who gives seats."""

    def admit(self, seat: "Seat", stream: Any, position: int) -> bool:
        """Seat the subscriber of a stream that has been told everything up to `position`; False when it came late."""
        ...

    def leave(self, seat: "Seat") -> None:
        """Free the seat, if it is taken."""


class Seat:
    """For one operation of one socket. `position` is the sequence number up to which it has been told everything."""

    def __init__(self, audience: Audience | None) -> None:
        self._audience = audience
        self._waiting: deque[str] = deque()
        self._woken = asyncio.Event()
        self.operation: SharedOperation | None = None
        """What can be shared with others; None when the document cannot."""
        self.position: int | None = None
        self.is_taken = False

    def take(self, stream: Any, position: int) -> bool:
        """Sit down behind `position`. False when the stream must go on by itself."""
        if self._audience is None or self.operation is None or not self._audience.admit(self, stream, position):
            return False
        self.position, self.is_taken = position, True
        return True

    def leave(self) -> None:
        """Stand up; what waits will still be read. May be called again."""
        if self.is_taken and self._audience is not None:
            self._audience.leave(self)
            self.is_taken = False
            self._woken.set()

    def put(self, position: int, payload: str) -> None:
        """Hand over what is told at a position, unless the reader is too slow: then it leaves, and misses nothing."""
        if len(self._waiting) >= WAITING_MAX:
            self.leave()
            return
        self._waiting.append(payload)
        self.position = position
        self._woken.set()

    async def payloads(self) -> AsyncIterator[str]:
        """What was put, as it comes, until the seat is left."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if not self.is_taken:
                return
            self._woken.clear()
            await self._woken.wait()
