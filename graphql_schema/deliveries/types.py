# SPDX-License-Identifier: EUPL-1.2
"""Deliveries as clients see them: what is on its way to a network, and what came of it."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from graphql_schema.nodes import Node
from graphql_schema.reading.mapping import column, newest, readable, to_one, typed, vocabulary
from graphql_schema.scalars import TimeZone, Url
from graphql_schema.social_accounts.types import SocialAccount
from services.conversations.models import Message as MessageRow
from services.conversations.queries import DELIVERY_IS_VISIBLE
from services.deliveries import models
from services.deliveries.rules import DeliveryKind, DeliveryState, Origin, Resolution, Verification
from services.kernel.access import Permission
from services.social_accounts.rules import OutboundKind

if TYPE_CHECKING:
    from graphql_schema.conversations.types import Message

D, M = models.Delivery, MessageRow

vocabulary(
    Origin,
    "What wanted a delivery.",
    name="DeliveryOrigin",
    REPLY="A reply to a citizen.",
    POST="A post of the organization's own.",
)
vocabulary(
    DeliveryKind,
    "What a delivery does on the network.",
    CREATE="Publishes something new.",
    EDIT="Changes what was published.",
    DELETE="Takes away what was published.",
)
vocabulary(
    DeliveryState,
    "Where a delivery stands. An outcome that is unknown is never repeated blindly.",
    SCHEDULED="Waits for its moment.",
    PUBLISHING="Is being sent.",
    PUBLISHED="The network has it.",
    FAILED="The network refused it, or five attempts were certainly not sent.",
    UNCONFIRMED="Sent, but nobody knows whether it arrived; see verification.",
    SUSPENDED="Held back, because its account may not publish now.",
    CANCELLED="Will not be sent.",
)
vocabulary(
    Verification,
    "What happens to a delivery of unknown outcome.",
    CHECKING="Belfry looks for it on the network.",
    NEEDS_DECISION="Belfry could not tell; a person must look.",
)
vocabulary(
    Resolution,
    "What a person decides about a delivery of unknown outcome.",
    name="DeliveryResolution",
    IT_IS_THERE="It was published; a link shows it.",
    SEND_AGAIN="It was not published; send it again.",
    CANCEL="Do not send it.",
)


@readable(
    D,
    tag="DE",
    visible=DELIVERY_IS_VISIBLE,
    permission=Permission.CONVERSATION_READ,
    filter_by=(D.state, D.social_account_id, D.due_at),
    order_by=(D.due_at,),
)
class Delivery(Node):
    """One item on its way to one account. A reply's delivery is seen by whoever sees its conversation."""

    origin: Origin = column(D.origin, "What wanted it.")
    kind: DeliveryKind = column(D.kind, "What it does on the network.")
    outbound_kind: OutboundKind = column(D.outbound_kind, "How it is counted once published.")
    text: str = column(D.text, "The words that are sent.")
    social_account: SocialAccount | None = to_one(D.social_account_id, "The account that publishes it.")
    message: Annotated["Message", strawberry.lazy("graphql_schema.conversations.types")] | None = newest(
        M.delivery_id, "The message that it carries.", by=M.occurred_at
    )
    due_at: datetime = column(D.due_at, "When it is to be published.")
    zone: TimeZone | None = column(typed(TimeZone, D.zone), "The zone of its chosen moment; null for at once.")
    state: DeliveryState = column(D.state, "Where it stands.")
    verification: Verification | None = column(D.verification, "While UNCONFIRMED: who finds out.")
    attempts: int = column(D.attempts, "How often it was tried.")
    first_sent_at: datetime | None = column(D.first_sent_at, "When its first attempt began to send.")
    sent_at: datetime | None = column(D.sent_at, "When its last attempt began to send.")
    published_at: datetime | None = column(D.published_at, "When the network had it, by its own clock if it tells.")
    permalink: Url | None = column(typed(Url, D.permalink), "Where it can be seen, once published.")
    error: str | None = column(D.error, "What the network said, when it refused.")
    created_at: datetime = column(D.created_at, "When it was wanted.")
    version: int = column(D.version, "Rises with every change; send it back as expectedVersion.")
