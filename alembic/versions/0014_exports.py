# SPDX-License-Identifier: EUPL-1.2
"""Revision 0014: exports and the pieces that they were written in; indexes of filters of small tables."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import tenant_table

revision = "0014"
down_revision = "0013"

INDEXES = {
    "export": {"created_at": ("created_at",), "kind": ("kind", "created_at"), "state": ("state", "created_at")},
    "api_client": {"revoked_at": ("revoked_at",)},
    "deprecated_use": {"used_on": ("used_on",)},
    "webhook_endpoint": {"state": ("state",)},
    "webhook_delivery": {"state": ("webhook_endpoint_id", "state", "created_at")},
}
OLDER = ("api_client", "deprecated_use", "webhook_endpoint", "webhook_delivery")


def upgrade() -> None:
    tenant_table(
        op,
        "export",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("membership_id", sa.Uuid(), nullable=True),
        sa.Column("api_client_id", sa.Uuid(), nullable=True),
        sa.Column("grants", postgresql.JSONB(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("position_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("position_id", sa.Uuid(), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        references={"membership_id": "membership", "api_client_id": "api_client"},
        words={
            "kind": ("CONVERSATIONS", "CONTACTS", "SOCIAL_ACCOUNTS"),
            "state": ("QUEUED", "RUNNING", "READY", "FAILED", "EXPIRED"),
            "failure": ("RIGHTS_ENDED", "TOO_LARGE", "BROKEN"),
        },
        constraints=[
            sa.CheckConstraint("coalesce(membership_id, api_client_id) is not null", name="ck_export_requester")
        ],
    )
    tenant_table(
        op,
        "export_piece",
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        references={"export_id": "export"},
        constraints=[sa.UniqueConstraint("tenant_id", "export_id", "number", name="uq_export_piece_export_id_number")],
    )
    for table, indexes in INDEXES.items():
        for name, columns in indexes.items():
            op.create_index(f"ix_{table}_{name}", table, ["tenant_id", *columns, "id"], schema=SCHEMA)


def downgrade() -> None:
    for table in OLDER:
        for name in INDEXES[table]:
            op.drop_index(f"ix_{table}_{name}", table, schema=SCHEMA)
    op.drop_table("export_piece", schema=SCHEMA)
    op.drop_table("export", schema=SCHEMA)
