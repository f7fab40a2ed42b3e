# SPDX-License-Identifier: EUPL-1.2
"""Live events told to many at once: read once, rights asked for all in one statement, executed once for each party.

A feed has the subscribers of one stream in one organization who have caught up. Those who sent the same document and
variables in the same language, with the same roles and departments, are a crowd. For every event

    credentials   of everybody are read again, in one statement
    sights        who of them sees the row, or saw it until now: one statement for all who have the same filter
    payload       one for each party: those of a crowd who see the same. Whoever sees something only as a person, who
                  holds it or takes part, is found by comparing what nobody in particular and everybody together see,
                  and is a party of one

Nothing is kept from one event to the next. Whoever cannot be served here is sent away and goes on by themselves.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog

from graphql_schema.context import Context
from graphql_schema.deprecations import Uses
from graphql_schema.live import stream as streams
from graphql_schema.live.stream import EventStream, Sight, Watcher, following, wait
from graphql_schema.reading.execution import Execution
from graphql_schema.reading.sharing import NotShared, SharedOperation
from graphql_schema.rings import Rings
from graphql_schema.seats import Seat
from services.identity.queries import Holdings, no_longer_holding
from services.kernel.access import Actor
from services.kernel.errors import ServiceUnavailable
from services.kernel.outbox import Fact
from services.kernel.runtime import Runtime

PARTS = 16
"""Into how many a crowd is divided that sees different things: whoever sees something as a person is found in steps."""
log = structlog.get_logger()


@dataclass(frozen=True, eq=False, slots=True)
class Member:
    """A subscriber in its seat."""

    seat: Seat
    stream: EventStream[Any]
    context: Context
    actor: Actor


@dataclass(eq=False, slots=True)
class Crowd:
    """Members whose answers are the same, but for what they hold or take part in."""

    operation: SharedOperation
    rights: Actor
    watcher: Watcher
    members: dict[Seat, Member] = field(default_factory=dict[Seat, Member])
    everybody: Actor | None = None
    """All members together, as long as nobody comes or goes."""

    def waiting_for(self, entry: Fact) -> list[Member]:
        """Those who have not been told of an event yet: all, but for who sat down a moment ago."""
        return [each for each in self.members.values() if each.seat.position < entry.seq]

    def together(self, members: Sequence[Member]) -> Actor:
        """Some of the members as one actor."""
        if len(members) < len(self.members):
            return self.rights.among(each.actor for each in members)
        if self.everybody is None:
            self.everybody = self.rights.among(each.actor for each in members)
        return self.everybody


@dataclass(frozen=True, eq=False, slots=True)
class Party:
    """Members of a crowd who see the same of one event's row."""

    crowd: Crowd
    sight: Sight
    members: Sequence[Member]


class Feeds:
    """The feeds of this process."""

    def __init__(self, runtime: Runtime, rings: Rings, uses: Uses | None = None) -> None:
        self.runtime, self.rings, self.uses = runtime, rings, uses
        self._feeds: dict[tuple[UUID, str], Feed] = {}
        self._seated: dict[Seat, Feed] = {}

    def admit(self, seat: Seat, stream: EventStream[Any], position: int) -> bool:
        """Seat a subscriber that has been told everything up to `position`; False when the feed is further."""
        key = (stream.context.actor.tenant_id, stream.name)
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed(self.runtime, self.rings, key[0], stream.kinds, position)
            feed.task = asyncio.create_task(feed.run())
            feed.task.add_done_callback(lambda _: self._feeds.pop(key, None))
        if not feed.admit(seat, stream, position):
            return False
        self._seated[seat] = feed
        return True

    def leave(self, seat: Seat) -> None:
        """Free a seat."""
        feed = self._seated.pop(seat, None)
        if feed is not None:
            feed.leave(seat)

    async def close(self) -> None:
        """End all feeds of this process."""
        tasks = [feed.task for feed in self._feeds.values() if feed.task is not None]
        for each in tasks:
            each.cancel()
        for each in tasks:
            with suppress(asyncio.CancelledError):
                await each


