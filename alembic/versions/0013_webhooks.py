# SPDX-License-Identifier: EUPL-1.2
"""Revision 0013: endpoints of other systems, their secrets, and what is sent to them."""

import sqlalchemy as sa

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import tenant_table

revision = "0013"
down_revision = "0012"

INDEXES = {
    "webhook_endpoint": {"created_at": ("created_at",), "api_client_id": ("api_client_id",)},
    "webhook_secret": {"webhook_endpoint_id": ("webhook_endpoint_id", "created_at")},
    "webhook_delivery": {"webhook_endpoint_id": ("webhook_endpoint_id", "created_at"), "created_at": ("created_at",)},
    "webhook_attempt": {"webhook_delivery_id": ("webhook_delivery_id", "created_at")},
}


def upgrade() -> None:
    tenant_table(
        op,
        "webhook_endpoint",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("api_client_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("event_types", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        references={"api_client_id": "api_client"},
        words={"state": ("ENABLED", "DISABLED"), "disabled_reason": ("BY_PERSON", "GONE", "FAILING")},
    )
    tenant_table(
        op,
        "webhook_secret",
        sa.Column("webhook_endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        references={"webhook_endpoint_id": "webhook_endpoint"},
    )
    tenant_table(
        op,
        "webhook_delivery",
        sa.Column("webhook_endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        references={"webhook_endpoint_id": "webhook_endpoint"},
        words={"state": ("WAITING", "DELIVERED", "FAILED")},
        constraints=[
            sa.UniqueConstraint(
                "tenant_id", "webhook_endpoint_id", "event_id", name="uq_webhook_delivery_webhook_endpoint_id_event_id"
            )
        ],
    )
    tenant_table(
        op,
        "webhook_attempt",
        sa.Column("webhook_delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        references={"webhook_delivery_id": "webhook_delivery"},
    )
    for table, indexes in INDEXES.items():
        for name, columns in indexes.items():
            op.create_index(f"ix_{table}_{name}", table, ["tenant_id", *columns, "id"], schema=SCHEMA)
    op.create_index(
        "ix_webhook_delivery_due",
        "webhook_delivery",
        ["tenant_id", "webhook_endpoint_id", "due_at", "id"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'WAITING'"),
    )


def downgrade() -> None:
    for table in reversed(INDEXES):
        op.drop_table(table, schema=SCHEMA)
