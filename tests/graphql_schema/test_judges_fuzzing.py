# SPDX-License-Identifier: EUPL-1.2
"""Schemathesis writes operations over our schema, on loopback: an error with a path would be a defect of ours."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
import pytest

from graphql_schema.conversations.types import Conversation
from graphql_schema.deliveries.types import Delivery
from graphql_schema.nodes import Node
from graphql_schema.reading.declarations import encode_id
from graphql_schema.reading.execution import FALLBACKS, counted
from graphql_schema.schema import SDL_FILE, api_schema
from graphql_schema.social_accounts.types import SocialAccount
from graphql_schema.tenancy.types import Department
from services.identity import commands as identity
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.reads import Reads
from tests.graphql_schema.reading.planting import plant
from tests.graphql_schema.serving import Served, served
from tests.support.organizations import found_organization
from tests.support.python_tools import PythonTools
from tests.support.servers import make_settings
from tests.support.source import ROOT

pytestmark = pytest.mark.judges

FOLDER = ROOT / "tests" / "support" / "judges"
SCHEMATHESIS = PythonTools(FOLDER / "schemathesis.txt")
SECONDS = 20
GRACE_SECONDS = 60
ASKED_MIN = 30


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    if reason := SCHEMATHESIS.install():
        pytest.skip(reason)


@pytest.fixture
async def thrown_away(
    fresh_database: Mapping[str, str], valkey_url: str
) -> AsyncIterator[tuple[Served, dict[str, Any]]]:
    """A server over a database of its own, which goes with it, and what the fuzzer is told."""
    settings, database = make_settings(fresh_database, valkey_url), Database(fresh_database["belfry_app"])
    town = await plant(database, await found_organization(database, name="Wegwerp"), 5)
    tokens = [
        await identity.issue_local_token(
            database, is_local=True, slug=town.organization.slug, role=role, department_code=None
        )
        for role in (Role.COORDINATOR, Role.OPERATOR, Role.MANAGER, Role.ADMIN)
    ]
    rows: list[tuple[type[Node], list[Any]]] = [
        (Conversation, town.conversations), (Delivery, town.deliveries), (SocialAccount, town.accounts)
    ]  # fmt: skip
    ids = [encode_id(kind, each.id) for kind, some in rows for each in some[:5]]
    ids += [encode_id(Department, each) for each in town.organization.departments.values()]
    await database.close()
    async with served(settings, api_schema()) as running:
        yield running, {"url": f"{running.url}/graphql", "schema": str(SDL_FILE), "tokens": tokens, "ids": [*ids, "x"]}


async def fuzz(root: str, given: Mapping[str, Any], seconds: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The findings, and the counts."""
    process = await asyncio.create_subprocess_exec(
        str(SCHEMATHESIS.python()), str(FOLDER / "fuzz.py"), root, str(seconds), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            out, errors = await process.communicate(orjson.dumps(given))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()[-2000:]
    *findings, counts = map(orjson.loads, out.splitlines())
    return findings, counts


@pytest.mark.parametrize("root", ["Query", "Mutation"])
async def test_schemathesis_finds_no_error_with_a_path(
    thrown_away: tuple[Served, dict[str, Any]], unwatched_statements: None, root: str, tell: Callable[[str], None]
) -> None:
    before = dict(counted(FALLBACKS))
    findings, counts = await fuzz(root, thrown_away[1], SECONDS)
    assert findings == []
    # A defect of the compiled way is answered the ordinary way: no client sees it, but it is counted.
    assert dict(counted(FALLBACKS)).get("defect", 0) == before.get("defect", 0)
    assert counts["executed"] > ASKED_MIN
    tell(f"schemathesis, {root}: {counts}")


async def test_schemathesis_would_find_a_defect(
    thrown_away: tuple[Served, dict[str, Any]], unwatched_statements: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Reads, "value", broken)
    monkeypatch.setattr(Database, "snapshot", broken)
    findings, _ = await fuzz("Query", thrown_away[1], 5)
    assert findings
