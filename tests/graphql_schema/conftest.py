# SPDX-License-Identifier: EUPL-1.2
"""Fixtures of the HTTP edge: a served API over the shared database, and tokens of invented people."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
import structlog

from graphql_schema.schema import api_schema
from services.identity import commands as identity
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.runtime import Runtime, open_runtime
from services.kernel.settings import Settings
from tests.graphql_schema.serving import Served, served
from tests.graphql_schema.small_schema import small_schema
from tests.graphql_schema.street import Street
from tests.support.organizations import TestOrganization, found_organization
from tests.support.servers import make_settings

ORIGIN = "https://desk.example"

LOGGED = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(),
]

TokenOf = Callable[..., Awaitable[str]]
FoundStreet = Callable[[], Awaitable[Street]]

WATCHERS = (
    (Role.COORDINATOR, None),
    (Role.OPERATOR, "ROADS"),
    (Role.OPERATOR, "PEOPLE"),
    (Role.OPERATOR, "DESK"),
    (Role.EXPERT, None),
    (Role.VIEWER, None),
)
"""Who looks on in a street: the role, and the department when it is for one."""


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Lines as they are written in earnest: structlog's own default draws every variable of every frame."""
    structlog.configure(processors=LOGGED)


@pytest.fixture(scope="session")
def edge_settings(database_urls: Mapping[str, str], valkey_url: str) -> Settings:
    """Settings of the served API."""
    # Tests refuse thousands of documents of the same few people; what that costs has tests of its own.
    return make_settings(database_urls, valkey_url, allowed_origins=frozenset({ORIGIN}), refusal_cost=0)


@pytest.fixture(scope="session")
async def api(edge_settings: Settings) -> AsyncIterator[Served]:
    """The small schema, served."""
    async with served(edge_settings, small_schema()) as running:
        yield running


@pytest.fixture(scope="session")
async def home(database: Database) -> TestOrganization:
    """The organization whose people call."""
    return await found_organization(database, name="Thuiswijk")


@pytest.fixture(scope="session")
def token_of(database: Database) -> TokenOf:
    """Issues a token: `await token_of(home, Role.OPERATOR, "ROADS")`."""

    async def issue(organization: TestOrganization, role: Role, department: str | None = None) -> str:
        return await identity.issue_local_token(
            database, is_local=True, slug=organization.slug, role=role, department_code=department
        )

    return issue


@pytest.fixture(scope="session")
async def token(home: TestOrganization, token_of: TokenOf) -> str:
    """A coordinator of the home organization, who may do everything in the small schema."""
    return await token_of(home, Role.COORDINATOR)


@pytest.fixture(scope="session")
async def live(edge_settings: Settings) -> AsyncIterator[Served]:
    """The real schema, served."""
    async with served(edge_settings, api_schema()) as running:
        yield running


@pytest.fixture(scope="session")
async def runtime(edge_settings: Settings) -> AsyncIterator[Runtime]:
    """What writes the facts: it rings after each commit."""
    async with open_runtime(edge_settings) as opened:
        yield opened


@pytest.fixture
def found_street(live: Served, runtime: Runtime, database: Database, token_of: TokenOf) -> FoundStreet:
    """Founds one more organization in which conversations happen: `await found_street()`."""

    async def one_more() -> Street:
        organization = await found_organization(database, name="Straat")
        tokens: dict[tuple[Role, str | None], str] = {each: await token_of(organization, *each) for each in WATCHERS}
        street = Street(live, runtime, organization, tokens)
        await street.prepare()
        return street

    return one_more


@pytest.fixture
async def street(found_street: FoundStreet) -> Street:
    """An organization in which conversations happen."""
    return await found_street()
