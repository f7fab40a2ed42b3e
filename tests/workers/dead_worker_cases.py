# SPDX-License-Identifier: EUPL-1.2
"""For every kind of job and every handler of a fact: how it comes to be due, where it is held, and what it must do.

Each case has an organization of its own. `prepare` brings it to the point where only the worker is missing and takes a
lock, or plans a slow answer, that holds the work inside; `done` and `check` look at the rows afterwards.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from services.assignments import handlers as assignments
from services.assignments.commands import LAPSE
from services.conversations import commands as conversations
from services.conversations import handlers as conversation_handlers
from services.conversations.commands import NO_RESPONSE
from services.conversations.rules import Outcome, ReplyPurpose
from services.deliveries import commands as deliveries
from services.deliveries.commands import SEND, VERIFY
from services.kernel import identifiers, inbox
from services.social_accounts.commands import DRAIN, MEASURE, POLL
from services.tenancy.commands import TIDY
from tests.support.fault_proxy import Fault, FaultProxy, Rule
from tests.workers.stage import Stage
from tests.workers.towns import Town
from workers.subscriptions import SUBSCRIPTIONS, Handler

HELD_SECONDS = 8.0
"""How long the proxy keeps a request: longer than it takes until everything is inside."""

NONE = UUID(int=0)
CONVERSATION = "select 1 from belfry.conversation where id = $1 for update"
PUT, GET = "com.atproto.repo.putRecord", "com.atproto.repo.getRecord"


def name_of(handler: Handler) -> str:
    return f"{handler.__module__}.{handler.__qualname__}"


HANDLERS = tuple(name_of(handler) for handlers in SUBSCRIPTIONS.values() for handler in handlers)


@dataclass
class Case:
    """`holder` is the session whose lock holds the work, if it is a lock."""

    stage: Stage
    proxy: FaultProxy
    locks: AsyncExitStack
    town: Town = field(init=False)
    conversation_id: UUID = NONE
    delivery_id: UUID = NONE
    holder: int | None = None

    async def prepare(self) -> None:
        raise AssertionError

    async def is_inside(self) -> bool:
        if self.holder is None:
            return self.proxy.counts[Fault.DELAY] > 0
        return await self.stage.is_blocked_by(self.holder) > 0

    async def done(self) -> bool:
        raise AssertionError

    async def check(self) -> None:
        """The effects are there exactly once."""
        raise AssertionError

    async def hold(self, sql: str, *values: object) -> None:
        self.holder = await self.locks.enter_async_context(self.stage.evidence.holding(sql, *values))

    async def one(self, sql: str, *values: object) -> object:
        return await self.stage.evidence.one(sql, *values)

    async def facts(self, kind: str) -> int:
        return await self.stage.evidence.facts(self.town.id, kind)

    async def jobs(self, kind: str) -> int:
        return await self.stage.evidence.one(
            "select count(*) from belfry.job where tenant_id = $1 and kind = $2", self.town.id, kind
        )

    async def asked_by_form(self) -> None:
        """A citizen has asked through the form, and it is taken in."""
        self.town = await self.stage.town_with_form()
        await self.town.submit("Waarom is het zwembad dicht?")
        await self.stage.work(DRAIN, self.town.account_id)
        found = await self.stage.evidence.one("select id from belfry.conversation where tenant_id = $1", self.town.id)
        self.conversation_id = found

    async def asked_on_the_network(self) -> None:
        """A citizen has asked on the network, and it is taken in."""
        name = self.stage.new_name()
        self.stage.mention(name, "waarom is het zwembad dicht?")
        self.town = await self.stage.town(name, self.proxy.url)
        await self.stage.work(POLL, self.town.account_id)
        await self.stage.work(DRAIN, self.town.account_id)
        found = await self.stage.evidence.one("select id from belfry.conversation where tenant_id = $1", self.town.id)
        self.conversation_id = found

    async def answered(self, purpose: ReplyPurpose = ReplyPurpose.ANSWER) -> None:
        """A colleague has answered; the delivery waits."""
        self.delivery_id = await self.town.answer(self.conversation_id, "Het gaat morgen open.", purpose=purpose)

    async def due(self, kind: str, subject_id: UUID) -> None:
        """The job is due now, whenever it was planned."""
        sql = "update belfry.job set due_at = now() where kind = $1 and subject_id = $2 returning 1"
        assert await self.stage.evidence.one(sql, kind, subject_id) == 1

    async def later(self, kind: str) -> None:
        """The job stays out of the way."""
        await self.stage.evidence.rows(
            "update belfry.job set due_at = now() + interval '1 hour' where tenant_id = $1 and kind = $2",
            self.town.id,
            kind,
        )

    async def is_published_once(self) -> None:
        assert await self.facts("delivery.published") == 1
        assert len(self.stage.posts_of(self.town)) == self.stage.writes_of(self.town) == 1
        assert await self.jobs(SEND) == await self.jobs(VERIFY) == 0


class Drain(Case):
    async def prepare(self) -> None:
        self.town = await self.stage.town_with_form()
        for number in range(3):
            await self.town.submit(f"Vraag {number}")
        await self.hold("select 1 from belfry.audit_head where tenant_id = $1 for update", self.town.id)

    async def done(self) -> bool:
        sql = "select count(*) = 3 from belfry.raw_event where tenant_id = $1 and state = 'DONE'"
        return bool(await self.one(sql, self.town.id))

    async def check(self) -> None:
        assert await self.one("select count(*) from belfry.message where tenant_id = $1", self.town.id) == 3
        for kind in ("conversation.opened", "conversation.message_received", "conversation.routed"):
            assert await self.facts(kind) == 3
        assert await self.jobs(DRAIN) == 0


class Send(Case):
    async def prepare(self) -> None:
        await self.asked_on_the_network()
        await self.answered()
        await self.later(POLL)
        self.proxy.plan(Rule(Fault.DELAY, PUT, seconds=HELD_SECONDS))

    async def done(self) -> bool:
        return await self.stage.state_of(self.delivery_id) == "PUBLISHED"

    async def check(self) -> None:
        await self.is_published_once()
        assert await self.stage.evidence.outcomes(self.delivery_id) == ["UNKNOWN"]


class Verify(Case):
    async def prepare(self) -> None:
        await self.asked_on_the_network()
        await self.answered()
        await self.later(POLL)
        self.proxy.plan(Rule(Fault.CUT_AFTER, PUT), Rule(Fault.DELAY, GET, seconds=HELD_SECONDS))
        await self.stage.work(SEND, self.delivery_id)
        assert await self.stage.state_of(self.delivery_id) == "UNCONFIRMED"
        await self.due(VERIFY, self.delivery_id)

    async def done(self) -> bool:
        return await self.stage.state_of(self.delivery_id) == "PUBLISHED"

    async def check(self) -> None:
        await self.is_published_once()
        assert await self.stage.evidence.outcomes(self.delivery_id) == ["UNKNOWN"]


class Lapse(Case):
    async def prepare(self) -> None:
        await self.asked_by_form()
        await self.town.claim(self.conversation_id)
        ended = "update belfry.conversation set lease_until = now() - interval '1 second' where id = $1"
        await self.stage.evidence.rows(ended, self.conversation_id)
        await self.due(LAPSE, self.conversation_id)
        await self.hold(CONVERSATION, self.conversation_id)

    async def done(self) -> bool:
        sql = "select state = 'LAPSED' from belfry.claim where conversation_id = $1"
        return bool(await self.one(sql, self.conversation_id))

    async def check(self) -> None:
        assert await self.facts("conversation.claim_lapsed") == 1
        assert await self.one("select holder_id from belfry.conversation where id = $1", self.conversation_id) is None
        assert await self.jobs(LAPSE) == 0


class NoResponse(Case):
    async def prepare(self) -> None:
        await self.asked_by_form()
        await self.answered(ReplyPurpose.CLARIFYING_QUESTION)
        await self.stage.work(SEND, self.delivery_id)
        for kind in ("delivery.published", "conversation.segment_ended"):
            await self.stage.deliver(self.town.id, kind)
        passed = "update belfry.conversation set next_contact_due_at = now() - interval '1 second' where id = $1"
        await self.stage.evidence.rows(passed, self.conversation_id)
        await self.due(NO_RESPONSE, self.conversation_id)
        await self.hold(CONVERSATION, self.conversation_id)

    async def done(self) -> bool:
        return (
            await self.one("select outcome from belfry.conversation where id = $1", self.conversation_id)
            == "NO_RESPONSE"
        )

    async def check(self) -> None:
        assert await self.facts("conversation.closed") == 1
        closings = "select count(*) from belfry.closing where conversation_id = $1"
        assert await self.one(closings, self.conversation_id) == 1
        assert await self.jobs(NO_RESPONSE) == 0


class Poll(Case):
    async def prepare(self) -> None:
        name = self.stage.new_name()
        for number in range(3):
            self.stage.mention(name, f"vraag {number}")
        self.town = await self.stage.town(name, self.proxy.url)
        await self.later(MEASURE)
        self.proxy.plan(Rule(Fault.DELAY, "listNotifications", seconds=HELD_SECONDS))

    async def done(self) -> bool:
        sql = "select count(*) = 3 from belfry.message where tenant_id = $1"
        return bool(await self.one(sql, self.town.id))

    async def check(self) -> None:
        assert await self.facts("conversation.opened") == await self.facts("conversation.message_received") == 3
        assert await self.one("select count(*) from belfry.raw_event where tenant_id = $1", self.town.id) == 3
        assert await self.jobs(POLL) == 1


class Measure(Case):
    async def prepare(self) -> None:
        await self.asked_on_the_network()
        await self.answered()
        await self.stage.work(SEND, self.delivery_id)
        await self.stage.deliver(self.town.id, "delivery.published")
        (post,) = self.stage.posts_of(self.town)
        self.stage.fake.network.like("citizen", post)
        await self.later(POLL)
        self.proxy.plan(Rule(Fault.DELAY, "getPosts", seconds=HELD_SECONDS))

    async def done(self) -> bool:
        sql = "select like_count = 1 from belfry.message where delivery_id = $1"
        return bool(await self.one(sql, self.delivery_id))

    async def check(self) -> None:
        assert await self.jobs(MEASURE) == 1


class Tidy(Case):
    async def prepare(self) -> None:
        self.town = await self.stage.town_with_form()
        old = """
            insert into belfry.inbox (tenant_id, created_at, event_id, handler)
            values ($1, now() - $2::interval, $3, 'somebody')
        """
        await self.stage.evidence.rows(old, self.town.id, inbox.KEPT + timedelta(hours=1), identifiers.new())
        await self.hold("select 1 from belfry.inbox where tenant_id = $1 for update", self.town.id)

    async def done(self) -> bool:
        return await self.one("select count(*) from belfry.inbox where tenant_id = $1", self.town.id) == 0

    async def check(self) -> None:
        sql = (
            "select count(*) from belfry.job where tenant_id = $1 and kind = $2 and due_at > now() + interval '5 hours'"
        )
        assert await self.one(sql, self.town.id, TIDY) == await self.jobs(TIDY) == 1


class FactCase(Case):
    """A handler of a fact, held by the lock of the conversation it concerns."""

    handled: ClassVar[str]
    """The fact that must be there, once."""

    async def done(self) -> bool:
        sql = "select count(*) = 1 from belfry.outbox where tenant_id = $1 and kind = $2"
        return bool(await self.one(sql, self.town.id, self.handled))

    async def check(self) -> None:
        assert await self.facts(self.handled) == 1
        twice = """
            select count(*) from
                (select 1 from belfry.inbox where tenant_id = $1 group by event_id, handler having count(*) > 1)
        """
        assert await self.one(twice, self.town.id) == 0


class OnDeliveryPublished(FactCase):
    handled = "conversation.reply_published"

    async def prepare(self) -> None:
        await self.asked_by_form()
        await self.answered()
        await self.stage.work(SEND, self.delivery_id)
        await self.hold(CONVERSATION, self.conversation_id)

    async def check(self) -> None:
        await super().check()
        segment = "select outcome from belfry.waiting_segment where conversation_id = $1"
        assert await self.one(segment, self.conversation_id) == "ANSWERED"
        assert await self.facts("conversation.segment_ended") == 1


class OnDeliveryFailed(FactCase):
    handled = "conversation.reply_failed"

    async def prepare(self) -> None:
        await self.asked_by_form()
        await self.answered()
        async with self.town.database.unit_of_work(self.town.system) as uow:
            attempt = await deliveries.begin(uow, delivery_id=self.delivery_id, check_schedule=(1,))
            assert attempt is not None
            await deliveries.record_refused(uow, attempt, "REFUSED")
        await self.hold(CONVERSATION, self.conversation_id)


class OnSegmentEnded(FactCase):
    handled = "conversation.claim_completed"

    async def prepare(self) -> None:
        await self.asked_by_form()
        await self.answered()
        await self.stage.work(SEND, self.delivery_id)
        await self.stage.deliver(self.town.id, "delivery.published")
        await self.hold(CONVERSATION, self.conversation_id)

    async def check(self) -> None:
        await super().check()
        assert await self.one("select state from belfry.claim where tenant_id = $1", self.town.id) == "COMPLETED"
        assert await self.jobs(LAPSE) == 0


class OnConversationClosed(FactCase):
    handled = "conversation.claim_completed"

    async def prepare(self) -> None:
        await self.asked_by_form()
        await self.town.claim(self.conversation_id)
        sql = "select version from belfry.conversation where id = $1"
        version = await self.stage.evidence.one(sql, self.conversation_id)
        async with self.town.database.unit_of_work(self.town.operator) as uow:
            await conversations.close(
                uow,
                conversation_id=self.conversation_id,
                outcome=Outcome.RESOLVED,
                text="Telefonisch opgelost.",
                expected_version=version,
            )
        await self.hold(CONVERSATION, self.conversation_id)


CASES: dict[str, type[Case]] = {
    DRAIN: Drain,
    SEND: Send,
    VERIFY: Verify,
    LAPSE: Lapse,
    NO_RESPONSE: NoResponse,
    POLL: Poll,
    MEASURE: Measure,
    TIDY: Tidy,
    name_of(conversation_handlers.on_delivery_published): OnDeliveryPublished,
    name_of(conversation_handlers.on_delivery_failed): OnDeliveryFailed,
    name_of(assignments.on_segment_ended): OnSegmentEnded,
    name_of(assignments.on_conversation_closed): OnConversationClosed,
}
"""By the kind of job, or the name of the handler."""
