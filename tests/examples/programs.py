# SPDX-License-Identifier: EUPL-1.2
"""The programs of the examples, as somebody starts them in a terminal."""

import asyncio
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.examples.workplaces import Workplace
from tests.support.installation import Client

WITHIN_SECONDS = 60


def _environment(workplace: Workplace, given: dict[str, str]) -> dict[str, str]:
    # The proxies of whoever runs the tests are no business of programs that speak to loopback.
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**inherited, **workplace.environment, **given}


def access(operator: Client) -> dict[str, str]:
    """Where the server is, and the token."""
    return {"BELFRY_URL": str(operator.http.base_url).rstrip("/"), "BELFRY_TOKEN": operator.bearer}


@asynccontextmanager
async def started(workplace: Workplace, name: str, *arguments: str, **environment: str) -> AsyncIterator[Process]:
    """A program that runs; it does not outlive the block."""
    process = await asyncio.create_subprocess_exec(
        *workplace.commands[name],
        *arguments,
        cwd=workplace.folder,
        env=_environment(workplace, environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)  # a shell's pipes too
            await process.wait()


async def end_of(process: Process) -> tuple[int, list[str], str]:
    """Its exit code, its lines, and what it complained of."""
    async with asyncio.timeout(WITHIN_SECONDS):
        output, complaints = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode().splitlines(), complaints.decode()


async def run(workplace: Workplace, name: str, *arguments: str, **environment: str) -> list[str]:
    """The lines of a program that ends well."""
    async with started(workplace, name, *arguments, **environment) as process:
        code, lines, complaints = await end_of(process)
    assert code == 0, complaints
    return lines
