# SPDX-License-Identifier: EUPL-1.2
"""What people do in the journeys, each in one line: ask by the form, find, claim, answer."""

from typing import Any
from uuid import uuid4

import httpx2

from tests.support.installation import Client, eventually

CONVERSATION = """
id version state openedAt reference outcome
category { name } department { name code } socialAccount { network handle } contact { displayName }
claim { holder { name } fence leaseUntil }
lastMessage { id text direction occurredAt }
messages(first: 50) { nodes {
    id text direction occurredAt deletedAt editedAt likeCount replyCount delivery { id state permalink } } }
"""


def words() -> str:
    """A text that no other test sends."""
    return f"Vraag {uuid4().hex[:12]}"


async def ask_by_form(
    citizen: httpx2.AsyncClient, text: str, organization: str = "molendam", **more: Any
) -> dict[str, Any]:
    """Send the contact form; gives `{reference, statusUrl}`."""
    answer = await citizen.post(f"/contact/{organization}", json={"text": text, "name": "Jo Verzonnen", **more})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def find(client: Client, text: str) -> dict[str, Any] | None:
    """The newest conversation in which somebody said this, if the client sees it."""
    document = f"""
    query {{ conversations(first: 5, orderBy: [{{field: LAST_MESSAGE_AT, direction: DESC}}])
        {{ nodes {{ {CONVERSATION} }} }} }}
    """
    nodes = (await client.ask(document))["conversations"]["nodes"]
    return next((node for node in nodes if any(text in each["text"] for each in node["messages"]["nodes"])), None)


async def arrives(client: Client, text: str) -> dict[str, Any]:
    """The conversation, once it is there."""

    async def look() -> dict[str, Any] | None:
        return await find(client, text)

    return await eventually(look)


async def read(client: Client, conversation_id: str) -> dict[str, Any]:
    """A conversation as it is now."""
    document = f"query($id: ID!) {{ node(id: $id) {{ ... on Conversation {{ {CONVERSATION} }} }} }}"
    return (await client.ask(document, id=conversation_id))["node"]


async def claim(client: Client, conversation_id: str) -> dict[str, Any]:
    """Take it; gives the conversation with its claim."""
    payload = await client.do("conversationClaim", f"conversation {{ {CONVERSATION} }}", conversationId=conversation_id)
    assert payload["userErrors"] == [], payload
    return payload["conversation"]


async def reply(client: Client, conversation: dict[str, Any], text: str, **more: Any) -> dict[str, Any]:
    """Answer the citizen's newest message; gives the payload."""
    inbound = [each for each in conversation["messages"]["nodes"] if each["direction"] == "INBOUND"]
    claimed = conversation["claim"]
    given = {
        "conversationId": conversation["id"],
        "text": text,
        "purpose": "ANSWER",
        "lastSeenMessageId": inbound[-1]["id"],
        "fence": claimed["fence"] if claimed else None,
        **more,
    }
    selection = "conversation { id state } delivery { id state }"
    return await client.do("conversationReply", selection, **given)


async def published(client: Client, conversation_id: str, text: str) -> dict[str, Any]:
    """Our message with this text, once its delivery is PUBLISHED."""

    async def look() -> dict[str, Any] | None:
        for each in (await read(client, conversation_id))["messages"]["nodes"]:
            if each["text"] == text and each["delivery"] and each["delivery"]["state"] == "PUBLISHED":
                return each
        return None

    return await eventually(look)


async def answer(client: Client, conversation: dict[str, Any], text: str) -> dict[str, Any]:
    """Claim and answer; gives our message once it is PUBLISHED."""
    held = await claim(client, conversation["id"])
    payload = await reply(client, held, text)
    assert payload["userErrors"] == [], payload
    return await published(client, conversation["id"], text)


async def wait_for(client: Client, conversation_id: str, condition: Any) -> dict[str, Any]:
    """The conversation, once the condition holds."""

    async def look() -> dict[str, Any] | None:
        found = await read(client, conversation_id)
        return found if condition(found) else None

    return await eventually(look)
