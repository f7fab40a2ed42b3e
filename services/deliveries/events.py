# SPDX-License-Identifier: EUPL-1.2
"""What happened to deliveries."""

from dataclasses import dataclass
from uuid import UUID

from services.deliveries.rules import DeliveryState, Resolution
from services.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class DeliveryScheduled(Event, kind="delivery.scheduled", subject="delivery_id"):
    delivery_id: UUID


@dataclass(frozen=True, kw_only=True)
class DeliveryStateChanged(Event, kind="delivery.state_changed", subject="delivery_id"):
    delivery_id: UUID
    before: DeliveryState
    after: DeliveryState


@dataclass(frozen=True, kw_only=True)
class DeliveryPublished(Event, kind="delivery.published", subject="delivery_id"):
    delivery_id: UUID


@dataclass(frozen=True, kw_only=True)
class DeliveryFailed(Event, kind="delivery.failed", subject="delivery_id"):
    """It will not appear by itself: refused, suspended or cancelled."""

    delivery_id: UUID
    error: str


@dataclass(frozen=True, kw_only=True)
class DeliveryNeedsDecision(Event, kind="delivery.needs_decision", subject="delivery_id"):
    """Belfry cannot find out whether it was published; a person must say."""

    delivery_id: UUID


@dataclass(frozen=True, kw_only=True)
class DeliveryResolved(Event, kind="delivery.resolved", subject="delivery_id"):
    """A person has decided about an unknown outcome."""

    delivery_id: UUID
    resolution: Resolution
