# SPDX-License-Identifier: EUPL-1.2
"""Fixtures of reading: the declared schema over a real database with two planted organizations."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from graphql_schema.reading.execution import Execution, Executor
from graphql_schema.schema import ApiSchema, build_schema
from services.kernel.access import Actor
from services.kernel.database import Database
from services.kernel.settings import TenantBinding
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
def schema_behind_set() -> ApiSchema:
    """The same, for the database that cannot bind in a statement: a schema keeps its statements in one form."""
    return build_schema(Query)


@pytest.fixture(scope="session")
async def database_behind_set(database_urls: Mapping[str, str]) -> AsyncIterator[Database]:
    """The shared database, taken for one where a statement cannot bind its own organization."""
    opened = Database(database_urls["belfry_app"], binding=TenantBinding.TRANSACTION)
    yield opened
    await opened.close()


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
    """A fresh context for an actor, of the ordinary executor."""
    return lambda actor: Reader(reading_database, actor)


UNDECLARED = ("__schema", "__type(", "viewer")
"""What has a resolver of its own, so that no statement answers it."""


@dataclass(frozen=True)
class Way:
    """One way to answer queries: a schema, and the executor that is asked for."""

    schema: ApiSchema
    database: Database
    executor: Executor

    async def run(self, actor: Actor, document: str, variables: Mapping[str, Any]) -> Any:
        """The result. What can be compiled must have been."""
        reader = Reader(self.database, actor, execution=Execution(self.executor))
        result = await self.schema.execute(document, variable_values=dict(variables), context_value=reader)
        is_undeclared = any(each in document for each in UNDECLARED)
        assert result.errors or is_undeclared or reader.execution.used is self.executor
        if isinstance(result.data, orjson.Fragment):
            result.data = orjson.loads(orjson.dumps(result.data))
        return result


WAYS = ("ordinary", "one statement", "in a transaction")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, schema: ApiSchema, reading_database: Database):
    """Every way in which a query is answered: tests that ask run in each."""
    executor = Executor.ORDINARY if request.param == "ordinary" else Executor.COMPILED
    if request.param != "in a transaction":
        return Way(schema, reading_database, executor)
    return Way(request.getfixturevalue("schema_behind_set"), request.getfixturevalue("database_behind_set"), executor)


@pytest.fixture
def ask(way: Way) -> Callable[..., Awaitable[Any]]:
    """Runs a document as an actor: `data = await ask(actor, "{ … }", name=value)`. Errors fail the test."""

    async def run(actor: Actor, document: str, **variables: Any) -> Any:
        result = await way.run(actor, document, variables)
        assert result.errors is None, result.errors
        return result.data

    return run


@pytest.fixture
def codes(way: Way) -> Callable[..., Awaitable[list[str]]]:
    """Runs a document and gives the codes of its errors. A refused operation has no data."""

    async def run(actor: Actor, document: str, **variables: Any) -> list[str]:
        result = await way.run(actor, document, variables)
        assert result.data is None or not result.errors, result
        return [(each.extensions or {})["code"] for each in result.errors or ()]

    return run
