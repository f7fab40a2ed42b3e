# SPDX-License-Identifier: EUPL-1.2
"""The examples run against a seeded server: inbox, claim and answer, live events that resume, verified webhooks."""

import asyncio
import base64
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.examples.programs import access, end_of, run, started
from tests.examples.workplaces import EXAMPLES, Workplace, node_workplace, python_workplace, shell_workplace
from tests.support.installation import Client, free_port
from tests.support.stories import arrives, ask_by_form, published, words

pytestmark = pytest.mark.judges

SECRET = f"whsec_{base64.b64encode(b'a secret of the tests alone').decode()}"
OTHER_SECRET = f"whsec_{base64.b64encode(b'a secret of somebody else.').decode()}"
BODY = '{"type":"conversation.opened","timestamp":"2026-11-22T17:00:00Z","data":{"id":"Q1","version":1}}'
SIGN = """
const { Webhook } = require('standardwebhooks');
const [secret, id, at, body] = process.argv.slice(1);
console.log(new Webhook(secret).sign(id, new Date(at * 1000), body));
"""
LISTENING_WITHIN_SECONDS = 60
ASK_EVERY_SECONDS = 2

PREPARE: dict[str, Callable[[Path], Workplace]] = {
    "typescript-urql": lambda place: node_workplace(EXAMPLES / "typescript-urql", place),
    "typescript-gql-tada": lambda place: node_workplace(EXAMPLES / "typescript-gql-tada", place),
    "python": python_workplace,
    "curl": shell_workplace,
}
RECEIVERS = ("typescript-urql", "typescript-gql-tada", "python")


@pytest.fixture(scope="module", params=PREPARE)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    workplace = PREPARE[request.param](tmp_path_factory.mktemp(request.param))
    if workplace.node is not None:
        workplace.check()
    return workplace


async def test_it_lists_what_waits_in_the_order_of_the_inbox(example: Workplace, operator: Client) -> None:
    found = await run(example, "inbox", "30", **access(operator))
    document = "{ conversations(first: 30, filter: {state: {neq: CLOSED}}) { nodes { id } } }"
    expected = [each["id"] for each in (await operator.ask(document))["conversations"]["nodes"]]
    assert len(expected) == 30
    assert [line.split()[0] for line in found] == expected


async def test_it_answers_a_question_and_the_answer_is_published(
    example: Workplace, operator: Client, citizen: httpx2.AsyncClient
) -> None:
    question, answer = words(), f"Antwoord: {words()}"
    await ask_by_form(citizen, question)
    conversation = await arrives(operator, question)
    [state] = await run(example, "answer", conversation["id"], answer, **access(operator))
    assert state
    assert (await published(operator, conversation["id"], answer))["direction"] == "OUTBOUND"


async def test_it_says_what_is_refused(example: Workplace, operator: Client) -> None:
    async with started(example, "answer", "nothing", "Hello.", **access(operator)) as process:
        code, _, complaints = await end_of(process)
    assert code != 0
    assert "NOT_FOUND" in complaints
    async with started(example, "inbox", **access(operator) | {"BELFRY_TOKEN": "belfry_local_wrong"}) as process:
        code, lines, complaints = await end_of(process)
    assert (code != 0, lines) == (True, [])
    assert "UNAUTHENTICATED" in complaints or "401 Unauthorized" in complaints  # the library gql tells the status


async def test_it_follows_and_resumes_behind_the_last_event_that_it_has_seen(
    example: Workplace, operator: Client, citizen: httpx2.AsyncClient, tmp_path: Path
) -> None:
    file = tmp_path / "cursor"
    async with started(example, "follow", "1", str(file), **access(operator)) as process:
        ending = asyncio.create_task(end_of(process))
        deadline = time.monotonic() + LISTENING_WITHIN_SECONDS
        while not ending.done() and time.monotonic() < deadline:  # nobody tells when it has begun to listen
            await ask_by_form(citizen, words())
            await asyncio.wait([ending], timeout=ASK_EVERY_SECONDS)
        code, lines, complaints = await ending
    assert (code, len(lines)) == (0, 1), complaints
    question = words()
    await ask_by_form(citizen, question)
    missed = await told_until(operator, file.read_text(), (await arrives(operator, question))["id"])
    found = await run(example, "follow", str(len(missed)), str(file), **access(operator))
    assert [tuple(line.split()[:2]) for line in found] == missed


