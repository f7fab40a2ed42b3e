# SPDX-License-Identifier: EUPL-1.2
"""Acts on webhooks: endpoints and their secrets, what is told to them, and how each attempt ended."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, text, update
from sqlmodel import col

from services.identity import queries as identity
from services.integrations import queries, rules
from services.integrations.events import (
    WebhookDeliveryReplayed,
    WebhookEndpointCreated,
    WebhookEndpointDeleted,
    WebhookEndpointDisabled,
    WebhookEndpointTested,
    WebhookEndpointUpdated,
    WebhookSecretRotated,
)
from services.integrations.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookSecret
from services.integrations.rules import DisabledReason, EndpointState, WebhookState
from services.kernel import jobs, outbox
from services.kernel.access import Permission
from services.kernel.addresses import UrlRefused, address_refusal, literal_address, target_of
from services.kernel.database import UnitOfWork
from services.kernel.encryption import Vault
from services.kernel.errors import Invalid, Required

FOLLOW = "webhooks.follow"
DELIVER = "webhooks.deliver"
FORGET = "webhooks.forget"

ANNOUNCE = text(
    """
    insert into belfry.webhook_delivery
        (tenant_id, webhook_endpoint_id, event_id, event_type, payload, occurred_at, state, attempts, due_at)
    select :tenant, told.endpoint, told.event, told.type, told.body, told.at, 'WAITING', 0, now()
    from unnest(cast(:endpoints as uuid[]), cast(:events as uuid[]), cast(:types as text[]), cast(:bodies as bytea[]),
                cast(:instants as timestamptz[])) as told (endpoint, event, type, body, at)
    on conflict (tenant_id, webhook_endpoint_id, event_id) do nothing
    returning webhook_endpoint_id
    """
)
RECORD = text(
    """
    update belfry.webhook_delivery set
        state = ended.state, attempts = attempts + 1, due_at = coalesce(ended.due_at, webhook_delivery.due_at),
        delivered_at = case when ended.state = 'DELIVERED' then now() end, status = ended.status, error = ended.error
    from unnest(cast(:ids as uuid[]), cast(:states as text[]), cast(:dues as timestamptz[]), cast(:statuses as int[]),
                cast(:errors as text[])) as ended (id, state, due_at, status, error)
    where webhook_delivery.tenant_id = :tenant and webhook_delivery.id = ended.id
    """
)


class EndpointChanges(TypedDict, total=False):
    """What of an endpoint shall change; what is not there stays."""

    url: str
    description: str
    event_types: list[str]
    enabled: bool


@dataclass(frozen=True, slots=True)
class Message:
    """One event for one endpoint."""

    endpoint_id: UUID
    event_id: UUID
    event_type: str
    body: bytes
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call ended: a status, or why there is none."""

    delivery: WebhookDelivery
    milliseconds: int
    status: int | None = None
    error: str | None = None
    retry_after: timedelta | None = None

    @property
    def is_taken(self) -> bool:
        return rules.is_taken(self.status)


async def create_endpoint(
    uow: UnitOfWork,
    vault: Vault,
    *,
    api_client_id: UUID,
    url: str,
    description: str,
    event_types: Sequence[str],
    allowed: frozenset[str],
) -> tuple[WebhookEndpoint, str]:
    """Tell an address of what happens from now on. Returns the endpoint and its secret, which nobody can read again."""
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    if api_client_id not in await identity.scopes_of(uow, [api_client_id]):
        raise rules.ApiClientIsUnknown(field=("apiClientId",))
    rules.check_number_of_endpoints(await queries.number_of_endpoints(uow))
    endpoint = WebhookEndpoint(
        tenant_id=uow.tenant_id,
        api_client_id=api_client_id,
        url=_checked_url(url, allowed),
        description=description.strip(),
        event_types=rules.check_event_types(event_types, queries.EVENT_TYPES),
        position=await outbox.head_of(uow),
    )
    uow.add(endpoint)
    secret = _add_secret(uow, vault, endpoint.id)
    await jobs.schedule(uow, FOLLOW, uow.tenant_id)
    await jobs.schedule(uow, FORGET, uow.tenant_id)
    uow.emit(
        WebhookEndpointCreated(
            webhook_endpoint_id=endpoint.id, api_client_id=api_client_id, event_types=endpoint.event_types
        )
    )
    return endpoint, secret


async def update_endpoint(
    uow: UnitOfWork,
    *,
    endpoint_id: UUID,
    expected_version: int | None,
    changes: EndpointChanges,
    allowed: frozenset[str],
) -> WebhookEndpoint:
    """Change an endpoint. One that is enabled again is told of what happens from then on, and of what still waited."""
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    endpoint = await queries.endpoint_for_update(uow, endpoint_id)
    endpoint.require_version(expected_version)
    if "url" in changes:
        endpoint.url = _checked_url(changes["url"], allowed)
    if "description" in changes:
        endpoint.description = changes["description"].strip()
    if "event_types" in changes:
        endpoint.event_types = rules.check_event_types(changes["event_types"], queries.EVENT_TYPES)
    if "enabled" in changes:
        await _switch(uow, endpoint, changes["enabled"])
    uow.emit(
        WebhookEndpointUpdated(
            webhook_endpoint_id=endpoint.id,
            event_types=endpoint.event_types,
            enabled=endpoint.state is EndpointState.ENABLED,
        )
    )
    return endpoint


