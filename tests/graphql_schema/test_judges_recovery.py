# SPDX-License-Identifier: EUPL-1.2
"""Clairvoyance tries to recover the schema from what the server says to guesses, with introspection closed."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, build_schema

from graphql_schema import stages
from graphql_schema.schema import SDL_FILE, ApiSchema, api_schema
from services.kernel.access import Role
from services.kernel.settings import Settings
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.serving import Served, served
from tests.support.organizations import TestOrganization
from tests.support.python_tools import PythonTools
from tests.support.source import ROOT

pytestmark = pytest.mark.judges

CLAIRVOYANCE = PythonTools(ROOT / "tests" / "support" / "judges" / "clairvoyance.txt")
SECONDS_MAX = 400
TRIED_OF = 4
"""Of the words that are nearly right every fourth: the tool takes minutes for all of them, and learns nothing more."""
FEW = ["conversation", "viewe", "rateLimi"]
"""So few that one document may ask for all of them: the tool sends 64 at a time, where 20 are the most."""
ROOTS = {"Query", "Mutation", "Subscription"}
KNOWN_OF_ALL = {"Boolean", "Float", "ID", "Int", "String"} | ROOTS | {f"{root}.dummy" for root in ROOTS}
"""Scalars of the language, the usual names of roots, and what the tool writes where it found no field."""


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    if reason := CLAIRVOYANCE.install():
        pytest.skip(reason)


@asynccontextmanager
async def closed(settings: Settings, schema: ApiSchema) -> AsyncIterator[Served]:
    """A server that answers no question about its schema."""
    async with served(settings.model_copy(update={"introspection": False}), schema) as running:
        yield running


async def recovered(server: Served, token: str, folder: Path, words: list[str]) -> set[str]:
    """What the tool finds out: types, and fields as `Type.field`, but for what every schema has."""
    listed, output = folder / "words.txt", folder / "found.json"
    listed.write_text("\n".join(words))
    arguments = ("-H", f"Authorization: Bearer {token}", "-w", str(listed), "-o", str(output), "-m", "1")
    process = await asyncio.create_subprocess_exec(
        str(CLAIRVOYANCE.python()), "-m", "clairvoyance", *arguments, f"{server.url}/graphql", stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert output.exists(), said.decode()[-2_000:]
    types: list[dict[str, Any]] = orjson.loads(output.read_bytes())["data"]["__schema"]["types"]
    fields = {f"{each['name']}.{one['name']}" for each in types for one in each.get("fields") or ()}
    return {each for each in fields | {each["name"] for each in types} if each not in KNOWN_OF_ALL}


def names() -> tuple[set[str], list[str]]:
    """All that there is to recover, and what nearly is the name of a root field: a suggestion would put it right."""
    schema = build_schema(SDL_FILE.read_text(encoding="utf-8"))
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    here = [name for root in roots if root is not None for name in root.fields]
    fields = {
        f"{kind.name}.{name}"
        for kind in schema.type_map.values() if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        for name in kind.fields
    }  # fmt: skip
    nearly_right = sorted({name[:-1] for name in here} - set(here))
    return fields | set(schema.type_map) - KNOWN_OF_ALL, nearly_right[::TRIED_OF]


async def test_clairvoyance_recovers_nothing_when_introspection_is_closed(
    edge_settings: Settings, home: TestOrganization, token_of: TokenOf, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    """Where all its guesses of one document are refused at once, the tool takes each of them for right."""
    real, nearly_right = names()
    async with closed(edge_settings, api_schema(introspection=False)) as server:
        token = await token_of(home, Role.COORDINATOR)
        few = await recovered(server, token, tmp_path, FEW)
        many = await recovered(server, token, tmp_path, nearly_right)
    assert few == set()
    assert many & real == set()
    tell(f"clairvoyance: {len(nearly_right)} words that are nearly right, {len((few | many) & real)} names recovered")


async def test_clairvoyance_would_recover_what_suggestions_tell(
    edge_settings: Settings, home: TestOrganization, token_of: TokenOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = stages.validate

    def talkative(*arguments: Any, **options: Any) -> Any:
        return validate(*arguments, **(options | {"hide_suggestions": False}))

    monkeypatch.setattr(stages, "validate", talkative)
    schema = api_schema(introspection=False)
    schema.config.disable_field_suggestions = False
    async with closed(edge_settings, schema) as server:
        found = await recovered(server, await token_of(home, Role.COORDINATOR), tmp_path, FEW)
    assert {"Query.conversations", "Query.viewer"} <= found
