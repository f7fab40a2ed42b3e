# SPDX-License-Identifier: EUPL-1.2
"""Statements that answer a whole question: text and values in, one value out, in one round trip.

Their connections are a pool of their own, beneath SQLAlchemy, because what makes them fast holds for a session: such a
statement is planned once for all values (planning takes longer than running it), and stays prepared however long it
is. Nothing else may be set in these sessions, so that nothing has to be reset between two requests.

Each statement names its organization itself, for itself: `set_config('app.tenant_id', $n, true)` in its first part. On
an engine where that does not reach the rest of the statement (`TenantBinding.TRANSACTION`), and for a statement that
cannot be shown to bind before it reads, SET LOCAL does it in a transaction around the statement.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from services.kernel.busy import busy_is_unavailable
from services.kernel.errors import ServiceUnavailable
from services.kernel.serialization import from_json
from services.kernel.settings import TenantBinding

PREPARED_MAX = 100
"""Statements that one connection keeps prepared. The server holds a plan for each, of up to a megabyte."""
CHECKOUT_SECONDS_MAX = 5
IDLE_SECONDS_MAX = 60
"""How long a connection that nobody needs is kept, with all its plans."""
SESSION = {"plan_cache_mode": "force_generic_plan", "jit": "off"}

Connection = Any
"""An asyncpg connection or the pool's proxy of one; the driver's types do not know that they are alike."""


class Answers(Protocol):
    """Where a statement is run: the pool, or one moment."""

    @property
    def binding(self) -> TenantBinding:
        """What this engine can do."""
        ...

    async def value(self, text: str, values: Sequence[Any]) -> Any:
        """The one value of a statement that binds its organization itself. Raises ServiceUnavailable."""

    async def value_in_transaction(self, tenant_id: UUID, text: str, values: Sequence[Any]) -> Any:
        """The same for a statement that finds its organization bound."""

    async def explain(self, text: str) -> Mapping[str, Any]:
        """The plan that a statement will run with, whatever its values are."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """A snapshot that other transactions may read in too, as long as its own is open."""

    name: str
    began_at: datetime
    connection: Connection
    binding: TenantBinding

    async def value(self, text: str, values: Sequence[Any]) -> Any:
        async with self._nothing_bound():
            return await self.connection.fetchval(text, *values)

    async def value_in_transaction(self, tenant_id: UUID, text: str, values: Sequence[Any]) -> Any:
        async with self._nothing_bound():
            await self.connection.execute(_bind(tenant_id))
            return await self.connection.fetchval(text, *values)

    async def explain(self, text: str) -> Mapping[str, Any]:
        async with self._nothing_bound():
            return await _explain(self.connection, text)

    @asynccontextmanager
    async def _nothing_bound(self) -> AsyncIterator[None]:
        """What a statement binds does not reach the next one."""
        with busy_is_unavailable():
            inner = self.connection.transaction()
            await inner.start()
            try:
                yield
            finally:
                await inner.rollback()


class Reads:
    """The pool of connections for statements that only read."""

    def __init__(self, url: str, size: int, binding: TenantBinding) -> None:
        self.binding = binding
        parts = dialect().create_connect_args(make_url(url))[1]
        self._pool = asyncpg.create_pool(
            **parts,
            min_size=0,
            max_size=size,
            reset=_nothing_to_reset,
            timeout=CHECKOUT_SECONDS_MAX,
            server_settings=SESSION,
            max_inactive_connection_lifetime=IDLE_SECONDS_MAX,
            statement_cache_size=PREPARED_MAX,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=0,
        )
        self._opening = asyncio.Lock()
        self._is_open = False

    async def value(self, text: str, values: Sequence[Any]) -> Any:
        """The one value of a statement that binds its organization itself. Raises ServiceUnavailable."""
        async with self._connection() as connection:
            return await connection.fetchval(text, *values)

    async def value_in_transaction(self, tenant_id: UUID, text: str, values: Sequence[Any]) -> Any:
        """The same for a statement that finds its organization bound. Costs four round trips."""
        async with self._bound(tenant_id) as connection:
            return await connection.fetchval(text, *values)

    async def row(self, tenant_id: UUID, text: str, values: Sequence[Any]) -> Mapping[str, Any] | None:
        """The one row of a statement that binds its organization itself, in the form that this engine needs."""
        if self.binding is TenantBinding.STATEMENT:
            return await self.row_unbound(text, values)
        async with self._bound(tenant_id) as connection:
            return await connection.fetchrow(text, *values)

    async def row_unbound(self, text: str, values: Sequence[Any]) -> Mapping[str, Any] | None:
        """The one row of a statement that has to find its organization first."""
        async with self._connection() as connection:
            return await connection.fetchrow(text, *values)

    async def explain(self, text: str) -> Mapping[str, Any]:
        """The plan that a statement will run with, whatever its values are."""
        async with self._connection() as connection:
            return await _explain(connection, text)

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[Moment]:
        """A snapshot, held until the block ends."""
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            name, began_at = await connection.fetchrow("SELECT pg_export_snapshot(), now()")
            yield Moment(name, began_at, connection, self.binding)

    async def close(self) -> None:
        """Close what is open. Connections in use are given a moment."""
        if self._is_open:
            await self._pool.close()

    @asynccontextmanager
    async def _bound(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        async with self._connection() as connection, connection.transaction(readonly=True):
            await connection.execute(_bind(tenant_id))
            yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with busy_is_unavailable():
            if not self._is_open:
                await self._open()
            async with asyncio.timeout(CHECKOUT_SECONDS_MAX):
                connection = await self._pool.acquire()
            try:
                yield connection
            except asyncpg.InterfaceError as error:
                if connection.is_closed():
                    raise ServiceUnavailable from error
                raise
            finally:
                await self._pool.release(connection)

    async def _open(self) -> None:
        async with self._opening:
            if not self._is_open:
                await self._pool
                self._is_open = True


async def _explain(connection: Connection, text: str) -> Mapping[str, Any]:
    prepared = await connection.prepare(text)
    nothing = ", ".join("null" for _ in prepared.get_parameters())
    asked = f"EXECUTE {prepared.get_name()}({nothing})" if nothing else f"EXECUTE {prepared.get_name()}"
    return from_json(await connection.fetchval(f"EXPLAIN (FORMAT JSON, VERBOSE) {asked}"))[0]["Plan"]


def _bind(tenant_id: UUID) -> str:
    return f"SET LOCAL app.tenant_id = '{tenant_id}'"  # SET takes no parameters


async def _nothing_to_reset(_connection: Connection) -> None:
    """Nothing here sets anything beyond a transaction."""
