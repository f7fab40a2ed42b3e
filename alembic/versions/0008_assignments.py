# SPDX-License-Identifier: EUPL-1.2
"""Revision 0008: claims."""

import sqlalchemy as sa

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import tenant_table

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    tenant_table(
        op,
        "claim",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("holder_id", sa.Uuid(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_active_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        references={"conversation_id": "conversation", "holder_id": "membership"},
        words={
            "state": ("HELD", "RELEASED", "COMPLETED", "HANDED_OVER", "TAKEN_OVER", "LAPSED"),
        },
    )
    op.create_index("ix_claim_conversation_id", "claim", ["tenant_id", "conversation_id", "claimed_at"], schema=SCHEMA)
    op.create_index("ix_claim_holder_id", "claim", ["tenant_id", "holder_id", "state"], schema=SCHEMA)
    op.create_index(
        "uq_claim_held",
        "claim",
        ["tenant_id", "conversation_id"],
        schema=SCHEMA,
        unique=True,
        postgresql_where=sa.text("state = 'HELD'"),
    )


def downgrade() -> None:
    op.drop_table("claim", schema=SCHEMA)
