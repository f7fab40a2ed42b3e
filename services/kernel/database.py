# SPDX-License-Identifier: EUPL-1.2
"""The database: snapshots to read, units of work to write, and the one place that says which organization it is.

`Snapshot` is a READ ONLY transaction; `UnitOfWork` adds `add()` and `emit()`: the type in a signature tells whether a
function writes. Neither can be opened without an `Actor`. Rows, audit rows and outbox rows of a unit of work commit
together or not at all.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Executable, Row, Select, UpdateBase, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState
from sqlmodel import SQLModel

from services.kernel import identifiers, outbox
from services.kernel.access import Actor
from services.kernel.busy import busy_is_unavailable
from services.kernel.errors import NotFound
from services.kernel.events import Event
from services.kernel.isolation import PlatformLocal, TenantOwned, Versioned, actor_values
from services.kernel.reads import CHECKOUT_SECONDS_MAX, Moment, Reads
from services.kernel.serialization import from_json, to_json
from services.kernel.settings import TenantBinding

POOL_SIZE = 10
# Each organization's SET LOCAL is one more text: at the default of 100 they evict each other.
STATEMENT_CACHE_SIZE = 1000
T = TypeVar("T")
M = TypeVar("M", bound=SQLModel)


class TransactionWithoutOrganization(RuntimeError):
    """A transaction began without an actor: a defect, never an empty list."""


class Bell(Protocol):
    """Rung after a commit that emitted facts; losing a ring costs seconds, never a fact."""

    async def ring(self, tenant_id: UUID) -> None: ...


class TenantSession(Session):
    """A session of one organization. Its hooks set the tenant on every begin, savepoints included."""


@event.listens_for(TenantSession, "after_begin")
def _set_tenant(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    actor = session.info.get("actor")
    if not isinstance(actor, Actor) or not isinstance(actor.tenant_id, UUID):
        raise TransactionWithoutOrganization
    if "moment" in session.info:
        connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{session.info['moment']}'")  # before any query
    connection.exec_driver_sql(f"SET LOCAL app.tenant_id = '{actor.tenant_id}'")  # SET takes no parameters
    found = connection.exec_driver_sql("SELECT current_setting('app.tenant_id', true), now()").one()
    if found[0] != str(actor.tenant_id):
        raise TransactionWithoutOrganization
    session.info["now"] = found[1]


@event.listens_for(TenantSession, "before_flush")
def _raise_versions(session: Session, _context: object, _instances: object) -> None:
    for row in session.dirty:
        if isinstance(row, Versioned) and session.is_modified(row):
            row.version += 1


class Snapshot:
    """Reads of one actor. Every statement may use the parameters of `ACTOR`."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._values = actor_values(actor)
        self.actor = actor

    @property
    def tenant_id(self) -> UUID:
        return self.actor.tenant_id

    @property
    def now(self) -> datetime:
        """When this transaction began, by the database's clock."""
        return self._session.info["now"]

    async def one_or_none(self, statement: Select[T], **values: Any) -> T | None:
        return (await self._execute(statement, values)).scalars().one_or_none()

    async def one(self, statement: Select[T], **values: Any) -> T:
        """The one row. Unknown, foreign and invisible rows are all NOT_FOUND."""
        found = await self.one_or_none(statement, **values)
        if found is None:
            raise NotFound
        return found

    async def scalar(self, statement: Select[T], **values: Any) -> T:
        return (await self._execute(statement, values)).scalar_one()

    async def scalars(self, statement: Select[T], **values: Any) -> list[T]:
        return list((await self._execute(statement, values)).scalars())

    async def rows(self, statement: Executable, **values: Any) -> Sequence[Row[Any]]:
        return (await self._execute(statement, values)).all()

    async def _execute(self, statement: Executable, values: Mapping[str, Any]) -> Any:
        return await self._session.execute(statement, {**self._values, **values})


class UnitOfWork(Snapshot):
    """One act: rows, facts, and one COMMIT. An exception rolls everything back."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        super().__init__(session, actor)
        self._new: list[SQLModel] = []
        self._recorded: list[outbox.Recorded] = []
        self.rings = False

    def add(self, *rows: SQLModel) -> None:
        """Take rows to be inserted. Rows of one table keep their order: parents first."""
        for row in rows:
            if isinstance(row, Versioned) and row.version is None:  # pyright: ignore[reportUnnecessaryComparison]
                row.version = 1
            # What the column's default would say; given here, many rows travel in one statement without RETURNING.
            if isinstance(row, TenantOwned) and row.created_at is None:  # pyright: ignore[reportUnnecessaryComparison]
                row.created_at = self.now
        self._new.extend(rows)

    def emit(self, event: Event) -> UUID:
        """Record that something happened: one audit row and one outbox row, in this transaction. Returns its id."""
        recorded = outbox.Recorded(identifiers.new(), event)
        self._recorded.append(recorded)
        self.rings = True
        return recorded.id

    async def write(self, statement: UpdateBase | Executable, values: Mapping[str, Any] | None = None) -> Any:
        """Run an INSERT, UPDATE or DELETE that must be one statement: a compare-and-set, a batch, an upsert."""
        await self.flush()
        return await self._session.execute(statement, values or {})

    async def flush(self) -> None:
        """Send what is pending, table by table: without ORM relationships a flush knows no order between them."""
        pending, self._new = self._new, []
        for table in SQLModel.metadata.sorted_tables if pending else ():
            batch = [row for row in pending if type(row).__table__ is table]  # pyright: ignore[reportAttributeAccessIssue]
            if batch:
                self._session.add_all(batch)
                await self._session.flush()
        await self._session.flush()

    async def finish(self) -> None:
        """Rows first, the ledgers last: the audit head's lock is the last one taken."""
        await self.flush()
        if self._recorded:
            connection = await self._session.connection()
            await connection.run_sync(outbox.record, self.actor, self.now, self._recorded)

    async def _execute(self, statement: Executable, values: Mapping[str, Any]) -> Any:
        await self.flush()
        return await super()._execute(statement, values)


