# SPDX-License-Identifier: EUPL-1.2
"""A row's place in an order, as bytes: its key columns in PostgreSQL's own binary form, so that SQL can write it too.

Every type has a fixed width except text, which ends with a zero byte, because no text in PostgreSQL can hold one.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
    Uuid,
    func,
    literal_column,
)
from sqlalchemy import DateTime as SqlDateTime
from sqlalchemy.types import TypeEngine

from services.kernel.isolation import TextEnum

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
FIRST_DAY = date(2000, 1, 1)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Packing:
    """How one type is written: `width` bytes, or None for text that ends with a zero byte."""

    width: int | None
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]
    in_sql: str


def _packed(code: str, in_sql: str) -> Packing:
    form = struct.Struct(f">{code}")
    return Packing(form.size, form.pack, lambda content: form.unpack(content)[0], in_sql)


def _pack_instant(value: datetime) -> bytes:
    return struct.pack(">q", (value - EPOCH) // MICROSECOND)


def _unpack_instant(content: bytes) -> datetime:
    return EPOCH + struct.unpack(">q", content)[0] * MICROSECOND


def _pack_day(value: date) -> bytes:
    return struct.pack(">i", (value - FIRST_DAY).days)


def _unpack_day(content: bytes) -> date:
    return FIRST_DAY + timedelta(days=struct.unpack(">i", content)[0])


PACKINGS: Sequence[tuple[type[TypeEngine[Any]], Packing]] = (
    (Uuid, Packing(16, lambda value: value.bytes, lambda content: UUID(bytes=content), "uuid_send")),
    (SqlDateTime, Packing(8, _pack_instant, _unpack_instant, "timestamptz_send")),
    (Date, Packing(4, _pack_day, _unpack_day, "date_send")),
    (SmallInteger, _packed("h", "int2send")),
    (BigInteger, _packed("q", "int8send")),
    (Integer, _packed("i", "int4send")),
    (Boolean, _packed("?", "boolsend")),
    (String, Packing(None, lambda value: value.encode() + b"\x00", lambda content: content.decode(), "textsend")),
)


def packing_of(column_type: TypeEngine[Any]) -> Packing | None:
    """How values of a column's type are written; None when the type cannot be a key of an order."""
    if isinstance(column_type, TextEnum):
        return None  # words sort by their spelling, which is no order anybody means
    plain = column_type.impl if isinstance(column_type, TypeDecorator) else column_type
    return next((packing for kind, packing in PACKINGS if isinstance(plain, kind)), None)


def _packing(column_type: TypeEngine[Any]) -> Packing:
    found = packing_of(column_type)
    if found is None:
        raise TypeError(f"{column_type!r} cannot be a key of an order.")
    return found


def write_position(types: Sequence[TypeEngine[Any]], values: Sequence[Any]) -> bytes:
    """The bytes of a place."""
    return b"".join(_packing(kind).pack(value) for kind, value in zip(types, values, strict=True))


def read_position(types: Sequence[TypeEngine[Any]], content: bytes) -> tuple[Any, ...]:
    """The values of a place. Raises ValueError for bytes that are none."""
    values: list[Any] = []
    for kind in types:
        packing = _packing(kind)
        width = content.index(b"\x00") if packing.width is None else packing.width
        if len(content) < width:
            raise ValueError("The position is too short.")
        try:
            values.append(packing.unpack(content[:width]))
        except OverflowError as error:
            raise ValueError("The position is out of range.") from error
        content = content[width + (packing.width is None) :]
    if content:
        raise ValueError("The position is too long.")
    return tuple(values)


def position_in_sql(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[str]:
    """The same bytes as base64url, written by the database."""
    parts: list[ColumnElement[bytes]] = []
    for column in columns:
        packing = _packing(column.type)
        parts.append(getattr(func, packing.in_sql)(column, type_=LargeBinary))
        if packing.width is None:
            parts.append(literal_column(r"'\x00'::bytea", LargeBinary))
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.concat(part)
    encoded = func.encode(joined, literal_column("'base64'"))
    # The encoding breaks lines after 76 characters and pads; neither belongs into a cursor.
    return func.translate(encoded, literal_column(r"E'+/=\n'"), literal_column("'-_'"), type_=Text)
