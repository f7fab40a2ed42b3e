# SPDX-License-Identifier: EUPL-1.2
"""The inbox: which handler has seen which fact. Written first in the handler's unit of work, so it acts once."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from sqlalchemy import UniqueConstraint, delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from services.kernel.isolation import TenantOwned, constraints

if TYPE_CHECKING:
    from services.kernel.database import UnitOfWork

KEPT = timedelta(hours=96)


class InboxEntry(TenantOwned, table=True):
    """One fact that one handler has acted on."""

    __tablename__ = "inbox"
    __table_args__: ClassVar[Any] = constraints(UniqueConstraint("tenant_id", "event_id", "handler"))
    __not_personal__: ClassVar = frozenset({"handler"})

    event_id: UUID
    handler: str


async def first_time(uow: "UnitOfWork", event_id: UUID, handler: str) -> bool:
    """Whether this handler has not yet acted on the fact; from now on it has, if the unit of work commits."""
    statement = (
        insert(InboxEntry).values(tenant_id=uow.tenant_id, event_id=event_id, handler=handler).on_conflict_do_nothing()
    )
    return (await uow.write(statement)).rowcount == 1


async def forget(uow: "UnitOfWork") -> None:
    """Drop rows of facts that the outbox no longer holds: they cannot come again."""
    await uow.write(
        delete(InboxEntry).where(
            col(InboxEntry.tenant_id) == uow.tenant_id, col(InboxEntry.created_at) < uow.now - KEPT
        )
    )
