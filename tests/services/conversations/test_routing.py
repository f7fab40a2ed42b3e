# SPDX-License-Identifier: EUPL-1.2
"""Routing over the database: rules decide until a person does, and every decision says why."""

from datetime import timedelta
from uuid import uuid4

from sqlmodel import col

from services.conversations import commands
from services.conversations import rules as conversation_rules
from services.conversations.models import Category, CategoryDepartment, RoutingDecision, RoutingRule
from services.conversations.rules import ConversationState
from services.kernel.access import Role
from services.kernel.isolation import owned
from tests.services.conversations.scenes import (
    Act,
    Urls,
    act,
    ask,
    conversation,
    held,
    newest_message,
    people,
    refused,
    sql,
    submission,
)
from tests.services.conversations.standing import Town
from tests.services.conversations.world import FORM, HARBOR, SPRING, START


async def category_id(town: Town, urls: Urls, name: str):
    [(found,)] = await sql(
        urls, "select id from belfry.category where tenant_id = $1 and name = $2", town.organization.id, name
    )
    return found


async def department(town: Town, conversation_id) -> str:
    row = await conversation(town, conversation_id)
    return {value: key for key, value in town.organization.departments.items()}[row.department_id]


def categorizing(conversation_id, category, version: int) -> Act:
    return lambda uow: commands.categorize(
        uow, conversation_id=conversation_id, category_id=category, expected_version=version
    )


async def test_the_first_rule_with_a_word_in_the_question_sends_it_to_the_responsible_department(town: Town) -> None:
    lamp, waste, both, nothing = await ask(
        town, "The STREET, lamp is out", "a bin", "bin under the street lamp", "good morning"
    )
    assert [await department(town, each) for each in (lamp, waste, both, nothing)] == [
        "LIGHTS",
        "ROADS",
        "LIGHTS",
        "DESK",
    ]
    assert {(await conversation(town, each)).state for each in (lamp, waste, both, nothing)} == {ConversationState.OPEN}


async def test_a_rule_for_one_account_does_not_move_what_came_through_another(town: Town) -> None:
    [by_spring] = await ask(town, "the harbor", handle=SPRING)
    [by_harbor] = await ask(town, "the harbor", handle=HARBOR)
    assert [await department(town, each) for each in (by_spring, by_harbor)] == ["ROADS", "DESK"]


async def test_the_stored_why_replays_to_the_stored_route(town: Town) -> None:
    [lamp, nothing] = await ask(town, "my street lamp", "hello")
    async with town.database.snapshot(town.actor) as snapshot:
        rows = await snapshot.scalars(owned(RoutingRule).order_by(col(RoutingRule.position)))
        decisions = {each.conversation_id: each for each in await snapshot.scalars(owned(RoutingDecision))}
    table = [
        conversation_rules.Rule(each.id, each.name, tuple(each.keywords), each.category_id, each.social_account_id)
        for each in rows
    ]
    for conversation_id, text in ((lamp, "my street lamp"), (nothing, "hello")):
        row, decision = await conversation(town, conversation_id), decisions[conversation_id]
        again = conversation_rules.route(text, account_id=row.social_account_id, rules=table)
        assert (again.rule_id, again.category_id, again.why) == (decision.rule_id, decision.category_id, decision.why)
        assert (row.category_id, row.department_id) == (decision.category_id, decision.department_id)


async def test_a_topic_without_a_responsible_department_stays_at_the_desk(town: Town, database_urls: Urls) -> None:
    await sql(database_urls, "delete from belfry.category_department where tenant_id = $1", town.organization.id)
    [lamp] = await ask(town, "street lamp")
    row = await conversation(town, lamp)
    assert row.category_id == await category_id(town, database_urls, "Lights")
    assert await department(town, lamp) == "DESK"


async def test_a_rule_that_is_switched_off_does_not_count(town: Town, database_urls: Urls) -> None:
    await sql(
        database_urls, "update belfry.routing_rule set active = false where tenant_id = $1 and position = 0",
        town.organization.id,
    )  # fmt: skip
    [lamp] = await ask(town, "street lamp")
    assert await department(town, lamp) == "DESK"


async def test_first_words_that_came_in_late_route_again_until_a_person_has_touched_it(town: Town) -> None:
    first = submission("A bin", START)
    later = submission("and a street lamp", START + timedelta(hours=2), thread=first.external_id)
    await town.receive_raw(FORM, [later])
    await town.drain(FORM)
    async with town.database.snapshot(town.actor) as snapshot:
        [decision] = await snapshot.scalars(owned(RoutingDecision))
    assert await department(town, decision.conversation_id) == "LIGHTS"
    await town.receive_raw(FORM, [first])
    await town.drain(FORM)
    assert await department(town, decision.conversation_id) == "ROADS"


async def test_no_rule_moves_what_somebody_has_claimed(town: Town) -> None:
    exchange = await held(town, "street lamp")
    thread = (await newest_message(town, exchange.id)).external_id
    await town.receive_raw(FORM, [submission("A bin", START - timedelta(days=1), thread=thread)])
    await town.drain(FORM)
    assert await department(town, exchange.id) == "LIGHTS"


async def test_no_rule_moves_what_a_person_has_categorized(town: Town, database_urls: Urls) -> None:
    [lamp] = await ask(town, "street lamp")
    [operator] = await people(town, 1, Role.OPERATOR)
    waste = await category_id(town, database_urls, "Waste")
    await act(town, operator, categorizing(lamp, waste, (await conversation(town, lamp)).version))
    thread = (await newest_message(town, lamp)).external_id
    await town.receive_raw(FORM, [submission("pool", START - timedelta(days=1), thread=thread)])
    await town.drain(FORM)
    row = await conversation(town, lamp)
    assert (row.category_id, row.categorized_by) == (waste, operator.id)
    assert await department(town, lamp) == "ROADS"


async def test_every_refusal_of_categorizing_leaves_no_trace(town: Town, database_urls: Urls) -> None:
    [lamp] = await ask(town, "street lamp")
    waste = await category_id(town, database_urls, "Waste")
    version = (await conversation(town, lamp)).version
    [operator] = await people(town, 1, Role.OPERATOR)
    [viewing] = await people(town, 1, Role.OPERATOR, "PEOPLE")
    [manager] = await people(town, 1, Role.MANAGER)
    old = Category(tenant_id=town.organization.id, name="Old", sort_key="old", active=False)
    async with town.database.unit_of_work(town.actor) as uow:
        uow.add(old)
    for actor, act_, code in (
        (operator, categorizing(lamp, waste, version + 1), "CONFLICT"),
        (operator, categorizing(lamp, uuid4(), version), "NOT_FOUND"),
        (operator, categorizing(uuid4(), waste, version), "NOT_FOUND"),
        (operator, categorizing(lamp, old.id, version), "INVALID"),
        (viewing, categorizing(lamp, waste, version), "NOT_FOUND"),
        (manager, categorizing(lamp, waste, version), "FORBIDDEN"),
    ):
        await refused(town, database_urls, actor, act_, code)
    async with town.database.unit_of_work(town.actor) as uow:
        uow.add(
            CategoryDepartment(
                tenant_id=town.organization.id,
                category_id=await category_id(town, database_urls, "Lights"),
                department_id=town.organization.departments["PEOPLE"],
                can_view=True,
            )
        )
    # Who may look may not decide.
    await refused(town, database_urls, viewing, categorizing(lamp, waste, version), "NOT_PERMITTED")
    await act(town, operator, categorizing(lamp, waste, version))
