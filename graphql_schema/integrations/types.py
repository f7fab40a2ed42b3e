# SPDX-License-Identifier: EUPL-1.2
"""Webhooks and exports as clients see them. What signs or opens them is shown once, when it is made."""

from datetime import datetime

from sqlalchemy import Text, func
from sqlmodel import col

from graphql_schema.connections import Connection
from graphql_schema.identity.types import ApiClient
from graphql_schema.nodes import Node
from graphql_schema.reading.mapping import column, connection, never_null, readable, to_one, typed, vocabulary
from graphql_schema.scalars import Url
from services.integrations import models
from services.integrations.queries import EXPORT_IS_OWN
from services.integrations.rules import (
    DisabledReason,
    EndpointState,
    ExportFailure,
    ExportKind,
    ExportState,
    WebhookState,
)
from services.kernel.access import Permission
from services.tenancy.queries import TENANT_WIDE

E, D, A, X = models.WebhookEndpoint, models.WebhookDelivery, models.WebhookAttempt, models.Export

vocabulary(
    EndpointState,
    "Whether an endpoint is told of events.",
    name="WebhookEndpointState",
    ENABLED="It is told of what happens.",
    DISABLED="It is told of nothing; what waited for it waits on.",
)
vocabulary(
    DisabledReason,
    "Why an endpoint is disabled.",
    name="WebhookDisabledReason",
    BY_PERSON="Somebody disabled it.",
    GONE="It answered 410: never call again.",
    FAILING="It took nothing for five days.",
)
vocabulary(
    WebhookState,
    "Where a message for an endpoint stands.",
    name="WebhookDeliveryState",
    WAITING="It is or will be sent; see dueAt.",
    DELIVERED="The endpoint took it, with a status of 200 to 299.",
    FAILED="It was tried ten times over three days; it can be replayed.",
)
vocabulary(
    ExportKind,
    "What can be taken out. Values are added over time.",
    CONVERSATIONS="Each conversation with its messages, waiting segments and closings. Needs conversations:read.",
    CONTACTS="The citizens behind visible conversations. Needs conversations:read.",
    SOCIAL_ACCOUNTS="The register of accounts. Needs social_accounts:read.",
)
vocabulary(
    ExportState,
    "Where an export stands.",
    QUEUED="It waits for its turn.",
    RUNNING="It is being written; see lines.",
    READY="It can be fetched, until expiresAt.",
    FAILED="It was given up; see failure.",
    EXPIRED="Its time is over, and nothing of it is kept.",
)
vocabulary(
    ExportFailure,
    "Why an export was given up.",
    RIGHTS_ENDED="Whoever asked for it may not read such things any more.",
    TOO_LARGE="More than a million lines or 512 MiB; ask for a shorter period.",
    BROKEN="A defect of Belfry's; the installation's log has it.",
)


@readable(
    E,
    tag="WE",
    visible=TENANT_WIDE,
    permission=Permission.INTEGRATION_MANAGE,
    filter_by=(E.api_client_id, E.state),
    order_by=(E.created_at,),
)
class WebhookEndpoint(Node):
    """An address that is told of what happens, as far as its API client may see it. By Standard Webhooks."""

    client: ApiClient = to_one(E.api_client_id, "The machine whose scopes decide what it is told of.")
    url: Url = column(typed(Url, E.url), "Where it is called.")
    description: str = column(E.description, "What colleagues call it.")
    event_types: list[str] = column(E.event_types, "What it is told of, `conversation.opened`; empty for everything.")
    state: EndpointState = column(E.state, "Whether it is told of events.")
    disabled_reason: DisabledReason | None = column(E.disabled_reason, "Why it is disabled, when it is.")
    failing_since: datetime | None = column(E.failing_since, "Since when it has taken nothing; null when all is well.")
    deliveries: Connection["WebhookDelivery"] = connection(
        D.webhook_endpoint_id, "What was and will be sent to it, the newest first.", newest_first=D.created_at
    )
    created_at: datetime = column(E.created_at, "When it was set up.")
    version: int = column(E.version, "Rises with every change; send it back as expectedVersion.")


@readable(
    D,
    tag="WD",
    visible=TENANT_WIDE,
    permission=Permission.INTEGRATION_MANAGE,
    filter_by=(D.state,),
    order_by=(D.created_at,),
)
class WebhookDelivery(Node):
    """One message for one endpoint. Kept for 30 days after it has ended."""

    endpoint: WebhookEndpoint = to_one(D.webhook_endpoint_id, "Whom it is for.")
    event_type: str = column(D.event_type, "What it tells of, `conversation.opened`.")
    body: str = column(
        never_null(func.convert_from(col(D.payload), "UTF8", type_=Text)), "The JSON that is sent, byte for byte."
    )
    state: WebhookState = column(D.state, "Where it stands.")
    attempts: int = column(D.attempts, "How often it was sent since it was written or replayed.")
    due_at: datetime = column(D.due_at, "When it is sent next, while it waits.")
    delivered_at: datetime | None = column(D.delivered_at, "When it was taken.")
    status: int | None = column(D.status, "The HTTP status of the last answer; null when there was none.")
    error: str | None = column(D.error, "Why the last attempt had no answer, `TIMED_OUT`; null when it had one.")
    log: Connection["WebhookAttempt"] = connection(
        A.webhook_delivery_id, "Each time it was sent, the first first.", oldest_first=A.created_at
    )
    occurred_at: datetime = column(D.occurred_at, "When what it tells of happened.")
    created_at: datetime = column(D.created_at, "When it was written.")


@readable(A, tag="WA", visible=TENANT_WIDE, permission=Permission.INTEGRATION_MANAGE, order_by=(A.created_at,))
class WebhookAttempt(Node):
    """One call of an endpoint. Nothing of its answer is kept but the status."""

    delivery: WebhookDelivery = to_one(A.webhook_delivery_id, "What was sent.")
    number: int = column(A.number, "Which attempt it was, from 1; a replay begins anew.")
    milliseconds: int = column(A.milliseconds, "How long it took, in milliseconds.")
    status: int | None = column(A.status, "The HTTP status of the answer; null when there was none.")
    error: str | None = column(A.error, "Why there was no answer, `TIMED_OUT`; null when there was one.")
    created_at: datetime = column(A.created_at, "When it ended.")


@readable(
    X,
    tag="EX",
    visible=EXPORT_IS_OWN,
    permission=Permission.EXPORT_READ,
    filter_by=(X.kind, X.state),
    order_by=(X.created_at,),
)
class Export(Node):
    """Data that the caller takes out, as lines of JSON: what the caller may read. Nobody else sees it."""

    kind: ExportKind = column(X.kind, "What is taken out.")
    since: datetime | None = column(X.since, "From when on; null for the beginning.")
    until: datetime = column(X.until, "Up to when, this instant included; at the latest when it was asked for.")
    state: ExportState = column(X.state, "Where it stands.")
    failure: ExportFailure | None = column(X.failure, "Why it was given up; null unless FAILED.")
    lines: int = column(X.lines, "How many lines are written by now; each is one row.")
    bytes: int = column(X.size, "How many bytes they have.")
    ready_at: datetime | None = column(X.ready_at, "When it was ready.")
    expires_at: datetime | None = column(X.expires_at, "When it is dropped, a week after it was ready.")
    created_at: datetime = column(X.created_at, "When it was asked for.")
    version: int = column(X.version, "Rises with every change.")
