# SPDX-License-Identifier: EUPL-1.2
"""Waits and items of one town, invented by chance and written by the administrator: what figures are made from."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import asyncpg

from services.kernel import identifiers
from services.kernel.access import Actor, Grant, Role
from tests.services.conversations.standing import Town
from tests.services.conversations.world import FORM, HARBOR, SPRING

START = datetime(2024, 10, 20, tzinfo=UTC)
"""A week before summer time ends in Amsterdam."""

HOURS = 24 * 21
OUTCOMES = ["ANSWERED", "ANSWERED", "ANSWERED", "UNANSWERED_CLOSED", "DISMISSED", "WITHDRAWN", None]
KINDS = ["STARTER", "STARTER", "RESHARE", "REPLY", "REPLY", "REPLY", "PROACTIVE"]
Scope = frozenset[UUID] | None


@dataclass(frozen=True)
class Wait:
    opened_at: datetime
    closed_at: datetime | None
    outcome: str | None
    confirmed: bool
    place: "Place"


@dataclass(frozen=True)
class Item:
    id: UUID
    at: datetime
    kind: str
    place: "Place | None"
    account: UUID


@dataclass(frozen=True)
class Place:
    """A conversation: where waits and answers belong."""

    id: UUID
    department: UUID
    account: UUID


class Books:
    """One town with conversations in every department, and the waits and items of one example."""

    def __init__(self, town: Town, admin: asyncpg.Connection) -> None:
        self.town, self.admin = town, admin
        self.tenant = town.organization.id
        self.places: list[Place] = []
        self.waits: list[Wait] = []
        self.items: list[Item] = []

    @property
    def owner(self) -> UUID:
        """The department that owns every account."""
        return self.town.organization.departments["DESK"]

    async def open_places(self) -> None:
        contact = await self.admin.fetchval(
            "insert into belfry.contact (tenant_id, network, server_host, external_id, seen_at, opted_out, blocked,"
            " version) values ($1, 'BLUESKY', '', 'somebody', now(), false, false, 1) returning id",
            self.tenant,
        )
        for code, department in self.town.organization.departments.items():
            for handle in (SPRING, HARBOR):
                account = self.town.accounts[handle]
                place = Place(identifiers.new(), department, account)
                await self.admin.execute(
                    "insert into belfry.conversation (tenant_id, id, network, server_host, thread_key, episode,"
                    " social_account_id, contact_id, channel_kind, department_id, priority, difficulty, state,"
                    " opened_at, last_message_at, next_contact_due_at, fence, version)"
                    " values ($1, $2, 'BLUESKY', '', $3, 1, $4, $5, 'PUBLIC', $6, 20, 'NORMAL', 'OPEN', now(), now(),"
                    " now(), 0, 1)",
                    self.tenant, place.id, f"{code} {handle}", account, contact, department,
                )  # fmt: skip
                self.places.append(place)

    async def write(self, chance: Random, size: int) -> None:
        """Random waits and items instead of those before."""
        for table in ("waiting_segment", "message"):
            await self.admin.execute(f"delete from belfry.{table} where tenant_id = $1", self.tenant)
        self.waits = [self._wait(chance) for _ in range(chance.randrange(size + 1))]
        self.items = [self._item(chance) for _ in range(chance.randrange(size + 1))]
        member = await self.admin.fetchval(
            "insert into belfry.membership (tenant_id, person_id, name, skills, active, version)"
            " values ($1, $2, 'Judge', '{}', true, 1) returning id",
            self.tenant,
            identifiers.new(),
        )
        await self.admin.executemany(
            "insert into belfry.waiting_segment (tenant_id, conversation_id, opened_by, opened_at, closed_at, outcome,"
            " dismissal_confirmed_by, is_first) values ($1, $2, $3, $4, $5, $6, $7, true)",
            [
                (self.tenant, each.place.id, identifiers.new(), each.opened_at, each.closed_at, each.outcome,
                 member if each.confirmed else None)
                for each in self.waits
            ],
        )  # fmt: skip
        await self.admin.executemany(
            "insert into belfry.message (tenant_id, id, conversation_id, social_account_id, network, server_host,"
            " external_id, direction, visibility, author_kind, text, text_at, occurred_at, published_at, outbound_kind,"
            " version) values ($1, $2, $3, $4, 'BLUESKY', '', $5, 'OUTBOUND', 'PUBLIC', 'EXTERNAL', '', $6, $6, $6, $7,"
            " 1)",
            [
                (self.tenant, each.id, each.place.id if each.place else None, each.account, str(each.id), each.at,
                 each.kind)
                for each in self.items
            ],
        )  # fmt: skip

    def _at(self, chance: Random) -> datetime:
        return START + timedelta(hours=chance.randrange(HOURS))

    def _wait(self, chance: Random) -> Wait:
        opened_at, outcome = self._at(chance), chance.choice(OUTCOMES)
        closed_at = None
        if outcome is not None:
            closed_at = opened_at + timedelta(seconds=chance.choice([0, 600, 900, 901, 3_600, 9_000, 90_000, 400_000]))
        confirmed = outcome == "DISMISSED" and chance.random() < 0.5
        return Wait(opened_at, closed_at, outcome, confirmed, chance.choice(self.places))

    def _item(self, chance: Random) -> Item:
        kind = chance.choice(KINDS)
        place = chance.choice(self.places) if kind in ("REPLY", "PROACTIVE") and chance.random() < 0.9 else None
        account = place.account if place else self.town.accounts[chance.choice([SPRING, HARBOR, FORM])]
        return Item(identifiers.new(), self._at(chance), kind, place, account)


def actors(books: Books) -> list[tuple[Actor, Scope, bool]]:
    """(actor, the departments counted, whether small numbers are shown)."""
    organization = books.town.organization
    departments = organization.departments
    roads = frozenset({departments["ROADS"], departments["LIGHTS"]})

    def actor(role: Role, reach: Scope) -> Actor:
        return Actor(organization.id, membership_id=identifiers.new(), grants=(Grant(role, reach),))

    return [
        (actor(Role.COORDINATOR, None), None, True),
        (actor(Role.MANAGER, roads), roads, True),
        (actor(Role.OPERATOR, frozenset({departments["PEOPLE"]})), frozenset({departments["PEOPLE"]}), True),
        (actor(Role.VIEWER, None), None, False),
        (actor(Role.VIEWER, roads), roads, False),
    ]
