# SPDX-License-Identifier: EUPL-1.2
"""Claims: who holds what, how a hold ends, and that every refusal leaves no trace."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.assignments import commands, handlers
from services.assignments.rules import CLAIMS_MAX
from services.conversations import commands as conversations
from services.conversations.events import ConversationClosed, SegmentEnded
from services.conversations.rules import Outcome, ReplyPurpose
from services.kernel import jobs, outbox
from services.kernel.access import Actor, Role
from services.kernel.events import Occurrence
from services.kernel.isolation import owned
from services.kernel.runtime import Runtime
from tests.services.conversations.scenes import (
    Act,
    Held,
    Urls,
    act,
    ask,
    conversation,
    fingerprint,
    grown,
    held,
    join,
    newest_message,
    people,
    refused,
    sql,
    submission,
    tried,
)
from tests.services.conversations.standing import Town
from tests.services.conversations.world import FORM


def claiming(conversation_id: UUID) -> Act:
    return lambda uow: commands.claim(uow, conversation_id=conversation_id)


def beating(exchange: Held, **changes: Any) -> Act:
    given: dict[str, Any] = {"conversation_id": exchange.id, "fence": exchange.fence, **changes}
    return lambda uow: commands.heartbeat(uow, **given)


def releasing(exchange: Held, **changes: Any) -> Act:
    given: dict[str, Any] = {"conversation_id": exchange.id, "fence": exchange.fence, **changes}
    return lambda uow: commands.release(uow, **given)


def taking(conversation_id: UUID, reason: str = "She is ill.") -> Act:
    return lambda uow: commands.take_over(uow, conversation_id=conversation_id, reason=reason)


async def history(urls: Urls, conversation_id: UUID) -> list[tuple[Any, ...]]:
    """(state, holder, fence, reason) of every claim, in order."""
    return await sql(
        urls,
        "select state, holder_id, fence, reason from belfry.claim where conversation_id = $1 order by fence",
        conversation_id,
    )


async def told(urls: Urls, town: Town, since: int = 0) -> list[str]:
    """What was recorded since, in order."""
    rows = await sql(
        urls, "select action from belfry.audit_event where tenant_id = $1 and seq > $2 order by seq",
        town.organization.id, since,
    )  # fmt: skip
    return [action for (action,) in rows]


async def head(urls: Urls, town: Town) -> int:
    [(seq,)] = await sql(urls, "select seq from belfry.audit_head where tenant_id = $1", town.organization.id)
    return seq


async def run_lapse(runtime: Runtime, town: Town, urls: Urls, conversation_id: UUID) -> bool:
    """Run the job that looks at the end of a lease, as a worker does; False when it is not due."""
    [*found] = await sql(
        urls, "select id from belfry.job where tenant_id = $1 and kind = 'claim.lapse' and subject_id = $2",
        town.organization.id, conversation_id,
    )  # fmt: skip
    if not found:
        return False
    ticket = await act(town, town.actor, lambda uow: jobs.lease(uow, found[0][0]))
    if ticket is None:
        return False
    await handlers.lapse(runtime, ticket)
    return True


async def deliver(runtime: Runtime, town: Town, kind: type, handler: Callable[..., Coroutine[Any, Any, None]]) -> int:
    """Hand every recorded fact of a kind to a handler, as the relay does; returns how many."""
    async with town.database.snapshot(town.actor) as snapshot:
        entries = [each for each in await snapshot.scalars(owned(outbox.OutboxEntry)) if each.kind == kind.kind]
    for entry in sorted(entries, key=lambda each: each.seq):
        occurrence: Occurrence[Any] = outbox.occurrence(entry)
        await handler(runtime, occurrence)
    return len(entries)


async def test_a_claim_holds_the_conversation_and_is_told_once(town: Town, database_urls: Urls) -> None:
    [question] = await ask(town, "the street lamp")
    [operator] = await people(town, 1, Role.OPERATOR)
    before, since = await fingerprint(database_urls, town.organization.id), await head(database_urls, town)
    await act(town, operator, claiming(question))
    after = grown(before, await fingerprint(database_urls, town.organization.id))
    assert after == {"conversation": 0, "claim": 1, "job": 1, "audit_event": 1, "outbox": 1, "audit_head": 0}
    assert await told(database_urls, town, since) == ["conversation.claimed"]
    row = await conversation(town, question)
    assert (row.holder_id, row.fence) == (operator.id, 1)
    assert await history(database_urls, question) == [("HELD", operator.id, 1, None)]


async def test_claiming_again_only_renews(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    since = await head(database_urls, town)
    earlier = (await exchange.row()).lease_until
    await act(town, exchange.holder, claiming(exchange.id))
    row = await exchange.row()
    assert (row.holder_id, row.fence) == (exchange.holder.id, exchange.fence)
    assert row.lease_until is not None
    assert earlier is not None
    assert row.lease_until >= earlier
    assert await told(database_urls, town, since) == []
    assert len(await history(database_urls, exchange.id)) == 1


async def test_every_refusal_of_a_claim_leaves_no_trace(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    [colleague] = await people(town, 1, Role.OPERATOR)
    [outsider] = await people(town, 1, Role.OPERATOR, "PEOPLE")
    [manager] = await people(town, 1, Role.MANAGER)
    await refused(town, database_urls, colleague, claiming(exchange.id), "ALREADY_CLAIMED")
    await refused(town, database_urls, colleague, claiming(uuid4()), "NOT_FOUND")
    await refused(town, database_urls, outsider, claiming(exchange.id), "NOT_FOUND")
    await refused(town, database_urls, manager, claiming(exchange.id), "FORBIDDEN")
    await refused(town, database_urls, town.actor, claiming(exchange.id), "MACHINES_CANNOT_CLAIM")
    version = (await exchange.row()).version
    await act(
        town,
        exchange.holder,
        lambda uow: conversations.close(
            uow, conversation_id=exchange.id, outcome=Outcome.RESOLVED, text="Done.", expected_version=version
        ),
    )
    await refused(town, database_urls, colleague, claiming(exchange.id), "INVALID_STATE")
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    await refused(town, database_urls, coordinator, taking(exchange.id), "INVALID_STATE")


async def test_every_refusal_of_a_heartbeat_and_a_release_leaves_no_trace(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    [colleague] = await people(town, 1, Role.OPERATOR)
    for make in (beating, releasing):
        await refused(town, database_urls, colleague, make(exchange), "CLAIM_IS_STALE")
        await refused(town, database_urls, exchange.holder, make(exchange, fence=exchange.fence + 1), "CLAIM_IS_STALE")
        await refused(town, database_urls, exchange.holder, make(exchange, fence=None), "REQUIRED")
        await refused(town, database_urls, exchange.holder, make(exchange, conversation_id=uuid4()), "NOT_FOUND")
    await sql(database_urls, "update belfry.conversation set lease_until = now() where id = $1", exchange.id)
    for make in (beating, releasing):
        await refused(town, database_urls, exchange.holder, make(exchange), "CLAIM_IS_STALE")


async def test_a_heartbeat_keeps_the_lease_and_writes_no_ledger(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    await sql(
        database_urls, "update belfry.conversation set lease_until = now() + interval '3 seconds' where id = $1",
        exchange.id,
    )  # fmt: skip
    since = await head(database_urls, town)
    await act(town, exchange.holder, beating(exchange))
    row = await exchange.row()
    assert row.lease_until is not None
    assert row.lease_until > datetime.now(UTC) + timedelta(minutes=5)
    assert await told(database_urls, town, since) == []
    [(due_at,)] = await sql(database_urls, "select due_at from belfry.job where subject_id = $1", exchange.id)
    assert due_at > row.lease_until


async def test_who_releases_it_gives_it_to_the_pool(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    since = await head(database_urls, town)
    await act(town, exchange.holder, releasing(exchange))
    row = await exchange.row()
    assert (row.holder_id, row.last_holder_id, row.lease_until) == (None, exchange.holder.id, None)
    assert await history(database_urls, exchange.id) == [("RELEASED", exchange.holder.id, 1, None)]
    assert await told(database_urls, town, since) == ["conversation.released"]
    assert await sql(database_urls, "select 1 from belfry.job where subject_id = $1", exchange.id) == []
    await refused(town, database_urls, exchange.holder, releasing(exchange), "CLAIM_IS_STALE")


async def test_a_coordinator_takes_it_over_with_a_reason_and_the_former_holder_is_stale(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town)
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    [operator] = await people(town, 1, Role.OPERATOR)
    for reason, code in (("", "REQUIRED"), (" \n", "REQUIRED"), ("x" * 1001, "TOO_LONG")):
        await refused(town, database_urls, coordinator, taking(exchange.id, reason), code)
    await refused(town, database_urls, operator, taking(exchange.id), "FORBIDDEN")
    await refused(town, database_urls, coordinator, taking(uuid4()), "NOT_FOUND")
    since = await head(database_urls, town)
    await act(town, coordinator, taking(exchange.id, "  She is ill. "))
    row = await exchange.row()
    assert (row.holder_id, row.last_holder_id, row.fence) == (coordinator.id, exchange.holder.id, 2)
    assert await history(database_urls, exchange.id) == [
        ("TAKEN_OVER", exchange.holder.id, 1, "She is ill."),
        ("HELD", coordinator.id, 2, None),
    ]
    assert await told(database_urls, town, since) == ["conversation.taken_over"]
    await refused(town, database_urls, exchange.holder, beating(exchange), "CLAIM_IS_STALE")
    await refused(town, database_urls, exchange.holder, exchange.reply(), "CLAIM_IS_STALE")


async def test_whoever_claims_after_a_lease_ended_ends_the_old_claim_and_says_so(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town)
    await sql(database_urls, "update belfry.conversation set lease_until = now() where id = $1", exchange.id)
    [colleague] = await people(town, 1, Role.OPERATOR)
    since = await head(database_urls, town)
    await act(town, colleague, claiming(exchange.id))
    row = await exchange.row()
    assert (row.holder_id, row.last_holder_id, row.fence) == (colleague.id, exchange.holder.id, 2)
    assert [state for state, *_ in await history(database_urls, exchange.id)] == ["LAPSED", "HELD"]
    assert await told(database_urls, town, since) == ["conversation.claim_lapsed", "conversation.claimed"]


async def test_a_lease_that_ends_lapses_by_itself_once(town: Town, database_urls: Urls, runtime: Runtime) -> None:
    exchange = await held(town)
    assert not await run_lapse(runtime, town, database_urls, exchange.id)
    await sql(database_urls, "update belfry.conversation set lease_until = now() where id = $1", exchange.id)
    await sql(database_urls, "update belfry.job set due_at = now() where subject_id = $1", exchange.id)
    since = await head(database_urls, town)
    assert await run_lapse(runtime, town, database_urls, exchange.id)
    row = await exchange.row()
    assert (row.holder_id, row.last_holder_id, row.fence) == (None, exchange.holder.id, 1)
    assert await history(database_urls, exchange.id) == [("LAPSED", exchange.holder.id, 1, None)]
    assert await told(database_urls, town, since) == ["conversation.claim_lapsed"]
    assert not await run_lapse(runtime, town, database_urls, exchange.id)


async def test_the_clock_looks_again_at_the_new_end_of_a_lease_that_was_extended(
    town: Town, database_urls: Urls, runtime: Runtime
) -> None:
    exchange = await held(town)
    await exchange.answer()  # holds it for half an hour, and leaves the job where it was
    await sql(database_urls, "update belfry.job set due_at = now() where subject_id = $1", exchange.id)
    assert await run_lapse(runtime, town, database_urls, exchange.id)
    row = await exchange.row()
    assert row.holder_id == exchange.holder.id
    [(due_at, attempts, lease)] = await sql(
        database_urls, "select due_at, attempts, lease_until from belfry.job where subject_id = $1", exchange.id
    )
    assert row.lease_until is not None
    assert (due_at > row.lease_until, attempts, lease) == (True, 0, None)


async def test_a_person_holds_ten_at_the_most_however_many_they_claim_at_once(town: Town, database_urls: Urls) -> None:
    questions = await ask(town, *(f"question {number}" for number in range(CLAIMS_MAX + 4)))
    [operator] = await people(town, 1, Role.OPERATOR)

    attempts = (tried(town, operator, claiming(question)) for question in questions)
    found = Counter(await asyncio.gather(*attempts))
    assert found == {"ACCEPTED": CLAIMS_MAX, "TOO_MANY_CLAIMS": 4}
    [(held_now,)] = await sql(
        database_urls, "select count(*) from belfry.conversation where holder_id = $1", operator.id
    )
    assert held_now == CLAIMS_MAX
    free = [each for each in questions if (await conversation(town, each)).holder_id is None]
    await refused(town, database_urls, operator, claiming(free[0]), "TOO_MANY_CLAIMS")


async def test_a_published_answer_completes_the_claim(town: Town, database_urls: Urls, runtime: Runtime) -> None:
    exchange = await held(town)
    await exchange.publish(await exchange.answer())
    assert (await exchange.row()).holder_id == exchange.holder.id
    for _ in range(2):
        assert await deliver(runtime, town, SegmentEnded, handlers.on_segment_ended) == 1
    assert await history(database_urls, exchange.id) == [("COMPLETED", exchange.holder.id, 1, None)]
    row = await exchange.row()
    assert (row.holder_id, row.last_holder_id) == (None, exchange.holder.id)


async def test_an_acknowledgement_completes_nothing(town: Town, database_urls: Urls, runtime: Runtime) -> None:
    exchange = await held(town)
    await exchange.publish(await exchange.answer(purpose=ReplyPurpose.ACKNOWLEDGEMENT))
    assert await deliver(runtime, town, SegmentEnded, handlers.on_segment_ended) == 0
    assert (await history(database_urls, exchange.id))[0][0] == "HELD"


async def test_a_late_fact_about_an_old_wait_ends_nobody_s_work_on_a_new_one(
    town: Town, database_urls: Urls, runtime: Runtime
) -> None:
    exchange = await held(town)
    await exchange.publish(await exchange.answer())
    await deliver(runtime, town, SegmentEnded, handlers.on_segment_ended)
    message = await newest_message(town, exchange.id)
    thread = message.root_external_id
    again = submission("And now?", datetime.now(UTC) + timedelta(seconds=1), thread=thread)
    await town.receive_raw(FORM, [again])
    await town.drain(FORM)
    [colleague] = await people(town, 1, Role.OPERATOR)
    await act(town, colleague, claiming(exchange.id))
    # An earlier message comes in late: the first wait began earlier, and is told of anew.
    late = submission("Hello?", message.occurred_at - timedelta(days=90), thread=thread)
    await town.receive_raw(FORM, [late])
    await town.drain(FORM)
    assert await deliver(runtime, town, SegmentEnded, handlers.on_segment_ended) == 2
    assert (await exchange.row()).holder_id == colleague.id
    assert [state for state, *_ in await history(database_urls, exchange.id)] == ["COMPLETED", "HELD"]


async def test_closing_completes_the_claim_of_that_time_and_no_later_one(
    town: Town, database_urls: Urls, runtime: Runtime
) -> None:
    exchange = await held(town)
    version = (await exchange.row()).version
    for make in (conversations.close, conversations.reopen):
        given: dict[str, Any] = {"conversation_id": exchange.id, "text": "So.", "expected_version": version}
        if make is conversations.close:
            given["outcome"] = Outcome.RESOLVED
        await act(town, exchange.holder, lambda uow, make=make, given=given: make(uow, **given))
        version = (await exchange.row()).version
    await act(town, exchange.holder, claiming(exchange.id))
    assert await deliver(runtime, town, ConversationClosed, handlers.on_conversation_closed) == 1
    assert (await exchange.row()).holder_id == exchange.holder.id
    assert [fence for _, _, fence, _ in await history(database_urls, exchange.id)] == [1, 2]


async def test_the_last_holder_keeps_an_eye_on_it_until_another_claims(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    reach = next(iter(await people(town, 1, Role.OPERATOR, "PEOPLE")))
    await join(town, exchange.id, reach)
    former = Actor(
        town.organization.id, membership_id=exchange.holder.id, grants=reach.grants
    )  # the same person, who has moved to another department
    await act(town, former, releasing(exchange))
    assert (await exchange.row()).last_holder_id == former.id
    await act(town, former, claiming(exchange.id))
    await act(town, former, releasing(exchange, fence=2))
    [colleague] = await people(town, 1, Role.OPERATOR)
    await act(town, colleague, claiming(exchange.id))
    await refused(town, database_urls, former, claiming(exchange.id), "NOT_FOUND")