async def delete_endpoint(uow: UnitOfWork, *, endpoint_id: UUID) -> None:
    """Forget an endpoint with its secrets and its log."""
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    await queries.endpoint_for_update(uow, endpoint_id)
    await jobs.cancel(uow, DELIVER, endpoint_id)
    await _delete_deliveries(uow, col(WebhookDelivery.webhook_endpoint_id) == endpoint_id)
    for table, key in (
        (WebhookSecret, col(WebhookSecret.webhook_endpoint_id)),
        (WebhookEndpoint, col(WebhookEndpoint.id)),
    ):
        await uow.write(delete(table).where(col(table.tenant_id) == uow.tenant_id, key == endpoint_id))
    uow.emit(WebhookEndpointDeleted(webhook_endpoint_id=endpoint_id))


async def rotate_secret(uow: UnitOfWork, vault: Vault, *, endpoint_id: UUID) -> str:
    """A new secret; the one before goes on signing beside it for a day, and any older one ends now."""
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    await queries.endpoint_for_update(uow, endpoint_id)
    for place, each in enumerate(await queries.live_secrets(uow, endpoint_id)):
        each.expires_at = uow.now + rules.ROTATION if place == 0 else uow.now
    secret = _add_secret(uow, vault, endpoint_id)
    uow.emit(WebhookSecretRotated(webhook_endpoint_id=endpoint_id))
    return secret


async def replay(uow: UnitOfWork, *, delivery_id: UUID) -> WebhookDelivery:
    """Send a message once more, whatever became of it, under the same id."""
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    delivery = await queries.delivery_for_update(uow, delivery_id)
    await _enabled(uow, delivery.webhook_endpoint_id)
    delivery.state, delivery.attempts, delivery.due_at = WebhookState.WAITING, 0, uow.now
    delivery.delivered_at, delivery.error = None, None
    await jobs.schedule(uow, DELIVER, delivery.webhook_endpoint_id)
    uow.emit(WebhookDeliveryReplayed(webhook_delivery_id=delivery.id, webhook_endpoint_id=delivery.webhook_endpoint_id))
    return delivery


async def send_test(uow: UnitOfWork, *, endpoint_id: UUID) -> WebhookDelivery:
    """Send a message that says nothing happened, whatever types the endpoint asked for."""
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    endpoint = await _enabled(uow, endpoint_id)
    event_id = uow.emit(WebhookEndpointTested(webhook_endpoint_id=endpoint_id))
    delivery = WebhookDelivery(
        tenant_id=uow.tenant_id,
        webhook_endpoint_id=endpoint_id,
        event_id=event_id,
        event_type=rules.TEST_TYPE,
        payload=rules.body_of(rules.TEST_TYPE, endpoint_id, endpoint.version, uow.now),
        occurred_at=uow.now,
        due_at=uow.now,
    )
    uow.add(delivery)
    await jobs.schedule(uow, DELIVER, endpoint_id)
    return delivery


async def announce(uow: UnitOfWork, *, messages: Sequence[Message], positions: Mapping[UUID, int]) -> None:
    """Write down what endpoints are owed, each message once, and how far they have been told."""
    uow.actor.require(Permission.BELFRY_WORK)
    if messages:
        found = await uow.write(
            ANNOUNCE,
            {
                "tenant": uow.tenant_id,
                "endpoints": [each.endpoint_id for each in messages],
                "events": [each.event_id for each in messages],
                "types": [each.event_type for each in messages],
                "bodies": [each.body for each in messages],
                "instants": [each.occurred_at for each in messages],
            },
        )
        for endpoint_id in sorted(set(found.scalars())):
            await jobs.schedule(uow, DELIVER, endpoint_id)
    for position in sorted(set(positions.values())):
        told = [endpoint_id for endpoint_id, each in positions.items() if each == position]
        await uow.write(
            update(WebhookEndpoint)
            .where(
                col(WebhookEndpoint.tenant_id) == uow.tenant_id,
                col(WebhookEndpoint.id).in_(told),
                col(WebhookEndpoint.position) < position,
            )
            .values(position=position)
        )


async def record(
    uow: UnitOfWork, *, endpoint_id: UUID, outcomes: Sequence[Outcome], chance: random.Random
) -> EndpointState:
    """Keep how some calls ended: when each is tried again, and whether the endpoint is given up."""
    uow.actor.require(Permission.BELFRY_WORK)
    waits = [
        None if each.is_taken else rules.next_attempt(each.delivery.attempts + 1, chance, each.retry_after)
        for each in outcomes
    ]
    await uow.write(
        RECORD,
        {
            "tenant": uow.tenant_id,
            "ids": [each.delivery.id for each in outcomes],
            "states": [_state(each, wait).value for each, wait in zip(outcomes, waits, strict=True)],
            "dues": [None if wait is None else uow.now + wait for wait in waits],
            "statuses": [each.status for each in outcomes],
            "errors": [each.error for each in outcomes],
        },
    )
    uow.add(
        *(
            WebhookAttempt(
                tenant_id=uow.tenant_id,
                webhook_delivery_id=each.delivery.id,
                number=each.delivery.attempts + 1,
                milliseconds=each.milliseconds,
                status=each.status,
                error=each.error,
            )
            for each in outcomes
        )
    )
    return await _judge(uow, endpoint_id, outcomes)


