# SPDX-License-Identifier: EUPL-1.2
"""P7: never posted twice, never silently unposted.

Every story goes the product's own way: a citizen writes on the fake network, a colleague answers by Belfry's commands,
real processes publish through the fault proxy. Then the fake's own repository is counted and compared with the row.
The stories run side by side in organizations of their own; the one with the kill goes first.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

import pytest

from services.conversations import commands as conversations
from services.deliveries.rules import Resolution
from services.kernel.clock import utc_now
from services.social_accounts import commands as social_accounts
from services.social_accounts.networks.interface import RawEvent
from tests.support.fake_atproto import Trouble
from tests.support.fault_proxy import Fault, FaultProxy, Rule
from tests.support.processes import until
from tests.support.servers import Servers
from tests.workers.stage import Stage, open_stage
from tests.workers.towns import Town

pytestmark = pytest.mark.xdist_group("publishing")  # one installation, one process

PUT, GET = "com.atproto.repo.putRecord", "com.atproto.repo.getRecord"
NONE = UUID(int=0)
LOUD = "luid en duidelijk"
"""The fake network writes posts with these words in capital letters."""


@dataclass
class Publishing:
    """One citizen's question in a town of its own, and the answer on its way."""

    stage: Stage
    proxy: FaultProxy
    town: Town
    text: str
    conversation_id: UUID
    delivery_id: UUID = NONE

    async def answer(self) -> None:
        self.delivery_id = await self.town.answer(self.conversation_id, self.text)

    async def outcomes(self) -> list[str | None]:
        return await self.stage.evidence.outcomes(self.delivery_id)

    async def is_published_once(self, outcomes: list[str] | None = None, *, text: str | None = None) -> None:
        """Exactly one record, written once, and the row, the message and the ledger of tries say so."""
        await self.stage.ends_as(self.delivery_id, "PUBLISHED")
        (record,) = self.stage.posts_of(self.town)
        row = await self.stage.evidence.delivery(self.delivery_id)
        assert record.value["text"] == (text or self.text)
        assert (row["remote_id"], row["remote_version"]) == (record.uri, record.cid)
        assert self.stage.writes_of(self.town) == 1
        if outcomes is not None:
            assert await self.outcomes() == outcomes
        shown = "select external_id from belfry.message where delivery_id = $1 and external_id is not null"
        assert (
            await until(lambda: self.stage.evidence.one(shown, self.delivery_id), "the message is shown") == record.uri
        )
        assert await self.stage.evidence.facts(self.town.id, "delivery.published", self.delivery_id) == 1

    async def is_not_there(self, state: str) -> None:
        """No record, and the row says so."""
        await self.stage.ends_as(self.delivery_id, state)
        assert self.stage.posts_of(self.town) == []

    async def decide(self, resolution: Resolution, link: str | None = None) -> None:
        async with self.town.database.unit_of_work(self.town.coordinator) as uow:
            await conversations.resolve_delivery(uow, delivery_id=self.delivery_id, resolution=resolution, link=link)


async def asked(stage: Stage, proxy: FaultProxy) -> Publishing:
    """A citizen has asked, the account is connected, and the workers have taken it in."""
    name = stage.new_name()
    question = stage.mention(name, "wanneer wordt de lantaarn gemaakt?")
    town = await stage.town(name, proxy.url)
    conversation_id = await stage.conversation_of(town, question.uri)
    return Publishing(stage, proxy, town, f"Morgen, zegt {town.name}.", conversation_id)


# --- the stories ------------------------------------------------------------------------------------------------------


async def a_quiet_day(it: Publishing) -> None:
    await it.answer()
    await it.is_published_once(["ACCEPTED"])


async def a_request_that_was_dropped_before_it_was_forwarded(it: Publishing) -> None:
    it.proxy.plan(Rule(Fault.DROP_BEFORE, PUT))
    await it.answer()
    await it.is_published_once(["UNKNOWN", "ACCEPTED"])


async def a_connection_that_was_cut_after_the_post_was_written(it: Publishing) -> None:
    it.proxy.plan(Rule(Fault.CUT_AFTER, PUT))
    await it.answer()
    await it.is_published_once(["UNKNOWN"])


async def an_answer_that_was_cut_in_the_middle(it: Publishing) -> None:
    it.proxy.plan(Rule(Fault.CUT_INSIDE, PUT))
    await it.answer()
    await it.is_published_once(["UNKNOWN"])


async def a_server_error_after_the_post_was_written(it: Publishing) -> None:
    it.proxy.plan(Rule(Fault.FAIL_AFTER, PUT, status=502))
    await it.answer()
    await it.is_published_once(["UNKNOWN"])


