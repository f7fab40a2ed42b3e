# SPDX-License-Identifier: EUPL-1.2
"""Reads of endpoints, their secrets and deliveries, and of exports; which events an API client may be told of."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, any_, func, or_, select
from sqlmodel import col

from services.assignments import events as assignments
from services.conversations import events as conversations
from services.conversations import queries as conversation_queries
from services.identity import events as identity_events
from services.identity import queries as identity
from services.integrations import events, rules
from services.integrations.models import Export, ExportPiece, WebhookDelivery, WebhookEndpoint, WebhookSecret
from services.integrations.rules import LIVE_SECRETS_MAX, EndpointState, ExportKind, WebhookState
from services.kernel.access import Actor, ActorKind, Permission
from services.kernel.database import Snapshot
from services.kernel.encryption import Place, Sealed, Vault
from services.kernel.events import Event
from services.kernel.isolation import ACTOR, owned
from services.kernel.lines import Lines
from services.kernel.outbox import Announced
from services.social_accounts import events as social_accounts
from services.social_accounts import queries as account_queries
from services.tenancy import queries as tenancy
from services.tenancy.rules import OrganizationState

CONVERSATION_EVENTS: Sequence[type[Event]] = (
    conversations.ConversationOpened,
    conversations.ConversationRouted,
    conversations.ConversationCategorized,
    conversations.MessageReceived,
    conversations.MessageChanged,
    conversations.SegmentEnded,
    conversations.ConversationStateChanged,
    conversations.ConversationClosed,
    conversations.ConversationReopened,
    conversations.ReplyAccepted,
    conversations.ReplyPublished,
    conversations.ReplyFailed,
    assignments.ConversationClaimed,
    assignments.ConversationReleased,
    assignments.ConversationTakenOver,
    assignments.ClaimLapsed,
    assignments.ClaimCompleted,
)
ACCOUNT_EVENTS: Sequence[type[Event]] = (
    social_accounts.SocialAccountRegistered,
    social_accounts.SocialAccountConnected,
    social_accounts.SocialAccountRevoked,
)
EXPORT_EVENTS: Sequence[type[Event]] = (
    events.ExportRequested,
    events.ExportStarted,
    events.ExportProgressed,
    events.ExportReady,
    events.ExportFailed,
    events.ExportExpired,
)
EVENT_TYPES: Mapping[str, Permission] = {
    **{event.kind: Permission.CONVERSATION_READ for event in CONVERSATION_EVENTS},
    **{event.kind: Permission.SOCIAL_ACCOUNT_READ for event in ACCOUNT_EVENTS},
    **{event.kind: Permission.EXPORT_READ for event in EXPORT_EVENTS},
    identity_events.DeprecatedUseNoted.kind: Permission.DIRECTORY_READ,  # every client is told of its own
}
"""What endpoints can be told, by the type as it is sent: the kind of the fact. Beside it what its reader may see."""

EXPORTED: Mapping[ExportKind, Lines] = {
    ExportKind.CONVERSATIONS: conversation_queries.CONVERSATION_LINES,
    ExportKind.CONTACTS: conversation_queries.CONTACT_LINES,
    ExportKind.SOCIAL_ACCOUNTS: account_queries.SOCIAL_ACCOUNT_LINES,
}
EXPORT_IS_OWN = or_(
    col(Export.membership_id) == any_(ACTOR.selves),
    col(Export.api_client_id) == any_(ACTOR.selves),
)
"""An export is seen by whoever asked for it, and by nobody else: it holds what they may see."""


@dataclass(frozen=True, slots=True)
class Due:
    """What an endpoint is owed now, and how to sign it."""

    url: str
    failures: int
    keys: Sequence[str]
    deliveries: Sequence[WebhookDelivery]


async def visible_versions(snapshot: Snapshot, facts: Sequence[Announced]) -> dict[UUID, int | None]:
    """Of what some events are about, the rows that the actor may see, with their versions if they have any."""
    found: dict[UUID, int | None] = {}
    for permission, versions in VERSIONS.items():
        about = {each.subject_id for each in facts if EVENT_TYPES[each.kind] is permission}
        if about and snapshot.actor.may(permission):
            found |= await versions(snapshot, about)
    return found


async def _uses(snapshot: Snapshot, use_ids: Collection[UUID]) -> Mapping[UUID, None]:
    return dict.fromkeys(await identity.visible_uses(snapshot, use_ids))


async def _exports(snapshot: Snapshot, export_ids: Collection[UUID]) -> Mapping[UUID, int]:
    found = await snapshot.rows(
        owned(Export, col(Export.id).in_(export_ids), EXPORT_IS_OWN).with_only_columns(
            col(Export.id), col(Export.version)
        )
    )
    return {row.id: row.version for row in found}


VERSIONS: Mapping[Permission, Callable[[Snapshot, Collection[UUID]], Awaitable[Mapping[UUID, int | None]]]] = {
    Permission.CONVERSATION_READ: conversation_queries.visible_versions,
    Permission.SOCIAL_ACCOUNT_READ: account_queries.visible_versions,
    Permission.EXPORT_READ: _exports,
    Permission.DIRECTORY_READ: _uses,
}
"""By what their reader may see: how to find the rows that events are about."""


async def enabled_endpoints(snapshot: Snapshot) -> list[WebhookEndpoint]:
    """Every endpoint that is told of events."""
    return await snapshot.scalars(
        owned(WebhookEndpoint, col(WebhookEndpoint.state) == EndpointState.ENABLED).order_by(col(WebhookEndpoint.id))
    )


async def number_of_endpoints(snapshot: Snapshot) -> int:
    """How many there are, enabled or not."""
    return await snapshot.scalar(owned(WebhookEndpoint).with_only_columns(func.count()))


async def endpoint_for_update(snapshot: Snapshot, endpoint_id: UUID) -> WebhookEndpoint:
    """One endpoint, locked. Raises NotFound."""
    # Not FOR UPDATE: new deliveries share its key and then wait for its job, whose run holds that and waits here.
    locked = owned(WebhookEndpoint, col(WebhookEndpoint.id) == endpoint_id).with_for_update(key_share=True)
    return await snapshot.one(locked)


async def delivery_for_update(snapshot: Snapshot, delivery_id: UUID) -> WebhookDelivery:
    """One delivery, locked. Raises NotFound."""
    locked = owned(WebhookDelivery, col(WebhookDelivery.id) == delivery_id).with_for_update(key_share=True)
    return await snapshot.one(locked)


async def live_secrets(snapshot: Snapshot, endpoint_id: UUID) -> list[WebhookSecret]:
    """What the messages of an endpoint are signed with, the newest first."""
    return await snapshot.scalars(
        owned(
            WebhookSecret,
            col(WebhookSecret.webhook_endpoint_id) == endpoint_id,
            or_(col(WebhookSecret.expires_at).is_(None), col(WebhookSecret.expires_at) > func.now()),
        )
        .order_by(col(WebhookSecret.created_at).desc(), col(WebhookSecret.id).desc())
        .limit(LIVE_SECRETS_MAX)
    )


def place_of(secret: WebhookSecret) -> Place:
    """Where a secret lives: a sealed value opens nowhere else."""
    return Place(secret.tenant_id, "webhook_secret", "ciphertext", secret.id)


async def due(snapshot: Snapshot, vault: Vault, endpoint_id: UUID, *, limit: int) -> Due | None:
    """What is to be sent to an endpoint now, the longest due first; None when it is disabled or gone."""
    endpoint = await snapshot.one_or_none(
        owned(
            WebhookEndpoint,
            col(WebhookEndpoint.id) == endpoint_id,
            col(WebhookEndpoint.state) == EndpointState.ENABLED,
        )
    )
    if endpoint is None:
        return None
    secrets = await live_secrets(snapshot, endpoint_id)
    keys = [vault.open(Sealed(each.key_id, each.nonce, each.ciphertext), place_of(each)).decode() for each in secrets]
    deliveries = await snapshot.scalars(
        owned(WebhookDelivery, *_waiting(endpoint_id), col(WebhookDelivery.due_at) <= func.now())
        .order_by(col(WebhookDelivery.due_at), col(WebhookDelivery.id))
        .limit(limit)
    )
    return Due(endpoint.url, endpoint.failures, keys, deliveries)


async def next_due_at(snapshot: Snapshot, endpoint_id: UUID) -> datetime | None:
    """When an endpoint is to be called next; None when nothing waits."""
    return await snapshot.scalar(
        select(func.min(col(WebhookDelivery.due_at))).where(
            col(WebhookDelivery.tenant_id) == snapshot.tenant_id, *_waiting(endpoint_id)
        )
    )


def _waiting(endpoint_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        col(WebhookDelivery.webhook_endpoint_id) == endpoint_id,
        col(WebhookDelivery.state) == WebhookState.WAITING,
    )


async def own_export(snapshot: Snapshot, export_id: UUID) -> Export:
    """An export that the actor asked for. Raises NotFound."""
    return await snapshot.one(owned(Export, col(Export.id) == export_id, EXPORT_IS_OWN))


async def export_for_update(snapshot: Snapshot, export_id: UUID) -> Export:
    """An export, locked, for Belfry's own work. Raises NotFound."""
    return await snapshot.one(owned(Export, col(Export.id) == export_id).with_for_update(key_share=True))


