# SPDX-License-Identifier: EUPL-1.2
"""Reads of deliveries."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select
from sqlmodel import col

from services.deliveries.models import Delivery, DeliveryAttempt
from services.deliveries.rules import MAY_APPEAR, AttemptOutcome, DeliveryState
from services.kernel.database import Snapshot
from services.kernel.isolation import owned


def is_one_of(delivery_ids: Select[UUID]) -> ColumnElement[bool]:
    """The predicate by which a higher domain says which deliveries belong to what the actor may see."""
    return col(Delivery.id).in_(delivery_ids)


async def delivery(snapshot: Snapshot, delivery_id: UUID) -> Delivery:
    """One delivery. Raises NotFound."""
    return await snapshot.one(owned(Delivery, col(Delivery.id) == delivery_id))


async def delivery_for_update(snapshot: Snapshot, delivery_id: UUID) -> Delivery:
    """The same, locked until the unit of work ends."""
    return await snapshot.one(owned(Delivery, col(Delivery.id) == delivery_id).with_for_update())


async def attempt(snapshot: Snapshot, delivery_id: UUID, fence: int) -> DeliveryAttempt | None:
    """The try that was made under a fence."""
    return await snapshot.one_or_none(
        owned(
            DeliveryAttempt,
            col(DeliveryAttempt.delivery_id) == delivery_id,
            col(DeliveryAttempt.fence) == fence,
        )
    )


async def may_have_arrived(snapshot: Snapshot, delivery_id: UUID) -> bool:
    """Whether some try of this delivery had an outcome that nobody knows."""
    found = await snapshot.scalars(
        owned(
            DeliveryAttempt,
            col(DeliveryAttempt.delivery_id) == delivery_id,
            col(DeliveryAttempt.outcome) == AttemptOutcome.UNKNOWN,
        ).limit(1)
    )
    return bool(found)


async def by_remote_ids(snapshot: Snapshot, account_id: UUID, remote_ids: Iterable[str]) -> list[Delivery]:
    """Our own deliveries among items that a network shows: echoes of what we sent."""
    return await snapshot.scalars(
        owned(
            Delivery,
            col(Delivery.social_account_id) == account_id,
            col(Delivery.remote_id).in_(sorted(set(remote_ids))),
        )
    )


async def any_may_appear(snapshot: Snapshot, delivery_ids: Iterable[UUID]) -> bool:
    """Whether one of these is on its network or may still come there."""
    ids = sorted(set(delivery_ids))
    if not ids:
        return False
    found = await snapshot.scalars(
        owned(Delivery, col(Delivery.id).in_(ids), col(Delivery.state).in_(sorted(MAY_APPEAR))).limit(1)
    )
    return bool(found)


async def to_measure(snapshot: Snapshot, account_id: UUID, *, since: datetime, limit: int) -> list[str]:
    """What an account published lately, newest first, by the network's ids."""
    rows = await snapshot.scalars(
        owned(
            Delivery,
            col(Delivery.social_account_id) == account_id,
            col(Delivery.state) == DeliveryState.PUBLISHED,
            col(Delivery.published_at) >= since,
        )
        .order_by(col(Delivery.published_at).desc())
        .limit(limit)
    )
    return [row.remote_id for row in rows if row.remote_id is not None]
