# SPDX-License-Identifier: EUPL-1.2
"""What happened to the demo."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class DemoSeeded(Event, kind="demo.seeded", subject="organization_id"):
    """An invented history was written in one go: everything before `until` that this organization holds.

    `rows` counts it by table. It bears the instants of the history, not that of its writing, and has no facts of its
    own in the audit log.
    """

    organization_id: UUID
    seed: int
    until: datetime
    rows: dict[str, int]
