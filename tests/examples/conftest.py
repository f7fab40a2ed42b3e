# SPDX-License-Identifier: EUPL-1.2
"""One installation for all examples of a run, with the demo in it, and an operator who looks over their shoulder."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.installation import Client, Installation, free_port, running_installation


@pytest.fixture(scope="session")
def receiver_port() -> int:
    """Where receivers of webhooks listen, one after another."""
    return free_port()


@pytest.fixture(scope="session")
async def installation(tmp_path_factory: pytest.TempPathFactory, receiver_port: int) -> AsyncIterator[Installation]:
    """`belfry up`, as a newcomer starts it who has a receiver on the same machine."""
    allowed = {"BELFRY_OUTBOUND_ALLOW": f"127.0.0.1:{receiver_port}"}
    running = running_installation(tmp_path_factory.mktemp("examples") / "data", allowed)
    started = await asyncio.to_thread(running.__enter__)
    try:
        yield started
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


@pytest.fixture
async def citizen(installation: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=installation.url, timeout=30) as http:
        yield http


@pytest.fixture
async def operator(installation: Installation) -> AsyncIterator[Client]:
    async with installation.person("molendam", "operator") as client:
        yield client


@pytest.fixture
async def admin(installation: Installation) -> AsyncIterator[Client]:
    async with installation.person("molendam", "admin") as client:
        yield client
