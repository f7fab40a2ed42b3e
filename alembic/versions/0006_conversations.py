# SPDX-License-Identifier: EUPL-1.2
"""Revision 0006: conversations."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import tenant_table

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    tenant_table(
        op,
        "conversation",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("server_host", sa.String(), nullable=False),
        sa.Column("thread_key", sa.String(), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("previous_id", sa.Uuid(), nullable=True),
        sa.Column("social_account_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("channel_kind", sa.Text(), nullable=False),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("category_id", sa.Uuid(), nullable=True),
        sa.Column("categorized_by", sa.Uuid(), nullable=True),
        sa.Column("department_id", sa.Uuid(), nullable=False),
        sa.Column("directing_department_id", sa.Uuid(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("difficulty", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_contact_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "due_order",
            sa.DateTime(timezone=True),
            sa.Computed("coalesce(next_contact_due_at, timestamptz '9999-12-31T00:00:00+00:00')", persisted=True),
            nullable=False,
        ),
        sa.Column("holder_id", sa.Uuid(), nullable=True),
        sa.Column("last_holder_id", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        references={
            "previous_id": "conversation",
            "social_account_id": "social_account",
            "contact_id": "contact",
            "category_id": "category",
            "categorized_by": "membership",
            "department_id": "department",
            "directing_department_id": "department",
            "holder_id": "membership",
            "last_holder_id": "membership",
        },
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
            "channel_kind": ("PUBLIC", "DIRECT", "MAIL", "FORM"),
            "difficulty": ("EASY", "NORMAL", "HARD"),
            "state": (
                "NEW",
                "OPEN",
                "WAITING_ON_CITIZEN",
                "WAITING_ON_DEPARTMENT",
                "SNOOZED",
                "CLOSED",
                "REOPEN_REQUESTED",
            ),
            "outcome": ("ANSWERED", "RESOLVED", "REFERRED", "NO_RESPONSE", "NO_ANSWER_NEEDED", "DUPLICATE", "SPAM"),
        },
        constraints=[
            sa.UniqueConstraint(
                "tenant_id", "thread_key", "contact_id", "episode", name="uq_conversation_thread_key_contact_id_episode"
            ),
            sa.CheckConstraint("priority in (10, 20, 30, 40)", name="ck_conversation_priority"),
            sa.CheckConstraint(
                "state = 'CLOSED' or next_contact_due_at is not null", name="ck_conversation_next_contact"
            ),
            sa.CheckConstraint("(holder_id is null) = (lease_until is null)", name="ck_conversation_holder"),
        ],
    )
    op.create_index(
        "ix_conversation_category_id", "conversation", ["tenant_id", "category_id", "due_order", "id"], schema=SCHEMA
    )
    op.create_index(
        "ix_conversation_channel_kind", "conversation", ["tenant_id", "channel_kind", "due_order", "id"], schema=SCHEMA
    )
    op.create_index(
        "ix_conversation_contact_id", "conversation", ["tenant_id", "contact_id", "due_order", "id"], schema=SCHEMA
    )
    op.create_index(
        "ix_conversation_department_id",
        "conversation",
        ["tenant_id", "department_id", "due_order", "id"],
        schema=SCHEMA,
    )
    op.create_index("ix_conversation_due_order", "conversation", ["tenant_id", "due_order", "id"], schema=SCHEMA)
    op.create_index(
        "ix_conversation_holder_id", "conversation", ["tenant_id", "holder_id", "due_order", "id"], schema=SCHEMA
    )
    op.create_index(
        "ix_conversation_last_message_at", "conversation", ["tenant_id", "last_message_at", "id"], schema=SCHEMA
    )
    op.create_index("ix_conversation_opened_at", "conversation", ["tenant_id", "opened_at", "id"], schema=SCHEMA)
    op.create_index(
        "ix_conversation_priority", "conversation", ["tenant_id", "priority", "due_order", "id"], schema=SCHEMA
    )
    op.create_index(
        "ix_conversation_social_account_id",
        "conversation",
        ["tenant_id", "social_account_id", "due_order", "id"],
        schema=SCHEMA,
    )
    op.create_index("ix_conversation_state", "conversation", ["tenant_id", "state", "due_order", "id"], schema=SCHEMA)
    tenant_table(
        op,
        "participant",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("membership_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        references={"conversation_id": "conversation", "membership_id": "membership"},
        words={
            "kind": ("COLLABORATOR", "TASK"),
        },
        constraints=[
            sa.UniqueConstraint(
                "tenant_id",
                "conversation_id",
                "membership_id",
                "kind",
                name="uq_participant_conversation_id_membership_id_kind",
            )
        ],
    )
    op.create_index(
        "ix_participant_membership_id", "participant", ["tenant_id", "membership_id", "conversation_id"], schema=SCHEMA
    )
    tenant_table(
        op,
        "routing_decision",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=True),
        sa.Column("category_id", sa.Uuid(), nullable=True),
        sa.Column("department_id", sa.Uuid(), nullable=False),
        sa.Column("why", JSONB(), nullable=False),
        references={
            "conversation_id": "conversation",
            "rule_id": "routing_rule",
            "category_id": "category",
            "department_id": "department",
        },
    )
    op.create_index(
        "ix_routing_decision_conversation_id", "routing_decision", ["tenant_id", "conversation_id"], schema=SCHEMA
    )
    tenant_table(
        op,
        "waiting_segment",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("opened_by", sa.Uuid(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_by", sa.Uuid(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("dismissal_confirmed_by", sa.Uuid(), nullable=True),
        sa.Column("calendar_version", sa.Integer(), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=True),
        sa.Column("wall_seconds", sa.BigInteger(), nullable=True),
        sa.Column("open_seconds", sa.BigInteger(), nullable=True),
        sa.Column("is_first", sa.Boolean(), nullable=False),
        references={"conversation_id": "conversation", "dismissal_confirmed_by": "membership"},
        words={
            "outcome": ("ANSWERED", "UNANSWERED_CLOSED", "DISMISSED", "WITHDRAWN"),
        },
        constraints=[sa.UniqueConstraint("tenant_id", "opened_by", name="uq_waiting_segment_opened_by")],
    )
    op.create_index(
        "ix_waiting_segment_conversation_id",
        "waiting_segment",
        ["tenant_id", "conversation_id", "opened_at"],
        schema=SCHEMA,
    )
    op.create_index("ix_waiting_segment_opened_at", "waiting_segment", ["tenant_id", "opened_at", "id"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("waiting_segment", schema=SCHEMA)
    op.drop_table("routing_decision", schema=SCHEMA)
    op.drop_table("participant", schema=SCHEMA)
    op.drop_table("conversation", schema=SCHEMA)
