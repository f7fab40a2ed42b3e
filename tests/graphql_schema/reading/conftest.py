# SPDX-License-Identifier: EUPL-1.2
"""Fixtures of reading: the declared schema over a real database with two planted organizations."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest

from graphql_schema.schema import ApiSchema, build_schema
from services.kernel.access import Actor
from services.kernel.database import Database
from tests.graphql_schema.reading.planting import Planted, Query, Reader, plant
from tests.support.organizations import found_organization


@pytest.fixture(scope="session")
async def reading_database(database_urls: Mapping[str, str]) -> AsyncIterator[Database]:
    """The shared database as belfry_app."""
    opened = Database(database_urls["belfry_app"])
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def schema() -> ApiSchema:
    """All declared reads."""
    return build_schema(Query)


@pytest.fixture(scope="session")
async def here(reading_database: Database) -> Planted:
    """The organization that is read."""
    return await plant(reading_database, await found_organization(reading_database, name="Hierwijk"), 1)


@pytest.fixture(scope="session")
async def there(reading_database: Database) -> Planted:
    """Another organization, of which nothing may ever be seen."""
    return await plant(reading_database, await found_organization(reading_database, name="Elders"), 2)


@pytest.fixture
def reader(reading_database: Database) -> Callable[[Actor], Reader]:
    """A fresh context for an actor."""
    return lambda actor: Reader(reading_database, actor)


@pytest.fixture
def ask(schema: ApiSchema, reader: Callable[[Actor], Reader]) -> Callable[..., Awaitable[Any]]:
    """Runs a document as an actor: `data = await ask(actor, "{ … }", name=value)`. Errors fail the test."""

    async def run(actor: Actor, document: str, **variables: Any) -> Any:
        result = await schema.execute(document, variable_values=variables, context_value=reader(actor))
        assert result.errors is None, result.errors
        return result.data

    return run


@pytest.fixture
def codes(schema: ApiSchema, reader: Callable[[Actor], Reader]) -> Callable[..., Awaitable[list[str]]]:
    """Runs a document and gives the codes of its errors. A refused operation has no data."""

    async def run(actor: Actor, document: str, **variables: Any) -> list[str]:
        result = await schema.execute(document, variable_values=variables, context_value=reader(actor))
        assert result.data is None or not result.errors, result
        return [(each.extensions or {})["code"] for each in result.errors or ()]

    return run
