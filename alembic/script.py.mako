# SPDX-License-Identifier: EUPL-1.2
"""${message}."""

import sqlalchemy as sa

from alembic import op
from services.kernel.migrations import tenant_table

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