class Directory:
    """Reads and writes platform-local tables before an organization is known; row security keeps it out of the rest."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def one_or_none(self, statement: Select[T]) -> T | None:
        return (await self._session.execute(statement)).scalars().one_or_none()

    async def scalars(self, statement: Select[T]) -> list[T]:
        return list((await self._session.execute(statement)).scalars())

    async def add(self, *rows: PlatformLocal) -> None:
        self._session.add_all(rows)
        await self._session.flush()

    async def check(self) -> None:
        """One round trip, for readiness."""
        await (await self._session.connection()).exec_driver_sql("SELECT 1")


class Database:
    """The pool of connections of one database role, and the only maker of sessions."""

    def __init__(
        self,
        url: str,
        *,
        bell: Bell | None = None,
        pool_size: int = POOL_SIZE,
        binding: TenantBinding = TenantBinding.STATEMENT,
    ) -> None:
        self.engine = make_engine(url, pool_size)
        self.reads = Reads(url, pool_size, binding)
        self._reading = self.engine.execution_options(postgresql_readonly=True)
        self._shared = self._reading.execution_options(isolation_level="REPEATABLE READ")
        self._bell = bell

    @asynccontextmanager
    async def snapshot(self, actor: Actor, moment: Moment | None = None) -> AsyncIterator[Snapshot]:
        """A READ ONLY transaction of one actor; with `moment`, one that sees exactly what that one sees."""
        with busy_is_unavailable():
            async with self._session(self._reading if moment is None else self._shared, actor) as session:
                if moment is not None:
                    session.info["moment"] = moment.name
                await session.connection()
                yield Snapshot(session, actor)

    @asynccontextmanager
    async def unit_of_work(self, actor: Actor) -> AsyncIterator[UnitOfWork]:
        """A transaction of one actor that commits when the block ends, and rolls back when it raises."""
        with busy_is_unavailable():
            async with self._session(self.engine, actor) as session:
                await session.connection()
                uow = UnitOfWork(session, actor)
                yield uow
                await uow.finish()
                await session.commit()
        if uow.rings and self._bell is not None:
            await self._bell.ring(actor.tenant_id)

    @asynccontextmanager
    async def directory(self) -> AsyncIterator[Directory]:
        """A transaction without organization that commits when the block ends."""
        with busy_is_unavailable():
            async with AsyncSession(self.engine, expire_on_commit=False) as session:
                yield Directory(session)
                await session.commit()

    async def close(self) -> None:
        await self.reads.close()
        await self.engine.dispose()

    @staticmethod
    def _session(engine: AsyncEngine, actor: Actor) -> AsyncSession:
        if not isinstance(actor, Actor):  # pyright: ignore[reportUnnecessaryIsInstance]  the type is a promise, this is a lock
            raise TransactionWithoutOrganization
        return AsyncSession(engine, sync_session_class=TenantSession, expire_on_commit=False, info={"actor": actor})


def make_engine(url: str, pool_size: int = POOL_SIZE) -> AsyncEngine:
    """A pool of connections of one database role."""
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,  # an error's text goes to the log, and parameters are citizens' words
        pool_timeout=CHECKOUT_SECONDS_MAX,
        connect_args={"prepared_statement_cache_size": STATEMENT_CACHE_SIZE, "timeout": CHECKOUT_SECONDS_MAX},
        json_serializer=lambda value: to_json(value).decode(),
        json_deserializer=from_json,
    )
    event.listen(engine.sync_engine, "reset", _reset)
    return engine


def _reset(dbapi_connection: DBAPIConnection, _record: ConnectionPoolEntry, state: PoolResetState) -> None:
    """A second line behind SET LOCAL: whatever a session set, the next one does not inherit."""
    if not state.terminate_only:
        dbapi_connection.rollback()
        dbapi_connection.run_async(lambda connection: connection.execute("RESET ALL"))  # pyright: ignore[reportAttributeAccessIssue]
