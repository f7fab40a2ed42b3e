# SPDX-License-Identifier: EUPL-1.2
"""A question from a network: mention, conversation, claim, reply, visible there once; edits, deletes, counts; faults.

Against the strict fake behind the fault proxy; `test_bluesky_peer_journey.py` walks the same way on the real server.
"""

from typing import Any

import pytest

from tests.journeys.conftest import Network
from tests.support.bluesky_journey import connect, connected, register
from tests.support.fault_proxy import Fault, Rule
from tests.support.installation import Client, eventually
from tests.support.stories import answer, arrives, claim, find, read, reply, wait_for, words

PUT = "com.atproto.repo.putRecord"


@pytest.fixture
async def town(network: Network, coordinator: Client) -> str:
    """A connected account of the municipality; gives its name on the fake."""
    name = f"town{words()[-8:]}"
    person = network.fake.network.person(name)
    await connected(coordinator, person.handle, network.proxy.url, person.handle, person.password)
    return name


async def test_a_mention_is_answered_once_and_seen_on_the_network(
    network: Network, town: str, coordinator: Client
) -> None:
    question, said = words(), words()
    asked = network.fake.network.post("jo", question, mention=town)
    conversation = await arrives(coordinator, question)
    assert conversation["socialAccount"]["network"] == "BLUESKY"
    message = await answer(coordinator, conversation, said)
    records = list(network.fake.network.records(town).values())
    assert [record.value["text"] for record in records] == [said]
    assert records[0].value["reply"]["parent"]["uri"] == asked.uri
    assert message["delivery"]["permalink"]


async def test_likes_and_replies_of_our_answer_come_back(network: Network, town: str, coordinator: Client) -> None:
    question, said = words(), words()
    network.fake.network.post("jo", question, mention=town)
    conversation = await arrives(coordinator, question)
    await answer(coordinator, conversation, said)
    (ours,) = network.fake.network.records(town).values()
    network.fake.network.like("jo", ours)
    network.fake.network.post("jo", words(), reply_to=ours)

    def counted(found: dict[str, Any]) -> bool:
        return any(
            each["text"] == said and (each["likeCount"], each["replyCount"]) == (1, 1)
            for each in found["messages"]["nodes"]
        )

    await wait_for(coordinator, conversation["id"], counted)


async def test_an_edit_upstream_changes_the_words_and_a_delete_takes_them_away(
    network: Network, town: str, coordinator: Client
) -> None:
    first, second = words(), words()
    asked = network.fake.network.post("jo", first, mention=town)
    conversation = await arrives(coordinator, first)
    network.fake.network.edit(asked, second)
    edited = await wait_for(
        coordinator, conversation["id"], lambda found: found["messages"]["nodes"][0]["text"].endswith(second)
    )
    assert edited["messages"]["nodes"][0]["editedAt"]
    network.fake.network.delete(network.fake.network.records("jo")[asked.rkey])
    gone = await wait_for(coordinator, conversation["id"], lambda found: found["messages"]["nodes"][0]["deletedAt"])
    assert gone["messages"]["nodes"][0]["text"] == ""
    assert await find(coordinator, second) is None


async def test_a_reply_in_the_thread_joins_and_another_persons_reply_does_not(
    network: Network, town: str, coordinator: Client
) -> None:
    question, more, other = words(), words(), words()
    asked = network.fake.network.post("jo", question, mention=town)
    conversation = await arrives(coordinator, question)
    network.fake.network.post("jo", more, reply_to=asked, mention=town)
    network.fake.network.post("mo", other, reply_to=asked, mention=town)
    assert (await arrives(coordinator, more))["id"] == conversation["id"]
    assert (await arrives(coordinator, other))["id"] != conversation["id"]


