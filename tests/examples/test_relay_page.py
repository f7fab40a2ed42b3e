# SPDX-License-Identifier: EUPL-1.2
"""The page of the Relay example in a browser, served by its own build, against a seeded server."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.examples.programs import WITHIN_SECONDS
from tests.examples.workplaces import EXAMPLES, node_workplace
from tests.support import browser_runs
from tests.support.installation import Client, Installation, eventually, free_port
from tests.support.stories import arrives, ask_by_form, published, words

pytestmark = pytest.mark.browser


@asynccontextmanager
async def served_page(installation: Installation, place: Path) -> AsyncIterator[str]:
    """The built page, behind the server that passes /graphql on; its address."""
    workplace = node_workplace(EXAMPLES / "relay", place)
    await asyncio.to_thread(workplace.npm, "run", "build")
    assert workplace.node is not None
    port = free_port()
    preview = ("node_modules/vite/bin/vite.js", "preview", "--host", "127.0.0.1", "--port", str(port))
    process = await asyncio.create_subprocess_exec(
        str(workplace.node.node),
        *preview,
        cwd=workplace.folder,
        env={**os.environ, "BELFRY_URL": installation.url},
        stdout=asyncio.subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"

    async def look() -> bool:
        try:
            return (await http.get(address)).status_code == 200
        except httpx2.ConnectError:
            return False

    try:
        async with httpx2.AsyncClient(trust_env=False) as http:
            await eventually(look, WITHIN_SECONDS)
        yield address
    finally:
        process.kill()
        await process.wait()


async def test_somebody_enters_loads_more_hears_of_events_and_answers(
    installation: Installation, operator: Client, citizen: httpx2.AsyncClient, tmp_path: Path
) -> None:
    if reason := browser_runs.missing():
        pytest.skip(reason)
    question, answer = words(), f"Antwoord: {words()}"
    async with served_page(installation, tmp_path) as address:
        asked = (address, operator.bearer, question, answer)
        async with browser_runs.browser_script("relay.mjs", *asked) as script:
            assert await script.line() == {"rows": 10}
            assert await script.line() == {"rows": 20}
            await ask_by_form(citizen, question)
            conversation = await arrives(operator, question)
            assert (await script.line())["told"].startswith("Last event: ")
            assert (await script.line())["state"]
            assert await script.rest() == [{"origins": [address], "violations": [], "broken": []}]
    assert (await published(operator, conversation["id"], answer))["direction"] == "OUTBOUND"
