# SPDX-License-Identifier: EUPL-1.2
"""Rows as lines of JSON, for whoever takes data out: which rows, in which order, and what a line says of each.

A domain declares what it can be asked for as one `Lines` among its queries, beside the predicate that says who sees it:
a line has what the reader sees now, under the names that the schema has for it, and nothing else.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, tuple_
from sqlmodel import col

from services.kernel.database import Snapshot
from services.kernel.identifiers import global_id
from services.kernel.isolation import TenantOwned, owned
from services.kernel.serialization import print_instant, to_json

Position = tuple[datetime, UUID]
"""A row's place in the order of its lines."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A table, and which of its rows the actor sees."""

    table: type[TenantOwned]
    visible: ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Said:
    """One value of a line: the column, and how it is written when it is not null.

    With `among` it is the id of another row, and null when the actor does not see that one.
    """

    column: Any
    written: Callable[[Any], Any]
    among: Rows | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows that are told within the line of another, the first first."""

    rows: Rows
    belongs_to: Any
    moment: Any
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows of one table, each a line. `moment` is indexed with the id: the lines come in this order.

    A row whose moment changes while it is read may be left out: a conversation begins earlier than was known when its
    first message comes in late.
    """

    rows: Rows
    moment: Any
    fields: Mapping[str, Any]
    parts: Mapping[str, Parts]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some lines as they are written, and where the next batch begins; None: these were the last."""

    content: Sequence[bytes]
    position: Position | None


def id_of(tag: str, column: Any, among: Rows | None = None) -> Said:
    """A row's id as clients know it, `tag` being the two letters of its type."""
    return Said(column, lambda value: global_id(tag, value), among)


async def lines_after(
    snapshot: Snapshot, lines: Lines, *, since: datetime | None, until: datetime, after: Position | None, limit: int
) -> Batch:
    """The next lines that the actor may see, of rows from `since` up to and including `until`."""
    moment, key = col(lines.moment), col(lines.rows.table.id)
    within = [moment <= until, *([moment >= since] if since else [])]
    if after is not None:
        within.append(tuple_(moment, key) > after)
    found = await snapshot.rows(
        owned(lines.rows.table, lines.rows.visible, *within)
        .order_by(moment, key)
        .limit(limit)
        .with_only_columns(moment, key, *map(_column, lines.fields.values()))
    )
    ids = [tuple(row)[1] for row in found]
    parts = {name: await _parts(snapshot, each, ids) for name, each in lines.parts.items()}
    written = await _written(snapshot, lines.fields, [row[2:] for row in found])
    content = [
        to_json({**line, **{name: each[row_id] for name, each in parts.items()}}) + b"\n"
        for row_id, line in zip(ids, written, strict=True)
    ]
    last: Any = tuple(found[-1])[:2] if len(found) == limit else None
    return Batch(content, last)


async def _parts(snapshot: Snapshot, parts: Parts, ids: Sequence[UUID]) -> Mapping[UUID, list[Any]]:
    belongs_to = col(parts.belongs_to)
    found = await snapshot.rows(
        owned(parts.rows.table, belongs_to.in_(ids), parts.rows.visible)
        .order_by(col(parts.moment), col(parts.rows.table.id))
        .with_only_columns(belongs_to, *map(_column, parts.fields.values()))
    )
    by_row: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row, line in zip(found, await _written(snapshot, parts.fields, [row[1:] for row in found]), strict=True):
        by_row[row[0]].append(line)
    return by_row


async def _written(
    snapshot: Snapshot, fields: Mapping[str, Any], rows: Sequence[Sequence[Any]]
) -> list[dict[str, Any]]:
    columns = [
        await _values(snapshot, field, [row[place] for row in rows]) for place, field in enumerate(fields.values())
    ]
    return [dict(zip(fields, values, strict=True)) for values in zip(*columns, strict=True)]


async def _values(snapshot: Snapshot, field: Any, values: Sequence[Any]) -> list[Any]:
    if not isinstance(field, Said):
        return [print_instant(each) if isinstance(each, datetime) else each for each in values]
    shown = set(values) - {None}
    if field.among is not None:
        row_id = col(field.among.table.id)
        seen = owned(field.among.table, row_id.in_(shown), field.among.visible).with_only_columns(row_id)
        shown &= set(await snapshot.scalars(seen))
    return [field.written(each) if each in shown else None for each in values]


def _column(field: Any) -> Any:
    return field.column if isinstance(field, Said) else col(field)
