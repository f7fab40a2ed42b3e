# SPDX-License-Identifier: EUPL-1.2
"""The demo, seeded once at a fixed instant and read by all tests of this folder."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import pytest

from services.demo.organizations import ORGANIZATIONS
from services.demo.plans import OrganizationPlan
from services.demo.seeding import seed_all
from services.identity import queries as identity
from services.kernel.access import Actor
from services.kernel.database import Database
from services.kernel.isolation import TenantRow, owned
from tests.support import database as databases
from tests.support.servers import Servers

AT = datetime(2026, 11, 18, 10, 7, 30, tzinfo=UTC)
"""A Wednesday morning; the clocks went back in the eight weeks before it."""

M = TypeVar("M", bound=TenantRow)


@dataclass(frozen=True)
class Seeded:
    """One organization of the demo as the database holds it."""

    plan: OrganizationPlan
    database: Database
    tenant_id: UUID
    at: datetime = AT

    async def all(self, model: type[M]) -> list[M]:
        """Every row of a table."""
        async with self.database.snapshot(Actor.system(self.tenant_id)) as snapshot:
            return await snapshot.scalars(owned(model))

    async def by_id(self, model: type[M]) -> dict[UUID, M]:
        return {row.id: row for row in await self.all(model)}  # pyright: ignore[reportAttributeAccessIssue]


@dataclass(frozen=True)
class Demo:
    """Both organizations, and what the seeding said."""

    database: Database
    organizations: Mapping[str, Seeded]
    lines: list[str]
    urls: Mapping[str, str]


async def open_demo(urls: Mapping[str, str]) -> Demo:
    """Seed a migrated database at AT and give what it holds."""
    database, lines = Database(urls["belfry_app"], pool_size=2), list[str]()
    await seed_all(database, AT, lines.append)
    found = await identity.organizations(database)
    plans = {plan.slug: plan for plan in ORGANIZATIONS}
    organizations = {slug: Seeded(plans[slug], database, tenant_id) for slug, tenant_id in found.items()}
    return Demo(database, organizations, lines, urls)


@pytest.fixture(scope="session")
def demo_urls(servers: Servers) -> Iterator[Mapping[str, str]]:
    name = databases.new_name("demo")
    yield databases.create_copy(servers, name)
    databases.drop(servers, name)


@pytest.fixture(scope="session")
async def demo(demo_urls: Mapping[str, str]) -> AsyncIterator[Demo]:
    """The seeded demo. Nobody may change it."""
    opened = await open_demo(demo_urls)
    yield opened
    await opened.database.close()


@pytest.fixture(scope="session")
def molendam(demo: Demo) -> Seeded:
    return demo.organizations["molendam"]


@pytest.fixture(scope="session")
def waterrode(demo: Demo) -> Seeded:
    return demo.organizations["waterrode"]


@pytest.fixture(scope="session", params=["molendam", "waterrode"])
def seeded(request: pytest.FixtureRequest, demo: Demo) -> Seeded:
    """Each organization in turn."""
    return demo.organizations[request.param]
