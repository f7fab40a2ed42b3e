# SPDX-License-Identifier: EUPL-1.2
"""Live events of exports: how far they are, for whoever asked for them."""

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, cast

import strawberry

from graphql_schema.arguments import PERMISSION
from graphql_schema.context import Context
from graphql_schema.integrations.types import Export
from graphql_schema.live.stream import RESYNC, EventStream, StreamedEvent
from graphql_schema.live.watching import RowWatcher
from graphql_schema.reading.mapping import read_back, vocabulary
from services.integrations import events
from services.kernel.access import Permission
from services.kernel.events import Event

KINDS: dict[type[Event], tuple[str, str]] = {
    events.ExportRequested: ("REQUESTED", "It was asked for."),
    events.ExportStarted: ("STARTED", "The first line is being written."),
    events.ExportProgressed: ("PROGRESSED", "Another 5,000 lines are written."),
    events.ExportReady: ("READY", "It can be fetched."),
    events.ExportFailed: ("FAILED", "It was given up."),
    events.ExportExpired: ("EXPIRED", "Its time is over."),
}
"""Every event of an export that clients see: the fact, its name in the schema, and what it means."""

MEANINGS = dict([*KINDS.values(), (RESYNC, "Too much was missed: fetch the list again, and resume from this cursor.")])
ExportEventKind = vocabulary(
    cast("type[StrEnum]", StrEnum("ExportEventKind", [(each, each) for each in MEANINGS], module=__name__)),
    "What happened to an export. Values are added over time.",
    **MEANINGS,
)
NAMES = {event.kind: name for event, (name, _) in KINDS.items()} | {RESYNC: RESYNC}


@strawberry.type(description="Something that happened to an export of the caller's own.")
class ExportEvent:
    """One event of a subscription."""

    event: ExportEventKind = strawberry.field(description="What happened.")  # pyright: ignore[reportInvalidTypeForm]
    node: Export | None = read_back("The export as it is now; null for RESYNC.")
    cursor: str = strawberry.field(
        description="Where the stream stands: send it as `after` to resume behind this event."
    )
    occurred_at: datetime = strawberry.field(description="When it was recorded.")


@strawberry.type
class IntegrationSubscriptions:
    """What happens to exports while somebody waits."""

    @strawberry.subscription(
        description="What happens to the exports that the caller asked for: after each commit, in order, at least "
        "once. Needs exports:read.",
        metadata={PERMISSION: Permission.EXPORT_READ},
    )
    async def export_events(
        self,
        info: strawberry.Info[Context, None],
        after: Annotated[
            str | None,
            strawberry.argument(description="The cursor of the last event seen; without it the stream begins now."),
        ] = strawberry.UNSET,
    ) -> AsyncGenerator[ExportEvent, None]:
        kinds = frozenset(event.kind for event in KINDS)
        stream = EventStream(info.context, "exportEvents", kinds, RowWatcher(Export), told)
        return await stream.open(None if after is strawberry.UNSET else after)


def told(event: StreamedEvent) -> ExportEvent:
    """An event of the stream as clients see it."""
    return ExportEvent(
        event=ExportEventKind[NAMES[event.kind]],
        node=None if event.subject_id is None else Export.of(event.subject_id),
        cursor=event.cursor,
        occurred_at=event.occurred_at,
    )
