# SPDX-License-Identifier: EUPL-1.2
"""What only a person can say about a delivery: it is there, send it again, give it up; and who may say it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from services.conversations import commands as conversations
from services.deliveries import commands as deliveries
from services.deliveries import rules
from services.deliveries.commands import SEND, VERIFY
from services.deliveries.rules import DeliveryState, Resolution
from services.kernel.access import Actor, Grant, Role
from services.kernel.database import Database
from services.kernel.errors import Forbidden, NotFound, NotPermitted, Required, TooLong
from tests.workers.towns import Evidence, Town, town_with_form

LOOKS = (10, 60, 360, 720)
LINK = "https://social.example/town/1"


@dataclass
class Question:
    """A reply whose outcome nobody knows."""

    town: Town
    conversation_id: UUID
    delivery_id: UUID

    async def decide(self, resolution: Resolution, link: str | None = None, by: Actor | None = None) -> None:
        async with self.town.database.unit_of_work(by or self.town.coordinator) as uow:
            await conversations.resolve_delivery(uow, delivery_id=self.delivery_id, resolution=resolution, link=link)


@pytest.fixture
async def question(database: Database, evidence: Evidence) -> Question:
    town = await town_with_form(database)
    await town.submit("Wanneer komt het grofvuil?")
    await town.drain()
    conversation_id = await evidence.one("select id from belfry.conversation where tenant_id = $1", town.id)
    delivery_id = await town.answer(conversation_id, "Op dinsdag.")
    async with database.unit_of_work(town.system) as uow:
        attempt = await deliveries.begin(uow, delivery_id=delivery_id, check_schedule=LOOKS)
    assert attempt is not None
    await evidence.rows("delete from belfry.job where kind = $1 and subject_id = $2", SEND, delivery_id)
    async with database.unit_of_work(town.system) as uow:
        await deliveries.record_unknown(uow, attempt, "TIMED_OUT", LOOKS)
    return Question(town, conversation_id, delivery_id)


async def kinds_of_jobs(evidence: Evidence, delivery_id: UUID) -> set[str]:
    found = await evidence.rows("select kind from belfry.job where subject_id = $1", delivery_id)
    return {row["kind"] for row in found}


async def test_it_is_there_publishes_it_with_the_link(question: Question, evidence: Evidence) -> None:
    await question.decide(Resolution.IT_IS_THERE, LINK)
    row = await evidence.delivery(question.delivery_id)
    assert (row["state"], row["verification"], row["permalink"]) == ("PUBLISHED", None, LINK)
    assert row["published_at"] == row["sent_at"]
    assert await kinds_of_jobs(evidence, question.delivery_id) == set()
    for kind in ("delivery.published", "delivery.resolved"):
        assert await evidence.facts(question.town.id, kind, question.delivery_id) == 1


async def test_it_is_there_needs_a_link(question: Question, evidence: Evidence) -> None:
    for link in (None, "", "javascript:alert(1)", "social.example/town/1"):
        with pytest.raises(Required) as refusal:
            await question.decide(Resolution.IT_IS_THERE, link)
        assert refusal.value.field == ("link",)
    assert (await evidence.delivery(question.delivery_id))["verification"] == "CHECKING"
    assert await kinds_of_jobs(evidence, question.delivery_id) == {VERIFY}, "Belfry goes on looking"


async def test_a_link_has_a_length(question: Question) -> None:
    with pytest.raises(TooLong) as refusal:
        await question.decide(Resolution.IT_IS_THERE, LINK + "x" * 500)
    assert refusal.value.field == ("link",)


async def test_send_again_sends_the_same_bytes(question: Question, evidence: Evidence) -> None:
    before = await evidence.delivery(question.delivery_id)
    await question.decide(Resolution.SEND_AGAIN)
    after = await evidence.delivery(question.delivery_id)
    assert (after["state"], after["verification"], after["prepared"]) == ("SCHEDULED", None, before["prepared"])
    assert await kinds_of_jobs(evidence, question.delivery_id) == {SEND}
    assert await evidence.facts(question.town.id, "delivery.resolved", question.delivery_id) == 1


async def test_sending_again_on_request_begins_a_new_quarter_of_an_hour(question: Question, evidence: Evidence) -> None:
    """What a person has sent again is looked for as the first time, however long ago that was."""
    passed = "update belfry.delivery set first_sent_at = first_sent_at - interval '5 hours' where id = $1"
    await evidence.rows(passed, question.delivery_id)
    await question.decide(Resolution.SEND_AGAIN)
    system = question.town.system
    async with question.town.database.unit_of_work(system) as uow:
        attempt = await deliveries.begin(uow, delivery_id=question.delivery_id, check_schedule=LOOKS)
    assert attempt is not None
    async with question.town.database.unit_of_work(system) as uow:
        await deliveries.record_unknown(uow, attempt, "TIMED_OUT", LOOKS)
    async with question.town.database.unit_of_work(system) as uow:
        await deliveries.record_cannot_tell(uow, attempt, LOOKS)
    assert (await evidence.delivery(question.delivery_id))["verification"] == "CHECKING"


async def test_giving_up_frees_the_question_for_another_answer(question: Question, evidence: Evidence) -> None:
    await question.decide(Resolution.CANCEL)
    assert (await evidence.delivery(question.delivery_id))["state"] == "CANCELLED"
    assert await kinds_of_jobs(evidence, question.delivery_id) == set()
    assert await evidence.facts(question.town.id, "delivery.failed", question.delivery_id) == 1
    await question.town.answer(question.conversation_id, "Op woensdag.")


async def test_a_known_outcome_is_nobody_s_to_decide(question: Question, evidence: Evidence) -> None:
    for state in set(DeliveryState) - {DeliveryState.UNCONFIRMED}:
        await evidence.rows("update belfry.delivery set state = $2 where id = $1", question.delivery_id, state.value)
        for resolution in Resolution:
            with pytest.raises(rules.DeliveryIsNotUnconfirmed) as refusal:
                await question.decide(resolution, LINK)
            assert refusal.value.code == "DELIVERY_IS_NOT_UNCONFIRMED"
    assert await evidence.facts(question.town.id, "delivery.resolved", question.delivery_id) == 0


async def test_a_decision_is_made_once(question: Question) -> None:
    await question.decide(Resolution.CANCEL)
    with pytest.raises(rules.DeliveryIsNotUnconfirmed):
        await question.decide(Resolution.SEND_AGAIN)


async def test_whoever_holds_the_conversation_may_decide_and_another_operator_may_not(question: Question) -> None:
    (stranger,) = await question.town.hire(1)
    with pytest.raises(NotPermitted):
        await question.decide(Resolution.SEND_AGAIN, by=stranger)
    await question.decide(Resolution.SEND_AGAIN, by=question.town.operator)


async def test_people_without_the_right_are_refused_at_the_door(question: Question) -> None:
    member = question.town.operator
    for role in (Role.VIEWER, Role.EXPERT, Role.MANAGER, Role.ADMIN):
        actor = Actor(tenant_id=member.tenant_id, membership_id=member.membership_id, grants=(Grant(role),))
        with pytest.raises(Forbidden):
            await question.decide(Resolution.CANCEL, by=actor)


async def test_another_organization_s_delivery_does_not_exist(question: Question, database: Database) -> None:
    elsewhere = await town_with_form(database)
    for delivery_id in (question.delivery_id, UUID(int=0)):
        with pytest.raises(NotFound) as refusal:
            async with database.unit_of_work(elsewhere.coordinator) as uow:
                await conversations.resolve_delivery(
                    uow, delivery_id=delivery_id, resolution=Resolution.CANCEL, link=None
                )
        assert refusal.value.field == ("deliveryId",)


async def test_a_person_may_decide_while_belfry_looks_and_the_look_then_changes_nothing(
    question: Question, evidence: Evidence
) -> None:
    async with question.town.database.unit_of_work(question.town.system) as uow:
        looking = await deliveries.to_check(uow, delivery_id=question.delivery_id)
    assert looking is not None
    await question.decide(Resolution.CANCEL)
    found: Any = deliveries.Sent("elsewhere", "1", None, looking.sent_at)
    async with question.town.database.unit_of_work(question.town.system) as uow:
        await deliveries.record_found(uow, looking, found)
    assert (await evidence.delivery(question.delivery_id))["state"] == "CANCELLED"
