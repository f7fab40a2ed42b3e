# SPDX-License-Identifier: EUPL-1.2
"""Figures: readable types without rows of their own, whose source is a SELECT with named arguments."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from graphql_schema.reading.declarations import Leaf, Readable
from graphql_schema.reading.rows import Row, conversions_of
from services.kernel.database import Snapshot

FIGURE_ROWS_MAX = 1_000
"""A figure is one row or a short list; what is longer is a list with pages."""


async def figure_rows(snapshot: Snapshot, readable: Readable, values: Mapping[str, Any]) -> list[Row]:
    """The rows of a figure under the values of its parameters, `argument_<name>`."""
    leaves = {each.python_name: declared.source for each, declared in readable.declared() if isinstance(declared, Leaf)}
    statement = select(*(source.label(name) for name, source in leaves.items())).limit(FIGURE_ROWS_MAX)
    if readable.ordered_by is not None:
        statement = statement.order_by(readable.ordered_by)
    conversions = list(conversions_of(readable))
    rows: list[Row] = []
    for found in await snapshot.rows(statement, **values):
        row: Row = dict(zip(leaves, found, strict=True))
        for name, convert in conversions:
            row[name] = None if row[name] is None else convert(row[name])
        rows.append(row)
    return rows
