# SPDX-License-Identifier: EUPL-1.2
"""What a worker does with a ring: each handler acts once; what fails is tried again, and kept with its reason."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
import structlog
from structlog.typing import EventDict

from services.assignments import commands as assignments
from services.assignments.commands import LAPSE
from services.conversations.commands import NO_RESPONSE, replying
from services.conversations.rules import ReplyPurpose
from services.deliveries import commands as deliveries
from services.deliveries.commands import SEND, VERIFY
from services.integrations import commands as integrations
from services.kernel import identifiers, jobs
from services.kernel.access import Actor
from services.kernel.outbox import ATTEMPTS_MAX
from services.social_accounts import commands as social_accounts
from services.social_accounts.commands import DRAIN, MEASURE, POLL
from services.tenancy import commands as tenancy
from tests.support.fault_proxy import Fault, Rule
from tests.support.processes import until
from tests.support.servers import Servers
from tests.workers.stage import Stage, open_stage
from tests.workers.towns import Town
from workers.deliver import FACT, FACT_BACKOFF_MAX
from workers.queue import Lane
from workers.subscriptions import HEARD, JOBS, SUBSCRIPTIONS

pytestmark = pytest.mark.xdist_group("deliver")  # one installation, one process

CONVERSATION = "select 1 from belfry.conversation where id = $1 for update"
WAITING = "select id from belfry.outbox where tenant_id = $1 and kind = $2 and state = 'WAITING'"


@pytest.fixture(scope="module")
async def stage(servers: Servers) -> AsyncIterator[Stage]:
    async with open_stage(servers, proxies=1) as opened:
        yield opened


@pytest.fixture(autouse=True)
def told() -> Iterator[list[EventDict]]:
    """What was logged."""
    with structlog.testing.capture_logs() as captured:
        yield captured


async def published(stage: Stage) -> tuple[Town, UUID, UUID]:
    """A town, its conversation, and the fact that its answer is published, which nobody has heard yet."""
    town = await stage.town_with_form()
    await town.submit("Waar is het loket?")
    await stage.work(DRAIN, town.account_id)
    conversation_id = await stage.evidence.one("select id from belfry.conversation where tenant_id = $1", town.id)
    await stage.work(SEND, await town.answer(conversation_id, "Op het plein."))
    fact = await stage.evidence.one(WAITING, town.id, "delivery.published")
    return town, conversation_id, fact


async def row_of(stage: Stage, table: str, row_id: UUID) -> dict[str, object]:
    (row,) = await stage.evidence.rows(f"select * from belfry.{table} where id = $1", row_id)
    return dict(row)


# --- the tables -------------------------------------------------------------------------------------------------------


def test_every_job_has_a_worker_and_a_lane_and_every_fact_that_is_heard_has_handlers() -> None:
    for kind, work in JOBS.items():
        assert inspect.iscoroutinefunction(work.do), kind
        assert isinstance(work.lane, Lane)
    assert all(handlers for handlers in SUBSCRIPTIONS.values())
    assert set(HEARD) == {event.kind for event in SUBSCRIPTIONS}


def test_every_kind_of_job_that_the_domains_schedule_is_in_the_table() -> None:
    """A constant that names a job `noun.verb` beside a `jobs.schedule` is a kind; each must have a worker."""
    kinds = {
        value
        for module in (assignments, replying, deliveries, social_accounts, tenancy, integrations)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and "." in value and " " not in value
    }
    assert kinds == set(JOBS)


# --- facts ------------------------------------------------------------------------------------------------------------


async def test_a_fact_that_many_workers_deliver_at_once_acts_once(stage: Stage) -> None:
    town, _, fact = await published(stage)
    await asyncio.gather(*(stage.deliverer.run(FACT, town.id, fact) for _ in range(8)))
    assert (await row_of(stage, "outbox", fact))["state"] in ("DELIVERED", "WAITING")
    await stage.deliverer.run(FACT, town.id, fact)
    assert (await row_of(stage, "outbox", fact))["state"] == "DELIVERED"
    assert await stage.evidence.facts(town.id, "conversation.reply_published") == 1


async def test_a_fact_that_cannot_be_read_dies_with_its_reason_and_holds_up_nobody(stage: Stage) -> None:
    town, _, fact = await published(stage)
    poison = identifiers.new()
    sql = """
        insert into belfry.outbox (tenant_id, id, seq, kind, subject_id, body, occurred_at, due_at, state, attempts)
        values ($1, $2, 1000000, 'delivery.published', $2, '{"nonsense": 1}', now(), now(), 'WAITING', 0)
    """
    await stage.evidence.rows(sql, town.id, poison)
    waits: list[float] = []
    for attempt in range(1, ATTEMPTS_MAX + 1):
        await stage.deliverer.run(FACT, town.id, poison)
        row = await row_of(stage, "outbox", poison)
        assert (row["attempts"], row["lease_until"]) == (attempt, None)
        wait = "select extract(epoch from due_at - now())::float8 from belfry.outbox where id = $1"
        waits.append(await stage.evidence.one(wait, poison))
        if attempt == 1:
            await stage.deliverer.run(FACT, town.id, fact)
            assert (await row_of(stage, "outbox", fact))["state"] == "DELIVERED"
    row = await row_of(stage, "outbox", poison)
    assert (row["state"], row["error"]) == ("DEAD", "ValidationError")
    assert waits[0] < 3
    assert max(waits) <= FACT_BACKOFF_MAX.total_seconds()
    assert max(waits) > 100, "it waits longer and longer"
    await stage.deliverer.run(FACT, town.id, poison)
    assert (await row_of(stage, "outbox", poison))["attempts"] == ATTEMPTS_MAX, "nobody touches a dead letter"


async def test_a_handler_that_finds_its_row_locked_tries_again_later(stage: Stage) -> None:
    town, conversation_id, fact = await published(stage)
    async with stage.evidence.holding(CONVERSATION, conversation_id):
        await stage.deliverer.run(FACT, town.id, fact)
    row = await row_of(stage, "outbox", fact)
    assert (row["state"], row["attempts"], row["error"]) == ("WAITING", 1, "ServiceUnavailable")
    assert await stage.evidence.facts(town.id, "conversation.reply_published") == 0
    await stage.deliverer.run(FACT, town.id, fact)
    row = await row_of(stage, "outbox", fact)
    assert (row["state"], row["error"]) == ("DELIVERED", None)
    assert await stage.evidence.facts(town.id, "conversation.reply_published") == 1


# --- jobs -------------------------------------------------------------------------------------------------------------


async def test_a_kind_that_this_version_does_not_know_is_left_alone_and_told(
    stage: Stage, told: list[EventDict]
) -> None:
    tenant_id = identifiers.new()
    async with stage.runtime.database.unit_of_work(Actor.system(tenant_id)) as uow:
        await jobs.schedule(uow, "tomorrow.kind", tenant_id)
    job_id = await stage.evidence.one("select id from belfry.job where tenant_id = $1", tenant_id)
    before = await row_of(stage, "job", job_id)
    await stage.deliverer.run("tomorrow.kind", tenant_id, job_id)
    assert await row_of(stage, "job", job_id) == before
    assert [(each["event"], each["kind"], each["row_id"]) for each in told] == [
        ("unknown_job", "tomorrow.kind", str(job_id))
    ]


async def test_a_ring_for_a_row_that_is_gone_does_nothing(stage: Stage) -> None:
    for kind in (*JOBS, FACT):
        await stage.deliverer.run(kind, identifiers.new(), identifiers.new())


async def test_a_job_that_always_fails_dies_with_its_reason(stage: Stage) -> None:
    tenant_id, nobody = identifiers.new(), identifiers.new()
    async with stage.runtime.database.unit_of_work(Actor.system(tenant_id)) as uow:
        await jobs.schedule(uow, MEASURE, nobody)
    job_id = await stage.evidence.one("select id from belfry.job where tenant_id = $1", tenant_id)
    for attempt in range(1, jobs.ATTEMPTS_MAX + 1):
        await stage.evidence.rows("update belfry.job set due_at = now() where id = $1", job_id)
        await stage.deliverer.run(MEASURE, tenant_id, job_id)
        row = await row_of(stage, "job", job_id)
        assert (row["attempts"], row["error"], row["lease_until"]) == (attempt, "NotFound", None)
        assert row["state"] == ("DEAD" if attempt == jobs.ATTEMPTS_MAX else "WAITING")


async def test_a_job_that_runs_long_keeps_its_lease(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "RENEW_SECONDS", 0.2)
    async with slow_poll(stage, seconds=2.0) as (town, job_id, running):
        lease = "select lease_until from belfry.job where id = $1"
        first = await stage.evidence.one(lease, job_id)

        async def renewed() -> bool:
            return await stage.evidence.one(lease, job_id) > first

        await until(renewed, "the lease is renewed")
        await running
    assert await stage.evidence.one("select attempts from belfry.job where id = $1", job_id) == 0, "it was postponed"
    assert await stage.evidence.one("select count(*) from belfry.raw_event where tenant_id = $1", town.id) == 1


async def test_a_renewal_that_fails_once_is_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database was busy for a moment: that must not cost the worker its lease."""
    monkeypatch.setattr(jobs, "RENEW_SECONDS", 0.2)
    async with slow_poll(stage, seconds=6.0) as (_, job_id, running):
        async with stage.evidence.holding("select 1 from belfry.job where id = $1 for update", job_id):
            await asyncio.sleep(2.7)  # longer than a session waits for a lock
        lease = "select lease_until from belfry.job where id = $1"
        held = await stage.evidence.one(lease, job_id)

        async def renewed() -> bool:
            return await stage.evidence.one(lease, job_id) > held

        await until(renewed, "the lease is renewed again", seconds=3.0)
        await running


