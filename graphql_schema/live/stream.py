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

from sqlalchemy import func, select
from sqlmodel import col

from graphql_schema.context import Context
from graphql_schema.rings import Rings
from services.kernel import outbox
from services.kernel.access import Actor
from services.kernel.audit import AuditHead
from services.kernel.database import Snapshot
from services.kernel.errors import BadUserInput, ServiceUnavailable
from services.kernel.isolation import ACTOR, owned
from services.kernel.outbox import OutboxEntry
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

    async def look(self, runtime: Runtime, entry: OutboxEntry, actors: Sequence[Actor]) -> Sequence[frozenset[str]]:
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
        if self.context.seat is not None and self.context.seat.position is not None:
            asked = self.context.seat.position
        async with self.context.snapshot() as snapshot:
            head = await head_of(snapshot)
            position = head if asked is None else asked
            is_lost = not await _can_resume(snapshot, position, head)
            started_at = snapshot.now
        return self._told(head if is_lost else position, self._resync(head, started_at) if is_lost else None)

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

    def _resync(self, head: int, at: datetime) -> StreamedEvent:
        return StreamedEvent(RESYNC, None, self.cursor(head), at)

    async def _told(self, position: int, first: StreamedEvent | None) -> AsyncGenerator[T, None]:
        if first is not None:
            yield self.tell(first)
        async with aclosing(self._events(position)) as events:
            async for each in events:
                yield self.tell(each)

    async def _events(self, position: int) -> AsyncGenerator[StreamedEvent, None]:
        rings = self.context.rings or Rings()
        with rings.attend(self.context.actor.tenant_id) as ring:
            while True:
                ring.clear()
                try:
                    if not await self._may_go_on():
                        return
                    head, entries, resync = await self._batch(position)
                    for entry in entries:
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
                if resync is not None:
                    yield resync
                    return
                if not entries:
                    position = max(position, head)
                    if self._takes_seat(position):
                        return
                    await wait(ring)

    def _takes_seat(self, position: int) -> bool:
        return self.context.seat is not None and self.context.seat.take(self, position)

    async def _batch(self, position: int) -> tuple[int, list[OutboxEntry], StreamedEvent | None]:
        async with self.context.snapshot() as snapshot:
            head, entries, is_behind = await batch(snapshot, position, self.kinds)
            return (head, [], self._resync(head, snapshot.now)) if is_behind else (head, entries, None)

    async def _seen(self, entry: OutboxEntry) -> StreamedEvent | None:
        [found] = await self.watcher.look(self.context.runtime, entry, [self.context.actor])
        self.context.loaders.clear()
        return self.event(entry, self.watcher.sight(found))

    def event(self, entry: OutboxEntry, sight: Sight) -> StreamedEvent | None:
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


async def batch(snapshot: Snapshot, position: int, kinds: frozenset[str]) -> tuple[int, list[OutboxEntry], bool]:
    """The head of the organization's sequence, what follows a position, and whether too much does."""
    # The head first: all facts up to it are committed, so that an empty batch may move the position to it.
    head = await head_of(snapshot)
    entries = await outbox.since(snapshot, position, kinds=kinds, limit=BATCH_SIZE)
    return head, entries, len(entries) == BATCH_SIZE and await _is_behind(snapshot, position, kinds)


async def head_of(snapshot: Snapshot) -> int:
    """The number of the organization's latest fact."""
    return await snapshot.one(owned(AuditHead).with_only_columns(col(AuditHead.seq)))


async def _can_resume(snapshot: Snapshot, position: int, head: int) -> bool:
    """Whether the outbox still has everything after a place. Numbers have no gaps, so a gap means: cleared away."""
    if position >= head:
        return position == head
    following = owned(OutboxEntry, col(OutboxEntry.seq) > position).order_by(col(OutboxEntry.seq)).limit(1)
    oldest = await snapshot.one_or_none(following)
    return oldest is not None and oldest.seq == position + 1 and oldest.occurred_at >= snapshot.now - RESUME_WINDOW


async def _is_behind(snapshot: Snapshot, position: int, kinds: frozenset[str]) -> bool:
    missed = (
        select(col(OutboxEntry.id))
        .where(
            col(OutboxEntry.tenant_id) == ACTOR.tenant,
            col(OutboxEntry.seq) > position,
            col(OutboxEntry.kind).in_(sorted(kinds)),
        )
        .limit(BEHIND_MAX + 1)
        .subquery()
    )
    return await snapshot.scalar(select(func.count()).select_from(missed)) > BEHIND_MAX


async def wait(ring: asyncio.Event) -> None:
    """Until it rings, or it is time to look anyway."""
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_SECONDS):
            await ring.wait()
