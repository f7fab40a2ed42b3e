# SPDX-License-Identifier: EUPL-1.2
"""Acts that may be repeated without happening twice: a client error means *unknown*, not failed.

The key, the hash of the request and the ids of the answer commit with the effect. The insert is the first write of the
unit of work, so a second request with the same key waits for the first and then sees its answer.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from sqlalchemy import LargeBinary, UniqueConstraint, delete, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, col

from services.kernel.errors import IdempotencyInProgress, IdempotencyKeyReused, Invalid, ServiceUnavailable
from services.kernel.isolation import TenantOwned, constraints, owned

if TYPE_CHECKING:
    from services.kernel.database import UnitOfWork

KEPT = timedelta(hours=24)
KEY_LENGTH_MAX = 200


class IdempotencyEntry(TenantOwned, table=True):
    """One key of one actor. The answer holds ids, never text: a repeat reads the nodes anew."""

    __tablename__ = "idempotency"
    __table_args__: ClassVar[Any] = constraints(UniqueConstraint("tenant_id", "actor_id", "key"))
    __not_personal__: ClassVar = frozenset({"key", "request_hash", "answer"})

    actor_id: UUID
    key: str
    request_hash: bytes = Field(sa_type=LargeBinary)
    answer: dict[str, Any] | None = Field(default=None, sa_type=JSONB)


async def begin(uow: "UnitOfWork", key: str, request_hash: bytes) -> dict[str, Any] | None:
    """Take the key: None for the first request, the stored answer for a repeat.

    Raises IdempotencyKeyReused when the key came with another input before, IdempotencyInProgress when the first
    request still runs after the lock timeout.
    """
    if not 0 < len(key) <= KEY_LENGTH_MAX:
        raise Invalid(
            "An idempotency key has 1 to {count} characters.", field=("idempotencyKey",), count=KEY_LENGTH_MAX
        )
    statement = insert(IdempotencyEntry).values(
        tenant_id=uow.tenant_id, actor_id=uow.actor.id, key=key, request_hash=request_hash
    )
    try:
        inserted = await uow.write(statement.on_conflict_do_nothing())
    except Exception as error:
        if getattr(getattr(error, "orig", None), "sqlstate", None) == "55P03":
            raise IdempotencyInProgress from error
        raise
    if inserted.rowcount:
        return None
    found = await uow.one(owned(IdempotencyEntry, *_this(uow, key)))
    if found.request_hash != request_hash:
        raise IdempotencyKeyReused
    if found.answer is None:
        raise ServiceUnavailable
    return found.answer


async def answer(uow: "UnitOfWork", key: str, ids: dict[str, UUID | None]) -> None:
    """Store the answer beside the key, in the same transaction as the effect."""
    await uow.write(
        update(IdempotencyEntry)
        .where(col(IdempotencyEntry.tenant_id) == uow.tenant_id, *_this(uow, key))
        .values(answer={name: None if value is None else str(value) for name, value in ids.items()})
    )


async def forget(uow: "UnitOfWork") -> None:
    """Drop keys that clients may no longer rely on."""
    await uow.write(
        delete(IdempotencyEntry).where(
            col(IdempotencyEntry.tenant_id) == uow.tenant_id, col(IdempotencyEntry.created_at) < uow.now - KEPT
        )
    )


def _this(uow: "UnitOfWork", key: str) -> tuple[Any, ...]:
    return col(IdempotencyEntry.actor_id) == uow.actor.id, col(IdempotencyEntry.key) == key