async def test_a_worker_that_lost_its_lease_stops_and_leaves_no_trace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, told: list[EventDict]
) -> None:
    monkeypatch.setattr(jobs, "RENEW_SECONDS", 0.2)
    async with slow_poll(stage, seconds=5.0) as (town, job_id, running):
        await stage.evidence.rows("update belfry.job set fence = fence + 1 where id = $1", job_id)
        await running
    assert "lease_lost" in [each["event"] for each in told]
    assert await stage.evidence.one("select count(*) from belfry.raw_event where tenant_id = $1", town.id) == 0
    row = await row_of(stage, "job", job_id)
    assert row["lease_until"] is not None, "it is somebody else's"


class slow_poll:  # noqa: N801  reads as a statement
    """A poll that the network keeps waiting: gives the town, the job's id and the running work."""

    def __init__(self, stage: Stage, *, seconds: float) -> None:
        self._stage, self._seconds = stage, seconds

    async def __aenter__(self) -> tuple[Town, UUID, asyncio.Task[None]]:
        stage, (proxy,) = self._stage, self._stage.proxies
        name = stage.new_name()
        stage.mention(name, "hallo")
        town = await stage.town(name, proxy.url)
        sql = "select id from belfry.job where kind = $1 and subject_id = $2"
        job_id = await stage.evidence.one(sql, POLL, town.account_id)
        proxy.plan(Rule(Fault.DELAY, "listNotifications", seconds=self._seconds))
        seen = len(proxy.seen)
        self._running = asyncio.create_task(stage.deliverer.run(POLL, town.id, job_id))

        async def waits() -> bool:
            return len(proxy.seen) > seen

        await until(waits, "the network is asked")
        return town, job_id, self._running

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


