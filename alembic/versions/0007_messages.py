# SPDX-License-Identifier: EUPL-1.2
"""Revision 0007: messages."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import tenant_table

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    tenant_table(
        op,
        "message",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=True),
        sa.Column("social_account_id", sa.Uuid(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("server_host", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("version_tag", sa.String(), nullable=True),
        sa.Column("root_external_id", sa.String(), nullable=True),
        sa.Column("parent_external_id", sa.String(), nullable=True),
        sa.Column("reply_target", JSONB(), nullable=True),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("author_kind", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("text_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("permalink", sa.String(), nullable=True),
        sa.Column("outbound_kind", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("delivery_id", sa.Uuid(), nullable=True),
        sa.Column("like_count", sa.Integer(), nullable=True),
        sa.Column("repost_count", sa.Integer(), nullable=True),
        sa.Column("reply_count", sa.Integer(), nullable=True),
        sa.Column("quote_count", sa.Integer(), nullable=True),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True),
        references={
            "conversation_id": "conversation",
            "social_account_id": "social_account",
            "contact_id": "contact",
            "author_id": "membership",
            "delivery_id": "delivery",
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
            "direction": ("INBOUND", "OUTBOUND"),
            "visibility": ("PUBLIC", "DIRECT"),
            "author_kind": ("CITIZEN", "COLLEAGUE", "EXTERNAL", "AUTOMATIC"),
            "intent": (
                "QUESTION",
                "COMPLAINT",
                "REPORT",
                "REQUEST",
                "FORMAL_REQUEST",
                "IDEA",
                "COMPLIMENT",
                "THANKS",
                "REACTION",
                "SPAM",
            ),
            "outbound_kind": ("STARTER", "RESHARE", "REPLY", "PROACTIVE"),
            "purpose": ("ANSWER", "REFERRAL", "CLARIFYING_QUESTION", "ACKNOWLEDGEMENT"),
        },
        constraints=[
            sa.UniqueConstraint(
                "tenant_id", "network", "server_host", "external_id", name="uq_message_network_server_host_external_id"
            )
        ],
    )
    op.create_index(
        "ix_message_conversation_id", "message", ["tenant_id", "conversation_id", "occurred_at", "id"], schema=SCHEMA
    )
    op.create_index("ix_message_delivery_id", "message", ["tenant_id", "delivery_id"], schema=SCHEMA)
    op.create_index(
        "ix_message_orphan",
        "message",
        ["tenant_id", "parent_external_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("conversation_id is null and parent_external_id is not null"),
    )
    op.create_index(
        "ix_message_outbound",
        "message",
        ["tenant_id", "published_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("outbound_kind is not null"),
    )
    tenant_table(
        op,
        "reply",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("segment_id", sa.Uuid(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("follow_up", sa.Boolean(), nullable=False),
        references={
            "conversation_id": "conversation",
            "message_id": "message",
            "delivery_id": "delivery",
            "author_id": "membership",
        },
        words={
            "purpose": ("ANSWER", "REFERRAL", "CLARIFYING_QUESTION", "ACKNOWLEDGEMENT"),
        },
        constraints=[sa.UniqueConstraint("tenant_id", "delivery_id", name="uq_reply_delivery_id")],
    )
    op.create_index("ix_reply_conversation_id", "reply", ["tenant_id", "conversation_id", "created_at"], schema=SCHEMA)
    tenant_table(
        op,
        "closing",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("closed_by", sa.Uuid(), nullable=True),
        references={"conversation_id": "conversation", "closed_by": "membership"},
        words={
            "outcome": ("ANSWERED", "RESOLVED", "REFERRED", "NO_RESPONSE", "NO_ANSWER_NEEDED", "DUPLICATE", "SPAM"),
        },
    )
    op.create_index("ix_closing_conversation_id", "closing", ["tenant_id", "conversation_id", "at"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("closing", schema=SCHEMA)
    op.drop_table("reply", schema=SCHEMA)
    op.drop_table("message", schema=SCHEMA)
