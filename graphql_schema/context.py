# SPDX-License-Identifier: EUPL-1.2
"""What an operation knows: who asks, under which request, in which language, and how to reach the database."""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from graphql_schema.billing import Bill
from graphql_schema.deprecations import Uses
from graphql_schema.errors import Wording
from graphql_schema.reading.execution import Execution, Executor
from graphql_schema.reading.price import QUERY_COST_MAX
from graphql_schema.rings import Rings
from graphql_schema.seats import Seat
from services.identity.commands import note_key_use
from services.identity.queries import Asker, actor_of_token, asker_of_token
from services.kernel.access import Actor
from services.kernel.buckets import Buckets
from services.kernel.database import Snapshot, UnitOfWork
from services.kernel.errors import OrganizationSuspended, Unauthenticated
from services.kernel.languages import Language, choose
from services.kernel.reads import Answers, Moment
from services.kernel.runtime import Runtime

BEARER = re.compile(r"^bearer +([A-Za-z0-9._~+/=-]{1,4096})$", re.IGNORECASE)


@dataclass(frozen=True)
class Context:
    """One operation of one actor. Made anew for every operation; a subscription empties `loaders` before each event."""

    runtime: Runtime
    actor: Actor
    request_id: str
    language: Language = Language.EN
    token: str = field(default="", repr=False)
    rings: Rings | None = field(default=None, repr=False)
    """Wakes the live streams of this process."""
    end_connection: Callable[[], Awaitable[None]] | None = None
    """Closes the socket that carries this operation, when its credential no longer holds."""
    seat: Seat | None = field(default=None, repr=False)
    """Where a subscription may wait for what is told to many at once."""
    loaders: dict[Any, Any] = field(default_factory=dict[Any, Any], repr=False)
    """Loaders by relation and arguments. Never kept over events: what they hold may no longer be visible."""

    execution: Execution = field(default_factory=Execution, repr=False)
    """Which executor answers, and which one was asked for."""
    bill: Bill = field(default_factory=Bill, repr=False)
    """What it costs."""
    uses: Uses | None = field(default=None, repr=False)
    """Who counts what is deprecated."""
    moment: Moment | None = field(default=None, repr=False)
    """Set where several transactions must see the same."""

    @property
    def wording(self) -> Wording:
        """How errors are told to whoever asks."""
        return Wording(self.request_id, self.language)

    @property
    def query_cost_max(self) -> int:
        """What the operation may cost."""
        return QUERY_COST_MAX

    @property
    def buckets(self) -> Buckets:
        """Where the price of an operation is taken from."""
        return self.runtime.buckets

    @property
    def reads(self) -> Answers:
        """Where statements run that are whole answers."""
        return self.moment or self.runtime.database.reads

    def moments(self) -> AbstractAsyncContextManager[Moment]:
        """A moment that several transactions may look at."""
        return self.runtime.database.reads.moment()

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """A short READ ONLY transaction of the actor: one for each root field and loader batch."""
        return self.runtime.database.snapshot(self.actor, self.moment)

    def at(self, moment: Moment) -> "Context":
        """The same operation, as if asked at that moment, and with nothing loaded yet."""
        return replace(self, moment=moment, loaders={}, execution=Execution(Executor.ORDINARY))

    def of(self, actor: Actor, execution: Execution) -> "Context":
        """The same operation as another actor would ask it, with nothing loaded yet."""
        return replace(self, actor=actor, loaders={}, execution=execution)

    def unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A transaction of the actor that commits at its end: one for each mutation."""
        return self.runtime.database.unit_of_work(self.actor)

    @property
    def cursor_key(self) -> bytes:
        """The key under which this organization's cursors are signed."""
        return self._cursor_key

    @cached_property
    def _cursor_key(self) -> bytes:
        return self.runtime.vault.derive("cursor", self.actor.tenant_id.bytes)

    async def still_holds(self) -> bool:
        """Whether the credential still stands for this actor with the same rights, by the database."""
        return await holds(self.runtime, self.token, self.actor)


async def authenticate(runtime: Runtime, authorization: object) -> tuple[str, Asker]:
    """The token of an Authorization header, and who asks. Raises Unauthenticated or OrganizationSuspended."""
    match = BEARER.match(authorization) if isinstance(authorization, str) else None
    if match is None:
        raise Unauthenticated
    token = match[1]
    asker = await asker_of_token(runtime.database, token)
    if asker.unnoted_key_id is not None:
        await note_key_use(runtime.database, asker.actor.tenant_id, asker.unnoted_key_id)
    return token, asker


async def holds(runtime: Runtime, token: str, actor: Actor) -> bool:
    """Whether a token still stands for an actor with the same rights."""
    try:
        return await actor_of_token(runtime.database, token) == actor
    except (Unauthenticated, OrganizationSuspended):
        return False


def language_of(accept_language: str | None, otherwise: Sequence[str] = ()) -> Language:
    """What a header Accept-Language asks for, else the first of `otherwise` that Belfry speaks, else English."""
    return choose(accept=accept_language, otherwise=otherwise)
