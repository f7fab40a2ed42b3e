# SPDX-License-Identifier: EUPL-1.2
"""What happened to endpoints. Addresses stay in their table: they may hold secrets of their owners."""

from dataclasses import dataclass
from uuid import UUID

from services.integrations.rules import DisabledReason
from services.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class WebhookEndpointCreated(Event, kind="webhook_endpoint.created", subject="webhook_endpoint_id"):
    webhook_endpoint_id: UUID
    api_client_id: UUID
    event_types: list[str]


@dataclass(frozen=True, kw_only=True)
class WebhookEndpointUpdated(Event, kind="webhook_endpoint.updated", subject="webhook_endpoint_id"):
    webhook_endpoint_id: UUID
    event_types: list[str]
    enabled: bool


@dataclass(frozen=True, kw_only=True)
class WebhookEndpointDeleted(Event, kind="webhook_endpoint.deleted", subject="webhook_endpoint_id"):
    webhook_endpoint_id: UUID


@dataclass(frozen=True, kw_only=True)
class WebhookSecretRotated(Event, kind="webhook_endpoint.secret_rotated", subject="webhook_endpoint_id"):
    webhook_endpoint_id: UUID


@dataclass(frozen=True, kw_only=True)
class WebhookEndpointDisabled(Event, kind="webhook_endpoint.disabled", subject="webhook_endpoint_id"):
    """Belfry gave it up; somebody must look."""

    webhook_endpoint_id: UUID
    reason: DisabledReason


@dataclass(frozen=True, kw_only=True)
class WebhookDeliveryReplayed(Event, kind="webhook_delivery.replayed", subject="webhook_delivery_id"):
    webhook_delivery_id: UUID
    webhook_endpoint_id: UUID


@dataclass(frozen=True, kw_only=True)
class WebhookEndpointTested(Event, kind="webhook_endpoint.tested", subject="webhook_endpoint_id"):
    webhook_endpoint_id: UUID
