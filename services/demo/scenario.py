# SPDX-License-Identifier: EUPL-1.2
"""One question from its citizen to its answer, over HTTP, against the installation that runs on this machine.

python -m services.demo.scenario        prints each step with its milliseconds; exit code 1 when one fails
"""

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from services.demo.organizations import MOLENDAM
from services.identity.commands import issue_local_token
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.errors import BelfryError
from services.kernel.outbound import Answer, OutboundClient, OutboundError
from services.kernel.serialization import from_json, to_json
from services.kernel.settings import Settings

HOST = "127.0.0.1"
PATIENCE_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.1
JSON = "application/json"

NEWEST = """
query Newest { conversations(first: 20, orderBy: [{field: OPENED_AT, direction: DESC}]) {
  nodes { id state department { name } category { name } lastMessage { id text } } } }
"""
CLAIM = """
mutation Claim($input: ConversationClaimInput!) { conversationClaim(input: $input) {
  conversation { claim { fence } } userErrors { code message } } }
"""
REPLY = """
mutation Reply($input: ConversationReplyInput!) { conversationReply(input: $input) {
  delivery { id state } userErrors { code message } } }
"""
FIGURES = """
query Figures { responseTime { n medianWallSeconds censoredMedianWallSeconds } outboundMix { interactionRatio n } }
"""

T = TypeVar("T")


class ScenarioFailed(Exception):
    """A step did not go as it must; the text says which and how."""


class Journey:
    """One client of the installation: a citizen without credentials and people with tokens."""

    def __init__(self, settings: Settings, outbound: OutboundClient) -> None:
        self._base = f"http://{HOST}:{settings.port}"
        self._outbound = outbound

    async def ask(self, text: str) -> str:
        """Send a question through the contact form; gives the path of its status page."""
        body = {"name": "Aafke Voorbeeld", "email": "aafke@post.example", "text": text, "language": MOLENDAM.locale}
        answer = await self._send("POST", f"/contact/{MOLENDAM.slug}", body)
        if answer.status != 202:
            raise ScenarioFailed(f"The contact form answered {answer.status}.")
        address = urlsplit(from_json(answer.body)["statusUrl"])
        return f"{address.path}?{address.query}" if address.query else address.path

    async def find(self, token: str, text: str) -> Mapping[str, Any]:
        """Wait until the question is a conversation that has been routed."""

        async def look() -> Mapping[str, Any] | None:
            found = (await self.graphql(token, NEWEST, {}))["conversations"]["nodes"]
            return next(
                (each for each in found if (each["lastMessage"] or {}).get("text") == text and each["state"] == "OPEN"),
                None,
            )

        return await _until("The question did not become a conversation.", look)

    async def wait_for_answer(self, path: str, text: str) -> None:
        """Wait until the citizen's page shows the answer."""

        async def look() -> bool:
            answer = await self._send("GET", path)
            return answer.status == 200 and text in answer.body.decode()

        await _until("The status page does not show the answer.", look)

    async def graphql(self, token: str, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data of one operation. Any error fails the scenario, user errors too."""
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self._send("POST", "/graphql", {"query": document, "variables": variables}, headers)
        result = from_json(answer.body)
        if result.get("errors"):
            raise ScenarioFailed(f"GraphQL answered {answer.status}: {result['errors'][0]['message']}")
        for field in result["data"].values():
            for error in field.get("userErrors") or ():
                raise ScenarioFailed(f"{error['code']}: {error['message']}")
        return result["data"]

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return await self._outbound.request(
            method,
            f"{self._base}{path}",
            headers={"Accept": JSON, "Content-Type": JSON, **(headers or {})},
            content=to_json(body) if body is not None else b"",
        )


async def play(settings: Settings) -> None:
    """Play every step. Raises ScenarioFailed, OutboundError or BelfryError."""
    number = secrets.token_hex(3)
    question = f"De lantaarnpaal bij de veerpont knippert sinds gisteren. Kunt u kijken? ({number})"
    reply = f"Dank voor uw melding. De monteur komt morgen. ({number})"
    async with OutboundClient(allowed=frozenset({f"{HOST}:{settings.port}"})) as outbound:
        journey = Journey(settings, outbound)
        operator, manager = await _step("An operator and a manager sign in", _tokens(settings))
        page = await _step("A citizen asks through the contact form", journey.ask(question))
        found = await _step("The operator sees the question", journey.find(operator, question))
        _tell(f"    {found['department']['name']}, {(found['category'] or {}).get('name')}")
        wish = {"conversationId": found["id"]}
        claimed = await _step("The operator claims it", journey.graphql(operator, CLAIM, {"input": wish}))
        wish |= {
            "text": reply,
            "purpose": "ANSWER",
            "lastSeenMessageId": found["lastMessage"]["id"],
            "fence": claimed["conversationClaim"]["conversation"]["claim"]["fence"],
            "idempotencyKey": f"scenario-{number}",
        }
        await _step("The operator answers", journey.graphql(operator, REPLY, {"input": wish}))
        await _step("The citizen reads the answer on the status page", journey.wait_for_answer(page, reply))
        figures = await _step("The manager sees the figures", journey.graphql(manager, FIGURES, {}))
        waits, mix = figures["responseTime"], figures["outboundMix"]
        _tell(
            f"    {waits['n']} answers in four weeks, half of them within {waits['medianWallSeconds'] // 60} minutes;"
        )
        _tell(f"    unanswered questions counted, {waits['censoredMedianWallSeconds'] // 60} minutes;")
        _tell(f"    {mix['interactionRatio']} of {mix['n']} items were said to somebody")


def main() -> int:
    """Play the scenario; the exit code."""
    try:
        asyncio.run(play(Settings()))  # pyright: ignore[reportCallIssue]  the environment gives what is required
    except (ScenarioFailed, OutboundError) as error:
        sys.stderr.write(f"The scenario failed: {error}\n")
        return 1
    except BelfryError as error:
        sys.stderr.write(f"The scenario failed: {error.text}\n")
        return 1
    _tell("The scenario has been played.")
    return 0


async def _tokens(settings: Settings) -> list[str]:
    database = Database(settings.database_url, pool_size=1)
    try:
        return [
            await issue_local_token(
                database, is_local=settings.is_local, slug=MOLENDAM.slug, role=role, department_code=None
            )
            for role in (Role.OPERATOR, Role.MANAGER)
        ]
    finally:
        await database.close()


async def _step(name: str, doing: Awaitable[T]) -> T:
    began = time.monotonic()
    done = await doing
    _tell(f"{name}: {(time.monotonic() - began) * 1000:.0f} ms")
    return done


async def _until(failure: str, look: Callable[[], Awaitable[T | None]]) -> T:
    """Look again and again until something is there."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        if found := await look():
            return found
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    raise ScenarioFailed(failure)


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
