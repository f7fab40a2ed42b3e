# SPDX-License-Identifier: EUPL-1.2
"""Who listens to what: one readable table of facts, and one of work that is due."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.assignments import handlers as assignments
from services.assignments.commands import LAPSE
from services.conversations import handlers as conversations
from services.conversations.commands import NO_RESPONSE
from services.conversations.events import ConversationClosed, SegmentEnded
from services.deliveries import handlers as deliveries
from services.deliveries.commands import SEND, VERIFY
from services.deliveries.events import DeliveryFailed, DeliveryPublished
from services.integrations import handlers as integrations
from services.integrations.commands import DELIVER, EXPIRE, EXPORT, FOLLOW, FORGET
from services.kernel.events import Event, Occurrence
from services.kernel.jobs import Ticket
from services.kernel.runtime import Runtime
from services.social_accounts import handlers as social_accounts
from services.social_accounts.commands import DRAIN, MEASURE, POLL
from services.tenancy import handlers as tenancy
from services.tenancy.commands import TIDY
from workers.queue import Lane

Handler = Callable[[Runtime, Occurrence[Any]], Awaitable[None]]
Worker = Callable[[Runtime, Ticket], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Work:
    """Who does a kind of job, and in which lane."""

    do: Worker
    lane: Lane = Lane.SHORT


SUBSCRIPTIONS: Mapping[type[Event], tuple[Handler, ...]] = {
    DeliveryPublished: (conversations.on_delivery_published,),
    DeliveryFailed: (conversations.on_delivery_failed,),
    SegmentEnded: (assignments.on_segment_ended,),
    ConversationClosed: (assignments.on_conversation_closed,),
}

JOBS: Mapping[str, Work] = {
    DRAIN: Work(conversations.drain),
    SEND: Work(deliveries.send),
    VERIFY: Work(deliveries.verify),
    LAPSE: Work(assignments.lapse),
    NO_RESPONSE: Work(conversations.no_response),
    POLL: Work(social_accounts.poll, Lane.LONG),
    MEASURE: Work(conversations.measure, Lane.LONG),
    TIDY: Work(tenancy.tidy, Lane.LONG),
    FOLLOW: Work(integrations.follow, Lane.LONG),
    DELIVER: Work(integrations.deliver, Lane.OUTWARD),
    FORGET: Work(integrations.forget, Lane.LONG),
    EXPORT: Work(integrations.export, Lane.LONG),
    EXPIRE: Work(integrations.expire, Lane.LONG),
}

FOLLOWERS = (FOLLOW,)
"""Jobs that are due whenever there is a fact, of whatever kind: they keep their own position."""

HEARD = tuple(sorted(event.kind for event in SUBSCRIPTIONS))
"""The kinds of facts that somebody listens to; all others are done when they are recorded."""
