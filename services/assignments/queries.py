# SPDX-License-Identifier: EUPL-1.2
"""Reads of claims."""

from uuid import UUID

from sqlmodel import col

from services.assignments.models import Claim
from services.assignments.rules import ClaimState
from services.kernel.database import Snapshot
from services.kernel.isolation import owned


async def held_claim(snapshot: Snapshot, conversation_id: UUID) -> Claim | None:
    """The claim that runs now."""
    return await snapshot.one_or_none(
        owned(Claim, col(Claim.conversation_id) == conversation_id, col(Claim.state) == ClaimState.HELD)
    )
