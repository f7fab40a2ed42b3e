# SPDX-License-Identifier: EUPL-1.2
"""The audit chain: whatever is changed in it afterwards, verification finds it; what was written as it is, holds."""

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import col

import services.models  # noqa: F401  with it, every domain's events
from services.kernel import audit
from services.kernel.access import Actor, ActorKind
from services.kernel.audit import FIRST_HASH, AuditEvent, AuditHead, Break, Entry, chain, verify
from services.kernel.database import Database
from services.kernel.events import EVENTS, Event
from services.kernel.isolation import owned
from tests.support.database import connection_as
from tests.support.loops import loop_thread
from tests.support.organizations import TestOrganization, found_organization

Row = tuple[int, Entry, bytes]
TENANT = UUID("0199c0de-0000-7000-8000-000000000001")
START = datetime(2026, 10, 5, 9, 30, tzinfo=UTC)
WORDS = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=20)
VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | WORDS | st.uuids()
BODIES = st.dictionaries(
    WORDS, VALUES | st.lists(VALUES, max_size=3) | st.dictionaries(WORDS, VALUES, max_size=3), max_size=4
)


@dataclass(frozen=True, kw_only=True)
class Noted(Event, kind="test.noted", subject="subject"):
    subject: UUID
    detail: dict[str, Any]


EVENTS.pop("test.noted")  # the registry belongs to Belfry's own facts


entries = st.builds(
    Entry,
    id=st.uuids(),
    at=st.integers(0, 10**12).map(lambda microseconds: START + timedelta(microseconds=microseconds)),
    actor_kind=st.sampled_from(ActorKind),
    actor_id=st.uuids(),
    cause=st.none() | st.uuids(),
    action=WORDS,
    subject_kind=WORDS,
    subject_id=st.uuids(),
    detail=BODIES.map(lambda body: {name: value for name, value in body.items() if not isinstance(value, UUID)}),
)


def rows_of(written: Sequence[Entry]) -> list[Row]:
    hashes = chain(FIRST_HASH, TENANT, 1, written)
    return [(seq, entry, hash_) for seq, (entry, hash_) in enumerate(zip(written, hashes, strict=True), start=1)]


def head_of(rows: Sequence[Row]) -> tuple[int, bytes]:
    return (rows[-1][0], rows[-1][2]) if rows else (0, FIRST_HASH)


@given(st.lists(entries, max_size=8))
def test_a_chain_as_it_was_written_holds(written: list[Entry]) -> None:
    rows = rows_of(written)
    assert verify(TENANT, rows, head_of(rows)) is None


@given(st.lists(entries, max_size=4), st.lists(entries, max_size=4))
def test_a_chain_written_in_two_batches_is_the_chain_written_in_one(first: list[Entry], second: list[Entry]) -> None:
    begun = chain(FIRST_HASH, TENANT, 1, first)
    assert begun + chain(begun[-1] if begun else FIRST_HASH, TENANT, len(first) + 1, second) == [
        hash_ for _, _, hash_ in rows_of([*first, *second])
    ]


@given(st.lists(entries, min_size=1, max_size=6), entries, st.data())
def test_an_edit_of_any_column_is_found(written: list[Entry], other: Entry, data: st.DataObject) -> None:
    rows = rows_of(written)
    at = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from([each.name for each in fields(Entry)]))
    seq, entry, hash_ = rows[at]
    edited = replace(entry, **{name: getattr(other, name)})
    tampered = [*rows[:at], (seq, edited, hash_), *rows[at + 1 :]]
    broken = verify(TENANT, tampered, head_of(rows))
    if edited == entry:
        assert broken is None
    else:
        assert broken is not None
        assert broken.seq == seq


@given(st.lists(entries, min_size=1, max_size=6), st.data())
def test_a_deletion_is_found(written: list[Entry], data: st.DataObject) -> None:
    rows = rows_of(written)
    at = data.draw(st.integers(0, len(rows) - 1))
    assert verify(TENANT, [*rows[:at], *rows[at + 1 :]], head_of(rows)) is not None