async def a_server_that_nobody_can_reach(it: Publishing) -> None:
    async with it.proxy.refusing():
        await it.answer()

        async def refused() -> bool:
            return "NOT_SENT" in await it.outcomes()

        await until(refused, "the connection was refused once")
    await it.stage.ends_as(it.delivery_id, "PUBLISHED")
    assert set(await it.outcomes()) == {"NOT_SENT", "ACCEPTED"}
    await it.is_published_once()


async def a_network_that_asks_to_slow_down(it: Publishing) -> None:
    it.proxy.plan(
        Rule(Fault.ANSWER, PUT, status=429, headers={"retry-after": "3"}, body=b'{"error":"RateLimitExceeded"}')
    )
    await it.answer()
    await it.is_published_once(["NOT_SENT", "ACCEPTED"])
    sql = "select max(at) - min(at) from belfry.delivery_attempt where delivery_id = $1"
    assert (await it.stage.evidence.one(sql, it.delivery_id)).total_seconds() >= 3


async def a_post_that_becomes_visible_late(it: Publishing) -> None:
    unseen = b'{"error":"RecordNotFound","message":"not yet"}'
    it.proxy.plan(Rule(Fault.CUT_AFTER, PUT), Rule(Fault.ANSWER, GET, status=400, body=unseen))
    await it.answer()
    await it.is_published_once(["UNKNOWN", "ACCEPTED"])
    assert it.proxy.forwarded(PUT) == 2, "the same bytes on the same key are the same post"


async def a_network_that_alters_the_text(it: Publishing) -> None:
    it.text = f"{LOUD}, {it.text}"
    await it.answer()
    await it.is_published_once(["ACCEPTED"], text=it.text.upper())


async def a_network_that_alters_the_text_and_does_not_answer(it: Publishing) -> None:
    it.text = f"{LOUD}, {it.text}"
    it.proxy.plan(Rule(Fault.CUT_AFTER, PUT))
    await it.answer()
    await it.stage.ends_as(it.delivery_id, "NEEDS_DECISION")
    (record,) = it.stage.posts_of(it.town)
    await it.decide(Resolution.IT_IS_THERE, "https://bsky.example/1")
    await it.stage.ends_as(it.delivery_id, "PUBLISHED")
    assert it.stage.posts_of(it.town) == [record]
    assert it.proxy.forwarded(PUT) == 1


async def a_refusal_of_the_content(it: Publishing) -> None:
    it.proxy.plan(Rule(Fault.ANSWER, PUT, status=400, body=b'{"error":"InvalidRequest"}'))
    await it.answer()
    await it.is_not_there("FAILED")
    assert await it.outcomes() == ["REFUSED"]


async def a_token_that_is_dead_before_the_first_byte(it: Publishing) -> None:
    it.proxy.plan(Rule(Fault.ANSWER, "xrpc/app.bsky", status=503, times=1_000))  # the poll must not find it out first
    it.stage.fake.network.revoke(it.town.name)
    await it.answer()
    await it.is_not_there("FAILED")
    connection = "select connection from belfry.social_account where id = $1"
    assert await it.stage.evidence.one(connection, it.town.account_id) == "REVOKED"
    assert await it.stage.evidence.facts(it.town.id, "social_account.revoked") == 1


async def a_token_that_dies_after_the_post_was_written(it: Publishing) -> None:
    it.proxy.plan(Rule(Fault.CUT_AFTER, PUT))
    await it.answer()
    await until(lambda: wrote(it), "the post is written")
    it.stage.fake.network.revoke(it.town.name)
    await it.is_published_once(["UNKNOWN"])


async def wrote(it: Publishing) -> bool:
    return it.stage.writes_of(it.town) == 1


async def a_token_that_dies_while_nobody_knows_whether_the_post_is_there(it: Publishing) -> None:
    it.proxy.plan(Rule(Fault.DROP_BEFORE, PUT))
    await it.answer()

    async def dropped() -> bool:
        return it.proxy.counts[Fault.DROP_BEFORE] == 1

    await until(dropped, "the request was dropped")
    it.stage.fake.network.revoke(it.town.name)
    await it.is_not_there("NEEDS_DECISION")
    await it.decide(Resolution.CANCEL)
    await it.is_not_there("CANCELLED")


