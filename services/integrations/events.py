# SPDX-License-Identifier: EUPL-1.2
"""What happened to endpoints and exports. Addresses stay in their table: they may hold secrets of their owners."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.integrations.rules import DisabledReason, ExportFailure, ExportKind
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


@dataclass(frozen=True, kw_only=True)
class ExportRequested(Event, kind="export.requested", subject="export_id"):
    export_id: UUID
    export_kind: ExportKind
    since: datetime | None
    until: datetime


@dataclass(frozen=True, kw_only=True)
class ExportStarted(Event, kind="export.started", subject="export_id"):
    export_id: UUID


@dataclass(frozen=True, kw_only=True)
class ExportProgressed(Event, kind="export.progressed", subject="export_id"):
    export_id: UUID
    lines: int


@dataclass(frozen=True, kw_only=True)
class ExportReady(Event, kind="export.ready", subject="export_id"):
    export_id: UUID
    lines: int
    size: int


@dataclass(frozen=True, kw_only=True)
class ExportFailed(Event, kind="export.failed", subject="export_id"):
    export_id: UUID
    failure: ExportFailure


@dataclass(frozen=True, kw_only=True)
class ExportExpired(Event, kind="export.expired", subject="export_id"):
    export_id: UUID


@dataclass(frozen=True, kw_only=True)
class ExportLinkIssued(Event, kind="export.link_issued", subject="export_id"):
    export_id: UUID


@dataclass(frozen=True, kw_only=True)
class ExportDownloaded(Event, kind="export.downloaded", subject="export_id"):
    """Data left the organization."""

    export_id: UUID
