# SPDX-License-Identifier: EUPL-1.2
"""Snapshots and units of work: who may open one, what it may do, and what one COMMIT holds."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col, select, update

from services.conversations.models import Category, CategoryDepartment
from services.identity.models import Person
from services.kernel.access import Actor, Permission
from services.kernel.audit import AuditEvent, AuditHead
from services.kernel.database import Database, TenantSession, TransactionWithoutOrganization, UnitOfWork
from services.kernel.errors import NotFound
from services.kernel.identifiers import new
from services.kernel.inbox import InboxEntry
from services.kernel.isolation import owned
from services.kernel.outbox import OutboxEntry
from services.tenancy import commands, queries
from services.tenancy.events import DepartmentAdded
from services.tenancy.models import Department, Organization
from tests.support import statements
from tests.support.organizations import TestOrganization

WRITERS = 8
FACTS_EACH = 25
NOT_ACTORS: list[Any] = [None, "", "0199c0de-0000-7000-8000-000000000000", UUID(int=1), 7]
NOT_IDS: list[Any] = [None, "", "0199c0de-0000-7000-8000-000000000000", "x'; SET ROLE postgres; --", 7]


class Ears:
    """Stands for the doorbell of Valkey."""

    def __init__(self) -> None:
        self.heard: list[UUID] = []

    async def ring(self, tenant_id: UUID) -> None:
        self.heard.append(tenant_id)


async def ledger(database: Database, organization: TestOrganization) -> tuple[list[tuple[int, UUID]], ...]:
    """(seq, id) of all audit rows and all outbox rows, in order."""
    async with database.snapshot(organization.system) as snapshot:
        audit = (
            owned(AuditEvent).with_only_columns(col(AuditEvent.seq), col(AuditEvent.id)).order_by(col(AuditEvent.seq))
        )
        outbox = (
            owned(OutboxEntry)
            .with_only_columns(col(OutboxEntry.seq), col(OutboxEntry.id))
            .order_by(col(OutboxEntry.seq))
        )
        return [tuple(row) for row in await snapshot.rows(audit)], [tuple(row) for row in await snapshot.rows(outbox)]


def department(organization: TestOrganization, code: str) -> Department:
    return Department(tenant_id=organization.id, code=code, name=code.title(), sort_key=code.lower())


@pytest.mark.parametrize("nobody", NOT_ACTORS, ids=repr)
async def test_neither_a_snapshot_nor_a_unit_of_work_opens_without_an_actor(database: Database, nobody: Any) -> None:
    with pytest.raises(TransactionWithoutOrganization):
        async with database.snapshot(nobody):
            pytest.fail("it opened")
    with pytest.raises(TransactionWithoutOrganization):
        async with database.unit_of_work(nobody):
            pytest.fail("it opened")


@pytest.mark.parametrize("tenant_id", NOT_IDS, ids=repr)
async def test_an_actor_whose_organization_is_not_a_parsed_uuid_opens_nothing(
    database: Database, tenant_id: Any
) -> None:
    with pytest.raises(TransactionWithoutOrganization):
        async with database.unit_of_work(Actor.system(tenant_id)):
            pytest.fail("it opened")


async def test_the_hook_itself_raises_when_a_session_was_made_by_hand(database: Database) -> None:
    async with AsyncSession(database.engine, sync_session_class=TenantSession) as session:
        with pytest.raises(TransactionWithoutOrganization):
            await session.connection()


async def test_the_hook_reads_the_setting_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that ignores SET LOCAL, as a distributed one may, must not go unnoticed."""

    def ignore(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> tuple[str, Any]:
        return ("SELECT 1" if statement.startswith("SET LOCAL app.") else statement), parameters

    event.listen(database.engine.sync_engine, "before_cursor_execute", ignore, retval=True)
    try:
        with pytest.raises(TransactionWithoutOrganization):
            async with database.snapshot(Actor.system(new())):
                pytest.fail("it opened")
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", ignore)


async def test_the_setting_is_there_after_every_kind_of_begin(
    database: Database, organization: TestOrganization
) -> None:
    question = text("SELECT current_setting('app.tenant_id', true)")
    own = str(organization.id)
    async with database.unit_of_work(organization.system) as uow:
        session = uow._session
        assert (await uow.rows(question))[0][0] == own
        async with session.begin_nested():
            assert (await uow.rows(question))[0][0] == own
        nested = await session.begin_nested()
        await nested.rollback()
        assert (await uow.rows(question))[0][0] == own
        await session.commit()  # nobody does this; a commit begins a new transaction without a setting
        assert (await uow.rows(question))[0][0] == own
        await session.rollback()
        assert (await uow.rows(question))[0][0] == own


async def test_a_snapshot_cannot_write(database: Database, organization: TestOrganization) -> None:
    async with database.snapshot(organization.system) as snapshot:
        assert not hasattr(snapshot, "add")
        assert not hasattr(snapshot, "emit")
        with pytest.raises(DBAPIError, match="read-only transaction"):
            await snapshot.rows(update(Department).where(col(Department.tenant_id) == organization.id).values(name="x"))
    async with database.unit_of_work(organization.system) as uow:
        uow.add(department(organization, "AFTER"))
    async with database.snapshot(organization.system) as snapshot:
        assert (await queries.department_by_code(snapshot, "AFTER")).name == "After"


async def test_an_error_rolls_back_rows_facts_and_the_ring(
    database_urls: Mapping[str, str], organization: TestOrganization
) -> None:
    ears = Ears()
    database = Database(database_urls["belfry_app"], bell=ears, pool_size=1)
    before = await ledger(database, organization)
    with pytest.raises(LookupError):
        async with database.unit_of_work(organization.system) as uow:
            added = await commands.add_department(uow, code="LOST", name="Lost")
            await uow.flush()
            assert (await queries.department(uow, added.id)).code == "LOST"
            raise LookupError
    async with database.snapshot(organization.system) as snapshot:
        with pytest.raises(NotFound):
            await queries.department_by_code(snapshot, "LOST")
    assert await ledger(database, organization) == before
    assert ears.heard == []
    await database.close()


async def test_a_commit_holds_rows_and_facts_and_rings_once(
    database_urls: Mapping[str, str], organization: TestOrganization
) -> None:
    ears = Ears()
    database = Database(database_urls["belfry_app"], bell=ears, pool_size=1)
    async with database.unit_of_work(organization.system) as uow:
        await commands.add_department(uow, code="KEPT", name="Kept")
        await commands.add_department(uow, code="ALSO", name="Also")
        assert ears.heard == [], "nothing is rung before the commit"
    assert ears.heard == [organization.id]
    audit, outbox = await ledger(database, organization)
    assert audit == outbox
    async with database.unit_of_work(organization.system) as uow:
        uow.add(department(organization, "QUIET"))
    assert ears.heard == [organization.id], "who emits nothing does not ring"
    await database.close()


async def test_every_fact_has_one_audit_row_and_one_outbox_row_under_one_number(
    database: Database, organization: TestOrganization
) -> None:
    async with database.unit_of_work(organization.system) as uow:
        ids = [uow.emit(DepartmentAdded(department_id=organization.departments["ROADS"])) for _ in range(3)]
    audit, outbox = await ledger(database, organization)
    assert audit == outbox
    assert [seq for seq, _ in audit] == list(range(1, len(audit) + 1)), "no gap, no double"
    assert [each for _, each in audit][-3:] == ids
    async with database.snapshot(organization.system) as snapshot:
        head = await snapshot.one(owned(AuditHead))
        event_row = await snapshot.one(owned(AuditEvent, col(AuditEvent.id) == ids[0]))
        entry = await snapshot.one(owned(OutboxEntry, col(OutboxEntry.id) == ids[0]))
    assert (head.seq, head.hash) == (len(audit), (await last_hash(database, organization)))
    assert entry.occurred_at == event_row.at
    assert entry.body == event_row.detail == {"department_id": str(organization.departments["ROADS"])}
    assert (event_row.action, event_row.subject_kind) == ("department.added", "department")


async def last_hash(database: Database, organization: TestOrganization) -> bytes:
    async with database.snapshot(organization.system) as snapshot:
        newest = owned(AuditEvent).with_only_columns(col(AuditEvent.hash)).order_by(col(AuditEvent.seq).desc()).limit(1)
        return (await snapshot.rows(newest))[0][0]


async def test_numbers_have_the_order_of_commits_under_concurrent_writers(
    database: Database, organization: TestOrganization, tell: Callable[[str], None]
) -> None:
    """A reader that remembers the highest number it has seen must never be passed by a smaller one."""
    finished = asyncio.Event()
    seen: list[int] = []

    async def write(number: int) -> None:
        for turn in range(FACTS_EACH):
            async with database.unit_of_work(organization.system) as uow:
                for _ in range(1 + (number + turn) % 3):
                    uow.emit(DepartmentAdded(department_id=organization.departments["ROADS"]))
                await asyncio.sleep(0.001 * ((number * turn) % 4))

    async def read() -> None:
        while not finished.is_set():
            async with database.snapshot(organization.system) as snapshot:
                newer = owned(OutboxEntry, col(OutboxEntry.seq) > (seen[-1] if seen else 0))
                found = await snapshot.rows(
                    newer.with_only_columns(col(OutboxEntry.seq)).order_by(col(OutboxEntry.seq))
                )
                seen.extend(row[0] for row in found)
            await asyncio.sleep(0)

    reader = asyncio.ensure_future(read())
    await asyncio.gather(*(write(number) for number in range(WRITERS)))
    audit, outbox = await ledger(database, organization)
    finished.set()
    await reader
    async with database.snapshot(organization.system) as snapshot:
        newer = owned(OutboxEntry, col(OutboxEntry.seq) > seen[-1]).with_only_columns(col(OutboxEntry.seq))
        seen.extend(sorted(row[0] for row in await snapshot.rows(newer)))
    assert audit == outbox
    assert [seq for seq, _ in audit] == list(range(1, len(audit) + 1))
    assert seen == [seq for seq, _ in outbox], "read as it was written, nothing was skipped"
    tell(f"{WRITERS} concurrent writers, {len(audit)} facts: one line of numbers, 0 gaps, 0 overtaken")


async def test_a_unit_of_work_updates_the_head_once_however_many_facts(
    database: Database, organization: TestOrganization
) -> None:
    run: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        run.append(" ".join(statement.split()))

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        async with database.unit_of_work(organization.system) as uow:
            for number in range(20):
                uow.add(department(organization, f"D{number}"))
                uow.emit(DepartmentAdded(department_id=organization.departments["ROADS"]))
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    assert sum("update belfry.audit_head" in each for each in run) == 1
    assert sum("belfry.audit_head" in each and "FOR UPDATE" in each for each in run) == 1
    writes = [number for number, each in enumerate(run) if "belfry.department" in each]
    assert max(writes) < min(number for number, each in enumerate(run) if "audit_head" in each), "the head comes last"
    assert len(run) <= 6, "20 rows and 20 facts cost no more statements than one"


async def test_a_fact_of_an_organization_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(NotFound):
        async with database.unit_of_work(Actor.system(new())) as uow:
            uow.emit(DepartmentAdded(department_id=new()))


async def test_a_version_rises_with_every_change_and_with_nothing_else(
    database: Database, organization: TestOrganization
) -> None:
    roads = organization.departments["ROADS"]
    async with database.unit_of_work(organization.system) as uow:
        row = await queries.department(uow, roads)
        assert row.version == 1
        row.name = "Streets"
    async with database.unit_of_work(organization.system) as uow:
        row = await queries.department(uow, roads)
        assert row.version == 2
        row.name = "Streets"  # the same words again are no change
    async with database.unit_of_work(organization.system) as uow:
        row = await queries.department(uow, roads)
        assert row.version == 2
        row.name, row.can_direct = "Roads", True
        await uow.flush()
        assert row.version == 3
        await uow.flush()
        assert row.version == 3
    async with database.unit_of_work(organization.system) as uow:
        added = await commands.add_department(uow, code="NEW", name="New")
        await uow.flush()
        assert added.version == 1


async def test_children_may_be_added_before_their_parents(database: Database, organization: TestOrganization) -> None:
    """Without relationships an ORM flush goes by class name or chance; ours goes by the keys."""
    category, link = new(), new()
    async with database.unit_of_work(organization.system) as uow:
        uow.add(
            CategoryDepartment(
                tenant_id=organization.id,
                id=link,
                category_id=category,
                department_id=organization.departments["ROADS"],
                is_responsible=True,
            ),
            Category(tenant_id=organization.id, id=category, name="Potholes", sort_key="potholes"),
        )
    async with database.snapshot(organization.system) as snapshot:
        assert (
            await snapshot.one(owned(CategoryDepartment, col(CategoryDepartment.id) == link))
        ).category_id == category


def test_the_order_of_tables_has_no_circle() -> None:
    position = {table.name: number for number, table in enumerate(SQLModel.metadata.sorted_tables)}
    for table in SQLModel.metadata.sorted_tables:
        for key in table.foreign_keys:
            if key.column.table is not table:
                assert position[key.column.table.name] < position[table.name], (table.name, key.column.table.name)


async def test_a_row_of_another_organization_is_not_found(
    database: Database, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    async with database.snapshot(other_organization.system) as snapshot:
        with pytest.raises(NotFound):
            await queries.department(snapshot, organization.departments["ROADS"])
        with statements.unwatched():
            assert await snapshot.scalars(select(Organization.tenant_id)) == [other_organization.id]


async def test_a_row_for_another_organization_cannot_be_added(
    database: Database, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        async with database.unit_of_work(organization.system) as uow:
            uow.add(InboxEntry(tenant_id=other_organization.id, event_id=new(), handler="smuggled"))
    with pytest.raises(IntegrityError):
        async with database.unit_of_work(organization.system) as uow:
            row = department(organization, "CHILD")
            row.parent_id = other_organization.departments["ROADS"]
            uow.add(row)


async def test_the_directory_sees_people_and_no_tenant_table(
    database: Database, organization: TestOrganization
) -> None:
    async with database.directory() as directory:
        assert await directory.scalars(select(Person).limit(1)) != []
        with statements.unwatched():
            assert await directory.scalars(select(Department)) == []
            assert await directory.scalars(select(OutboxEntry)) == []


async def test_now_is_the_instant_at_which_the_transaction_began(
    database: Database, organization: TestOrganization
) -> None:
    async with database.unit_of_work(organization.system) as uow:
        (now,) = (await uow.rows(select(func.now())))[0]
        assert uow.now == now
        assert uow.now.utcoffset() is not None
        async with uow._session.begin_nested():
            assert uow.now == now, "a savepoint begins no new time"


def test_a_unit_of_work_is_a_snapshot_that_can_also_write() -> None:
    public = {name for name in vars(UnitOfWork) if not name.startswith("_")}
    assert public == {"add", "emit", "write", "flush", "finish"}
    assert Permission.DIRECTORY_READ in Actor.system(new()).permissions