@given(st.lists(entries, min_size=1, max_size=6), entries, st.data())
def test_an_insertion_is_found(written: list[Entry], extra: Entry, data: st.DataObject) -> None:
    rows = rows_of(written)
    at = data.draw(st.integers(0, len(rows)))
    forged = (at + 1, extra, chain(rows[at - 1][2] if at else FIRST_HASH, TENANT, at + 1, [extra])[0])
    pushed = [(seq + 1, entry, hash_) for seq, entry, hash_ in rows[at:]]
    assert verify(TENANT, [*rows[:at], forged, *rows[at:]], head_of(rows)) is not None
    assert verify(TENANT, [*rows[:at], forged, *pushed], head_of(rows)) is not None


@given(st.lists(entries, min_size=2, max_size=6, unique_by=lambda entry: entry.id), st.data())
def test_a_reordering_is_found(written: list[Entry], data: st.DataObject) -> None:
    rows = rows_of(written)
    shuffled = data.draw(st.permutations(rows))
    renumbered = [(seq, entry, hash_) for seq, (_, entry, hash_) in enumerate(shuffled, start=1)]
    if shuffled != rows:
        assert verify(TENANT, shuffled, head_of(rows)) is not None
        assert verify(TENANT, renumbered, head_of(rows)) is not None


@given(st.lists(entries, min_size=1, max_size=6), st.data())
def test_a_tail_that_was_cut_is_found_by_the_head(written: list[Entry], data: st.DataObject) -> None:
    rows = rows_of(written)
    kept = rows[: data.draw(st.integers(0, len(rows) - 1))]
    broken = verify(TENANT, kept, head_of(rows))
    assert broken == Break(len(kept) + 1, "the end was cut off or added to")


@given(st.lists(entries, min_size=1, max_size=6), st.data())
def test_a_rewrite_of_rows_and_hashes_is_found_by_a_head_kept_outside(
    written: list[Entry], data: st.DataObject
) -> None:
    """Whoever may write everything can forge a chain that holds by itself; only a copy of the head tells."""
    rows = rows_of(written)
    at = data.draw(st.integers(0, len(rows) - 1))
    forged = rows_of([*written[:at], replace(written[at], action=written[at].action + "!"), *written[at + 1 :]])
    assert verify(TENANT, forged, head_of(forged)) is None
    assert verify(TENANT, forged, head_of(rows)) is not None


@given(st.lists(entries, min_size=1, max_size=3))
def test_a_chain_of_one_organization_does_not_hold_for_another(written: list[Entry]) -> None:
    rows = rows_of(written)
    assert verify(UUID(int=TENANT.int + 1), rows, head_of(rows)) is not None


async def read_chain(auditor: Database, tenant_id: UUID) -> tuple[list[Row], tuple[int, bytes]]:
    """The chain as the auditor's role sees it."""
    async with auditor.snapshot(Actor.system(tenant_id)) as snapshot:
        head = await snapshot.one(owned(AuditHead))
        stored = await snapshot.scalars(owned(AuditEvent).order_by(col(AuditEvent.seq)))
    names = [each.name for each in fields(Entry)]
    return [(row.seq, Entry(**{name: getattr(row, name) for name in names}), row.hash) for row in stored], (
        head.seq,
        head.hash,
    )