async def forget(uow: UnitOfWork) -> None:
    """Drop deliveries that ended long ago, with their attempts, and secrets that sign nothing any more."""
    uow.actor.require(Permission.BELFRY_WORK)
    await _delete_deliveries(
        uow,
        col(WebhookDelivery.state) != WebhookState.WAITING,
        col(WebhookDelivery.created_at) < uow.now - rules.KEPT,
    )
    await uow.write(
        delete(WebhookSecret).where(
            col(WebhookSecret.tenant_id) == uow.tenant_id, col(WebhookSecret.expires_at) < uow.now
        )
    )


async def _delete_deliveries(uow: UnitOfWork, *which: ColumnElement[bool]) -> None:
    tenant = col(WebhookDelivery.tenant_id) == uow.tenant_id
    ids = select(col(WebhookDelivery.id)).where(tenant, *which)
    await uow.write(
        delete(WebhookAttempt).where(
            col(WebhookAttempt.tenant_id) == uow.tenant_id, col(WebhookAttempt.webhook_delivery_id).in_(ids)
        )
    )
    await uow.write(delete(WebhookDelivery).where(tenant, *which))


async def _judge(uow: UnitOfWork, endpoint_id: UUID, outcomes: Sequence[Outcome]) -> EndpointState:
    endpoint = await queries.endpoint_for_update(uow, endpoint_id)
    failures = rules.failures_after(endpoint.failures, [each.status for each in outcomes])
    failing_since = None if any(each.is_taken for each in outcomes) else endpoint.failing_since or uow.now
    # Not through the row: nobody edited it, so its version stays.
    await uow.write(
        update(WebhookEndpoint)
        .where(col(WebhookEndpoint.tenant_id) == uow.tenant_id, col(WebhookEndpoint.id) == endpoint_id)
        .values(failing_since=failing_since, failures=failures)
    )
    reason = None
    if any(rules.is_gone(each.status) for each in outcomes):
        reason = DisabledReason.GONE
    elif rules.is_given_up(failing_since, uow.now):
        reason = DisabledReason.FAILING
    if reason is not None and endpoint.state is EndpointState.ENABLED:
        endpoint.state, endpoint.disabled_reason = EndpointState.DISABLED, reason
        uow.emit(WebhookEndpointDisabled(webhook_endpoint_id=endpoint_id, reason=reason))
    return endpoint.state


def _state(outcome: Outcome, wait: timedelta | None) -> WebhookState:
    if outcome.is_taken:
        return WebhookState.DELIVERED
    return WebhookState.FAILED if wait is None else WebhookState.WAITING


async def _switch(uow: UnitOfWork, endpoint: WebhookEndpoint, enabled: bool) -> None:
    if enabled and endpoint.state is EndpointState.DISABLED:
        endpoint.state, endpoint.disabled_reason = EndpointState.ENABLED, None
        endpoint.failing_since, endpoint.failures = None, 0
        endpoint.position = await outbox.head_of(uow)
        await jobs.schedule(uow, FOLLOW, uow.tenant_id)
        await jobs.schedule(uow, DELIVER, endpoint.id)
    elif not enabled and endpoint.state is EndpointState.ENABLED:
        endpoint.state, endpoint.disabled_reason = EndpointState.DISABLED, DisabledReason.BY_PERSON


async def _enabled(uow: UnitOfWork, endpoint_id: UUID) -> WebhookEndpoint:
    endpoint = await queries.endpoint_for_update(uow, endpoint_id)
    if endpoint.state is not EndpointState.ENABLED:
        raise rules.EndpointIsDisabled
    return endpoint


def _add_secret(uow: UnitOfWork, vault: Vault, endpoint_id: UUID) -> str:
    secret = rules.new_secret()
    row = WebhookSecret(tenant_id=uow.tenant_id, webhook_endpoint_id=endpoint_id, key_id="", nonce=b"", ciphertext=b"")
    sealed = vault.seal(secret.encode(), queries.place_of(row))
    row.key_id, row.nonce, row.ciphertext = sealed.key_id, sealed.nonce, sealed.ciphertext
    uow.add(row)
    return secret


def _checked_url(url: str, allowed: frozenset[str]) -> str:
    """An address that may be called at all; its name is looked up at each call, and its addresses are judged then."""
    url = url.strip()
    if not url:
        raise Required(field=("url",))
    try:
        target = target_of(url, (), allowed)
    except UrlRefused as error:
        raise Invalid("Give a public https address with a full domain name.", field=("url",)) from error
    is_private = literal_address(target.host) is not None and address_refusal(target.host) is not None
    if is_private and not target.listed:
        raise Invalid("Give a public https address with a full domain name.", field=("url",))
    return url
