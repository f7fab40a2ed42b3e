# SPDX-License-Identifier: EUPL-1.2
"""What comes in: each rule of ingestion by itself, with the cases that orders and repetition alone do not show."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.conversations import commands
from services.conversations.commands import BATCH_SIZE_MAX, Collision
from services.kernel import identifiers
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.errors import Forbidden
from services.social_accounts import commands as social_accounts
from services.social_accounts.networks.interface import RawEvent
from services.social_accounts.networks.webform import SUBMISSION_KIND, SUBMISSION_VERSION
from services.social_accounts.rules import EARLIEST
from tests.services.conversations.oracle import expected
from tests.services.conversations.scenes import Urls, act, ask, mention, people, sql, submission
from tests.services.conversations.standing import Town, differences, found_town, standing_of
from tests.services.conversations.world import (
    ACCOUNTS,
    FORM,
    HARBOR,
    SPRING,
    START,
    Fact,
    Thing,
    Version,
    World,
    deletion_event,
    seen_event,
)
from tests.support.database import connection_as

ADA, BEN = "did:plc:ada", "did:plc:ben"


def thing_of(author: str, text: str, *, under: Thing | None = None, minutes: int = 0) -> Thing:
    at = START + timedelta(minutes=minutes)
    number = identifiers.new().hex
    return Thing(
        f"at://{author}/app.bsky.feed.post/{number}", author, at, [Version(f"v1-{number}", text, "nl", at)], under
    )


def seen(thing: Thing, handle: str, *, version: int = 0, minutes: int = 1) -> Fact:
    """An account sees an item for the first time, or looks at it again."""
    chosen = thing.versions[version]
    observed = thing.at + timedelta(minutes=minutes)
    previous = thing.versions[version - 1].tag if version else None
    raw = seen_event(thing, handle, chosen, observed, "Somebody", previous)
    fact = Fact(handle, "EDIT" if version else "CREATE", thing, chosen, observed, "Somebody", raw)
    thing.facts.append(fact)
    return fact


def gone(thing: Thing, handle: str, *, minutes: int = 60) -> Fact:
    observed = thing.at + timedelta(minutes=minutes)
    raw = deletion_event(thing, handle, thing.versions[-1], observed)
    return Fact(handle, "DELETE", thing, thing.versions[-1], observed, "", raw)


async def take_in(town: Town, *facts: Fact) -> None:
    """Each by itself, in this order."""
    for fact in facts:
        await town.receive([fact])
        await town.drain(fact.account)


async def check(town: Town, urls: Urls, things: list[Thing], facts: list[Fact]) -> None:
    async with connection_as(urls, "postgres") as connection:
        found = await standing_of(connection, town.organization.id)
    assert differences(found, expected(World(things, facts))) == {}


async def bodies(town: Town, urls: Urls) -> list[tuple[Any, ...]]:
    return await sql(
        urls, "select kind, state, length(body) > 0 from belfry.raw_event where tenant_id = $1 order by kind, id",
        town.organization.id,
    )  # fmt: skip


async def test_a_mention_of_two_accounts_is_one_message_of_the_account_for_service(
    town: Town, database_urls: Urls
) -> None:
    question = thing_of(ADA, "the street lamp")
    facts = [seen(question, SPRING), seen(question, HARBOR, minutes=2)]
    await take_in(town, *facts)
    await check(town, database_urls, [question], facts)
    assert await sql(
        database_urls, "select a.handle from belfry.conversation v join belfry.social_account a on a.id ="
        " v.social_account_id where v.tenant_id = $1", town.organization.id,
    ) == [(HARBOR,)]  # fmt: skip


@pytest.mark.parametrize("first", [0, 1])
async def test_what_one_of_our_accounts_says_to_another_is_never_a_citizen_s(
    town: Town, database_urls: Urls, first: int
) -> None:
    said = thing_of(ACCOUNTS[SPRING], "the pool opens, ask the harbor")
    facts = [seen(said, SPRING), seen(said, HARBOR)]
    await take_in(town, facts[first], facts[1 - first])
    await check(town, database_urls, [said], facts)
    assert (
        await sql(database_urls, "select 1 from belfry.conversation where tenant_id = $1", town.organization.id) == []
    )


async def test_a_repost_without_own_text_makes_no_work_and_counts_once(town: Town, database_urls: Urls) -> None:
    question = thing_of(ADA, "look at this")
    repost = Thing(f"at://{ACCOUNTS[SPRING]}/app.bsky.feed.repost/1", ACCOUNTS[SPRING], START,
                   [Version("r1", "", "nl", START)], question, is_repost=True)  # fmt: skip
    facts = [seen(repost, SPRING)]
    await take_in(town, *facts)
    await check(town, database_urls, [repost], facts)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
async def test_our_own_answers_find_the_question_whichever_comes_first(
    town: Town, database_urls: Urls, order: tuple[int, ...]
) -> None:
    question = thing_of(ADA, "when?")
    answer = thing_of(ACCOUNTS[HARBOR], "tomorrow", under=question, minutes=9)
    more = thing_of(ACCOUNTS[HARBOR], "at ten", under=answer, minutes=10)
    facts = [seen(question, SPRING), seen(answer, HARBOR), seen(more, HARBOR)]
    await take_in(town, *(facts[place] for place in order))
    await check(town, database_urls, [question, answer, more], facts)
    assert await sql(
        database_urls, "select outcome, wall_seconds from belfry.waiting_segment where tenant_id = $1",
        town.organization.id,
    ) == [("ANSWERED", 9 * 60)]  # fmt: skip


async def test_a_question_and_our_answer_taken_in_at_the_same_moment_find_each_other(
    town: Town, database: Database, database_urls: Urls
) -> None:
    question = thing_of(ADA, "when?")
    answer = thing_of(ACCOUNTS[SPRING], "tomorrow", under=question, minutes=9)
    facts = [seen(question, HARBOR), seen(answer, SPRING)]
    await town.receive(facts)
    collisions: list[Exception] = []

    async def other() -> None:
        try:
            async with database.unit_of_work(town.actor) as uow:
                await commands.drain(uow, account_id=town.accounts[SPRING])
        except Collision as collision:
            collisions.append(collision)

    async with database.unit_of_work(town.actor) as uow:
        await commands.drain(uow, account_id=town.accounts[HARBOR])
        meanwhile = asyncio.create_task(other())
        while not (await sql(database_urls, WAITS_FOR_A_LOCK))[0][0]:
            await asyncio.sleep(0.02)
    await meanwhile
    assert len(collisions) == 1
    await town.drain_all()
    await check(town, database_urls, [question, answer], facts)


WAITS_FOR_A_LOCK = """
    select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')
