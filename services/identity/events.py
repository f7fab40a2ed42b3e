# SPDX-License-Identifier: EUPL-1.2
"""What happened to credentials."""

from dataclasses import dataclass
from uuid import UUID

from services.kernel.access import Role
from services.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class LocalTokenIssued(Event, kind="local_token.issued", subject="local_token_id"):
    local_token_id: UUID
    membership_id: UUID
    role: Role
    department_id: UUID | None
