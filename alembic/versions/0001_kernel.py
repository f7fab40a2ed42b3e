# SPDX-License-Identifier: EUPL-1.2
"""Revision 0001: the kernel's ledgers."""

from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import let_auditor, let_relay, tenant_ledger, tenant_table

revision = "0001"
down_revision = None

FIRST_MONTH = date(2026, 9, 1)


def upgrade() -> None:
    tenant_table(
        op,
        "audit_head",
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
    )
    let_auditor(op, "audit_head")
    tenant_ledger(
        op,
        "audit_event",
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject_kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        key=("seq", "at"),
        words={
            "actor_kind": ("PERSON", "API_CLIENT", "RULE", "SYSTEM"),
        },
        first_month=FIRST_MONTH,
    )
    op.create_index("ix_audit_event_subject", "audit_event", ["tenant_id", "subject_id", "seq"], schema=SCHEMA)
    let_auditor(op, "audit_event")
    tenant_table(
        op,
        "outbox",
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("body", JSONB(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        words={
            "state": ("WAITING", "DELIVERED", "DEAD"),
        },
    )
    op.create_index(
        "ix_outbox_due", "outbox", ["tenant_id", "due_at"], schema=SCHEMA, postgresql_where=sa.text("state = 'WAITING'")
    )
    op.create_index("uq_outbox_seq", "outbox", ["tenant_id", "seq"], schema=SCHEMA, unique=True)
    let_relay(op, "outbox", ("select", "update", "delete"))
    tenant_table(
        op,
        "inbox",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("handler", sa.String(), nullable=False),
        constraints=[sa.UniqueConstraint("tenant_id", "event_id", "handler", name="uq_inbox_event_id_handler")],
    )
    tenant_table(
        op,
        "job",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("again_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rung_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        words={
            "state": ("WAITING", "DEAD"),
        },
        constraints=[sa.UniqueConstraint("tenant_id", "kind", "subject_id", name="uq_job_kind_subject_id")],
    )
    op.create_index(
        "ix_job_due", "job", ["tenant_id", "due_at"], schema=SCHEMA, postgresql_where=sa.text("state = 'WAITING'")
    )
    let_relay(op, "job", ("select", "update", "delete"))
    tenant_table(
        op,
        "idempotency",
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("answer", JSONB(), nullable=True),
        constraints=[sa.UniqueConstraint("tenant_id", "actor_id", "key", name="uq_idempotency_actor_id_key")],
    )


def downgrade() -> None:
    op.drop_table("idempotency", schema=SCHEMA)
    op.drop_table("job", schema=SCHEMA)
    op.drop_table("inbox", schema=SCHEMA)
    op.drop_table("outbox", schema=SCHEMA)
    op.drop_table("audit_event", schema=SCHEMA)
    op.drop_table("audit_head", schema=SCHEMA)