class Feed:
    """One stream of one organization. `begun` is the last event that anybody was told of, `done` all have been."""

    def __init__(self, runtime: Runtime, rings: Rings, tenant_id: UUID, kinds: frozenset[str], position: int) -> None:
        self.runtime, self.rings, self.tenant_id, self.kinds = runtime, rings, tenant_id, kinds
        self.begun = self.done = position
        self.task: asyncio.Task[None] | None = None
        self._crowds: dict[Any, Crowd] = {}
        self._crowd_of: dict[Seat, Any] = {}
        self._held: tuple[list[Member], Holdings] | None = None
        """All members, as long as nobody comes or goes."""

    def admit(self, seat: Seat, stream: EventStream[Any], position: int) -> bool:
        """Seat a subscriber, unless an event behind its position may be on its way already."""
        operation = seat.operation
        if operation is None or position < self.begun or (self.task is not None and self.task.done()):
            return False
        rights = stream.context.actor.among()
        key = (operation.key, stream.context.language, rights)
        if key not in self._crowds:
            self._crowds[key] = Crowd(operation, rights, stream.watcher)
        self._crowds[key].members[seat] = Member(seat, stream, stream.context, stream.context.actor)
        self._crowds[key].everybody = None
        self._crowd_of[seat] = key
        self._held = None
        return True

    def leave(self, seat: Seat) -> None:
        """Free a seat."""
        key = self._crowd_of.pop(seat, None)
        if key is not None:
            self._held = None
            crowd = self._crowds[key]
            del crowd.members[seat]
            crowd.everybody = None
            if not crowd.members:
                del self._crowds[key]

    async def run(self) -> None:
        """Tell what happens as long as somebody watches. Never raises."""
        with self.rings.attend(self.tenant_id) as ring:
            while self._crowds:
                ring.clear()
                try:
                    if not await self._tell_what_happened():
                        await wait(ring)
                except ServiceUnavailable:
                    await asyncio.sleep(streams.POLL_SECONDS)
                except Exception:  # each of them meets it again, where it is answered for
                    log.exception("feed_failed", tenant_id=str(self.tenant_id))
                    self._send_away(self._members())

    async def _tell_what_happened(self) -> bool:
        """Returns whether there may be more."""
        found = await following(self.runtime, self.tenant_id, self.done, self.kinds)
        if found.number > streams.BEHIND_MAX:
            self._send_away(self._members())
        elif not found.facts:
            self.begun = self.done = max(self.done, found.head)
        else:
            for fact in found.facts:
                # Before anything is waited for: who sits down from now on must have been told of it already.
                self.begun = fact.seq
                await self._tell(fact)
                self.done = fact.seq
        return found.number > len(found.facts)

    def _members(self) -> Iterator[Member]:
        return (member for crowd in list(self._crowds.values()) for member in list(crowd.members.values()))

    def _send_away(self, members: Iterable[Member]) -> None:
        for each in members:
            each.seat.leave()

    async def _ask_credentials(self) -> None:
        if self._held is None:
            members = list(self._members())
            self._held = (members, Holdings.of(self.tenant_id, [(each.context.token, each.actor) for each in members]))
        members, holdings = self._held
        self._send_away(members[place] for place in await no_longer_holding(self.runtime.database, holdings))

    async def _tell(self, entry: Fact) -> None:
        await self._ask_credentials()
        for party in await self._parties(entry):
            try:
                await self._tell_party(party, entry)
            except NotShared as error:
                log.warning("event_not_shared", tenant_id=str(self.tenant_id), exc_info=error)
                self._send_away(party.members)
        for seat in self._crowd_of:
            seat.position = max(seat.position, entry.seq)

    async def _parties(self, entry: Fact) -> list[Party]:
        """Everybody who is told something of an event."""
        alike: dict[Any, list[Crowd]] = defaultdict(list)
        for crowd in self._crowds.values():
            alike[crowd.watcher.key].append(crowd)
        found = [await self._parties_of(crowds, entry) for crowds in alike.values()]
        return [party for parties in found for party in parties if party.sight is not Sight.SKIPPED]

    async def _parties_of(self, crowds: Sequence[Crowd], entry: Fact) -> list[Party]:
        watcher, parties = crowds[0].watcher, list[Party]()
        groups = [(crowd, waiting) for crowd in crowds if (waiting := crowd.waiting_for(entry))]
        if not groups:
            return []
        rights = [crowd.rights for crowd, _ in groups]
        seen = await watcher.look(self.runtime, entry, [*rights, *map(_as_one, groups)])
        alone = {crowd: found for (crowd, _), found in zip(groups, seen, strict=False)}
        seen, as_nobody = seen[len(groups) :], defaultdict[Crowd, list[Member]](list)
        while groups:
            asked, groups = groups, []
            for (crowd, members), found in zip(asked, seen, strict=True):
                if found == alone[crowd]:
                    as_nobody[crowd] += members
                elif members[1:]:
                    groups += [(crowd, part) for part in _parts(members)]
                else:
                    parties.append(Party(crowd, watcher.sight(found), members))
            if groups:
                seen = await watcher.look(self.runtime, entry, list(map(_as_one, groups)))
        return parties + [Party(crowd, watcher.sight(alone[crowd]), members) for crowd, members in as_nobody.items()]

    async def _tell_party(self, party: Party, entry: Fact) -> None:
        """Tell a party. Should its members see different things below the row, its parts are told apart."""
        first, *others = party.members
        event = first.stream.event(entry, party.sight)
        if event is None:
            return
        crowd = party.crowd
        # One person is that person; several are nobody in particular, and then everybody.
        actor, everybody = (crowd.rights, crowd.together(party.members)) if others else (first.actor, None)
        told = first.stream.tell(event)
        payload = await crowd.operation.payload(told, first.context.of(actor, Execution()), everybody)
        if payload is not None:
            for each in party.members:
                each.seat.put(entry.seq, payload)
            return
        for part in _parts(party.members):
            await self._tell_party(Party(crowd, party.sight, part), entry)


def _as_one(group: tuple[Crowd, Sequence[Member]]) -> Actor:
    crowd, members = group
    return crowd.together(members) if members[1:] else members[0].actor


def _parts(members: Sequence[Member]) -> Iterator[list[Member]]:
    size = -(-len(members) // PARTS)
    return (list(members[place : place + size]) for place in range(0, len(members), size))
