# SPDX-License-Identifier: EUPL-1.2
"""Organizations at work: an account, citizens who write, colleagues who claim and answer, by Belfry's commands.

What came of it is read as superuser, past every view of the product: `Evidence`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from services.assignments import commands as assignments
from services.conversations import commands as conversations
from services.conversations import queries
from services.conversations.rules import ReplyPurpose
from services.identity import commands as identity
from services.kernel import identifiers
from services.kernel.access import Actor, Grant, Role
from services.kernel.clock import utc_now
from services.kernel.database import Database
from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime import Runtime
from services.social_accounts import commands as social_accounts
from services.social_accounts import handlers as account_handlers
from services.social_accounts.networks.interface import RawEvent
from services.social_accounts.networks.webform import SUBMISSION_KIND, SUBMISSION_VERSION
from services.social_accounts.rules import Network, Purpose
from services.tenancy import commands as tenancy
from tests.support.organizations import DESK, TestOrganization, found_organization
from tests.support.servers import plain

BUSY_MAX = 50


class Evidence:
    """What the database really holds, whoever's it is."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def rows(self, sql: str, *values: object) -> list[asyncpg.Record]:
        return await self._pool.fetch(sql, *values)

    async def one(self, sql: str, *values: object) -> Any:
        """The first column of the first row, or None."""
        return await self._pool.fetchval(sql, *values)

    @asynccontextmanager
    async def holding(self, sql: str, *values: object) -> AsyncIterator[int]:
        """Keep the locks of a statement until the block ends; gives the process id of the holder."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(sql, *values)
            yield await connection.fetchval("select pg_backend_pid()")

    async def facts(self, tenant_id: UUID, kind: str, subject_id: UUID | None = None) -> int:
        """How often something happened, as the audit log and the outbox agree."""
        sql = (
            "select count(*) from belfry.{} where tenant_id = $1 and {} = $2 and ($3::uuid is null or subject_id = $3)"
        )
        audited = await self.one(sql.format("audit_event", "action"), tenant_id, kind, subject_id)
        queued = await self.one(sql.format("outbox", "kind"), tenant_id, kind, subject_id)
        assert audited == queued, f"{kind}: {audited} audit rows and {queued} outbox rows"
        return audited

    async def delivery(self, delivery_id: UUID) -> asyncpg.Record:
        return (await self.rows("select * from belfry.delivery where id = $1", delivery_id))[0]

    async def outcomes(self, delivery_id: UUID) -> list[str | None]:
        """What came of each attempt, in order."""
        sql = "select outcome from belfry.delivery_attempt where delivery_id = $1 order by no, fence"
        return [row["outcome"] for row in await self.rows(sql, delivery_id)]


@asynccontextmanager
async def evidence_of(urls: Mapping[str, str]) -> AsyncIterator[Evidence]:
    """Look into a database as its superuser."""
    async with asyncpg.create_pool(plain(urls["postgres"]), min_size=1, max_size=20) as pool:
        yield Evidence(pool)


@dataclass
class Town:
    """One organization at work. `name` is its account's person on the fake network."""

    database: Database
    organization: TestOrganization
    account_id: UUID
    name: str = ""
    colleagues: list[Actor] = field(default_factory=list[Actor])

    @property
    def id(self) -> UUID:
        return self.organization.id

    @property
    def operator(self) -> Actor:
        return self.organization.actor(Role.OPERATOR)

    @property
    def coordinator(self) -> Actor:
        return self.organization.actor(Role.COORDINATOR)

    @property
    def system(self) -> Actor:
        return self.organization.system

    async def submit(self, text: str, *, thread: str | None = None) -> str:
        """A citizen sends the contact form, or a follow-up to an earlier submission; gives the submission's id."""
        submission = str(identifiers.new())
        body = {"text": text, "thread": thread or submission, "name": "Inwoner", "email": None, "language": "nl"}
        event = RawEvent(
            str(self.account_id), SUBMISSION_KIND, submission, SUBMISSION_VERSION, utc_now(), orjson.dumps(body)
        )
        async with self.database.unit_of_work(self.system) as uow:
            await social_accounts.receive(uow, account_id=self.account_id, events=[event])
        return submission

    async def drain(self) -> None:
        """Take in what waits, as the worker does."""
        async with self.database.unit_of_work(self.system) as uow:
            while await conversations.drain(uow, account_id=self.account_id):
                pass

    async def claim(self, conversation_id: UUID, by: Actor | None = None) -> int:
        """Claim a conversation; gives the fence."""
        async with self.database.unit_of_work(by or self.operator) as uow:
            await assignments.claim(uow, conversation_id=conversation_id)
            return (await queries.visible_conversation(uow, conversation_id)).fence

    async def answer(
        self,
        conversation_id: UUID,
        text: str,
        *,
        by: Actor | None = None,
        purpose: ReplyPurpose = ReplyPurpose.ANSWER,
        follow_up: bool = False,
    ) -> UUID:
        """Claim and answer; gives the delivery's id."""
        fence = await self.claim(conversation_id, by)
        async with self.database.unit_of_work(by or self.operator) as uow:
            newest = await queries.newest_citizen_message(uow, conversation_id)
            accepted = await conversations.reply(
                uow,
                conversation_id=conversation_id,
                text=text,
                purpose=purpose,
                last_seen_message_id=newest.id if newest else None,
                fence=fence,
                follow_up=follow_up,
            )
            return accepted.delivery_id

    async def answer_patiently(self, conversation_id: UUID, text: str, *, by: Actor) -> UUID:
        """Answer, and try again when the system says that it is busy, as a client does."""
        for _ in range(BUSY_MAX):
            try:
                return await self.answer(conversation_id, text, by=by)
            except ServiceUnavailable:
                await asyncio.sleep(0.2)
        raise AssertionError(f"busy {BUSY_MAX} times")

    async def hire(self, number: int) -> list[Actor]:
        """More operators: one person holds ten conversations at the most."""
        for each in range(number):
            async with self.database.directory() as directory:
                email = f"colleague{each}@{self.organization.slug}.example"
                person = await identity.register_person(
                    directory, name=f"Colleague {each}", email=email, locale="nl", organization_id=self.id
                )
            async with self.database.unit_of_work(self.system) as uow:
                member = await tenancy.add_member(uow, person_id=person.id, name=f"Colleague {each}")
                await tenancy.grant_role(uow, membership_id=member.id, role=Role.OPERATOR)
            self.colleagues.append(
                Actor(tenant_id=self.id, membership_id=member.id, person_id=person.id, grants=(Grant(Role.OPERATOR),))
            )
        return self.colleagues


async def town_with_account(
    database: Database, network: Network, *, purpose: Purpose = Purpose.SERVICE, handle: str = "town.test"
) -> Town:
    """An organization with one registered account; the form's account is connected by that."""
    organization = await found_organization(database, roles=[Role.COORDINATOR, Role.OPERATOR])
    async with database.unit_of_work(organization.actor(Role.COORDINATOR)) as uow:
        account = await social_accounts.register(
            uow, network=network, handle=handle, department_id=organization.departments[DESK], purpose=purpose
        )
        account_id = account.id
    return Town(database, organization, account_id)


async def town_with_form(database: Database) -> Town:
    """An organization with a contact form."""
    return await town_with_account(database, Network.WEBFORM, handle="contact")


async def connected_town(runtime: Runtime, *, name: str, password: str, server_url: str) -> Town:
    """An organization whose Bluesky account is signed in at a server."""
    town = await town_with_account(runtime.database, Network.BLUESKY, handle=f"{name}.test")
    town.name = name
    await account_handlers.connect(
        runtime,
        town.coordinator,
        account_id=town.account_id,
        server_url=server_url,
        identifier=f"{name}.test",
        secret=password,
    )
    return town
