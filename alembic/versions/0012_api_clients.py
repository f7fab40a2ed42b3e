# SPDX-License-Identifier: EUPL-1.2
"""Revision 0012: machines that ask, their keys, the documents that they registered, and what they use too long."""

import sqlalchemy as sa

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import tenant_table

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    _let_doors_be("'ORGANIZATION_SLUG', 'FORM_STATUS', 'LOCAL_TOKEN', 'API_KEY'")
    tenant_table(
        op,
        "api_client",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("documents_required", sa.Boolean(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
    )
    tenant_table(
        op,
        "api_key",
        sa.Column("api_client_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_on", sa.Date(), nullable=True),
        references={"api_client_id": "api_client"},
    )
    tenant_table(
        op,
        "client_document",
        sa.Column("api_client_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        references={"api_client_id": "api_client"},
        constraints=[
            sa.UniqueConstraint(
                "tenant_id", "api_client_id", "document_id", name="uq_client_document_api_client_id_document_id"
            )
        ],
    )
    tenant_table(
        op,
        "deprecated_use",
        sa.Column("api_client_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("used_on", sa.Date(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        references={"api_client_id": "api_client"},
        constraints=[
            sa.UniqueConstraint(
                "tenant_id",
                "api_client_id",
                "name",
                "used_on",
                name="uq_deprecated_use_api_client_id_name_used_on",
                postgresql_nulls_not_distinct=True,
            )
        ],
    )
    op.create_index("ix_deprecated_use_created_at", "deprecated_use", ["tenant_id", "created_at", "id"], schema=SCHEMA)
    op.create_index("ix_api_client_created_at", "api_client", ["tenant_id", "created_at", "id"], schema=SCHEMA)
    for table in ("api_key", "client_document"):
        op.create_index(
            f"ix_{table}_api_client_id", table, ["tenant_id", "api_client_id", "created_at", "id"], schema=SCHEMA
        )


def downgrade() -> None:
    op.drop_table("deprecated_use", schema=SCHEMA)
    op.drop_table("client_document", schema=SCHEMA)
    op.drop_table("api_key", schema=SCHEMA)
    op.drop_table("api_client", schema=SCHEMA)
    op.execute("delete from belfry.door where kind = 'API_KEY'")
    _let_doors_be("'ORGANIZATION_SLUG', 'FORM_STATUS', 'LOCAL_TOKEN'")


def _let_doors_be(kinds: str) -> None:
    op.drop_constraint(op.f("ck_door_kind"), "door", schema=SCHEMA)
    op.create_check_constraint(op.f("ck_door_kind"), "door", f"kind in ({kinds})", schema=SCHEMA)