async def told_until(operator: Client, cursor: str, conversation_id: str) -> list[tuple[str, str]]:
    """What is told behind a cursor, up to the first event of a conversation."""
    document = "subscription($after: String) { conversationEvents(after: $after) { event nodeId } }"
    found: list[tuple[str, str]] = []
    async with operator.live(document, after=cursor) as events:
        async for each in events:
            event = each["conversationEvents"]
            found.append((event["event"], event["nodeId"]))
            if event["nodeId"] == conversation_id:
                break
    return found


@pytest.fixture(scope="module")
def sign(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """Signs with the official library, as a sender does."""
    workplace = PREPARE["typescript-urql"](tmp_path_factory.mktemp("signing"))
    assert workplace.node is not None
    node, folder = workplace.node, workplace.folder

    def headers(secret: str, body: str = BODY, at: int | None = None) -> dict[str, str]:
        moment = str(int(time.time()) if at is None else at)
        signature = node.run("-e", SIGN, "--", secret, "msg_1", moment, body, folder=folder).strip()
        return {"webhook-id": "msg_1", "webhook-timestamp": moment, "webhook-signature": signature}

    return headers


@pytest.mark.parametrize("name", RECEIVERS)
async def test_a_receiver_believes_only_what_is_signed(
    name: str, sign: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    port = free_port()
    async with started(PREPARE[name](tmp_path), "receive", str(port), WEBHOOK_SECRET=SECRET) as process:
        assert process.stdout is not None
        async with asyncio.timeout(LISTENING_WITHIN_SECONDS):
            assert await process.stdout.readline() == b"ready\n"
        rotating = sign(SECRET)
        rotating["webhook-signature"] = f"{sign(OTHER_SECRET)['webhook-signature']} {rotating['webhook-signature']}"
        attempts = {
            "as it was sent": (sign(SECRET), BODY, 204),
            "while the secret changes": (rotating, BODY, 204),
            "changed on the way": (sign(SECRET), BODY.replace("Q1", "Q2"), 400),
            "with another secret": (sign(OTHER_SECRET), BODY, 400),
            "an hour old": (sign(SECRET, at=int(time.time()) - 3600), BODY, 400),
            "not signed": ({}, BODY, 400),
        }
        async with httpx2.AsyncClient(timeout=30, trust_env=False) as http:
            for what, (headers, body, status) in attempts.items():
                answer = await http.post(f"http://127.0.0.1:{port}/", content=body.encode(), headers=headers)
                assert answer.status_code == status, what
        for _ in range(2):
            async with asyncio.timeout(LISTENING_WITHIN_SECONDS):
                assert (await process.stdout.readline()).split() == [b"conversation.opened", b"msg_1"]


async def test_the_script_believes_only_what_is_signed(sign: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    workplace = shell_workplace(tmp_path)
    body = tmp_path / "body"
    attempts = (
        (sign(SECRET), BODY, 0),
        (sign(SECRET), BODY + " ", 1),
        (sign(OTHER_SECRET), BODY, 1),
        (sign(SECRET, at=int(time.time()) - 3600), BODY, 1),
    )
    for headers, text, wanted in attempts:
        body.write_text(text)
        async with started(workplace, "verify-webhook", *headers.values(), str(body), WEBHOOK_SECRET=SECRET) as process:
            code, lines, _ = await end_of(process)
        assert (code, lines) == (wanted, ["verified"] if wanted == 0 else [])
