# SPDX-License-Identifier: EUPL-1.2
"""Claim, lease, heartbeat and fence; release; takeover by a coordinator, with a reason; closing and reopening."""

import httpx2
import pytest

from tests.support.installation import Client, Installation, Refused
from tests.support.stories import arrives, ask_by_form, claim, read, reply, wait_for, words


async def test_only_one_of_two_operators_gets_a_conversation(
    installation: Installation, citizen: httpx2.AsyncClient, operator: Client
) -> None:
    question = words()
    await ask_by_form(citizen, question)
    conversation = await arrives(operator, question)
    held = await claim(operator, conversation["id"])
    assert held["claim"]["fence"] >= 1 and held["claim"]["leaseUntil"]
    async with installation.person("molendam", "operator", person=2) as colleague:
        refused = await colleague.do("conversationClaim", "conversation { id }", conversationId=conversation["id"])
        assert [error["code"] for error in refused["userErrors"]] == ["ALREADY_CLAIMED"]


async def test_a_heartbeat_extends_the_lease_and_an_old_fence_is_stale(
    citizen: httpx2.AsyncClient, operator: Client
) -> None:
    question = words()
    await ask_by_form(citizen, question)
    held = await claim(operator, (await arrives(operator, question))["id"])
    fence, selection = held["claim"]["fence"], "conversation { claim { leaseUntil fence } }"
    beaten = await operator.do("conversationHeartbeat", selection, conversationId=held["id"], fence=fence)
    assert beaten["userErrors"] == []
    assert beaten["conversation"]["claim"]["leaseUntil"] >= held["claim"]["leaseUntil"]
    stale = await operator.do("conversationHeartbeat", selection, conversationId=held["id"], fence=fence - 1)
    assert [error["code"] for error in stale["userErrors"]] == ["CLAIM_IS_STALE"]


async def test_a_released_conversation_is_free_and_its_old_fence_worthless(
    installation: Installation, citizen: httpx2.AsyncClient, operator: Client
) -> None:
    question = words()
    await ask_by_form(citizen, question)
    held = await claim(operator, (await arrives(operator, question))["id"])
    fence = held["claim"]["fence"]
    released = await operator.do(
        "conversationRelease", "conversation { claim { fence } }", conversationId=held["id"], fence=fence
    )
    assert released == {"conversation": {"claim": None}, "userErrors": []}
    async with installation.person("molendam", "operator", person=2) as colleague:
        taken = await claim(colleague, held["id"])
        assert taken["claim"]["fence"] > fence
    late = await reply(operator, held, words())
    assert [error["code"] for error in late["userErrors"]] == ["CLAIM_IS_STALE"]


async def test_a_coordinator_takes_over_with_a_reason_and_the_former_holder_is_out(
    citizen: httpx2.AsyncClient, operator: Client, coordinator: Client
) -> None:
    question = words()
    await ask_by_form(citizen, question)
    held = await claim(operator, (await arrives(operator, question))["id"])
    selection = "conversation { claim { holder { name } fence } }"
    silent = await coordinator.do("conversationTakeOver", selection, conversationId=held["id"], reason="  ")
    assert [(error["code"], error["field"]) for error in silent["userErrors"]] == [("REQUIRED", ["reason"])]
    taken = await coordinator.do("conversationTakeOver", selection, conversationId=held["id"], reason="Holder is ill.")
    assert taken["userErrors"] == []
    assert taken["conversation"]["claim"]["fence"] > held["claim"]["fence"]
    stale = await reply(operator, held, words())
    assert [error["code"] for error in stale["userErrors"]] == ["CLAIM_IS_STALE"]


async def test_an_operator_may_not_take_over(citizen: httpx2.AsyncClient, operator: Client) -> None:
    question = words()
    await ask_by_form(citizen, question)
    conversation = await arrives(operator, question)
    given = {"conversationId": conversation["id"], "reason": "I want it."}
    with pytest.raises(Refused) as refused:
        await operator.do("conversationTakeOver", "conversation { id }", **given)
    assert refused.value.codes == ["FORBIDDEN"]


async def test_closing_needs_the_version_seen_and_a_text_and_reopening_says_why(
    citizen: httpx2.AsyncClient, operator: Client
) -> None:
    question = words()
    await ask_by_form(citizen, question)
    held = await claim(operator, (await arrives(operator, question))["id"])
    given = {"conversationId": held["id"], "outcome": "RESOLVED", "text": "Answered by telephone."}
    conflict = await operator.do(
        "conversationClose", "conversation { id version }", **given, expectedVersion=held["version"] - 1
    )
    assert [error["code"] for error in conflict["userErrors"]] == ["CONFLICT"]
    assert conflict["conversation"] == {"id": held["id"], "version": held["version"]}
    closed = await operator.do(
        "conversationClose", "conversation { state version }", **given, expectedVersion=held["version"]
    )
    assert closed["userErrors"] == [] and closed["conversation"]["state"] == "CLOSED"
    free = await wait_for(operator, held["id"], lambda found: found["claim"] is None)
    reopened = await operator.do(
        "conversationReopen", "conversation { state }", conversationId=held["id"], text="It was not solved.",
        expectedVersion=free["version"],
    )  # fmt: skip
    assert reopened == {"conversation": {"state": "OPEN"}, "userErrors": []}


async def test_categorizing_moves_a_conversation_to_the_department_that_answers(
    citizen: httpx2.AsyncClient, coordinator: Client
) -> None:
    question = f"Xyzzy {words()}"
    await ask_by_form(citizen, question)
    conversation = await arrives(coordinator, question)
    topics = "{ categories(first: 100) { nodes { id name active confidential responsibleDepartment { name } } } }"
    nodes = (await coordinator.ask(topics))["categories"]["nodes"]
    topic = next(
        each for each in nodes if each["responsibleDepartment"] and each["active"] and not each["confidential"]
    )
    given = {
        "conversationId": conversation["id"],
        "categoryId": topic["id"],
        "expectedVersion": conversation["version"],
    }
    moved = await coordinator.do(
        "conversationCategorize", "conversation { category { name } department { name } }", **given
    )
    assert moved["userErrors"] == []
    assert moved["conversation"]["category"]["name"] == topic["name"]
    assert moved["conversation"]["department"]["name"] == topic["responsibleDepartment"]["name"]
    assert (await read(coordinator, conversation["id"]))["category"]["name"] == topic["name"]
