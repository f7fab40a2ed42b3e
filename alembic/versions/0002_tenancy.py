# SPDX-License-Identifier: EUPL-1.2
"""Revision 0002: organizations and people."""

import sqlalchemy as sa

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import let_auditor, platform_table, tenant_table

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    tenant_table(
        op,
        "organization",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("region", sa.String(), nullable=True),
        sa.Column("population_class", sa.String(), nullable=True),
        sa.Column("locales", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        words={
            "kind": ("MUNICIPALITY", "WELFARE_CENTER", "POLICE_ZONE", "RESCUE_ZONE", "PROVINCE", "WATER_AUTHORITY"),
            "state": ("ACTIVE", "SUSPENDED"),
        },
    )
    let_auditor(op, "organization")
    tenant_table(
        op,
        "department",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sort_key", sa.String(), nullable=False),
        sa.Column("is_internal", sa.Boolean(), nullable=False),
        sa.Column("can_direct", sa.Boolean(), nullable=False),
        sa.Column("is_coordination_desk", sa.Boolean(), nullable=False),
        references={"parent_id": "department"},
        constraints=[sa.UniqueConstraint("tenant_id", "code", name="uq_department_code")],
    )
    op.create_index("ix_department_sort_key", "department", ["tenant_id", "sort_key", "id"], schema=SCHEMA)
    op.create_index(
        "uq_department_coordination_desk",
        "department",
        ["tenant_id"],
        schema=SCHEMA,
        unique=True,
        postgresql_where=sa.text("is_coordination_desk"),
    )
    tenant_table(
        op,
        "membership",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("skills", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        constraints=[sa.UniqueConstraint("tenant_id", "person_id", name="uq_membership_person_id")],
    )
    tenant_table(
        op,
        "role_grant",
        sa.Column("membership_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("department_id", sa.Uuid(), nullable=True),
        references={"membership_id": "membership", "department_id": "department"},
        words={
            "role": ("ADMIN", "MANAGER", "COORDINATOR", "OPERATOR", "EXPERT", "VIEWER"),
        },
        constraints=[
            sa.UniqueConstraint(
                "tenant_id",
                "membership_id",
                "role",
                "department_id",
                name="uq_role_grant_membership_id_role_department_id",
                postgresql_nulls_not_distinct=True,
            )
        ],
    )
    platform_table(
        op,
        "person",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("locale", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_person"),
        sa.UniqueConstraint("email", name="uq_person_email"),
    )
    platform_table(
        op,
        "person_organization",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "organization_id", name="pk_person_organization"),
    )
    platform_table(
        op,
        "door",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_door"),
        sa.CheckConstraint("kind in ('ORGANIZATION_SLUG', 'FORM_STATUS', 'LOCAL_TOKEN')", name="ck_door_kind"),
    )
    tenant_table(
        op,
        "local_token",
        sa.Column("membership_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("department_id", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        references={"membership_id": "membership", "department_id": "department"},
        words={
            "role": ("ADMIN", "MANAGER", "COORDINATOR", "OPERATOR", "EXPERT", "VIEWER"),
        },
    )


def downgrade() -> None:
    op.drop_table("local_token", schema=SCHEMA)
    op.drop_table("door", schema=SCHEMA)
    op.drop_table("person_organization", schema=SCHEMA)
    op.drop_table("person", schema=SCHEMA)
    op.drop_table("role_grant", schema=SCHEMA)
    op.drop_table("membership", schema=SCHEMA)
    op.drop_table("department", schema=SCHEMA)
    op.drop_table("organization", schema=SCHEMA)