async def test_an_answer_given_in_the_networks_own_app_ends_the_wait(
    network: Network, town: str, coordinator: Client
) -> None:
    question, said = words(), words()
    asked = network.fake.network.post("jo", question, mention=town)
    conversation = await arrives(coordinator, question)
    network.fake.network.post(town, said, reply_to=asked)
    document = """query($id: ID!) { node(id: $id) { ... on Conversation {
        messages(first: 10) { nodes { text authorKind purpose } }
        waitingSegments(first: 5) { nodes { outcome } } } } }"""

    async def look() -> bool:
        found = (await coordinator.ask(document, id=conversation["id"]))["node"]
        outside = [each for each in found["messages"]["nodes"] if each["text"] == said]
        segments = found["waitingSegments"]["nodes"]
        return bool(outside) and outside[0]["authorKind"] == "EXTERNAL" and segments[0]["outcome"] == "ANSWERED"

    await eventually(look)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(Fault.DROP_BEFORE, path=PUT, method="POST"),
        Rule(Fault.CUT_AFTER, path=PUT, method="POST"),
        Rule(Fault.FAIL_AFTER, path=PUT, method="POST", status=502),
        Rule(Fault.ANSWER, path=PUT, method="POST", status=429, headers={"retry-after": "1"}),
    ],
    ids=["dropped before", "cut after the commit", "5xx after the commit", "told to slow down"],
)
async def test_an_unknown_outcome_is_found_out_and_the_answer_appears_exactly_once(
    network: Network, town: str, coordinator: Client, rule: Rule
) -> None:
    question, said = words(), words()
    network.fake.network.post("jo", question, mention=town)
    conversation = await arrives(coordinator, question)
    network.proxy.plan(Rule(**{name: getattr(rule, name) for name in rule.__slots__}))
    await answer(coordinator, conversation, said)
    records = list(network.fake.network.records(town).values())
    assert [record.value["text"] for record in records] == [said]
    assert network.fake.network.accepted(records[0].uri) == 1


async def test_a_wrong_secret_is_told_at_once_and_nothing_is_connected(network: Network, coordinator: Client) -> None:
    person = network.fake.network.person(f"town{words()[-8:]}")
    account_id = await register(coordinator, person.handle)
    refused = await connect(coordinator, account_id, network.proxy.url, person.handle, "not the password")
    assert [(error["code"], error["field"]) for error in refused["userErrors"]] == [("PLATFORM_REJECTED", ["secret"])]
    assert refused["socialAccount"] is None
    state = "query($id: ID!) { node(id: $id) { ... on SocialAccount { connection } } }"
    assert (await coordinator.ask(state, id=account_id))["node"] == {"connection": "UNMANAGED"}


async def test_a_private_address_that_is_not_on_the_list_is_refused(network: Network, coordinator: Client) -> None:
    person = network.fake.network.person(f"town{words()[-8:]}")
    account_id = await register(coordinator, person.handle)
    refused = await connect(coordinator, account_id, network.fake.url, person.handle, person.password)
    assert [(error["code"], error["field"]) for error in refused["userErrors"]] == [
        ("PLATFORM_REJECTED", ["serverUrl"])
    ]


async def test_a_crisis_account_still_answers_citizens(network: Network, coordinator: Client) -> None:
    name = f"crisis{words()[-8:]}"
    person = network.fake.network.person(name)
    account_id = await register(coordinator, person.handle, purpose="CRISIS_ONLY")
    await connect(coordinator, account_id, network.proxy.url, person.handle, person.password)
    question = words()
    network.fake.network.post("jo", question, mention=name)
    await answer(coordinator, await arrives(coordinator, question), words())


async def test_a_text_too_long_for_the_network_is_refused_with_its_size(
    network: Network, town: str, coordinator: Client
) -> None:
    question = words()
    network.fake.network.post("jo", question, mention=town)
    held = await claim(coordinator, (await arrives(coordinator, question))["id"])
    refused = await reply(coordinator, held, "é" * 301)
    assert [(error["code"], error["field"]) for error in refused["userErrors"]] == [
        ("TEXT_IS_TOO_LONG_FOR_NETWORK", ["text"])
    ]
    assert not [
        each for each in (await read(coordinator, held["id"]))["messages"]["nodes"] if each["direction"] == "OUTBOUND"
    ]
