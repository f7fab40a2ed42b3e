# SPDX-License-Identifier: EUPL-1.2
"""Closing and reopening: by people, by the clock, and by the citizen who writes again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.conversations import commands
from services.conversations.handlers import no_response
from services.conversations.rules import ConversationState, Outcome, ReplyPurpose
from services.kernel import jobs
from services.kernel.access import Role
from services.kernel.runtime import Runtime
from tests.services.conversations.scenes import (
    Act,
    Held,
    Urls,
    act,
    ask,
    fingerprint,
    grown,
    held,
    newest_message,
    people,
    refused,
    sql,
    submission,
)
from tests.services.conversations.standing import Town
from tests.services.conversations.world import FORM, HARBOR, START, Thing, Version, deletion_event

OPENED, CLOSED = ConversationState.OPEN, ConversationState.CLOSED


async def closing(exchange: Held, **changes: Any) -> Act:
    version = (await exchange.row()).version
    given: dict[str, Any] = {"conversation_id": exchange.id, "outcome": Outcome.RESOLVED, "text": "Done."}
    given["expected_version"] = version
    return lambda uow: commands.close(uow, **{**given, **changes})


async def reopening(exchange: Held, **changes: Any) -> Act:
    version = (await exchange.row()).version
    given: dict[str, Any] = {"conversation_id": exchange.id, "text": "Not done after all.", "expected_version": version}
    return lambda uow: commands.reopen(uow, **{**given, **changes})


async def close(exchange: Held, outcome: Outcome = Outcome.RESOLVED) -> None:
    await act(exchange.town, exchange.holder, await closing(exchange, outcome=outcome))


async def waits(town: Town, urls: Urls) -> list[tuple[Any, ...]]:
    return await sql(
        urls,
        "select outcome, is_first from belfry.waiting_segment where tenant_id = $1 order by opened_at",
        town.organization.id,
    )


async def work(runtime: Runtime, town: Town, urls: Urls, do: Callable[..., Any], kind: str, subject_id: UUID) -> bool:
    """Run a job that is due, as a worker does; False when none is."""
    [*found] = await sql(
        urls, "select id from belfry.job where tenant_id = $1 and kind = $2 and subject_id = $3",
        town.organization.id, kind, subject_id,
    )  # fmt: skip
    if not found:
        return False
    ticket = await act(town, town.actor, lambda uow: jobs.lease(uow, found[0][0]))
    if ticket is None:
        return False
    await do(runtime, ticket)
    return True


async def test_closing_ends_the_hold_and_the_wait_and_is_told_once(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    before = await fingerprint(database_urls, town.organization.id)
    await close(exchange)
    row = await exchange.row()
    assert (row.state, row.outcome, row.holder_id, row.lease_until) == (CLOSED, Outcome.RESOLVED, None, None)
    assert (row.next_contact_due_at, row.last_holder_id) == (None, exchange.holder.id)
    assert await waits(town, database_urls) == [("UNANSWERED_CLOSED", True)]
    after = grown(before, await fingerprint(database_urls, town.organization.id))
    assert after == {
        "closing": 1, "conversation": 0, "waiting_segment": 0, "audit_event": 3, "outbox": 3, "audit_head": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "ended"),
    [
        (Outcome.NO_ANSWER_NEEDED, "DISMISSED"),
        (Outcome.SPAM, "DISMISSED"),
        (Outcome.DUPLICATE, "UNANSWERED_CLOSED"),
        (Outcome.ANSWERED, "UNANSWERED_CLOSED"),
    ],
)
async def test_the_outcome_does_not_hide_that_nobody_answered(
    town: Town, database_urls: Urls, outcome: Outcome, ended: str
) -> None:
    exchange = await held(town)
    await close(exchange, outcome)
    assert await waits(town, database_urls) == [(ended, True)]


async def test_every_refusal_of_closing_leaves_no_trace(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    [colleague] = await people(town, 1, Role.OPERATOR)
    [manager] = await people(town, 1, Role.MANAGER)
    [outsider] = await people(town, 1, Role.OPERATOR, "PEOPLE")
    holder = exchange.holder
    version = (await exchange.row()).version
    for actor, changes, code in (
        (holder, {"text": " "}, "REQUIRED"),
        (holder, {"text": "x" * 2001}, "TOO_LONG"),
        (holder, {"expected_version": version - 1}, "CONFLICT"),
        (holder, {"expected_version": version + 1}, "CONFLICT"),
        (holder, {"conversation_id": uuid4()}, "NOT_FOUND"),
        (outsider, {}, "NOT_FOUND"),
        (colleague, {}, "NOT_PERMITTED"),
        (manager, {}, "FORBIDDEN"),
    ):
        await refused(town, database_urls, actor, await closing(exchange, **changes), code)
    await close(exchange)
    await refused(town, database_urls, holder, await closing(exchange), "INVALID_STATE")


async def test_nothing_is_closed_over_an_answer_whose_outcome_is_open(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    delivery_id = await exchange.answer()
    await refused(town, database_urls, exchange.holder, await closing(exchange), "REPLY_IN_PROGRESS")
    await exchange.begin(delivery_id)
    await refused(town, database_urls, exchange.holder, await closing(exchange), "REPLY_IN_PROGRESS")


async def test_a_coordinator_closes_what_somebody_else_holds(town: Town) -> None:
    exchange = await held(town)
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    await act(town, coordinator, await closing(exchange))
    assert (await exchange.row()).state is CLOSED


async def test_a_person_opens_it_again_with_a_text(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    await refused(town, database_urls, exchange.holder, await reopening(exchange), "INVALID_STATE")
    await close(exchange)
    await refused(town, database_urls, exchange.holder, await reopening(exchange, text=""), "REQUIRED")
    await refused(town, database_urls, exchange.holder, await reopening(exchange, expected_version=1), "CONFLICT")
    [colleague] = await people(town, 1, Role.OPERATOR)
    await refused(town, database_urls, colleague, await reopening(exchange), "NOT_PERMITTED")
    await act(town, exchange.holder, await reopening(exchange))
    row = await exchange.row()
    assert (row.state, row.outcome, row.closed_at) == (OPENED, None, None)
    assert row.next_contact_due_at is not None


async def test_a_citizen_who_writes_again_in_time_comes_back_to_the_same_conversation(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town)
    await close(exchange)
    thread = (await newest_message(town, exchange.id)).external_id
    closed_at = (await exchange.row()).closed_at
    assert closed_at is not None
    await town.receive_raw(FORM, [submission("Still dark", closed_at + timedelta(days=13), thread=thread)])
    await town.drain(FORM)
    row = await exchange.row()
    assert (row.state, row.episode, row.closed_at) == (OPENED, 1, None)
    assert await waits(town, database_urls) == [("UNANSWERED_CLOSED", True), (None, False)]


async def test_a_citizen_who_writes_again_too_late_begins_anew_and_both_are_linked(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town)
    await close(exchange)
    thread = (await newest_message(town, exchange.id)).external_id
    closed_at = (await exchange.row()).closed_at
    assert closed_at is not None
    for text, days in (("Dark again", 15), ("and again", 16)):
        await town.receive_raw(FORM, [submission(text, closed_at + timedelta(days=days), thread=thread)])
        await town.drain(FORM)
    found = await sql(
        database_urls,
        "select episode, state, previous_id from belfry.conversation where tenant_id = $1 order by episode",
        town.organization.id,
    )
    assert found == [(1, "CLOSED", None), (2, "OPEN", exchange.id)]


async def test_the_window_is_that_of_the_topic(town: Town, database_urls: Urls) -> None:
    exchange = await held(town, "the street lamp")
    await sql(database_urls, "update belfry.category set reopen_days = 2 where tenant_id = $1", town.organization.id)
    await close(exchange)
    thread = (await newest_message(town, exchange.id)).external_id
    closed_at = (await exchange.row()).closed_at
    assert closed_at is not None
    await town.receive_raw(FORM, [submission("Still dark", closed_at + timedelta(days=3), thread=thread)])
    await town.drain(FORM)
    assert (await exchange.row()).state is CLOSED


async def test_a_blocked_citizen_never_reopens(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    await close(exchange)
    thread = (await newest_message(town, exchange.id)).external_id
    await sql(database_urls, "update belfry.contact set blocked = true where tenant_id = $1", town.organization.id)
    closed_at = (await exchange.row()).closed_at
    assert closed_at is not None
    await town.receive_raw(FORM, [submission("Still dark", closed_at + timedelta(hours=1), thread=thread)])
    await town.drain(FORM)
    assert (await exchange.row()).state is CLOSED


async def test_what_was_written_before_the_closing_and_came_in_late_opens_nothing(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town)
    thread = (await newest_message(town, exchange.id)).external_id
    await close(exchange)
    closed_at = (await exchange.row()).closed_at
    assert closed_at is not None
    await town.receive_raw(FORM, [submission("On second thoughts", closed_at - timedelta(minutes=1), thread=thread)])
    await town.drain(FORM)
    assert (await exchange.row()).state is CLOSED
    assert await waits(town, database_urls) == [("UNANSWERED_CLOSED", True)]


async def test_asking_back_puts_the_ball_back_and_the_citizen_takes_it_up(town: Town) -> None:
    exchange = await held(town)
    await exchange.publish(await exchange.answer(purpose=ReplyPurpose.CLARIFYING_QUESTION))
    row = await exchange.row()
    assert row.state is ConversationState.WAITING_ON_CITIZEN
    thread = (await newest_message(town, exchange.id)).root_external_id
    await town.receive_raw(FORM, [submission("The one at 5", datetime.now(UTC) + timedelta(minutes=1), thread=thread)])
    await town.drain(FORM)
    assert (await exchange.row()).state is OPENED


async def test_a_citizen_who_never_comes_back_is_closed_after_the_topic_s_days(
    town: Town, database_urls: Urls, runtime: Runtime
) -> None:
    exchange = await held(town, "the street lamp")
    await sql(
        database_urls, "update belfry.category set no_response_days = 3 where tenant_id = $1", town.organization.id
    )
    await exchange.publish(await exchange.answer(purpose=ReplyPurpose.CLARIFYING_QUESTION))
    row = await exchange.row()
    assert row.next_contact_due_at is not None
    [(due_at,)] = await sql(
        database_urls, "select due_at from belfry.job where kind = 'conversation.no_response' and subject_id = $1",
        exchange.id,
    )  # fmt: skip
    assert due_at == row.next_contact_due_at
    assert not await work(runtime, town, database_urls, no_response, commands.NO_RESPONSE, exchange.id)
    await sql(database_urls, "update belfry.job set due_at = now() where subject_id = $1", exchange.id)
    assert await work(runtime, town, database_urls, no_response, commands.NO_RESPONSE, exchange.id)
    row = await exchange.row()
    assert (row.state, row.outcome) == (CLOSED, Outcome.NO_RESPONSE)
    assert await waits(town, database_urls) == [("ANSWERED", True)]


async def test_an_earlier_question_s_date_does_not_close_the_wait_for_a_later_one(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town)
    await exchange.publish(await exchange.answer(purpose=ReplyPurpose.CLARIFYING_QUESTION))
    soon = datetime.now(UTC) + timedelta(days=1)
    await sql(database_urls, "update belfry.job set due_at = $2 where tenant_id = $1", town.organization.id, soon)
    thread = (await newest_message(town, exchange.id)).root_external_id
    await town.receive_raw(FORM, [submission("The one at 5", datetime.now(UTC), thread=thread)])
    await town.drain(FORM)
    newest = (await newest_message(town, exchange.id)).id
    again = {"purpose": ReplyPurpose.CLARIFYING_QUESTION, "last_seen_message_id": newest}
    await exchange.publish(await exchange.answer(**again))
    [(due_at,)] = await sql(
        database_urls, "select due_at from belfry.job where kind = 'conversation.no_response' and subject_id = $1",
        exchange.id,
    )  # fmt: skip
    assert due_at > soon + timedelta(days=10)


async def test_a_conversation_that_moved_on_is_not_closed_by_the_clock(
    town: Town, database_urls: Urls, runtime: Runtime
) -> None:
    exchange = await held(town)
    await exchange.publish(await exchange.answer(purpose=ReplyPurpose.CLARIFYING_QUESTION))
    await act(town, exchange.holder, await reopening(exchange, text="She called us."))
    await sql(database_urls, "update belfry.job set due_at = now() where subject_id = $1", exchange.id)
    assert await work(runtime, town, database_urls, no_response, commands.NO_RESPONSE, exchange.id)
    assert (await exchange.row()).state is OPENED


async def test_something_new_about_a_waiting_conversation_keeps_the_topic_s_date(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town, "the street lamp", handle=HARBOR)
    asked = (await newest_message(town, exchange.id)).external_id
    await sql(
        database_urls, "update belfry.category set no_response_days = 40 where tenant_id = $1", town.organization.id
    )
    await exchange.publish(await exchange.answer(purpose=ReplyPurpose.CLARIFYING_QUESTION))
    assert asked is not None
    thing = Thing(asked, "did:plc:ada", START, [])
    gone = deletion_event(thing, HARBOR, Version("1", "", "nl", START), datetime.now(UTC))
    await town.receive_raw(HARBOR, [gone])
    await town.drain(HARBOR)
    row = await exchange.row()
    assert row.state is ConversationState.WAITING_ON_CITIZEN
    assert row.next_contact_due_at == row.last_message_at + timedelta(days=40)


async def test_a_further_word_of_ours_does_not_shorten_the_citizen_s_days(town: Town) -> None:
    exchange = await held(town)
    await exchange.publish(await exchange.answer(purpose=ReplyPurpose.CLARIFYING_QUESTION))
    due_at = (await exchange.row()).next_contact_due_at
    await exchange.publish(await exchange.answer(follow_up=True, text="Take your time."))
    row = await exchange.row()
    assert (row.state, row.next_contact_due_at) == (ConversationState.WAITING_ON_CITIZEN, due_at)


async def test_every_open_conversation_always_has_a_next_date(town: Town, database_urls: Urls) -> None:
    await ask(town, "one", "two")
    exchange = await held(town)
    await exchange.publish(await exchange.answer(purpose=ReplyPurpose.CLARIFYING_QUESTION))
    await close(await held(town))
    found = await sql(
        database_urls,
        "select state = 'CLOSED', next_contact_due_at is null from belfry.conversation where tenant_id = $1",
        town.organization.id,
    )
    assert all(closed == without_date for closed, without_date in found)
    assert len(found) == 4
