# SPDX-License-Identifier: EUPL-1.2
"""Live events: a stream reads the outbox of its organization by sequence number and loses none.

Events are delivered after their commit, in order, at least once. A ring wakes a stream; every few seconds it looks by
itself. Before each event the credential is read again and the domain looks whether the actor sees the row now; nothing
is kept from one event to the next. `after` resumes from a signed cursor.

A stream that has caught up takes a seat, if its socket has one: from then on `feeds.py` tells what happens to all who
watch the same. Who loses the seat, because the reader is slow or anything went wrong, goes on here by itself.

    RESYNC      the cursor is older than the outbox goes back, or too much was missed: fetch the list again
    LEFT_VIEW   the row was in the actor's view and is not any more: its id, and nothing else
"""

import asyncio
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from graphql_schema.context import Context
from graphql_schema.rings import Rings
from graphql_schema.seats import NOWHERE
from services.kernel import outbox
from services.kernel.access import Actor
from services.kernel.errors import BadUserInput, ServiceUnavailable
from services.kernel.outbox import Fact, Following
from services.kernel.runtime import Runtime

BATCH_SIZE = 100
BEHIND_MAX = 1_000
POLL_SECONDS = 5.0
RESUME_WINDOW = timedelta(hours=24)
CURSOR_VERSION = b"\x01"
SEQUENCE_BYTES = 8
SIGNATURE_BYTES = 16
CURSOR_LENGTH = 34

T = TypeVar("T")

RESYNC = "RESYNC"
LEFT_VIEW = "LEFT_VIEW"


class Sight(StrEnum):
    """What a subscriber sees of one event's row."""

    SHOWN = "SHOWN"
    SKIPPED = "SKIPPED"
    LEFT = "LEFT"


class Watcher(Protocol):
    """The domain's answers for one filter."""

    @property
    def key(self) -> object:
        """Equal for watchers that answer the same."""
        ...

    async def look(self, runtime: Runtime, entry: Fact, actors: Sequence[Actor]) -> Sequence[frozenset[str]]:
        """What is true for each actor of an event's row. Whatever is true for some rights is true for more."""
        ...

    def sight(self, found: frozenset[str]) -> Sight:
        """What somebody is told for whom this is true."""
        ...


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One event for one subscriber. `kind` is the fact's own, or RESYNC, or LEFT_VIEW; RESYNC has no subject."""

    kind: str
    subject_id: UUID | None
    cursor: str
    occurred_at: datetime


@dataclass(frozen=True)
class EventStream(Generic[T]):
    """The events of some kinds for one subscription. `name` is the field's: a cursor fits its own stream only."""

    context: Context
    name: str
    kinds: frozenset[str]
    watcher: Watcher
    tell: Callable[[StreamedEvent], T]

    async def open(self, after: str | None) -> AsyncGenerator[T, None]:
        """Begin now, behind a cursor, or where a seat was lost. Raises BadUserInput for a cursor of another stream."""
        asked = None if after is None else self.read_cursor(after)
        if self.context.seat is not None and self.context.seat.position != NOWHERE:
            asked = self.context.seat.position
        found = await following(self.context.runtime, self.context.actor.tenant_id, asked, self.kinds)
        first = None if _can_resume(found) else self._resync(found)
        return self._told(found.position if first is None else found.head, first)

    def cursor(self, sequence: int) -> str:
        """The opaque text for a place in the organization's sequence of facts."""
        content = sequence.to_bytes(SEQUENCE_BYTES)
        return urlsafe_b64encode(CURSOR_VERSION + content + self._signature(content)).decode().rstrip("=")

    def read_cursor(self, cursor: str) -> int:
        """The place that a cursor stands for. Raises BadUserInput for any other text."""
        content = b""
        if len(cursor) == CURSOR_LENGTH and cursor.isascii():
            with suppress(Base64Error, ValueError):
                content = urlsafe_b64decode(cursor + "==")
        sequence = content[1 : 1 + SEQUENCE_BYTES]
        expected = CURSOR_VERSION + sequence + self._signature(sequence)
        if not hmac.compare_digest(content, expected) or cursor != self.cursor(int.from_bytes(sequence)):
            raise BadUserInput("after is not a cursor of this subscription.")
        return int.from_bytes(sequence)

    def _signature(self, content: bytes) -> bytes:
        bound = self.name.encode() + b"|" + self.context.actor.tenant_id.bytes + content
        return hmac.digest(self.context.cursor_key, bound, sha256)[:SIGNATURE_BYTES]

    def _resync(self, found: Following) -> StreamedEvent:
        return StreamedEvent(RESYNC, None, self.cursor(found.head), found.at)

    async def _told(self, position: int, first: StreamedEvent | None) -> AsyncGenerator[T, None]:
        if first is not None:
            yield self.tell(first)
        async with aclosing(self._events(position)) as events:
            async for each in events:
                yield self.tell(each)

    async def _events(self, position: int) -> AsyncGenerator[StreamedEvent, None]:
        rings, tenant_id = self.context.rings or Rings(), self.context.actor.tenant_id
        with rings.attend(tenant_id) as ring:
            while True:
                ring.clear()
                try:
                    if not await self._may_go_on():
                        return
                    found = await following(self.context.runtime, tenant_id, position, self.kinds)
                    if found.number > BEHIND_MAX:
                        yield self._resync(found)
                        return
                    for entry in found.facts:
                        # Again for each event: a slow reader may take minutes for a batch.
                        if not await self._may_go_on():
                            return
                        event = await self._seen(entry)
                        if event is not None:
                            yield event
                        position = entry.seq
                except ServiceUnavailable:
                    await asyncio.sleep(POLL_SECONDS)
                    continue
                if not found.facts:
                    position = max(position, found.head)
                    if self._takes_seat(position):
                        return
                    await wait(ring)

    def _takes_seat(self, position: int) -> bool:
        return self.context.seat is not None and self.context.seat.take(self, position)

    async def _seen(self, entry: Fact) -> StreamedEvent | None:
        [found] = await self.watcher.look(self.context.runtime, entry, [self.context.actor])
        self.context.loaders.clear()
        return self.event(entry, self.watcher.sight(found))

    def event(self, entry: Fact, sight: Sight) -> StreamedEvent | None:
        """What is told of an event; None when nothing is."""
        if sight is Sight.SKIPPED:
            return None
        kind = LEFT_VIEW if sight is Sight.LEFT else entry.kind
        return StreamedEvent(kind, entry.subject_id, self.cursor(entry.seq), entry.occurred_at)

    async def _may_go_on(self) -> bool:
        """Whether the credential still holds; if not, the connection that carries this stream is closed."""
        if await self.context.still_holds():
            return True
        if self.context.end_connection is not None:
            await self.context.end_connection()
        return False


async def following(runtime: Runtime, tenant_id: UUID, position: int | None, kinds: frozenset[str]) -> Following:
    """What a stream tells next."""
    reads, most = runtime.database.reads, BEHIND_MAX + 1
    return await outbox.following(reads, tenant_id, position, kinds, limit=BATCH_SIZE, counted_max=most)


def _can_resume(found: Following) -> bool:
    """Whether the outbox still has everything after a place. Numbers have no gaps, so a gap means: cleared away."""
    if found.position >= found.head:
        return found.position == found.head
    if found.oldest is None:
        return False
    seq, occurred_at = found.oldest
    return seq == found.position + 1 and occurred_at >= found.at - RESUME_WINDOW


async def wait(ring: asyncio.Event) -> None:
    """Until it rings, or it is time to look anyway."""
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_SECONDS):
            await ring.wait()
