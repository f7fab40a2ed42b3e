# SPDX-License-Identifier: EUPL-1.2
"""The statement hook: every SQL that a serving role runs in a test is parsed, and a breach fails that test.

It sees what passes SQLAlchemy (each execution) and what passes asyncpg beneath it (raw calls, prepared statements).
Results are kept by text, so that a text is parsed once.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import asyncpg
from sqlalchemy import Connection, Engine, event

import services.models  # noqa: F401  registers every table
from services.kernel.isolation import TableKind, table_registry
from tests.support.statement_rules import RELAYED, Demands, violations

TEXTS_MAX = 20_000
RAW_CALLS = ("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany", "prepare", "cursor")
TENANT_TABLES = frozenset(name for name, kind in table_registry().items() if kind is TableKind.TENANT)
DEMANDS: Mapping[str, Demands] = {
    "belfry_app": Demands(TENANT_TABLES),
    "belfry_relay": Demands(TENANT_TABLES, readable_across=RELAYED),
    "belfry_auditor": Demands(TENANT_TABLES),
}
"""The roles that serve; migrations, the lint and whoever plays the administrator are not held to this."""

_found: list[str] = []
_paused = 0


@lru_cache(maxsize=TEXTS_MAX)
def judge(sql: str, role: str) -> tuple[str, ...]:
    """The rules that a text of this role breaks."""
    return violations(sql, DEMANDS[role])


def install() -> None:
    """Watch every statement of this process from now on."""
    event.listen(Engine, "before_cursor_execute", _before_cursor_execute)
    for name in RAW_CALLS:
        setattr(asyncpg.Connection, name, _watched(getattr(asyncpg.Connection, name)))


def take_violations() -> list[str]:
    """What was found since the last call."""
    found = _found.copy()
    _found.clear()
    return found


@contextmanager
def unwatched() -> Iterator[None]:
    """For tests that play the attacker: nothing is judged inside."""
    global _paused  # noqa: PLW0603  one process, one switch
    _paused += 1
    try:
        yield
    finally:
        _paused -= 1


def _see(sql: str, role: str | None) -> None:
    if _paused or role not in DEMANDS or sql.startswith("SET LOCAL app.tenant_id = '"):
        return
    _found.extend(f"{what}\n    as {role}: {sql}" for what in judge(sql, role))


def _before_cursor_execute(
    connection: Connection, _cursor: object, statement: str, _parameters: object, _context: object, _many: bool
) -> None:
    _see(statement, connection.engine.url.username)


def _watched(call: Callable[..., Any]) -> Callable[..., Any]:
    def watched(self: asyncpg.Connection, query: str, *arguments: Any, **options: Any) -> Any:
        _see(query, self._params.user)
        return call(self, query, *arguments, **options)

    return watched
