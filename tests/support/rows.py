# SPDX-License-Identifier: EUPL-1.2
"""One row of every table for one organization, made from the models alone: keys are followed, every column is filled.

A table that is added later is covered without a line of its own; that is the point.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, Column, Date, DateTime, Integer, LargeBinary, Table, TypeDecorator, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlmodel import SQLModel

import services.models  # noqa: F401  registers every table
from services.kernel import identifiers
from services.kernel.isolation import TableKind, TextEnum, table_registry

INSTANT = datetime(2026, 10, 5, 9, 30, tzinfo=UTC)


def tenant_tables() -> list[Table]:
    """Every tenant table, parents before children."""
    kinds = table_registry()
    return [table for table in SQLModel.metadata.sorted_tables if kinds[table.name] is TableKind.TENANT]


def rows_of(tenant_id: UUID, canary: str) -> Iterator[tuple[Table, dict[str, Any]]]:
    """A table and its row, for every tenant table, in an order in which the foreign keys hold.

    `canary` stands in every text; no other organization's row may hold it.
    """
    ids: dict[str, UUID] = {}
    for table in tenant_tables():
        row = {
            column.name: value_of(column, tenant_id, ids, canary) for column in table.columns if column.computed is None
        }
        if table.name in ("organization", "audit_head"):
            row["id"] = tenant_id
        if "id" in row:
            ids[table.name] = row["id"]
        yield table, row


def value_of(column: Column[Any], tenant_id: UUID, ids: Mapping[str, UUID], canary: str) -> Any:
    """A value that the column takes."""
    if column.name == "tenant_id":
        return tenant_id
    target = column.info.get("tenant_reference")
    if target is not None:
        return ids.get(target)  # a row of the same table is not there yet: such a column may be null
    kind = column.type
    if isinstance(kind, TextEnum):
        return next(iter(cast("type[StrEnum]", kind.words))).value
    if isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    if isinstance(kind, Integer):
        return column.default.arg if isinstance(column.default, ScalarElementColumnDefault) else 1
    made: Mapping[type, Any] = {
        Uuid: identifiers.new(),
        DateTime: INSTANT,
        Date: date(2026, 10, 5),
        Boolean: False,
        JSONB: {"canary": canary},
        ARRAY: [canary],
        LargeBinary: canary.encode(),
    }
    return next((value for each, value in made.items() if isinstance(kind, each)), f"{canary} {column.name}")