async def export_to_open(snapshot: Snapshot, export_id: UUID) -> Export | None:
    """An export by the id that a link names."""
    return await snapshot.one_or_none(owned(Export, col(Export.id) == export_id))


async def number_of_exports(snapshot: Snapshot) -> int:
    """How many exports of the actor's own are not over."""
    return await snapshot.scalar(
        owned(Export, EXPORT_IS_OWN, col(Export.state).not_in(rules.OVER)).with_only_columns(func.count())
    )


async def export_piece(snapshot: Snapshot, export_id: UUID, number: int) -> bytes:
    """The bytes of one piece. Raises NotFound."""
    return await snapshot.one(
        owned(
            ExportPiece, col(ExportPiece.export_id) == export_id, col(ExportPiece.number) == number
        ).with_only_columns(col(ExportPiece.content))
    )


async def requester_of(snapshot: Snapshot, row: Export) -> Actor | None:
    """Whoever asked for an export, with what they asked with and still have; None when it opens it no more."""
    if row.membership_id is not None:
        actor = await tenancy.actor_of(snapshot, row.membership_id, rules.read_grants(row.grants))
    else:
        actor = None if row.api_client_id is None else await _client(snapshot, row.api_client_id)
    needed = (Permission.EXPORT_READ, rules.EXPORT_NEEDS[row.kind])
    return actor if actor is not None and all(map(actor.may, needed)) else None


async def _client(snapshot: Snapshot, api_client_id: UUID) -> Actor | None:
    scopes = await identity.scopes_of(snapshot, [api_client_id])
    if api_client_id not in scopes or (await tenancy.organization(snapshot)).state is OrganizationState.SUSPENDED:
        return None
    return Actor(snapshot.tenant_id, kind=ActorKind.API_CLIENT, client_id=api_client_id, scopes=scopes[api_client_id])
