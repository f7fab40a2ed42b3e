# SPDX-License-Identifier: EUPL-1.2
"""Scripts that look at our pages with the browser of this machine, through the packages of `browser/`."""

import asyncio
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from services.embedded import NodePackages
from tests.support.source import ROOT

BROWSER = NodePackages(ROOT / "tests" / "support" / "browser")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
LINE_WITHIN_SECONDS = 120


def browser_program() -> str | None:
    """The browser of this machine, if it has one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def missing() -> str | None:
    """Why no browser can look at our pages, for a skip; None when one can."""
    if browser_program() is None:
        return f"no browser is installed: none of {', '.join(PROGRAMS)} is on the path"
    return BROWSER.install()


@dataclass
class Script:
    """A script that runs; it says one line of JSON at a time."""

    process: asyncio.subprocess.Process

    async def line(self) -> dict[str, Any]:
        """The next line. At the end, an error with what the script complained of."""
        assert self.process.stdout is not None and self.process.stderr is not None
        async with asyncio.timeout(LINE_WITHIN_SECONDS):
            found = await self.process.stdout.readline()
            assert found, (await self.process.stderr.read()).decode()
        return orjson.loads(found)

    async def rest(self) -> list[dict[str, Any]]:
        """All further lines, of a script that ends well."""
        assert self.process.stdout is not None and self.process.stderr is not None
        async with asyncio.timeout(LINE_WITHIN_SECONDS):
            lines = [orjson.loads(each) async for each in self.process.stdout]
            assert await self.process.wait() == 0, (await self.process.stderr.read()).decode()
        return lines


@asynccontextmanager
async def browser_script(name: str, *arguments: str) -> AsyncIterator[Script]:
    """Run a script of `browser/`; it does not outlive the block."""
    found, program = BROWSER.installation(), browser_program()
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        str(found.node), str(found.folder / name), program, *arguments, stdout=PIPE, stderr=PIPE, limit=2**22
    )
    try:
        yield Script(process)
    finally:
        if process.returncode is None:
            process.terminate()  # Node closes its browser, which a killed one would leave behind
            await process.wait()
