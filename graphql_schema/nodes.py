# SPDX-License-Identifier: EUPL-1.2
"""What has an identity: the `Node` interface and the global id.

A global id is base64url, without padding, of a type's two-letter tag and the 16 bytes of the row's id: 24 characters,
opaque to clients. Anything else is not an id and leads nowhere, exactly as an unknown one does.
"""

import re
from base64 import urlsafe_b64decode
from typing import Any, Self
from uuid import UUID

import strawberry
from sqlalchemy import ColumnElement, LargeBinary, Text, func, literal_column

from services.kernel.identifiers import global_id

GLOBAL_ID = re.compile(r"[A-Za-z0-9_-]{24}")
TAG = re.compile(r"[A-Z]{2}")


@strawberry.interface(description="Anything with an identity of its own; `node(id:)` finds it again.")
class Node:
    """What every readable type with an id inherits from."""

    id: strawberry.ID = strawberry.field(description="Opaque, and never reused. Other organizations cannot use it.")

    row_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, row_id: UUID) -> Self:
        """A reference by the row's own id, for payloads and events: the field around it reads the rest."""
        reference = cls.__new__(cls)
        reference.row_id = row_id
        return reference

    @classmethod
    def resolve_type(cls, row: Any, *_: Any) -> str:
        """Which type a row read through the interface has."""
        return row["__typename"]

    @classmethod
    def is_type_of(cls, row: Any, *_: Any) -> bool:
        """Rows are made by the declarations of their type only."""
        return row["__typename"] == cls.__name__


def encode_id(tag: str, row_id: UUID) -> str:
    """The global id of a row."""
    return global_id(tag, row_id)


def encode_id_in_sql(tag: str, row_id: ColumnElement[Any]) -> ColumnElement[str]:
    """The same, made by the database. 18 bytes are 24 characters: no padding, no line break."""
    if not TAG.fullmatch(tag):
        raise ValueError(f"Not a tag: {tag}.")
    tagged = literal_column(f"'{tag}'::bytea", LargeBinary).concat(func.uuid_send(row_id, type_=LargeBinary))
    return func.translate(
        func.encode(tagged, literal_column("'base64'")), literal_column("'+/'"), literal_column("'-_'"), type_=Text
    )


def decode_id(text: str) -> tuple[str, UUID] | None:
    """The tag and the row's id, or None when the text cannot be a global id."""
    if not GLOBAL_ID.fullmatch(text):
        return None
    content = urlsafe_b64decode(text)
    tag = content[:2].decode("latin-1")
    return (tag, UUID(bytes=content[2:])) if TAG.fullmatch(tag) else None
