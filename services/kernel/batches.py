# SPDX-License-Identifier: EUPL-1.2
"""Many rows in one statement: INSERT … SELECT FROM unnest(…), whose text does not depend on how many rows there are."""

from collections.abc import Sequence
from enum import Enum
from typing import Any, cast

from sqlalchemy import ARRAY, DateTime, Table, Text, UniqueConstraint, bindparam, func, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.types import TypeEngine
from sqlmodel.sql.sqltypes import AutoString

from services.kernel.database import UnitOfWork
from services.kernel.isolation import TenantRow, TextEnum, UtcDateTime
from services.kernel.serialization import to_json

_statements: dict[tuple[type[TenantRow], tuple[str, ...]], Insert] = {}


async def insert_new(uow: UnitOfWork, model: type[TenantRow], rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows that all have the same columns, passing over those whose key exists. Returns how many were new.

    They go in by their natural key, so that two batches with the same rows wait for each other and never deadlock.
    """
    if not rows:
        return 0
    names = tuple(rows[0])
    if (model, names) not in _statements:
        _statements[model, names] = _statement(model, names)
    table = _table(model)
    key = [name for name in _natural_key(table) if name in names]
    rows = sorted(rows, key=lambda row: [str(row[name]) for name in key])
    values = {f"rows_{name}": [_plain(table.c[name].type, row[name]) for row in rows] for name in names}
    return (await uow.write(_statements[model, names], values)).rowcount


def _statement(model: type[TenantRow], names: tuple[str, ...]) -> Insert:
    table = _table(model)
    arrays = [bindparam(f"rows_{name}", type_=ARRAY(_element(table.c[name].type))) for name in names]
    source = func.unnest(*[sql_cast(array, array.type) for array in arrays]).table_valued(*names).render_derived("r")
    columns = [
        sql_cast(source.c[name], JSONB) if isinstance(table.c[name].type, JSONB) else source.c[name] for name in names
    ]
    return insert(table).from_select(list(names), select(*columns), include_defaults=False).on_conflict_do_nothing()


def _table(model: type[TenantRow]) -> Table:
    return cast("Table", model.__table__)  # pyright: ignore[reportAttributeAccessIssue]


def _natural_key(table: Table) -> list[str]:
    """The columns that may hold a concurrent insert up: those of the unique constraints beside the primary key."""
    unique = sorted(
        [column.name for column in constraint.columns]
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    )
    return [name for names in unique for name in names]


def _element(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(kind, TextEnum | AutoString | JSONB):
        return Text()
    return DateTime(timezone=True) if isinstance(kind, UtcDateTime) else kind


def _plain(kind: TypeEngine[Any], value: Any) -> Any:
    if value is not None and isinstance(kind, JSONB):
        return to_json(value).decode()
    return value.value if isinstance(value, Enum) else value
