# SPDX-License-Identifier: EUPL-1.2
"""Columns: which hold personal data, which words a text enum takes, and which types are not used."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import ARRAY, JSON, CheckConstraint, LargeBinary, String, Table, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlmodel import SQLModel

import services.models  # noqa: F401  registers every table
from services.kernel.isolation import DataClass, TextEnum

FREE_TEXT = (String, JSON, JSONB, LargeBinary)


@asynccontextmanager
async def connected(urls: Mapping[str, str], role: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(urls[role])
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


def free_text_columns() -> list[tuple[type[SQLModel], Any]]:
    found: list[tuple[type[SQLModel], Any]] = []
    for mapper in SQLModel._sa_registry.mappers:
        table = mapper.local_table
        assert isinstance(table, Table)
        for column in table.columns:
            inner = column.type.item_type if isinstance(column.type, ARRAY) else column.type
            inner = inner.impl_instance if isinstance(inner, TypeDecorator) else inner
            if isinstance(inner, FREE_TEXT) and not isinstance(column.type, TextEnum):
                found.append((mapper.class_, column))
    return found


def test_every_column_of_free_text_says_whether_it_is_personal() -> None:
    columns = free_text_columns()
    assert len(columns) > 80
    unsaid = [
        f"{model.__name__}.{column.name}"
        for model, column in columns
        if ("data_class" in column.info) == (column.name in model.__not_personal__)  # pyright: ignore[reportAttributeAccessIssue]
    ]
    assert unsaid == [], "neither personal(…) nor in __not_personal__, or both"
    for _, column in columns:
        assert isinstance(column.info.get("data_class", DataClass.AUDIT), DataClass)


def test_the_list_of_columns_without_personal_data_names_existing_columns_only() -> None:
    for mapper in SQLModel._sa_registry.mappers:
        columns = set(mapper.local_table.columns.keys())
        assert mapper.class_.__not_personal__ <= columns, mapper.class_.__name__


def words_of(kind: TextEnum[Any]) -> list[StrEnum]:
    return list(cast("type[StrEnum]", kind.words))


async def test_every_text_enum_has_the_words_of_its_python_enum(database_urls: Mapping[str, str]) -> None:
    async with connected(database_urls, "belfry_owner") as connection:
        query = (
            "select conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) from pg_constraint"
            " where connamespace = 'belfry'::regnamespace and contype = 'c'"
        )
        checks = {
            (row[0].removeprefix("belfry."), row[1]): set(re.findall(r"'([A-Z_0-9]+)'::text", row[2]))
            for row in map(tuple[str, ...], (await connection.exec_driver_sql(query)).all())
        }
    seen = 0
    for table in SQLModel.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, TextEnum):
                words = {str(each.value) for each in words_of(column.type)}
                assert checks[table.name, f"ck_{table.name}_{column.name}"] == words, f"{table.name}.{column.name}"
                seen += 1
    assert seen > 25
    in_code = {
        (table.name, str(each.name))
        for table in SQLModel.metadata.sorted_tables
        for each in table.constraints
        if isinstance(each, CheckConstraint)
    }
    names = {table.name for table in SQLModel.metadata.sorted_tables}
    assert {each for each in checks if each[0] in names} == in_code, "alembic check compares no CHECK"


async def test_no_column_is_of_a_native_enum_or_a_timestamp_without_zone(database_urls: Mapping[str, str]) -> None:
    async with connected(database_urls, "belfry_owner") as connection:
        query = (
            "select attrelid::regclass || '.' || attname from pg_attribute a join pg_class c on c.oid = a.attrelid"
            " join pg_type t on t.oid = a.atttypid where c.relnamespace = 'belfry'::regnamespace and a.attnum > 0"
            " and (t.typtype = 'e' or t.typname in ('timestamp', 'float4', 'float8', 'money'))"
        )
        assert (await connection.exec_driver_sql(query)).scalars().all() == []
