# SPDX-License-Identifier: EUPL-1.2
"""One installation for all examples of a run, with the demo in it, and an operator who looks over their shoulder."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.installation import Client, Installation, running_installation


@pytest.fixture(scope="session")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """`belfry up`, as a newcomer starts it."""
    running = running_installation(tmp_path_factory.mktemp("examples") / "data", {})
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