async def test_credentials_that_cannot_be_opened_send_nothing_and_end_in_sight(stage: Stage) -> None:
    name = stage.new_name()
    question = stage.mention(name, "hallo")
    town = await stage.town(name)
    await stage.work(POLL, town.account_id)
    await stage.work(DRAIN, town.account_id)
    delivery_id = await town.answer(await stage.conversation_of(town, question.uri), "Op het plein.")
    spoiled = "update belfry.account_credential set nonce = '\\x000000000000000000000000' where social_account_id = $1"
    await stage.evidence.rows(spoiled, town.account_id)
    for _ in range(5):
        await stage.evidence.rows("update belfry.job set due_at = now() where subject_id = $1", delivery_id)
        await stage.work(SEND, delivery_id)
    row = await stage.evidence.delivery(delivery_id)
    assert (row["state"], row["error"]) == ("FAILED", "CREDENTIALS_UNREADABLE")
    assert stage.posts_of(town) == []


async def test_an_unknown_outcome_that_nobody_can_look_into_ends_with_a_person(stage: Stage) -> None:
    (proxy,) = stage.proxies
    name = stage.new_name()
    question = stage.mention(name, "hallo")
    town = await stage.town(name, proxy.url)
    await stage.work(POLL, town.account_id)
    await stage.work(DRAIN, town.account_id)
    delivery_id = await town.answer(await stage.conversation_of(town, question.uri), "Op het plein.")
    proxy.plan(Rule(Fault.CUT_AFTER, "putRecord"))
    await stage.work(SEND, delivery_id)
    spoiled = "update belfry.account_credential set nonce = '\\x000000000000000000000000' where social_account_id = $1"
    await stage.evidence.rows(spoiled, town.account_id)
    for _ in stage.runtime.settings.verify_seconds:
        await stage.evidence.rows("update belfry.job set due_at = now() where subject_id = $1", delivery_id)
        await stage.work(VERIFY, delivery_id)
    assert await stage.state_of(delivery_id) == "NEEDS_DECISION"


