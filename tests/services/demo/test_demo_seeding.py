# SPDX-License-Identifier: EUPL-1.2
"""Seeding: once, whole, told honestly, and the same for the same number and instant."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Uuid
from sqlmodel import col

from services import demo as package
from services.assignments import commands as assignments
from services.assignments.models import Claim
from services.conversations import commands as conversations
from services.conversations import queries as conversation_queries
from services.conversations.models import (
    Category,
    CategoryDepartment,
    Conversation,
    Message,
    RoutingRule,
    WaitingSegment,
)
from services.conversations.rules import AuthorKind, ChannelKind, ConversationState, ReplyPurpose
from services.deliveries.models import Delivery, DeliveryAttempt
from services.deliveries.rules import DeliveryState
from services.demo.ledger import PARENTS_FIRST
from services.demo.organizations import WATERRODE
from services.demo.seeding import SEED, seed_one
from services.identity import commands as identity
from services.identity import queries
from services.kernel import audit
from services.kernel.access import Actor, Role
from services.kernel.audit import AuditEvent, AuditHead, Entry
from services.kernel.database import Database
from services.kernel.isolation import TenantRow, owned
from services.kernel.outbox import OutboxEntry
from services.social_accounts.models import SocialAccount
from services.tenancy.models import Department, Membership, Organization, RoleGrant
from tests.services.demo.conftest import AT, open_demo
from tests.support.servers import make_settings

COMPARED: tuple[type[TenantRow], ...] = (
    *(Organization, Department, Membership, RoleGrant, SocialAccount, Category, CategoryDepartment, RoutingRule),
    *PARENTS_FIRST,
)
HOLDS_AN_ID: Mapping[type[TenantRow], set[str]] = {
    Delivery: {"remote_id", "send_key", "prepared"},
    DeliveryAttempt: {"send_key", "evidence"},
}
"""Where a form's answer is named by its delivery's own id."""


def test_the_second_time_it_sees_the_slugs_and_does_nothing(demo, valkey_url, capsys):
    settings = make_settings(demo.urls, valkey_url)
    package.seed(settings)
    said = capsys.readouterr().out.splitlines()
    assert str(SEED) in said[0]
    assert said[1:] == ["molendam: there already.", "waterrode: there already."]


def test_it_tells_what_it_wrote(demo):
    assert [line.partition(":")[0] for line in demo.lines] == ["molendam", "waterrode"]


async def test_a_seeding_that_broke_off_is_not_taken_for_the_demo(fresh_database):
    database = Database(fresh_database["belfry_app"], pool_size=2)
    lines: list[str] = []
    broken = replace(WATERRODE, voice=replace(WATERRODE.voice, posts=()))
    with pytest.raises(ValueError, match="empty range"):
        await seed_one(database, broken, AT, lines.append)
    assert await queries.organization_of_slug(database, "waterrode") is None
    await seed_one(database, WATERRODE, AT, lines.append)
    assert await queries.organization_of_slug(database, "waterrode") is not None
    await database.close()


async def test_the_same_number_and_instant_give_the_same_rows(demo, fresh_database):
    again = await open_demo(fresh_database)
    for slug, one in demo.organizations.items():
        for model in COMPARED:
            rows, others = await one.all(model), await again.organizations[slug].all(model)
            assert sorted(map(_without_ids, rows)) == sorted(map(_without_ids, others)), (slug, model)
    await again.database.close()


async def test_the_audit_log_tells_of_the_foundation_and_of_the_seeding(seeded):
    events = sorted(await seeded.all(AuditEvent), key=lambda each: each.seq)
    kinds = {each.action for each in events}
    assert kinds == {
        *("organization.founded", "department.added", "membership.added", "membership.role_granted"),
        *("social_account.registered", "demo.seeded"),
    }
    told = [each for each in events if each.action == "demo.seeded"]
    assert len(told) == 1
    assert (told[0].subject_kind, told[0].subject_id) == ("organization", seeded.tenant_id)
    assert told[0].detail["seed"] == SEED
    for model in PARENTS_FIRST:
        assert told[0].detail["rows"][model.__tablename__] == len(await seeded.all(model))
    head = (await seeded.all(AuditHead))[0]
    rows = [
        (
            each.seq,
            Entry(each.id, each.at, each.actor_kind, each.actor_id, each.cause, each.action, each.subject_kind,
                  each.subject_id, each.detail),
            each.hash,
        )
        for each in events
    ]  # fmt: skip
    assert audit.verify(seeded.tenant_id, rows, (head.seq, head.hash)) is None
    assert len(await seeded.all(OutboxEntry)) == len(events)


async def test_every_role_gets_a_token_and_work_goes_on_where_the_history_stops(fresh_database):
    database = Database(fresh_database["belfry_app"], pool_size=2)
    await seed_one(database, WATERRODE, AT, lambda _: None)
    actors = {role: await _actor(database, role) for role in Role}
    assert {role: actor.roles for role, actor in actors.items()} == {role: (role,) for role in Role}
    operator = actors[Role.OPERATOR]
    async with database.unit_of_work(operator) as uow:
        waiting = await uow.scalars(
            owned(
                Conversation,
                col(Conversation.channel_kind) == ChannelKind.FORM,
                col(Conversation.state) != ConversationState.CLOSED,
                col(Conversation.id).in_(
                    owned(WaitingSegment, col(WaitingSegment.outcome).is_(None)).with_only_columns(
                        col(WaitingSegment.conversation_id)
                    )
                ),
            )
        )
        row = waiting[0]
        newest = await conversation_queries.newest_citizen_message(uow, row.id)
        await assignments.claim(uow, conversation_id=row.id)
        reply = await conversations.reply(
            uow,
            conversation_id=row.id,
            text="Nous y sommes.",
            purpose=ReplyPurpose.ANSWER,
            last_seen_message_id=newest.id if newest else None,
            fence=row.fence,
        )
    async with database.snapshot(operator) as snapshot:
        delivery = await snapshot.one(owned(Delivery, col(Delivery.id) == reply.delivery_id))
    assert delivery.state is DeliveryState.SCHEDULED
    await database.close()


async def test_the_two_organizations_do_not_see_each_other(demo):
    one, other = demo.organizations.values()
    async with demo.database.snapshot(Actor.system(one.tenant_id)) as snapshot:
        theirs = [each.id for each in await other.all(Claim)]
        assert theirs
        assert await snapshot.scalars(owned(Claim, col(Claim.id).in_(theirs[:100]))) == []


async def test_two_seedings_at_once_leave_one_demo(fresh_database):
    one, other = (Database(fresh_database["belfry_app"], pool_size=2) for _ in range(2))
    ends = await asyncio.gather(
        *(seed_one(database, WATERRODE, AT, lambda _: None) for database in (one, other)), return_exceptions=True
    )
    assert sorted(end is None for end in ends) == [False, True]
    assert list(await queries.organizations(one)) == ["waterrode"]
    await one.close()
    await other.close()


async def _actor(database: Database, role: Role) -> Actor:
    token = await identity.issue_local_token(database, is_local=True, slug="waterrode", role=role, department_code=None)
    return await queries.actor_of_token(database, token)


def _without_ids(row: TenantRow) -> str:
    left_out = {"created_at", *HOLDS_AN_ID.get(type(row), ())}
    if isinstance(row, Message) and row.author_kind is AuthorKind.COLLEAGUE:
        left_out.add("external_id")
    values: dict[str, Any] = {
        column.name: getattr(row, column.name)
        for column in row.__table__.columns  # pyright: ignore[reportAttributeAccessIssue]
        if not isinstance(column.type, Uuid) and column.name not in left_out
    }
    return repr(sorted(values.items()))
