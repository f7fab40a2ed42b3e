# SPDX-License-Identifier: EUPL-1.2
"""An event that is executed and serialized once for many subscribers of equal rights."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import isawaitable
from typing import Any, Protocol, cast

import orjson
from graphql import execute

from graphql_schema.reading.execution import Execution
from graphql_schema.reading.operations import CompiledContext, Divided, Kept, Operations
from graphql_schema.reading.readback import ReadBacks
from graphql_schema.reading.trimming import Piece
from services.kernel.access import Actor
from services.kernel.errors import ServiceUnavailable


class NotShared(Exception):
    """This event cannot be answered for many at once."""


class EventContext(CompiledContext, Protocol):
    """A context that can be had for another actor."""

    def of(self, actor: Actor, execution: Execution) -> "EventContext": ...


@dataclass
class CrowdReadBacks(ReadBacks):
    """Reads each row twice: as nobody in particular, and as everybody together. See Actor.among."""

    everybody: Actor | None = None
    differs: bool = False

    async def content(self, piece: Piece, kept: Kept, global_id: str, context: CompiledContext) -> str:
        found = await super().content(piece, kept, global_id, context)
        if self.everybody is not None and not self.differs:
            together = cast("EventContext", context).of(self.everybody, Execution())
            self.differs = await super().content(piece, kept, global_id, together) != found
        return found


@dataclass(frozen=True)
class SharedOperation:
    """A subscription whose events can be shared by all who sent the same document and variables."""

    operations: Operations
    kept: Kept
    divided: Divided
    variables: Mapping[str, Any]

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Equal for operations whose answers to one event are the same for actors of equal rights."""
        given = {name: each for name, each in self.variables.items() if name in self.divided.variables}
        return (self.kept.key, orjson.dumps(given, option=orjson.OPT_SORT_KEYS))

    async def payload(self, event: Any, context: EventContext, everybody: Actor | None = None) -> str | None:
        """The JSON of `payload` for an event, as the actor of the context sees it.

        With `everybody`, None when that actor sees something else. Raises NotShared for an error in the answer, and
        ServiceUnavailable.
        """
        rows = CrowdReadBacks(self.operations, self.divided.pieces, self.variables, everybody=everybody)
        found = execute(
            self.operations.schema,
            self.divided.document,
            event,
            context.of(context.actor, Execution(read_backs=rows)),
            dict(self.variables),
            self.kept.operation.name.value if self.kept.operation.name else None,
        )
        result = await found if isawaitable(found) else found
        for each in result.errors or ():
            raise each.original_error if isinstance(each.original_error, ServiceUnavailable) else NotShared from each
        if rows.differs:
            return None
        rows.put_into(result.data)
        return orjson.dumps({"data": result.data}).decode()