"""


@pytest.mark.parametrize("first", ["deletion", "creation"])
async def test_no_word_of_a_deleted_message_is_kept_whichever_comes_first(
    town: Town, database_urls: Urls, first: str
) -> None:
    question = thing_of(ADA, "my secret")
    created, deleted = seen(question, HARBOR), gone(question, HARBOR)
    await take_in(town, *([created, deleted] if first == "creation" else [deleted, created]))
    await check(town, database_urls, [question], [created, deleted])
    assert await bodies(town, database_urls) == [("delete", "DONE", False), ("post", "DONE", False)]
    holding = "select count(*) from belfry.message where tenant_id = $1 and (text <> '' or reply_target is not null)"
    assert await sql(database_urls, holding, town.organization.id) == [(0,)]


async def test_a_deletion_told_to_one_account_does_not_take_the_question_from_another(
    town: Town, database_urls: Urls
) -> None:
    question = thing_of(ADA, "the street lamp")
    facts = [seen(question, SPRING), seen(question, HARBOR, minutes=2), gone(question, SPRING)]
    await town.receive(facts)
    await town.drain(SPRING)  # HARBOR has not been read yet
    await town.drain(HARBOR)
    await check(town, database_urls, [question], facts)
    assert all(not has_body for _, _, has_body in await bodies(town, database_urls))


async def test_a_name_is_the_one_seen_last_whatever_the_order(town: Town, database_urls: Urls) -> None:
    question = thing_of(ADA, "one")
    question.versions.append(Version("v2", "two", "nl", question.at + timedelta(hours=1)))
    for handle, version, minutes, name in ((HARBOR, 1, 90, "Ada"), (HARBOR, 0, 1, "Zoe before")):
        observed = question.at + timedelta(minutes=minutes)
        raw = seen_event(question, handle, question.versions[version], observed, name, None)
        await town.receive_raw(handle, [raw])
        await town.drain(handle)
    names = await sql(
        database_urls, "select display_name from belfry.contact where tenant_id = $1", town.organization.id
    )
    assert names == [("Ada",)]


async def test_each_submission_is_a_conversation_of_its_own_and_a_follow_up_is_not(
    town: Town, database_urls: Urls
) -> None:
    await ask(town, "one", "one", "two")
    first = submission("three", START)
    await town.receive_raw(FORM, [submission("more", START + timedelta(hours=1), thread=first.external_id), first])
    await town.drain(FORM)
    counts = await sql(
        database_urls,
        "select (select count(*) from belfry.conversation where tenant_id = $1),"
        " (select count(*) from belfry.contact where tenant_id = $1),"
        " (select count(*) from belfry.message where tenant_id = $1)",
        town.organization.id,
    )
    assert counts == [(4, 4, 5)]


async def test_public_words_of_two_citizens_under_one_post_are_two_conversations(
    town: Town, database_urls: Urls
) -> None:
    news = thing_of(ACCOUNTS[SPRING], "the pool opens")
    asked = [thing_of(who, "when?", under=news, minutes=5) for who in (ADA, BEN, ADA)]
    facts = [seen(news, SPRING), *(seen(each, SPRING) for each in asked)]
    await take_in(town, *facts)
    await check(town, database_urls, [news, *asked], facts)


async def test_what_cannot_be_read_is_kept_told_and_stops_nobody(town: Town, database_urls: Urls) -> None:
    good = submission("the street lamp", START)
    unreadable = [
        RawEvent(FORM, SUBMISSION_KIND, "no json", SUBMISSION_VERSION, START, b"{"),
        RawEvent(FORM, SUBMISSION_KIND, "a list", SUBMISSION_VERSION, START, b"[]"),
        RawEvent(FORM, SUBMISSION_KIND, "no text", SUBMISSION_VERSION, START, orjson.dumps({"thread": "x"})),
        RawEvent(
            FORM, SUBMISSION_KIND, "half a letter", SUBMISSION_VERSION, START, b'{"text": "\\ud800", "thread": "x"}'
        ),
        RawEvent(FORM, SUBMISSION_KIND, "no letters", SUBMISSION_VERSION, START, b"\xff\xfe"),
    ]
    await town.receive_raw(FORM, [*unreadable[:2], good, *unreadable[2:]])
    await town.drain(FORM)
    states = await sql(
        database_urls, "select external_id, state, error is null from belfry.raw_event where tenant_id = $1",
        town.organization.id,
    )  # fmt: skip
    assert sorted(states) == sorted(
        [(good.external_id, "DONE", True), *((each.external_id, "FAILED", False) for each in unreadable)]
    )
    told = "select count(*) from belfry.outbox where tenant_id = $1 and kind = 'raw_event.unreadable'"
    assert await sql(database_urls, told, town.organization.id) == [(len(unreadable),)]
    assert await sql(database_urls, "select text from belfry.message where tenant_id = $1", town.organization.id) == [
        ("the street lamp",)
    ]


async def test_letters_that_the_database_cannot_hold_do_not_stop_a_message(town: Town, database_urls: Urls) -> None:
    await ask(town, "before \x00 after \U0001f468\u200d\U0001f469\u200d\U0001f467")
    assert await sql(database_urls, "select text from belfry.message where tenant_id = $1", town.organization.id) == [
        ("before \ufffd after \U0001f468\u200d\U0001f469\u200d\U0001f467",)
    ]


async def test_an_instant_from_the_beginning_of_time_is_taken_in(town: Town, database_urls: Urls) -> None:
    """What programs write that know no time. The database's driver takes it for infinity, which nobody could read."""
    for _ in range(2):
        _, raw = mention(HARBOR, ADA, "old", datetime(1, 1, 1, tzinfo=UTC))
        await town.receive_raw(HARBOR, [raw])
        await town.drain(HARBOR)
    opened = await sql(
        database_urls, "select opened_at from belfry.conversation where tenant_id = $1", town.organization.id
    )
    assert opened == [(EARLIEST,)] * 2


