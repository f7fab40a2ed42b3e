# SPDX-License-Identifier: EUPL-1.2
"""Revision 0004: deliveries."""

from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import tenant_ledger, tenant_table

revision = "0004"
down_revision = "0003"

FIRST_MONTH = date(2026, 9, 1)


def upgrade() -> None:
    tenant_table(
        op,
        "delivery",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("origin_id", sa.Uuid(), nullable=False),
        sa.Column("social_account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("outbound_kind", sa.Text(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("target", JSONB(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("zone", sa.String(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("verification", sa.Text(), nullable=True),
        sa.Column("prepared", sa.LargeBinary(), nullable=True),
        sa.Column("send_key", sa.String(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("resends", sa.Integer(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("first_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("absent_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remote_id", sa.String(), nullable=True),
        sa.Column("remote_version", sa.String(), nullable=True),
        sa.Column("permalink", sa.String(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        references={"social_account_id": "social_account"},
        words={
            "origin": ("REPLY", "POST"),
            "kind": ("CREATE", "EDIT", "DELETE"),
            "outbound_kind": ("STARTER", "RESHARE", "REPLY", "PROACTIVE"),
            "state": ("SCHEDULED", "PUBLISHING", "PUBLISHED", "FAILED", "UNCONFIRMED", "SUSPENDED", "CANCELLED"),
            "verification": ("CHECKING", "NEEDS_DECISION"),
        },
    )
    op.create_index("ix_delivery_due_at", "delivery", ["tenant_id", "due_at", "id"], schema=SCHEMA)
    op.create_index("ix_delivery_origin", "delivery", ["tenant_id", "origin", "origin_id"], schema=SCHEMA, unique=True)
    op.create_index("ix_delivery_remote_id", "delivery", ["tenant_id", "social_account_id", "remote_id"], schema=SCHEMA)
    op.create_index(
        "ix_delivery_social_account_id", "delivery", ["tenant_id", "social_account_id", "due_at", "id"], schema=SCHEMA
    )
    op.create_index("ix_delivery_state", "delivery", ["tenant_id", "state", "due_at", "id"], schema=SCHEMA)
    tenant_ledger(
        op,
        "delivery_attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("send_key", sa.String(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("evidence", sa.String(), nullable=True),
        key=("id", "at"),
        words={
            "outcome": ("ACCEPTED", "REFUSED", "NOT_SENT", "UNKNOWN"),
        },
        first_month=FIRST_MONTH,
    )
    op.create_index(
        "ix_delivery_attempt_delivery_id", "delivery_attempt", ["tenant_id", "delivery_id", "at"], schema=SCHEMA
    )


def downgrade() -> None:
    op.drop_table("delivery_attempt", schema=SCHEMA)
    op.drop_table("delivery", schema=SCHEMA)
