# SPDX-License-Identifier: EUPL-1.2
"""Public judges of GraphQL servers: each says by itself whether we keep what the field has agreed on."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from graphql_schema import guard
from graphql_schema.schema import SDL_FILE
from services.embedded import NodePackages
from services.kernel.access import Role
from services.kernel.clock import utc_now
from tests.graphql_schema.street import EVENTS, Street
from tests.graphql_schema.test_releases import CHANGELOG, RELEASED
from tests.graphql_schema.test_transport_sockets import expire_tokens
from tests.support.releases import problems
from tests.support.source import ROOT

pytestmark = pytest.mark.judges

JUDGES = NodePackages(ROOT / "tests" / "support" / "judges")
LINE_WITHIN_SECONDS = 60
INBOX = "{ conversations(first: 2) { totalCount } }"


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    if reason := JUDGES.install():
        pytest.skip(reason)


@dataclass
class Judge:
    """A script that runs; it says one line of JSON at a time."""

    process: asyncio.subprocess.Process

    async def line(self) -> dict[str, Any] | None:
        """The next line; None at the end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(LINE_WITHIN_SECONDS):
            found = await self.process.stdout.readline()
        return orjson.loads(found) if found else None

    async def rest(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while (line := await self.line()) is not None:
            found.append(line)
        assert self.process.stderr is not None
        assert await self.process.wait() == 0, (await self.process.stderr.read()).decode()
        return found


@asynccontextmanager
async def judge(script: str, *arguments: str) -> AsyncIterator[Judge]:
    """Run a script of the judges; it does not outlive the block."""
    found = JUDGES.installation()
    process = await asyncio.create_subprocess_exec(
        str(found.node), str(found.folder / script), *arguments, stdout=PIPE, stderr=PIPE, limit=2**22
    )
    try:
        yield Judge(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_graphql_http_finds_no_must_and_no_should_that_fails(street: Street, tell: Any) -> None:
    """GET is refused on purpose, but for registered documents: those audits are MAY, and a notice."""
    async with judge("audit.mjs", f"{street.api.url}/graphql", street.token(Role.COORDINATOR)) as audits:
        found = await audits.rest()
    by_status = {
        status: [each for each in found if each["status"] == status] for status in ("ok", "notice", "warn", "error")
    }
    tell(f"graphql-http: {len(found)} audits: " + ", ".join(f"{len(each)} {name}" for name, each in by_status.items()))
    assert len(found) > 50
    assert by_status["error"] == []
    assert by_status["warn"] == []
    assert [each for each in by_status["notice"] if "GET" not in each["name"]] == []


async def test_graphql_eslint_has_nothing_to_say_about_the_schema(tmp_path: Path) -> None:
    schema = tmp_path / "schema.graphql"
    schema.write_bytes(SDL_FILE.read_bytes())
    async with judge("lint.mjs", str(schema)) as lint:
        *messages, end = await lint.rest()
    assert end == {"done": True}
    assert messages == []


async def test_graphql_eslint_would_find_what_is_wrong(tmp_path: Path) -> None:
    schema = tmp_path / "schema.graphql"
    schema.write_text("type Query { get_thing: Thing }\ntype Thing { id: ID! }\n")
    async with judge("lint.mjs", str(schema)) as lint:
        assert len(await lint.rest()) > 2


async def differences(before: Path, after: Path) -> list[dict[str, Any]]:
    async with judge("diff.mjs", str(before), str(after)) as diff:
        *changes, end = await diff.rest()
    assert end == {"done": True}
    return changes


async def test_graphql_inspector_finds_nothing_that_breaks_clients_since_the_last_release() -> None:
    changes = await differences(RELEASED, SDL_FILE)
    texts = (RELEASED.read_text(), SDL_FILE.read_text(), CHANGELOG.read_text())
    assert problems(changes, *texts, utc_now().date()) == []


async def test_graphql_inspector_would_find_what_breaks_and_what_surprises(tmp_path: Path) -> None:
    planted = tmp_path / "schema.graphql"
    text = SDL_FILE.read_text()
    planted.write_text(
        text.replace("  reference: String\n", "  other: String\n", 1).replace("  CLOSED\n", "  CLOSED\n  PARKED\n", 1)
    )
    changes = await differences(SDL_FILE, planted)
    found = problems(changes, text, planted.read_text(), "", utc_now().date())
    assert sorted(each.partition(":")[0] for each in found) == ["AccountLifecycle.PARKED", "Conversation.reference"]


TRANSPORTS = ["ws", "sse"]


def address(street: Street, transport: str) -> str:
    return f"{street.api.url}/graphql".replace("http://", "ws://" if transport == "ws" else "http://")


@asynccontextmanager
async def client(street: Street, transport: str, token: str, query: str, **variables: Any) -> AsyncIterator[Judge]:
    given = orjson.dumps(variables).decode()
    async with judge("client.mjs", transport, address(street, transport), token, query, given) as running:
        yield running


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_clients_run_a_query_to_its_end(street: Street, transport: str) -> None:
    await street.open("ROADS")
    async with client(street, transport, street.token(Role.COORDINATOR), INBOX) as running:
        [result, end] = await running.rest()
    assert result["next"]["data"] == {"conversations": {"totalCount": 1}}
    assert end == {"end": "complete"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_clients_follow_events_and_resume_behind_a_cursor(street: Street, transport: str) -> None:
    token, cursor = street.token(Role.COORDINATOR), await street.now()
    conversation = await street.open("ROADS")
    found: list[str] = []
    for _ in range(3):  # cut each time behind the first event
        async with client(street, transport, token, EVENTS, after=cursor) as running:
            line = await running.line()
            assert line is not None
            event = line["next"]["data"]["conversationEvents"]
            found.append(event["event"])
            cursor = event["cursor"]
        await street.say(conversation)
    assert found == ["OPENED", "ROUTED", "MESSAGE_RECEIVED"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_clients_hear_of_an_operation_that_cannot_run(street: Street, transport: str) -> None:
    async with client(street, transport, street.token(Role.COORDINATOR), "{ nothing }") as running:
        first, *_ = await running.rest()
    errors = first["errors"] if transport == "ws" else first["next"]["errors"]
    assert errors[0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_clients_are_refused_without_a_valid_credential(street: Street, transport: str) -> None:
    async with client(street, transport, "belfry_local_" + "x" * 43, INBOX) as running:
        [end] = await running.rest()
    if transport == "ws":
        assert end == {"end": "closed", "code": 4403}
    else:
        assert (end["end"], end["status"]) == ("failed", 401)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_clients_are_cut_when_their_credential_ends(
    street: Street, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "ACCESS_CHECK_SECONDS", 3600)
    conversation = await street.open("ROADS")
    async with client(street, transport, street.token(Role.COORDINATOR), EVENTS, after=await street.now()) as running:
        await street.say(conversation)
        assert await running.line() is not None
        await expire_tokens(street.database, street.organization)
        await street.say(conversation)
        [end] = await running.rest()
    assert end["end"] in ("closed", "failed")
    if transport == "ws":
        assert end["code"] == 4403
