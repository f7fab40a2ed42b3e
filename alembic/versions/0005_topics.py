# SPDX-License-Identifier: EUPL-1.2
"""Revision 0005: citizens and topics."""

import sqlalchemy as sa

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import tenant_table

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    tenant_table(
        op,
        "contact",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("server_host", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("handle", sa.String(), nullable=True),
        sa.Column("display_name", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opted_out", sa.Boolean(), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
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
        },
        constraints=[
            sa.UniqueConstraint(
                "tenant_id", "network", "server_host", "external_id", name="uq_contact_network_server_host_external_id"
            )
        ],
    )
    op.create_index("ix_contact_created_at", "contact", ["tenant_id", "created_at", "id"], schema=SCHEMA)
    tenant_table(
        op,
        "category",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sort_key", sa.String(), nullable=False),
        sa.Column("formal", sa.Boolean(), nullable=False),
        sa.Column("confidential", sa.Boolean(), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("e_service_url", sa.String(), nullable=True),
        sa.Column("reopen_days", sa.Integer(), nullable=False),
        sa.Column("no_response_days", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        references={"parent_id": "category"},
        constraints=[
            sa.UniqueConstraint(
                "tenant_id", "parent_id", "name", name="uq_category_parent_id_name", postgresql_nulls_not_distinct=True
            )
        ],
    )
    op.create_index("ix_category_sort_key", "category", ["tenant_id", "sort_key", "id"], schema=SCHEMA)
    tenant_table(
        op,
        "category_department",
        sa.Column("category_id", sa.Uuid(), nullable=False),
        sa.Column("department_id", sa.Uuid(), nullable=False),
        sa.Column("is_responsible", sa.Boolean(), nullable=False),
        sa.Column("can_view", sa.Boolean(), nullable=False),
        references={"category_id": "category", "department_id": "department"},
        constraints=[
            sa.UniqueConstraint(
                "tenant_id", "category_id", "department_id", name="uq_category_department_category_id_department_id"
            )
        ],
    )
    op.create_index(
        "ix_category_department_department_id",
        "category_department",
        ["tenant_id", "department_id", "category_id"],
        schema=SCHEMA,
    )
    op.create_index(
        "uq_category_department_responsible",
        "category_department",
        ["tenant_id", "category_id"],
        schema=SCHEMA,
        unique=True,
        postgresql_where=sa.text("is_responsible"),
    )
    tenant_table(
        op,
        "routing_rule",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("keywords", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("social_account_id", sa.Uuid(), nullable=True),
        sa.Column("category_id", sa.Uuid(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        references={"social_account_id": "social_account", "category_id": "category"},
        constraints=[sa.UniqueConstraint("tenant_id", "position", name="uq_routing_rule_position")],
    )


def downgrade() -> None:
    op.drop_table("routing_rule", schema=SCHEMA)
    op.drop_table("category_department", schema=SCHEMA)
    op.drop_table("category", schema=SCHEMA)
    op.drop_table("contact", schema=SCHEMA)
