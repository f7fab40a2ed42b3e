# SPDX-License-Identifier: EUPL-1.2
"""The main job, over HTTP and GraphQL alone: a citizen asks by the form, one person answers, the citizen reads it."""

import asyncio

import httpx2

from tests.support.installation import Client, Installation, eventually
from tests.support.stories import answer, arrives, ask_by_form, claim, find, read, reply, wait_for, words


async def test_a_citizen_asks_by_the_form_and_reads_the_answer_on_the_status_page(
    citizen: httpx2.AsyncClient, operator: Client
) -> None:
    question, said = words(), words()
    sent = await ask_by_form(citizen, question, language="nl")
    conversation = await arrives(operator, question)
    assert conversation["reference"] == sent["reference"]
    assert (conversation["state"], conversation["socialAccount"]["network"]) == ("OPEN", "WEBFORM")
    await answer(operator, conversation, said)

    async def look() -> bool:
        page = await citizen.get(sent["statusUrl"], headers={"Accept": "application/json"})
        return any(message["text"] == said for message in page.json()["messages"])

    await eventually(look)
    html = await citizen.get(sent["statusUrl"], headers={"Accept": "text/html"})
    assert html.status_code == 200 and said in html.text and question in html.text
    done = await wait_for(operator, conversation["id"], lambda found: found["claim"] is None)
    assert done["state"] == "OPEN"


async def test_a_follow_up_on_the_status_page_joins_the_same_conversation(
    citizen: httpx2.AsyncClient, operator: Client
) -> None:
    question, more = words(), words()
    sent = await ask_by_form(citizen, question)
    conversation = await arrives(operator, question)
    followed = await citizen.post(sent["statusUrl"], json={"text": more})
    assert followed.status_code == 202
    again = await arrives(operator, more)
    assert again["id"] == conversation["id"]


async def test_two_submissions_with_the_same_address_are_two_conversations(
    citizen: httpx2.AsyncClient, operator: Client
) -> None:
    one, other = words(), words()
    await ask_by_form(citizen, one, email="same@citizen.example")
    await ask_by_form(citizen, other, email="same@citizen.example")
    assert (await arrives(operator, one))["id"] != (await arrives(operator, other))["id"]


async def test_keywords_route_a_question_to_the_department_that_answers_for_its_topic(
    citizen: httpx2.AsyncClient, coordinator: Client
) -> None:
    document = "{ categories(first: 100) { nodes { id name responsibleDepartment { name } } } }"
    topics = (await coordinator.ask(document))["categories"]["nodes"]
    responsible = {topic["name"]: topic["responsibleDepartment"] for topic in topics}
    question = f"Er ligt een kapotte lantaarnpaal, de straatverlichting doet het niet. {words()}"
    await ask_by_form(citizen, question)
    conversation = await arrives(coordinator, question)
    assert conversation["category"] is not None
    assert conversation["department"]["name"] == responsible[conversation["category"]["name"]]["name"]


async def test_what_no_rule_knows_goes_to_the_coordination_desk(
    citizen: httpx2.AsyncClient, coordinator: Client
) -> None:
    desk = "{ departments(first: 100) { nodes { name isCoordinationDesk } } }"
    departments = (await coordinator.ask(desk))["departments"]["nodes"]
    question = f"Xyzzy {words()}"
    await ask_by_form(citizen, question)
    conversation = await arrives(coordinator, question)
    assert conversation["category"] is None
    assert conversation["department"]["name"] in {each["name"] for each in departments if each["isCoordinationDesk"]}


async def test_an_operator_of_another_department_neither_sees_nor_detects_it(
    installation: Installation, citizen: httpx2.AsyncClient, coordinator: Client
) -> None:
    question = f"Xyzzy {words()}"
    await ask_by_form(citizen, question)
    conversation = await arrives(coordinator, question)
    codes = "{ departments(first: 100) { nodes { code isCoordinationDesk parent { id } } } }"
    departments = (await coordinator.ask(codes))["departments"]["nodes"]
    elsewhere = next(each["code"] for each in departments if not each["isCoordinationDesk"] and each["parent"])
    async with installation.person("molendam", "operator", department=elsewhere) as outsider:
        assert await find(outsider, question) is None
        assert await read(outsider, conversation["id"]) is None
        refused = await outsider.do("conversationClaim", "conversation { id }", conversationId=conversation["id"])
        assert [error["code"] for error in refused["userErrors"]] == ["NOT_FOUND"]


async def test_two_organizations_cannot_see_each_other(
    installation: Installation, citizen: httpx2.AsyncClient, operator: Client
) -> None:
    question = words()
    await ask_by_form(citizen, question)
    conversation = await arrives(operator, question)
    async with installation.person("waterrode", "coordinator") as neighbor:
        assert await find(neighbor, question) is None
        assert await read(neighbor, conversation["id"]) is None
        foreign = await neighbor.do("conversationClaim", "conversation { id }", conversationId=conversation["id"])
        unknown = await neighbor.do(
            "conversationClaim", "conversation { id }", conversationId="Q1YAAAAAAAAAAAAAAAAAAAAA"
        )
        assert foreign == unknown
        assert [error["code"] for error in foreign["userErrors"]] == ["NOT_FOUND"]


async def test_of_fifty_replies_at_once_exactly_one_is_accepted(citizen: httpx2.AsyncClient, operator: Client) -> None:
    question = words()
    await ask_by_form(citizen, question)
    held = await claim(operator, (await arrives(operator, question))["id"])
    payloads = await asyncio.gather(*(reply(operator, held, f"{question}: {number}") for number in range(50)))
    accepted = [payload for payload in payloads if not payload["userErrors"]]
    codes = [error["code"] for payload in payloads for error in payload["userErrors"]]
    assert len(accepted) == 1 and len(codes) == 49
    assert set(codes) <= {"REPLY_IN_PROGRESS", "ALREADY_ANSWERED", "CLAIM_IS_STALE"}
    after = await wait_for(operator, held["id"], lambda found: found["claim"] is None)
    outbound = [each for each in after["messages"]["nodes"] if each["direction"] == "OUTBOUND"]
    assert len(outbound) == 1


async def test_a_repeated_reply_with_the_same_key_is_one_reply(citizen: httpx2.AsyncClient, operator: Client) -> None:
    question, said, key = words(), words(), words()
    await ask_by_form(citizen, question)
    held = await claim(operator, (await arrives(operator, question))["id"])
    first = await reply(operator, held, said, idempotencyKey=key)
    again = await reply(operator, held, said, idempotencyKey=key)
    assert first["userErrors"] == again["userErrors"] == []
    assert first["delivery"]["id"] == again["delivery"]["id"]
    other = await reply(operator, held, words(), idempotencyKey=key)
    assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]
