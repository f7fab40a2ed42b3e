# SPDX-License-Identifier: EUPL-1.2
"""The reply gate over the database: one answer to a question, and a typed refusal for everybody else."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.assignments import commands as assignments
from services.conversations import commands
from services.conversations.models import Message
from services.conversations.rules import AuthorKind, Direction, ReplyPurpose, Visibility
from services.deliveries import commands as deliveries
from services.deliveries.rules import Resolution
from services.kernel.access import Actor, Role
from services.kernel.database import Database, UnitOfWork
from services.kernel.errors import BelfryError, DomainError, ServiceUnavailable
from services.social_accounts.networks.interface import Sent
from tests.services.conversations.scenes import (
    Urls,
    act,
    ask,
    conversation,
    fingerprint,
    grown,
    join,
    newest_message,
    people,
    refused,
    sql,
    submission,
)
from tests.services.conversations.standing import Town, found_town
from tests.services.conversations.world import FORM, HARBOR, START

SECRET = "my daughter has been ill since march and we owe the rent"


@pytest.fixture
async def town(database: Database) -> Town:
    return await found_town(database)


def reply(
    conversation_id: UUID,
    *,
    fence: int | None,
    seen: UUID | None,
    text: str = "We will look tomorrow.",
    purpose: ReplyPurpose = ReplyPurpose.ANSWER,
    follow_up: bool = False,
) -> Callable[[UnitOfWork], Any]:
    return lambda uow: commands.reply(
        uow,
        conversation_id=conversation_id,
        text=text,
        purpose=purpose,
        last_seen_message_id=seen,
        fence=fence,
        follow_up=follow_up,
    )


async def held(town: Town, *, handle: str = FORM, text: str = "the street lamp") -> tuple[UUID, Actor, int, UUID]:
    """A question, its holder, the fence and the newest message."""
    [conversation_id] = await ask(town, text, handle=handle)
    [holder] = await people(town, 1, Role.OPERATOR)
    await act(town, holder, lambda uow: assignments.claim(uow, conversation_id=conversation_id))
    row = await conversation(town, conversation_id)
    return conversation_id, holder, row.fence, (await newest_message(town, conversation_id)).id


async def sent(town: Town, conversation_id: UUID) -> UUID:
    """Have the reply that waits published; returns its delivery."""
    [(delivery_id,)] = await sql_rows(town, conversation_id, "state = 'SCHEDULED'")
    attempt = await act(
        town, town.actor, lambda uow: deliveries.begin(uow, delivery_id=delivery_id, check_schedule=(1,))
    )
    item = Sent(f"remote-{delivery_id}", "1", None, attempt.sent_at)
    await act(town, town.actor, lambda uow: deliveries.record_sent(uow, attempt, item))
    await act(town, town.actor, lambda uow: commands.record_published(uow, delivery_id=delivery_id))
    return delivery_id


async def sql_rows(town: Town, conversation_id: UUID, condition: str) -> list[tuple[Any, ...]]:
    urls = {"postgres": town.database.engine.url.set(username="postgres").render_as_string(hide_password=False)}
    del urls
    from services.conversations import queries
    from services.deliveries import queries as delivery_queries

    del condition
    async with town.database.snapshot(town.actor) as snapshot:
        ids = await queries.deliveries_of_replies(snapshot, conversation_id)
        rows = [await delivery_queries.delivery(snapshot, each) for each in ids]
    return [(row.id,) for row in rows if row.state == "SCHEDULED"]
