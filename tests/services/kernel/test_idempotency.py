# SPDX-License-Identifier: EUPL-1.2
"""Acts that are repeated happen once: the key, the effect and the answer commit together."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.kernel import idempotency
from services.kernel.access import Actor, Role
from services.kernel.database import Database
from services.kernel.encryption import digest
from services.kernel.errors import IdempotencyInProgress, IdempotencyKeyReused, Invalid
from services.kernel.identifiers import new
from services.tenancy import commands
from tests.support.organizations import TestOrganization

KEY = "a-key-of-the-client"
REPEATS = 10


async def add_once(database: Database, actor: Actor, code: str, *, key: str = KEY) -> tuple[str, dict[str, Any] | None]:
    """What an edge does with an act that carries a key: ("new" or "repeat", the stored answer)."""
    request_hash = digest(f"departmentAdd {code}")
    async with database.unit_of_work(actor) as uow:
        stored = await idempotency.begin(uow, key, request_hash)
        if stored is not None:
            return "repeat", stored
        added = await commands.add_department(uow, code=code, name=code)
        await idempotency.answer(uow, key, {"department": added.id, "nothing": None})
        return "new", {"department": str(added.id), "nothing": None}


async def count_of(database: Database, actor: Actor, code: str) -> int:
    async with database.snapshot(actor) as snapshot:
        question = text("SELECT count(*) FROM belfry.department WHERE tenant_id = :tenant AND code = :code")
        return (await snapshot.rows(question, tenant=actor.tenant_id, code=code))[0][0]


async def test_a_repeat_gets_the_first_answer_and_does_nothing(
    database: Database, organization: TestOrganization
) -> None:
    first = await add_once(database, organization.system, "ONCE")
    again = await add_once(database, organization.system, "ONCE")
    assert first[0] == "new"
    assert again == ("repeat", first[1])
    assert again[1] is not None
    assert UUID(again[1]["department"])
    assert await count_of(database, organization.system, "ONCE") == 1


async def test_repeats_that_arrive_at_the_same_moment_wait_and_see_the_first_answer(
    database: Database, organization: TestOrganization
) -> None:
    answers = await asyncio.gather(*(add_once(database, organization.system, "RUSH") for _ in range(REPEATS)))
    assert sorted(kind for kind, _ in answers) == ["new", *["repeat"] * (REPEATS - 1)]
    assert len({answer["department"] for _, answer in answers if answer}) == 1
    assert await count_of(database, organization.system, "RUSH") == 1


async def test_the_same_key_for_another_input_is_refused(database: Database, organization: TestOrganization) -> None:
    await add_once(database, organization.system, "FIRST")
    with pytest.raises(IdempotencyKeyReused) as refusal:
        await add_once(database, organization.system, "SECOND")
    assert refusal.value.field == ("idempotencyKey",)
    assert await count_of(database, organization.system, "SECOND") == 0


async def test_an_act_that_failed_leaves_the_key_free(database: Database, organization: TestOrganization) -> None:
    with pytest.raises(LookupError):
        async with database.unit_of_work(organization.system) as uow:
            await idempotency.begin(uow, KEY, digest("departmentAdd RETRY"))
            await commands.add_department(uow, code="RETRY", name="Retry")
            raise LookupError
    assert (await add_once(database, organization.system, "RETRY"))[0] == "new"
    assert await count_of(database, organization.system, "RETRY") == 1


async def test_a_first_request_that_still_runs_after_the_lock_timeout_is_told_apart(
    database: Database, organization: TestOrganization
) -> None:
    async with database.unit_of_work(organization.system) as first:
        assert await idempotency.begin(first, KEY, digest("slow")) is None
        await first.flush()
        with pytest.raises(IdempotencyInProgress) as refusal:
            async with database.unit_of_work(organization.system) as second:
                await second.write(text("SET LOCAL lock_timeout = '30ms'"))
                await idempotency.begin(second, KEY, digest("slow"))
        assert refusal.value.field == ("idempotencyKey",)
        await idempotency.answer(first, KEY, {})


async def test_a_key_belongs_to_one_actor_of_one_organization(
    database: Database, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    operator, coordinator = organization.actor(Role.OPERATOR), organization.actor(Role.COORDINATOR)
    stranger = other_organization.actor(Role.OPERATOR)
    machine = replace(organization.system, client_id=new())
    for actor in (operator, coordinator, stranger, machine, organization.system):
        async with database.unit_of_work(actor) as uow:
            assert await idempotency.begin(uow, KEY, digest("mine")) is None, actor
            await idempotency.answer(uow, KEY, {"row": actor.id})
    for actor in (operator, stranger, machine):
        async with database.unit_of_work(actor) as uow:
            assert await idempotency.begin(uow, KEY, digest("mine")) == {"row": str(actor.id)}


@pytest.mark.parametrize("key", ["", "x" * (idempotency.KEY_LENGTH_MAX + 1)])
async def test_a_key_without_length_or_beyond_the_bound_is_refused(
    database: Database, organization: TestOrganization, key: str
) -> None:
    with pytest.raises(Invalid):
        await add_once(database, organization.system, "NEVER", key=key)
    assert await count_of(database, organization.system, "NEVER") == 0


async def test_the_answer_holds_ids_and_no_text(database: Database, organization: TestOrganization) -> None:
    _, answer = await add_once(database, organization.system, "PLAIN")
    assert answer is not None
    assert all(value is None or UUID(value) for value in answer.values())