async def a_deletion_that_the_network_shows_while_nobody_knows(it: Publishing) -> None:
    it.proxy.plan(Rule(Fault.CUT_AFTER, PUT), Rule(Fault.ANSWER, GET, status=503, times=1_000))
    await it.answer()
    await until(lambda: wrote(it), "the post is written")
    (record,) = it.stage.posts_of(it.town)
    it.stage.fake.network.delete(record)
    body = b'{"source":"gone","own":"%s","observedAt":"%s","known":"%s","item":{"uri":"%s","cid":"%s"}}' % tuple(
        value.encode() for value in (record.repo, utc_now().isoformat(), record.cid, record.uri, record.cid)
    )
    gone = RawEvent(str(it.town.account_id), "delete", record.uri, record.cid, utc_now(), body)
    async with it.town.database.unit_of_work(it.town.system) as uow:
        await social_accounts.receive(uow, account_id=it.town.account_id, events=[gone])
    await it.is_not_there("NEEDS_DECISION")
    # The looks that were planned come and go; what was deleted is not published again.
    await asyncio.sleep(sum(it.stage.runtime.settings.verify_seconds[-1:]) + 1)
    await it.is_not_there("NEEDS_DECISION")
    assert it.proxy.forwarded(PUT) == 1


STORIES: tuple[Callable[[Publishing], Awaitable[None]], ...] = (
    a_quiet_day,
    a_request_that_was_dropped_before_it_was_forwarded,
    a_connection_that_was_cut_after_the_post_was_written,
    an_answer_that_was_cut_in_the_middle,
    a_server_error_after_the_post_was_written,
    a_server_that_nobody_can_reach,
    a_network_that_asks_to_slow_down,
    a_post_that_becomes_visible_late,
    a_network_that_alters_the_text,
    a_network_that_alters_the_text_and_does_not_answer,
    a_refusal_of_the_content,
    a_token_that_is_dead_before_the_first_byte,
    a_token_that_dies_after_the_post_was_written,
    a_token_that_dies_while_nobody_knows_whether_the_post_is_there,
    a_deletion_that_the_network_shows_while_nobody_knows,
)


# --- the kill ---------------------------------------------------------------------------------------------------------


async def kill_around_the_call(stage: Stage, recording: Publishing, sending: Publishing) -> None:
    """One kill -9 hits two sends: one whose post is written but not recorded, one whose request is still on its way."""
    recording.proxy.plan(Rule(Fault.DELAY, PUT, seconds=1))
    sending.proxy.plan(Rule(Fault.DELAY, PUT, seconds=4))  # the proxy forwards it after the death of whoever sent it
    await sending.answer()
    await recording.answer()

    async def on_their_way() -> bool:
        return recording.proxy.counts[Fault.DELAY] == sending.proxy.counts[Fault.DELAY] == 1

    await until(on_their_way, "both requests are on their way")
    row = "select 1 from belfry.delivery where id = $1 for update"
    async with stage.evidence.holding(row, recording.delivery_id) as holder:

        async def records_the_outcome() -> bool:
            return stage.writes_of(recording.town) == 1 and await stage.is_blocked_by(holder) > 0

        await until(records_the_outcome, "the worker is about to record the outcome")
        stage.crew.kill("all")
    assert await stage.state_of(recording.delivery_id) == await stage.state_of(sending.delivery_id) == "PUBLISHING"
    assert stage.writes_of(sending.town) == 0
    stage.crew.start("all")


# --- running them -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def stage(servers: Servers) -> AsyncIterator[Stage]:
    async with open_stage(servers, proxies=len(STORIES) + 2, poll_seconds=30) as opened:
        shouting = Trouble(PUT, alter=lambda text: text.upper() if LOUD in text else text, times=1_000_000)
        opened.fake.trouble(shouting)
        opened.crew.start("all", "relay")
        yield opened


@pytest.fixture(scope="module")
async def running(stage: Stage) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    """Every story as a task, by its name."""
    *proxies, one, other = stage.proxies
    recording, sending = await asked(stage, one), await asked(stage, other)
    await kill_around_the_call(stage, recording, sending)

    async def told(story: Callable[[Publishing], Awaitable[None]], proxy: FaultProxy) -> None:
        await story(await asked(stage, proxy))

    tasks = {
        "recording": asyncio.create_task(recording.is_published_once(["UNKNOWN"])),
        "sending": asyncio.create_task(sending.is_published_once(["UNKNOWN"])),
        **{
            story.__name__: asyncio.create_task(told(story, proxy))
            for story, proxy in zip(STORIES, proxies, strict=True)
        },
    }
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("story", [story.__name__ for story in STORIES])
async def test_p7_however_it_goes_it_is_there_at_most_once_and_the_state_is_honest(
    running: Mapping[str, asyncio.Task[None]], story: str
) -> None:
    await running[story]


async def test_p7_a_worker_killed_after_the_post_and_before_its_record_publishes_once(
    running: Mapping[str, asyncio.Task[None]],
) -> None:
    await running["recording"]


async def test_p7_a_request_that_outlives_its_killed_worker_publishes_once(
    running: Mapping[str, asyncio.Task[None]],
) -> None:
    await running["sending"]