TAMPERINGS: Mapping[str, str] = {
    "edit": "UPDATE belfry.audit_event SET detail = detail || '{\"x\": 1}' WHERE tenant_id = $1 AND seq = 3",
    "other actor": "UPDATE belfry.audit_event SET actor_id = uuidv7() WHERE tenant_id = $1 AND seq = 3",
    "no cause": "UPDATE belfry.audit_event SET cause = uuidv7() WHERE tenant_id = $1 AND seq = 3",
    "other instant": "UPDATE belfry.audit_event SET at = at + '1 microsecond' WHERE tenant_id = $1 AND seq = 3",
    "other hash": "UPDATE belfry.audit_event SET hash = '\\x00' WHERE tenant_id = $1 AND seq = 3",
    "deletion": "DELETE FROM belfry.audit_event WHERE tenant_id = $1 AND seq = 3",
    "first row": "DELETE FROM belfry.audit_event WHERE tenant_id = $1 AND seq = 1",
    "tail cut": "DELETE FROM belfry.audit_event WHERE tenant_id = $1 AND seq > 4",
    "everything": "DELETE FROM belfry.audit_event WHERE tenant_id = $1",
    "reordering": "UPDATE belfry.audit_event SET seq = 11 - seq WHERE tenant_id = $1 AND seq IN (5, 6)",
    "insertion": "INSERT INTO belfry.audit_event SELECT tenant_id, seq + 100, at, uuidv7(), actor_kind, actor_id,"
    " cause, action, subject_kind, subject_id, detail, hash FROM belfry.audit_event WHERE tenant_id = $1 AND seq = 3",
    "head": "UPDATE belfry.audit_head SET seq = seq - 1 WHERE tenant_id = $1",
}


@pytest.fixture
async def auditor(database_urls: Mapping[str, str]) -> typing.AsyncIterator[Database]:
    opened = Database(database_urls["belfry_auditor"], pool_size=1)
    yield opened
    await opened.close()


async def test_a_stored_chain_holds_from_the_first_row_and_the_auditor_sees_one_organization(
    auditor: Database, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    for each in (organization, other_organization):
        rows, head = await read_chain(auditor, each.id)
        assert len(rows) > 8
        assert rows[0][1].action == "organization.founded"
        assert verify(each.id, rows, head) is None


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_tampering_in_the_database_is_found(
    database_urls: Mapping[str, str], auditor: Database, organization: TestOrganization, name: str
) -> None:
    async with connection_as(database_urls, "postgres") as superuser:
        changed = await superuser.execute(TAMPERINGS[name], organization.id)
        assert not changed.endswith(" 0"), "the attack itself worked"
    rows, head = await read_chain(auditor, organization.id)
    assert verify(organization.id, rows, head) is not None


def test_any_body_that_a_fact_may_carry_comes_back_from_the_database_as_it_was_hashed(
    database_urls: Mapping[str, str], tell: Callable[[str], None]
) -> None:
    """The hash is taken before jsonb stores the body in its own form; the check reads that form."""
    with loop_thread() as thread:

        async def opened() -> tuple[Database, Database, TestOrganization]:
            app = Database(database_urls["belfry_app"], pool_size=1)
            return app, Database(database_urls["belfry_auditor"], pool_size=1), await found_organization(app)

        app, auditor, organization = thread.run(opened())

        async def write(bodies: list[dict[str, Any]]) -> None:
            async with app.unit_of_work(organization.system) as uow:
                for body in bodies:
                    uow.emit(Noted(subject=organization.id, detail=body))

        @settings(max_examples=40)
        @given(st.lists(BODIES, min_size=1, max_size=5))
        def writes(bodies: list[dict[str, Any]]) -> None:
            thread.run(write(bodies))

        try:
            writes()
            rows, head = thread.run(read_chain(auditor, organization.id))
            assert verify(organization.id, rows, head) is None
            tell(f"{len(rows)} stored rows with arbitrary bodies verified")
        finally:
            thread.run(app.close())
            thread.run(auditor.close())


def test_no_fact_carries_a_number_that_jsonb_writes_differently() -> None:
    assert len(EVENTS) > 3
    for kind, fact in EVENTS.items():
        annotations = typing.get_type_hints(fact)
        for each in fields(fact):
            assert "float" not in str(annotations[each.name]), f"{kind}.{each.name}"
            assert "Decimal" not in str(annotations[each.name]), f"{kind}.{each.name}"


def test_every_column_of_the_row_is_under_the_hash() -> None:
    columns = set(AuditEvent.__table__.columns.keys())  # pyright: ignore[reportAttributeAccessIssue]
    assert columns == {"tenant_id", "seq", "hash", *(each.name for each in fields(Entry))}
    assert bytes(32) == audit.FIRST_HASH