async def test_everything_that_came_in_is_told_once_with_ids_and_no_words(town: Town, database_urls: Urls) -> None:
    question = thing_of(ADA, "the street lamp")
    question.versions.append(Version("v2", "the street lamps", "nl", question.at + timedelta(hours=1)))
    facts = [seen(question, HARBOR), seen(question, HARBOR, version=1, minutes=70), gone(question, HARBOR, minutes=80)]
    for _ in range(3):
        await take_in(town, *facts)
    told = await sql(
        database_urls,
        "select kind, body::text from belfry.outbox where tenant_id = $1 and kind like 'conversation.%' order by seq",
        town.organization.id,
    )
    assert [kind for kind, _ in told] == [
        "conversation.opened",
        "conversation.state_changed",
        "conversation.routed",
        "conversation.message_received",
        "conversation.routed",  # the lamps are many now: no rule is for them
        "conversation.message_changed",
        "conversation.segment_ended",
        "conversation.message_changed",
    ]
    assert not any("lamp" in body for _, body in told)


async def test_a_batch_is_bounded_and_says_that_more_is_waiting(town: Town, database: Database) -> None:
    await town.receive_raw(FORM, [submission(str(number), START) for number in range(BATCH_SIZE_MAX + 1)])
    answers: list[bool] = []
    for _ in range(3):
        async with database.unit_of_work(town.actor) as uow:
            answers.append(await commands.drain(uow, account_id=town.accounts[FORM]))
    assert answers == [True, False, False]


async def test_only_belfry_itself_takes_in(town: Town) -> None:
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    with pytest.raises(Forbidden):
        await act(town, coordinator, lambda uow: commands.drain(uow, account_id=town.accounts[FORM]))
    with pytest.raises(Forbidden):
        await act(
            town, coordinator, lambda uow: social_accounts.receive(uow, account_id=town.accounts[FORM], events=[])
        )


async def test_two_organizations_take_in_the_same_item_each_for_itself(
    town: Town, database: Database, database_urls: Mapping[str, str]
) -> None:
    other = await found_town(database)
    question = thing_of(ADA, "the street lamp")
    facts = [seen(question, HARBOR)]
    for each in (town, other):
        await take_in(each, *facts)
        await check(each, database_urls, [question], facts)
