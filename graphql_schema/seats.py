# SPDX-License-Identifier: EUPL-1.2
"""A seat among those who watch the same: how what is told to many at once gets to one socket.

It is sent then and there, as far as the socket takes it. Waking a task for each socket would cost as much again as the
sending. A socket that does not take it at once has a slow reader, who leaves and goes on alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Protocol

from graphql_schema.reading.sharing import SharedOperation

NOWHERE = -1

SendPayload = Callable[[str], Coroutine[Any, Any, None]]
"""Sends one payload. It may wait, as long as the socket is full."""


class Audience(Protocol):
    """Who gives seats."""

    def admit(self, seat: "Seat", stream: Any, position: int) -> bool:
        """Seat the subscriber of a stream that has been told everything up to `position`; False when it came late."""
        ...

    def leave(self, seat: "Seat") -> None:
        """Free the seat, if it is taken."""


class Seat:
    """For one operation of one socket. `position` is the sequence number up to which it has been told everything."""

    def __init__(self, audience: Audience | None, send: SendPayload) -> None:
        self._audience, self._send = audience, send
        self._unsent: Awaitable[None] | None = None
        self._left = asyncio.Event()
        self.operation: SharedOperation | None = None
        """What can be shared with others; None when the document cannot."""
        self.position = NOWHERE
        self.is_taken = False

    def take(self, stream: Any, position: int) -> bool:
        """Sit down behind `position`. False when the stream must go on by itself."""
        if self._audience is None or self.operation is None or not self._audience.admit(self, stream, position):
            return False
        self.position, self.is_taken = position, True
        self._left.clear()
        return True

    def leave(self) -> None:
        """Stand up. May be called again."""
        if self.is_taken and self._audience is not None:
            self._audience.leave(self)
            self.is_taken = False
            self._left.set()

    def put(self, position: int, payload: str) -> None:
        """Send what is told at a position. Whoever cannot take it any more leaves.

        Nothing, when the seat was left while this was made, or left and taken again further on.
        """
        if not self.is_taken or position <= self.position:
            return
        sending = self._send(payload)
        try:
            waits_for = sending.send(None)
        except StopIteration:
            pass
        except Exception:  # noqa: BLE001  the socket is gone; its own task finds out and says so
            self.leave()
            return
        else:
            self._unsent = _rest_of(sending, waits_for)
            self.leave()
        self.position = position

    async def sit(self) -> None:
        """Wait until the seat is left and everything that was put has been sent."""
        await self._left.wait()
        if self._unsent is not None:
            unsent, self._unsent = self._unsent, None
            await unsent


@coroutine
def _rest_of(sending: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """A coroutine that was begun outside any task, and waits for a future now: what is left of it."""
    try:
        while True:
            try:
                value = yield waits_for
            except BaseException as error:  # noqa: BLE001  a cancellation is the coroutine's affair
                waits_for = sending.throw(error)
            else:
                waits_for = sending.send(value)
    except StopIteration:
        return
