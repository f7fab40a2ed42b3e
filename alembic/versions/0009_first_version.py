# SPDX-License-Identifier: EUPL-1.2
"""Revision 0009: the earliest version of a message, beside the words that are shown."""

import sqlalchemy as sa

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import backfill

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("message", sa.Column("first_text_at", sa.DateTime(timezone=True), nullable=True), schema=SCHEMA)
    op.add_column("message", sa.Column("first_version_tag", sa.String(), nullable=True), schema=SCHEMA)
    backfill(
        op,
        "message",
        "update belfry.message set first_text_at = case when edited_at is null then text_at else '1900-01-01Z' end,"
        " first_version_tag = case when edited_at is null then coalesce(version_tag, '') else '' end"
        " where contact_id is not null or direction = 'OUTBOUND'",
    )


def downgrade() -> None:
    op.drop_column("message", "first_version_tag", schema=SCHEMA)
    op.drop_column("message", "first_text_at", schema=SCHEMA)
