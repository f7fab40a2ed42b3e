# SPDX-License-Identifier: EUPL-1.2
"""Revision 0010: an index for every declared order of every list, down to the id that decides between equals."""

from collections.abc import Mapping, Sequence

from alembic import op
from services.kernel.isolation import SCHEMA

revision = "0010"
down_revision = "0009"

ADDED: Mapping[str, tuple[str, Sequence[str]]] = {
    "ix_category_department_category_id": ("category_department", ("category_id", "id")),
    "ix_conversation_contact_id_last_message_at": ("conversation", ("contact_id", "last_message_at", "id")),
    "ix_conversation_contact_id_opened_at": ("conversation", ("contact_id", "opened_at", "id")),
    "ix_conversation_contact_id_priority": ("conversation", ("contact_id", "priority", "id")),
    "ix_conversation_priority_id": ("conversation", ("priority", "id")),
    "ix_participant_conversation_id": ("participant", ("conversation_id", "id")),
}
LENGTHENED: Mapping[str, tuple[str, Sequence[str]]] = {
    "ix_closing_conversation_id": ("closing", ("conversation_id", "at")),
    "ix_waiting_segment_conversation_id": ("waiting_segment", ("conversation_id", "opened_at")),
}
"""What was there without the id. The longer index serves whatever the shorter one did, so it takes its place."""


def upgrade() -> None:
    for name, (table, columns) in ADDED.items():
        op.create_index(name, table, ["tenant_id", *columns], schema=SCHEMA)
    for name, (table, columns) in LENGTHENED.items():
        op.drop_index(name, table, schema=SCHEMA)
        op.create_index(name, table, ["tenant_id", *columns, "id"], schema=SCHEMA)


def downgrade() -> None:
    for name, (table, columns) in LENGTHENED.items():
        op.drop_index(name, table, schema=SCHEMA)
        op.create_index(name, table, ["tenant_id", *columns], schema=SCHEMA)
    for name, (table, _) in ADDED.items():
        op.drop_index(name, table, schema=SCHEMA)
