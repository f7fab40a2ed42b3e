# SPDX-License-Identifier: EUPL-1.2
"""The reply gate over the database: one answer to a question, and a typed refusal for everybody else."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from services.assignments import commands as assignments
from services.conversations import commands
from services.conversations.models import Message
from services.conversations.rules import AuthorKind, Direction, ReplyPurpose, Visibility
from services.deliveries import commands as deliveries
from services.deliveries.rules import Resolution
from services.kernel.access import Role
from tests.services.conversations.scenes import (
    Urls,
    act,
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
from tests.services.conversations.world import FORM, HARBOR, START, Fact, Thing, Version, deletion_event

SECRET = "my daughter has been ill since march and we owe the rent"
REPLIES = 50


async def test_of_fifty_replies_at_once_one_is_accepted_and_forty_nine_are_refused_with_a_code(
    town: Town, database_urls: Urls, tell: Callable[[str], None]
) -> None:
    exchange = await held(town, handle=HARBOR)
    colleagues = await people(town, REPLIES // 2, Role.OPERATOR, "PEOPLE")
    await join(town, exchange.id, *colleagues)
    before = await fingerprint(database_urls, town.organization.id)
    attempts = [
        (exchange.holder, exchange.reply(text=f"Answer {number}")) for number in range(REPLIES - len(colleagues))
    ]
    attempts += [(each, exchange.reply(fence=None, text="From the side")) for each in colleagues]
    codes = Counter(await asyncio.gather(*(tried(town, actor, what) for actor, what in attempts)))
    assert codes == {"ACCEPTED": 1, "REPLY_IN_PROGRESS": REPLIES - 1}
    after = grown(before, await fingerprint(database_urls, town.organization.id))
    assert after == {
        "reply": 1, "message": 1, "delivery": 1, "job": 1, "outbox": 2, "audit_event": 2, "audit_head": 0,
        "conversation": 0,
    }  # fmt: skip
    actions = await sql(
        database_urls,
        "select action from belfry.audit_event where tenant_id = $1 order by seq desc limit 2",
        town.organization.id,
    )
    assert {action for (action,) in actions} == {"delivery.scheduled", "conversation.reply_accepted"}
    tell(f"{REPLIES} replies at once: {dict(codes)}; nothing else written")


async def test_replies_at_once_to_different_questions_do_not_hinder_each_other(town: Town) -> None:
    exchanges = [await held(town) for _ in range(4)]
    codes = await asyncio.gather(*(tried(town, each.holder, each.reply()) for each in exchanges))
    assert codes == ["ACCEPTED"] * 4


async def test_only_the_holder_under_the_current_fence_or_a_collaborator_answers(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town)
    [stranger, colleague] = await people(town, 2, Role.OPERATOR)
    await refused(town, database_urls, stranger, exchange.reply(), "CLAIM_IS_STALE")
    await refused(town, database_urls, stranger, exchange.reply(fence=None), "REQUIRED")
    await refused(town, database_urls, exchange.holder, exchange.reply(fence=exchange.fence + 1), "CLAIM_IS_STALE")
    await refused(town, database_urls, exchange.holder, exchange.reply(fence=None), "REQUIRED")
    await join(town, exchange.id, colleague)
    await refused(town, database_urls, colleague, exchange.reply(), "CLAIM_IS_STALE")
    assert await tried(town, colleague, exchange.reply(fence=None)) == "ACCEPTED"


async def test_an_answer_after_the_lease_ended_is_refused_though_nobody_else_came(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town)
    await sql(database_urls, "update belfry.conversation set lease_until = now() where id = $1", exchange.id)
    await refused(town, database_urls, exchange.holder, exchange.reply(), "CLAIM_IS_STALE")


async def test_while_an_answer_is_on_its_way_or_unknown_there_is_no_second_one(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    delivery_id = await exchange.answer()
    again = exchange.reply(text="And another thing", follow_up=True)
    await refused(town, database_urls, exchange.holder, again, "REPLY_IN_PROGRESS")
    attempt = await exchange.begin(delivery_id)
    await refused(town, database_urls, exchange.holder, again, "REPLY_IN_PROGRESS")
    await act(town, town.actor, lambda uow: deliveries.record_unknown(uow, attempt, "TIMEOUT", (60,)))
    await refused(town, database_urls, exchange.holder, again, "REPLY_IN_PROGRESS")
    await act(
        town,
        exchange.holder,
        lambda uow: commands.resolve_delivery(uow, delivery_id=delivery_id, resolution=Resolution.CANCEL, link=None),
    )
    assert await tried(town, exchange.holder, exchange.reply(text="Once more")) == "ACCEPTED"


async def test_an_answer_that_is_published_counts_before_its_conversation_is_told(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town)
    delivery_id = await exchange.answer()
    await exchange.send(delivery_id)
    again = exchange.reply(text="And another thing")
    await refused(town, database_urls, exchange.holder, again, "REPLY_IN_PROGRESS")
    await act(town, town.actor, lambda uow: commands.record_published(uow, delivery_id=delivery_id))
    await refused(town, database_urls, exchange.holder, again, "ALREADY_ANSWERED")


async def test_what_is_answered_takes_a_follow_up_only(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    await exchange.publish(await exchange.answer())
    await refused(town, database_urls, exchange.holder, exchange.reply(), "ALREADY_ANSWERED")
    assert await tried(town, exchange.holder, exchange.reply(follow_up=True)) == "ACCEPTED"


async def test_an_acknowledgement_leaves_the_question_open_for_the_answer(town: Town) -> None:
    exchange = await held(town)
    await exchange.publish(await exchange.answer(purpose=ReplyPurpose.ACKNOWLEDGEMENT))
    assert await tried(town, exchange.holder, exchange.reply()) == "ACCEPTED"


async def test_who_has_not_read_the_newest_message_reads_it_first(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    thread = (await newest_message(town, exchange.id)).external_id
    await town.receive_raw(FORM, [submission("And the other one too", START + timedelta(hours=1), thread=thread)])
    await town.drain(FORM)
    await refused(town, database_urls, exchange.holder, exchange.reply(), "CITIZEN_WROTE_MEANWHILE")
    await refused(
        town, database_urls, exchange.holder, exchange.reply(last_seen_message_id=None), "CITIZEN_WROTE_MEANWHILE"
    )
    newest = (await newest_message(town, exchange.id)).id
    assert await tried(town, exchange.holder, exchange.reply(last_seen_message_id=newest)) == "ACCEPTED"


async def test_a_formal_matter_is_referred_and_nothing_else(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    await sql(database_urls, "update belfry.category set formal = true where tenant_id = $1", town.organization.id)
    for purpose in (ReplyPurpose.ANSWER, ReplyPurpose.CLARIFYING_QUESTION):
        await refused(town, database_urls, exchange.holder, exchange.reply(purpose=purpose), "FORMAL_NEEDS_REFERRAL")
    assert await tried(town, exchange.holder, exchange.reply(purpose=ReplyPurpose.REFERRAL)) == "ACCEPTED"


async def test_a_public_answer_repeats_nothing_that_the_citizen_said_in_private(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town, handle=HARBOR)
    row = await exchange.row()
    # Another conversation of the same citizen, of a kind that only the two of them can read.
    await sql(
        database_urls,
        "insert into belfry.conversation (tenant_id, network, server_host, thread_key, episode, social_account_id,"
        " contact_id, channel_kind, department_id, priority, difficulty, state, opened_at, last_message_at,"
        " next_contact_due_at, fence, version)"
        " select tenant_id, network, server_host, 'private', 1, social_account_id, contact_id, 'DIRECT', department_id,"
        " priority, difficulty, 'OPEN', opened_at, last_message_at, next_contact_due_at, 0, 1"
        " from belfry.conversation where id = $1",
        exchange.id,
    )
    private = "select id from belfry.conversation where thread_key = 'private' and tenant_id = $1"
    [(private_id,)] = await sql(database_urls, private, town.organization.id)
    async with town.database.unit_of_work(town.actor) as uow:
        uow.add(
            Message(
                tenant_id=town.organization.id,
                conversation_id=private_id,
                social_account_id=row.social_account_id,
                network=row.network,
                external_id="private-1",
                direction=Direction.INBOUND,
                visibility=Visibility.DIRECT,
                author_kind=AuthorKind.CITIZEN,
                contact_id=row.contact_id,
                text=SECRET,
                text_at=START,
                occurred_at=START,
            )
        )
    quoting = exchange.reply(text=f"As you wrote: {SECRET}.")
    await refused(town, database_urls, exchange.holder, quoting, "PRIVATE_WORDS_IN_PUBLIC")
    assert await tried(town, exchange.holder, exchange.reply(text="We wrote to you directly.")) == "ACCEPTED"


async def test_what_cannot_be_sent_is_refused_before_anything_is_kept(town: Town, database_urls: Urls) -> None:
    exchange = await held(town, handle=HARBOR)
    for text, code in ((" ", "REQUIRED"), ("x" * 20_001, "TOO_LONG"), ("x" * 301, "TEXT_IS_TOO_LONG_FOR_NETWORK")):
        await refused(town, database_urls, exchange.holder, exchange.reply(text=text), code)
    account = "update belfry.social_account set connection = $2 where tenant_id = $1"
    await sql(database_urls, account, town.organization.id, "REVOKED")
    await refused(town, database_urls, exchange.holder, exchange.reply(), "ACCOUNT_IS_NOT_CONNECTED")
    await sql(database_urls, account, town.organization.id, "CONNECTED")
    assert await tried(town, exchange.holder, exchange.reply()) == "ACCEPTED"


async def test_a_closed_conversation_takes_no_answer(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    await join(town, exchange.id, exchange.holder)
    await sql(
        database_urls, "update belfry.conversation set state = 'CLOSED', closed_at = now() where id = $1", exchange.id
    )
    await refused(town, database_urls, exchange.holder, exchange.reply(), "INVALID_STATE")


async def test_who_cannot_see_it_or_may_not_answer_learns_nothing(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    [outsider] = await people(town, 1, Role.OPERATOR, "PEOPLE")
    [viewer] = await people(town, 1, Role.VIEWER)
    [manager] = await people(town, 1, Role.MANAGER)
    await refused(town, database_urls, outsider, exchange.reply(), "NOT_FOUND")
    await refused(town, database_urls, exchange.holder, exchange.reply(conversation_id=uuid4()), "NOT_FOUND")
    for actor in (viewer, manager):
        await refused(town, database_urls, actor, exchange.reply(), "FORBIDDEN")
    await refused(town, database_urls, town.actor, exchange.reply(), "NOT_PERMITTED")


async def test_a_citizen_who_took_everything_back_cannot_be_answered(town: Town, database_urls: Urls) -> None:
    exchange = await held(town)
    await sql(database_urls, "update belfry.message set deleted_at = now() where tenant_id = $1", town.organization.id)
    await refused(town, database_urls, exchange.holder, exchange.reply(last_seen_message_id=None), "INVALID_STATE")


async def test_the_lease_of_who_answers_lasts_until_the_outcome_is_known(town: Town) -> None:
    exchange = await held(town)
    await exchange.answer()
    while_unknown = (await exchange.row()).lease_until
    assert while_unknown is not None
    beat = await act(
        town,
        exchange.holder,
        lambda uow: assignments.heartbeat(uow, conversation_id=exchange.id, fence=exchange.fence),
    )
    assert beat == exchange.id
    renewed = (await exchange.row()).lease_until
    assert renewed is not None
    assert renewed >= while_unknown
    await act(town, exchange.holder, lambda uow: assignments.claim(uow, conversation_id=exchange.id))
    again = await exchange.row()
    assert again.lease_until is not None
    assert again.lease_until >= while_unknown
    assert again.fence == exchange.fence


async def test_a_deletion_that_is_told_before_the_publication_leaves_one_message(
    town: Town, database_urls: Urls
) -> None:
    exchange = await held(town, handle=HARBOR)
    delivery_id = await exchange.answer()
    attempt = await exchange.begin(delivery_id)
    item = deliveries.Sent("at://did:plc:harbor/app.bsky.feed.post/early", "1", None, attempt.sent_at)
    await act(town, town.actor, lambda uow: deliveries.record_sent(uow, attempt, item))
    thing = Thing(item.remote_id, "did:plc:harbor", START, [Version("1", "", "nl", START)])
    raw = deletion_event(thing, HARBOR, thing.versions[0], START)
    await town.receive([Fact(HARBOR, "DELETE", thing, thing.versions[0], START, "", raw)])
    await town.drain(HARBOR)
    await act(town, town.actor, lambda uow: commands.record_published(uow, delivery_id=delivery_id))
    found = await sql(
        database_urls,
        "select text, deleted_at is not null, direction from belfry.message where tenant_id = $1 and external_id = $2",
        town.organization.id,
        item.remote_id,
    )
    assert found == [("", True, "OUTBOUND")]
