# SPDX-License-Identifier: EUPL-1.2
"""Revision 0014: exports and the pieces that they were written in."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import tenant_table

revision = "0014"
down_revision = "0013"


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
            sa.CheckConstraint("(membership_id is null) <> (api_client_id is null)", name="ck_export_requester")
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
    op.create_index("ix_export_created_at", "export", ["tenant_id", "created_at", "id"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("export_piece", schema=SCHEMA)
    op.drop_table("export", schema=SCHEMA)
