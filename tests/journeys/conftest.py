# SPDX-License-Identifier: EUPL-1.2
"""One installation for all journeys of a run, with the demo in it and a strict fake of Bluesky beside it.

Journeys speak HTTP and GraphQL only. The fault proxy stands between the installation and the fake.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.support.fake_atproto import FakeAtproto
from tests.support.fault_proxy import FaultProxy
from tests.support.installation import Client, Installation, running_installation


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All journeys run in one worker process, because they share the installation."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("installation"))


@dataclass
class Network:
    """Bluesky as the journeys have it: the fake, and the proxy that can break the way to it."""

    fake: FakeAtproto
    proxy: FaultProxy


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeAtproto]:
    with FakeAtproto().running() as running:
        yield running


@pytest.fixture(scope="session")
async def network(fake: FakeAtproto) -> AsyncIterator[Network]:
    async with FaultProxy(fake.url) as proxy:
        yield Network(fake, proxy)


@pytest.fixture(scope="session")
async def installation(network: Network, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """`belfry up`, as a stranger starts it, but quicker to look and allowed to reach the fake."""
    environment = {
        "BELFRY_OUTBOUND_ALLOW": f"127.0.0.1:{network.proxy.port}",
        "BELFRY_POLL_SECONDS": "1",
        "BELFRY_VERIFY_SECONDS": "1,3,6",
    }
    running = running_installation(tmp_path_factory.mktemp("installation") / "data", environment)
    started = await asyncio.to_thread(running.__enter__)
    try:
        yield started
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


@pytest.fixture
async def citizen(installation: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody with a browser and no account."""
    async with httpx2.AsyncClient(base_url=installation.url, timeout=30) as http:
        yield http


@pytest.fixture
async def operator(installation: Installation) -> AsyncIterator[Client]:
    async with installation.person("molendam", "operator") as client:
        yield client


@pytest.fixture
async def coordinator(installation: Installation) -> AsyncIterator[Client]:
    async with installation.person("molendam", "coordinator") as client:
        yield client