# --- single jobs that have more than one end --------------------------------------------------------------------------


async def test_a_lease_that_was_renewed_is_looked_at_again_at_its_new_end(stage: Stage, told: list[EventDict]) -> None:
    """An answer on its way keeps the claim for longer; the watcher must not spin, nor take it away."""
    town = await stage.town_with_form()
    await town.submit("Waar is het loket?")
    await stage.work(DRAIN, town.account_id)
    conversation_id = await stage.evidence.one("select id from belfry.conversation where tenant_id = $1", town.id)
    await town.answer(conversation_id, "Op het plein.")
    due = "update belfry.job set due_at = now() where kind = $1 and subject_id = $2"
    await stage.evidence.rows(due, LAPSE, conversation_id)
    await stage.work(LAPSE, conversation_id)
    assert told == []
    sql = """
        select j.due_at - c.lease_until as after, j.lease_until, j.attempts, c.holder_id
        from belfry.job j join belfry.conversation c on c.id = j.subject_id where j.kind = $1 and c.id = $2
    """
    (row,) = await stage.evidence.rows(sql, LAPSE, conversation_id)
    assert row["after"] == timedelta(seconds=1)
    assert (row["lease_until"], row["attempts"]) == (None, 0)
    assert row["holder_id"] is not None


async def test_no_response_does_not_close_what_was_asked_again_later(stage: Stage) -> None:
    """Asked on day 0, answered, asked again on day 10: the citizen has until day 24 and not until day 14."""
    town = await stage.town_with_form()
    thread = await town.submit("Waar is het loket?")
    await stage.work(DRAIN, town.account_id)
    conversation_id = await stage.evidence.one("select id from belfry.conversation where tenant_id = $1", town.id)
    due = "select due_at from belfry.job where kind = $1 and subject_id = $2"

    async def ask_back() -> None:
        delivery_id = await town.answer(conversation_id, "Welk loket?", purpose=ReplyPurpose.CLARIFYING_QUESTION)
        await stage.work(SEND, delivery_id)
        for kind in ("delivery.published", "conversation.segment_ended"):
            await stage.deliver(town.id, kind)

    await ask_back()
    await stage.evidence.rows("update belfry.job set due_at = due_at - interval '10 days' where kind = $1", NO_RESPONSE)
    early = await stage.evidence.one(due, NO_RESPONSE, conversation_id)
    await town.submit("Het loket voor paspoorten.", thread=thread)
    await stage.work(DRAIN, town.account_id)
    await ask_back()
    assert await stage.evidence.one("select state from belfry.conversation where id = $1", conversation_id) == (
        "WAITING_ON_CITIZEN"
    )
    late = await stage.evidence.one(due, NO_RESPONSE, conversation_id)
    assert late - early > timedelta(days=9)


async def test_a_token_that_two_need_at_once_is_not_taken_for_a_dead_one(stage: Stage) -> None:
    """Three sends find the same access token expired at the same moment."""
    (proxy,) = stage.proxies
    name = stage.new_name()
    questions = [stage.mention(name, f"vraag {number}", by=f"citizen{number}") for number in range(3)]
    town = await stage.town(name, proxy.url)
    await stage.work(POLL, town.account_id)
    await stage.work(DRAIN, town.account_id)
    conversations = [await stage.conversation_of(town, question.uri) for question in questions]
    answers = [await town.answer(conversation_id, "Op het plein.") for conversation_id in conversations]
    stage.fake.network.expire_access(name)
    proxy.plan(Rule(Fault.DELAY, "putRecord", seconds=0.5, times=3))
    await asyncio.gather(*(stage.work(SEND, delivery_id) for delivery_id in answers))
    assert [await stage.state_of(delivery_id) for delivery_id in answers] == ["PUBLISHED"] * 3
    connection = "select connection from belfry.social_account where id = $1"
    assert await stage.evidence.one(connection, town.account_id) == "CONNECTED"
