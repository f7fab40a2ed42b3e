# SPDX-License-Identifier: EUPL-1.2
"""The rows of an invented history, table by table, and their way into the database."""

from collections import defaultdict
from typing import Any

from sqlalchemy import inspect

from services.assignments.models import Claim
from services.conversations.models import (
    Closing,
    Contact,
    Conversation,
    Message,
    Reply,
    RoutingDecision,
    WaitingSegment,
)
from services.deliveries.models import Delivery, DeliveryAttempt
from services.kernel.batches import insert_new
from services.kernel.database import UnitOfWork
from services.kernel.isolation import TenantRow

BATCH_ROWS_MAX = 200
"""Rows of one statement: each stays far below the time that a statement may take."""

PARENTS_FIRST: tuple[type[TenantRow], ...] = (
    Contact,
    Conversation,
    Delivery,
    DeliveryAttempt,
    Message,
    WaitingSegment,
    Reply,
    RoutingDecision,
    Claim,
    Closing,
)

Row = dict[str, Any]


MAY_BE_NULL: dict[type[TenantRow], tuple[str, ...]] = {
    model: tuple(column.name for column in inspect(model).columns if column.nullable and column.computed is None)
    for model in PARENTS_FIRST
}


class Ledger:
    """Rows that wait to be written. All rows of one table have the same columns."""

    def __init__(self) -> None:
        self.rows: dict[type[TenantRow], list[Row]] = defaultdict(list)

    def add(self, model: type[TenantRow], row: Row) -> Row:
        """Take a row; it may still be changed until everything is written. What it leaves out is null."""
        for name in MAY_BE_NULL[model]:
            row.setdefault(name, None)
        self.rows[model].append(row)
        return row

    def counts(self) -> dict[str, int]:
        """How many rows each table gets, by its name."""
        return {model.__tablename__: len(self.rows[model]) for model in PARENTS_FIRST}

    async def write(self, uow: UnitOfWork) -> None:
        """Insert everything, parents before children. Raises RuntimeError when a key was there already."""
        for model in PARENTS_FIRST:
            rows = self.rows[model]
            for start in range(0, len(rows), BATCH_ROWS_MAX):
                batch = rows[start : start + BATCH_ROWS_MAX]
                if await insert_new(uow, model, batch) != len(batch):
                    raise RuntimeError(f"Two rows of {model.__tablename__} have the same key.")
