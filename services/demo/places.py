# SPDX-License-Identifier: EUPL-1.2
"""Where one exchange takes place: the organization, the account, the thread, and the rows it adds to."""

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.conversations.rules import ChannelKind, Visibility
from services.demo.foundation import Ground
from services.demo.ledger import Ledger, Row
from services.demo.plans import AccountPlan, OrganizationPlan
from services.demo.remote import Citizen
from services.kernel import identifiers


@dataclass(frozen=True, slots=True)
class Thread:
    """`first_id` is the network's id of the first message, `root_id` and `parent_id` are what that one hangs on."""

    contact_id: UUID
    citizen: Citizen
    channel: ChannelKind
    key: str
    first_id: str
    root_id: str
    parent_id: str | None = None
    episode: int = 1
    previous_id: UUID | None = None

    @property
    def visibility(self) -> Visibility:
        return Visibility.PUBLIC if self.channel is ChannelKind.PUBLIC else Visibility.DIRECT


@dataclass(frozen=True, slots=True)
class Place:
    """One conversation's surroundings; `id` is the conversation's."""

    ground: Ground
    plan: OrganizationPlan
    ledger: Ledger
    chance: random.Random
    account: AccountPlan
    thread: Thread
    id: UUID

    @property
    def account_id(self) -> UUID:
        return self.ground.accounts[self.account.handle]

    def row(self, at: datetime, /, **columns: Any) -> Row:
        """The beginning of a row of this organization, as old as what it tells."""
        return {"tenant_id": self.ground.tenant_id, "id": identifiers.new(), "created_at": at, **columns}

    def part(self, at: datetime, /, **columns: Any) -> Row:
        """The beginning of a row that belongs to this conversation."""
        return self.row(at, conversation_id=self.id, **columns)

    def responsible(self, category_id: UUID | None) -> UUID:
        """The department that answers for a topic; for none, and for a gap, the coordination desk."""
        name = self.ground.category_name(category_id)
        code = self.plan.by_category[name].responsible if name else None
        return self.ground.departments[code or self.plan.desk]
