# SPDX-License-Identifier: EUPL-1.2
"""Fixtures of all tests: real servers, a migrated database for each worker, two organizations, and three guards.

Guards: a warning is an error, no connection leaves this machine, and every statement names its organization.
"""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.settings import Settings
from tests.support import database as databases
from tests.support import network, statements
from tests.support.organizations import TestOrganization, found_organization
from tests.support.servers import ServerOwner, Servers, make_settings

SERVERS = "belfry_servers"
FIGURE = "figure"
# How fast a machine is decides nothing: no test of ours judges wall-clock time.
hypothesis_settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("house")
owner = pytest.StashKey[ServerOwner]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[owner] = ServerOwner()
    network.refuse_other_machines()
    statements.install()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """The controller outlives its workers, so it owns the servers; each worker gets their addresses."""
    node.workerinput[SERVERS] = node.config.stash[owner].start().as_input()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[owner].stop()


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported and collected stays to the end: looking through it for garbage takes a tenth of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    yield from _guarded()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    yield from _guarded()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield from _guarded()


def _guarded() -> Iterator[None]:
    try:
        result = yield
    except BaseException as error:
        for found in _findings():
            error.add_note(found)
        raise
    if findings := _findings():
        pytest.fail("\n".join(findings), pytrace=False)
    return result


def _findings() -> list[str]:
    return [
        *(f"Refused: {what}" for what in network.take_attempts()),
        *(f"Statement with {what}" for what in statements.take_violations()),
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that tests told, under each test's name."""
    told = [
        (report.nodeid, figure)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, figure in report.user_properties
        if name == FIGURE
    ]
    if told:
        terminalreporter.section("figures")
        for nodeid, figure in told:
            terminalreporter.write_line(f"{nodeid.rpartition('::')[2]}: {figure}")


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tells a figure, which is shown at the end of the run: `tell("20,000 transactions, 0 wrong")`."""
    return lambda figure: record_property(FIGURE, figure)


@pytest.fixture(scope="session")
def worker_number(request: pytest.FixtureRequest) -> int:
    """0 for the first process of a run, 1 for the second …"""
    given = getattr(request.config, "workerinput", None)
    return 0 if given is None else int(given["workerid"].removeprefix("gw"))


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Servers:
    """The embedded servers of this run, with a migrated template database."""
    given = getattr(request.config, "workerinput", None)
    return request.config.stash[owner].start() if given is None else Servers.from_input(given[SERVERS])


@pytest.fixture(scope="session")
def database_urls(servers: Servers) -> Mapping[str, str]:
    """A URL per role of a migrated database that the tests of this process share."""
    return databases.create_copy(servers, databases.new_name("shared"))


@pytest.fixture
def fresh_database(servers: Servers) -> Iterator[Mapping[str, str]]:
    """A URL per role of a migrated database that no other test uses."""
    name = databases.new_name("fresh")
    yield databases.create_copy(servers, name)
    databases.drop(servers, name)


@pytest.fixture
def blank_database(servers: Servers) -> Iterator[Mapping[str, str]]:
    """A URL per role of a database with roles and schema, before the first migration."""
    name = databases.new_name("blank")
    yield databases.create_blank(servers, name)
    databases.drop(servers, name)


@pytest.fixture(scope="session")
def valkey_url(servers: Servers, worker_number: int) -> str:
    """The Valkey database of this process."""
    return servers.valkey_url(worker_number)


@pytest.fixture(scope="session")
def settings(database_urls: Mapping[str, str], valkey_url: str) -> Settings:
    """Settings over the shared database."""
    return make_settings(database_urls, valkey_url)


@pytest.fixture(scope="session")
async def database(database_urls: Mapping[str, str]) -> AsyncIterator[Database]:
    """The shared database as belfry_app."""
    opened = Database(database_urls["belfry_app"])
    yield opened
    await opened.close()


@pytest.fixture
def found(database: Database) -> Callable[..., Awaitable[TestOrganization]]:
    """Founds one more organization: `await found()`, `await found(name="Elders", roles=[Role.OPERATOR])`."""

    async def one_more(**wishes: Any) -> TestOrganization:
        return await found_organization(database, **wishes)

    return one_more


@pytest.fixture
async def organization(database: Database) -> TestOrganization:
    """A new organization with four departments and a member for each role."""
    return await found_organization(database)


@pytest.fixture
async def other_organization(database: Database) -> TestOrganization:
    """A second organization, which must never see anything of the first."""
    return await found_organization(database, name="Elders", roles=[Role.COORDINATOR, Role.OPERATOR])


@pytest.fixture
def unwatched_statements() -> Iterator[None]:
    """For tests that play the attacker with raw SQL."""
    with statements.unwatched():
        yield
