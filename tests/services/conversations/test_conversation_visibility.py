# SPDX-License-Identifier: EUPL-1.2
"""Who sees which conversation, message and contact: the one predicate against the text of the specification."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from random import Random
from uuid import UUID

import asyncpg
import pytest
from sqlmodel import col

from services.conversations.models import Contact, Conversation, Message
from services.conversations.queries import CONTACT_IS_VISIBLE, CONVERSATION_IS_VISIBLE, MESSAGE_IS_VISIBLE
from services.kernel import identifiers
from services.kernel.access import Actor, Grant, Role
from services.kernel.database import Database
from services.kernel.isolation import owned
from tests.services.conversations.scenes import people, reach_of
from tests.services.conversations.standing import Town, found_town
from tests.services.conversations.world import SPRING
from tests.support.servers import plain

Urls = Mapping[str, str]
CODES = ["DESK", "ROADS", "LIGHTS", "PEOPLE"]
READS_PUBLIC = {Role.MANAGER, Role.COORDINATOR, Role.OPERATOR, Role.EXPERT}
READS_PRIVATE = {Role.COORDINATOR, Role.OPERATOR, Role.EXPERT}
BY_DEPARTMENT = {Role.MANAGER, Role.COORDINATOR, Role.OPERATOR}
"""An expert sees what is attached to a task of theirs, and nothing by department."""


@dataclass(frozen=True)
class Case:
    """One conversation and everything about it that decides who sees it."""

    id: UUID
    contact: UUID
    public: bool
    routed: str
    directing: str | None
    responsible: str | None
    viewers: frozenset[str]
    has_category: bool
    confidential: bool
    holder: UUID | None
    last_holder: UUID | None
    participants: frozenset[UUID]
    messages: dict[UUID, bool] = field(default_factory=dict)
    """Message → whether it is public."""


@dataclass(frozen=True)
class Person:
    """Somebody with grants: (role, department or None for the whole organization)."""

    id: UUID
    grants: tuple[tuple[Role, str | None], ...]

    def actor(self, town: Town) -> Actor:
        return Actor(
            town.organization.id,
            membership_id=self.id,
            grants=tuple(Grant(role, reach_of(town, code) if code else None) for role, code in self.grants),
        )


def below(code: str) -> set[str]:
    return {code, "LIGHTS"} if code == "ROADS" else {code}


def sees(person: Person, case: Case, *, private: bool) -> bool:
    """Section 7.2, sentence by sentence."""
    readers = READS_PRIVATE if private else READS_PUBLIC
    grants = [(role, code) for role, code in person.grants if role in readers]
    if not grants:
        return False
    if (Role.COORDINATOR, None) in grants:
        return True
    on_it = case.holder == person.id or person.id in case.participants
    if on_it or (case.holder is None and case.last_holder == person.id):
        return True
    related = {case.routed, case.directing}
    if case.has_category:
        related.add(case.responsible)
        if not case.confidential:
            related |= case.viewers
    for role, code in grants:
        if role not in BY_DEPARTMENT:
            continue
        if code is None and not (case.has_category and case.confidential):
            return True
        if code is not None and below(code) & related:
            return True
    return False


class Table:
    """A town full of cases, and people of every kind."""

    def __init__(self, town: Town, admin: asyncpg.Connection) -> None:
        self.town, self.admin, self.tenant = town, admin, town.organization.id
        self.cases: list[Case] = []
        self.people: list[Person] = []

    async def fill(self, chance: Random, cases: int) -> None:
        reaches: list[str | None] = [None, *CODES]
        kinds = [((role, code),) for role, code in product(Role, reaches)]
        kinds += [tuple((chance.choice([*Role]), chance.choice(reaches)) for _ in range(2)) for _ in range(12)]
        members = await people(self.town, len(kinds), Role.VIEWER)
        self.people = [Person(member.id, grants) for member, grants in zip(members, kinds, strict=True)]
        for number in range(cases):
            await self._case(chance, number)

    async def _case(self, chance: Random, number: int) -> None:
        someone = [person.id for person in self.people]
        holder = chance.choice([None, chance.choice(someone)])
        case = Case(
            id=identifiers.new(),
            contact=identifiers.new(),
            public=chance.random() < 0.5,
            routed=chance.choice(CODES),
            directing=chance.choice([None, None, *CODES]),
            responsible=chance.choice([None, *CODES]),
            viewers=frozenset(code for code in CODES if chance.random() < 0.3),
            has_category=chance.random() < 0.8,
            confidential=chance.random() < 0.4,
            holder=holder,
            last_holder=chance.choice([None, *someone]),
            participants=frozenset(chance.sample(someone, 2)),
        )
        self.cases.append(case)
        category = await self._category(case, number) if case.has_category else None
        departments = self.town.organization.departments
        await self.admin.execute(
            "insert into belfry.contact (tenant_id, id, network, server_host, external_id, seen_at, opted_out, blocked,"
            " version) values ($1, $2, 'BLUESKY', '', $3, now(), false, false, 1)",
            self.tenant, case.contact, str(number),
        )  # fmt: skip
        await self.admin.execute(
            "insert into belfry.conversation (tenant_id, id, network, server_host, thread_key, episode,"
            " social_account_id, contact_id, channel_kind, category_id, department_id, directing_department_id,"
            " priority, difficulty, state, opened_at, last_message_at, next_contact_due_at, holder_id, lease_until,"
            " last_holder_id, fence, version) values ($1, $2, 'BLUESKY', '', $3, 1, $4, $5, $6, $7, $8, $9, 20,"
            " 'NORMAL', 'OPEN', now(), now(), now(), $10, case when $10::uuid is null then null else now() end, $11, 0,"
            " 1)",
            self.tenant, case.id, str(number), self.town.accounts[SPRING], case.contact,
            "PUBLIC" if case.public else chance.choice(["DIRECT", "FORM"]), category, departments[case.routed],
            departments[case.directing] if case.directing else None, case.holder, case.last_holder,
        )  # fmt: skip
        for member in case.participants:
            await self.admin.execute(
                "insert into belfry.participant (tenant_id, conversation_id, membership_id, kind)"
                " values ($1, $2, $3, $4)",
                self.tenant, case.id, member, chance.choice(["COLLABORATOR", "TASK"]),
            )  # fmt: skip
        for public in (True, False):
            message = identifiers.new()
            case.messages[message] = public
            await self.admin.execute(
                "insert into belfry.message (tenant_id, id, conversation_id, social_account_id, network, server_host,"
                " direction, visibility, author_kind, text, text_at, occurred_at, version)"
                " values ($1, $2, $3, $4, 'BLUESKY', '', 'INBOUND', $5, 'CITIZEN', '', now(), now(), 1)",
                self.tenant, message, case.id, self.town.accounts[SPRING], "PUBLIC" if public else "DIRECT",
            )  # fmt: skip

    async def _category(self, case: Case, number: int) -> UUID:
        category = identifiers.new()
        await self.admin.execute(
            "insert into belfry.category (tenant_id, id, name, sort_key, formal, confidential, hard, reopen_days,"
            " no_response_days, active, version) values ($1, $2, $3, $3, false, $4, false, 14, 14, true, 1)",
            self.tenant, category, f"topic {number}", case.confidential,
        )  # fmt: skip
        departments = self.town.organization.departments
        for code in {*case.viewers, *filter(None, [case.responsible])}:
            await self.admin.execute(
                "insert into belfry.category_department (tenant_id, category_id, department_id, is_responsible,"
                " can_view) values ($1, $2, $3, $4, $5)",
                self.tenant, category, departments[code], code == case.responsible, code in case.viewers,
            )  # fmt: skip
        return category


@pytest.fixture(scope="module")
async def table(database: Database, database_urls: Urls) -> AsyncIterator[Table]:
    admin = await asyncpg.connect(plain(database_urls["postgres"]))
    made = Table(await found_town(database), admin)
    await made.fill(Random(20261122), 60)
    # Another organization with the same shapes: nothing of it may ever be seen.
    await Table(await found_town(database), admin).fill(Random(1), 3)
    yield made
    await admin.close()


async def test_everybody_sees_exactly_the_conversations_that_the_specification_gives_them(
    table: Table, database: Database
) -> None:
    seen = 0
    for person in table.people:
        async with database.snapshot(person.actor(table.town)) as snapshot:
            found = set(
                await snapshot.scalars(
                    owned(Conversation, CONVERSATION_IS_VISIBLE).with_only_columns(col(Conversation.id))
                )
            )
        wanted = {case.id for case in table.cases if sees(person, case, private=not case.public)}
        assert found == wanted, person.grants
        seen += len(found)
    assert 0 < seen < len(table.people) * len(table.cases)


async def test_everybody_sees_exactly_the_messages_that_the_specification_gives_them(
    table: Table, database: Database
) -> None:
    for person in table.people:
        async with database.snapshot(person.actor(table.town)) as snapshot:
            found = set(await snapshot.scalars(owned(Message, MESSAGE_IS_VISIBLE).with_only_columns(col(Message.id))))
        wanted = {
            message
            for case in table.cases
            for message, public in case.messages.items()
            if sees(person, case, private=not (public and case.public))
        }
        assert found == wanted, person.grants


async def test_a_citizen_is_seen_by_who_sees_a_conversation_of_theirs(table: Table, database: Database) -> None:
    for person in table.people[::3]:
        async with database.snapshot(person.actor(table.town)) as snapshot:
            found = set(await snapshot.scalars(owned(Contact, CONTACT_IS_VISIBLE).with_only_columns(col(Contact.id))))
        wanted = {case.contact for case in table.cases if sees(person, case, private=not case.public)}
        assert found == wanted, person.grants


async def test_administrators_and_viewers_see_nothing_that_a_citizen_said(table: Table) -> None:
    for person in table.people:
        if {role for role, _ in person.grants} <= {Role.ADMIN, Role.VIEWER}:
            assert not any(sees(person, case, private=False) for case in table.cases)


async def test_a_placeholder_that_nobody_wrote_yet_is_seen_by_nobody(table: Table, database: Database) -> None:
    lost = identifiers.new()
    await table.admin.execute(
        "insert into belfry.message (tenant_id, id, social_account_id, network, server_host, direction, visibility,"
        " author_kind, text, text_at, occurred_at, version)"
        " values ($1, $2, $3, 'BLUESKY', '', 'INBOUND', 'PUBLIC', 'CITIZEN', '', now(), now(), 1)",
        table.tenant, lost, table.town.accounts[SPRING],
    )  # fmt: skip
    coordinator = next(person for person in table.people if person.grants == ((Role.COORDINATOR, None),))
    async with database.snapshot(coordinator.actor(table.town)) as snapshot:
        assert not await snapshot.scalars(owned(Message, MESSAGE_IS_VISIBLE, col(Message.id) == lost))
