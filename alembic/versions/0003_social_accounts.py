# SPDX-License-Identifier: EUPL-1.2
"""Revision 0003: accounts and what comes in."""

import sqlalchemy as sa

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import tenant_table

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    tenant_table(
        op,
        "social_account",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("handle", sa.String(), nullable=False),
        sa.Column("server_host", sa.String(), nullable=False),
        sa.Column("server_url", sa.String(), nullable=True),
        sa.Column("remote_id", sa.String(), nullable=True),
        sa.Column("display_name", sa.String(), nullable=True),
        sa.Column("owner_department_id", sa.Uuid(), nullable=False),
        sa.Column("deputy_email", sa.String(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("audiences", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("connection_error", sa.String(), nullable=True),
        sa.Column("lifecycle", sa.Text(), nullable=False),
        sa.Column("experiment_until", sa.Date(), nullable=True),
        sa.Column("review_on", sa.Date(), nullable=True),
        sa.Column("crisis_posting_open", sa.Boolean(), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=True),
        references={"owner_department_id": "department"},
        words={
            "network": (
                "BLUESKY",
                "WEBFORM",
                "MASTODON",
                "FACEBOOK",
                "INSTAGRAM",
                "THREADS",
                "WHATSAPP",
                "X",
                "LINKEDIN",
                "YOUTUBE",
                "TIKTOK",
                "EMAIL",
                "MATRIX",
                "OTHER",
            ),
            "purpose": ("SERVICE", "NEWS", "CRISIS_ONLY", "CAMPAIGN", "PERSONAL_OFFICIAL"),
            "connection": ("UNMANAGED", "CONNECTED", "EXPIRING", "REVOKED"),
            "lifecycle": ("REQUESTED", "ACTIVE", "CLOSING", "CLOSED"),
        },
        constraints=[
            sa.UniqueConstraint(
                "tenant_id", "network", "server_host", "handle", name="uq_social_account_network_server_host_handle"
            )
        ],
    )
    op.create_index("ix_social_account_created_at", "social_account", ["tenant_id", "created_at", "id"], schema=SCHEMA)
    op.create_index(
        "ix_social_account_owner_department_id",
        "social_account",
        ["tenant_id", "owner_department_id", "id"],
        schema=SCHEMA,
    )
    tenant_table(
        op,
        "account_credential",
        sa.Column("social_account_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        references={"social_account_id": "social_account"},
        constraints=[
            sa.UniqueConstraint("tenant_id", "social_account_id", name="uq_account_credential_social_account_id")
        ],
    )
    tenant_table(
        op,
        "raw_event",
        sa.Column("social_account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        references={"social_account_id": "social_account"},
        words={
            "state": ("WAITING", "DONE", "FAILED"),
        },
        constraints=[
            sa.UniqueConstraint(
                "tenant_id",
                "social_account_id",
                "kind",
                "external_id",
                "version",
                name="uq_raw_event_social_account_id_kind_external_id_version",
            )
        ],
    )
    op.create_index(
        "ix_raw_event_waiting",
        "raw_event",
        ["tenant_id", "social_account_id", "created_at", "id"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'WAITING'"),
    )
    tenant_table(
        op,
        "ingest_cursor",
        sa.Column("social_account_id", sa.Uuid(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=True),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        references={"social_account_id": "social_account"},
        constraints=[
            sa.UniqueConstraint(
                "tenant_id", "social_account_id", "stream", name="uq_ingest_cursor_social_account_id_stream"
            )
        ],
    )


def downgrade() -> None:
    op.drop_table("ingest_cursor", schema=SCHEMA)
    op.drop_table("raw_event", schema=SCHEMA)
    op.drop_table("account_credential", schema=SCHEMA)
    op.drop_table("social_account", schema=SCHEMA)
