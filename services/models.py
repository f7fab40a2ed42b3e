# SPDX-License-Identifier: EUPL-1.2
"""Every table, imported for its registration: migrations, the table registry and the catalogue lint need them all."""

from services.assignments import models as assignments
from services.conversations import models as conversations
from services.deliveries import models as deliveries
from services.identity import models as identity
from services.integrations import models as integrations
from services.kernel import audit, idempotency, inbox, jobs, outbox
from services.social_accounts import models as social_accounts
from services.tenancy import models as tenancy

__all__ = [
    "assignments",
    "audit",
    "conversations",
    "deliveries",
    "idempotency",
    "identity",
    "inbox",
    "integrations",
    "jobs",
    "outbox",
    "social_accounts",
    "tenancy",
]
