# SPDX-License-Identifier: EUPL-1.2
"""The table of claims: the history of who held what, and how it ended."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field

from services.assignments.rules import ClaimState
from services.kernel.isolation import DataClass, TenantOwned, constraints, instant, personal, tenant_reference, words


class Claim(TenantOwned, table=True):
    """One stretch in which one person held one conversation."""

    __tablename__ = "claim"
    __table_args__: ClassVar[Any] = constraints(
        Index("uq_claim_held", "tenant_id", "conversation_id", unique=True, postgresql_where=text("state = 'HELD'")),
        Index("ix_claim_holder_id", "tenant_id", "holder_id", "state"),
        Index("ix_claim_conversation_id", "tenant_id", "conversation_id", "claimed_at"),
    )

    conversation_id: UUID = tenant_reference("conversation")
    holder_id: UUID = tenant_reference("membership")
    fence: int = Field(sa_type=BigInteger)
    state: ClaimState = words(ClaimState, default=ClaimState.HELD)
    claimed_at: datetime = instant()
    last_active_at: datetime = instant()
    ended_at: datetime | None = instant(default=None)
    reason: str | None = personal(DataClass.COLLEAGUE, default=None)
