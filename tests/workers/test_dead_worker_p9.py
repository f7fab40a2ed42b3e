# SPDX-License-Identifier: EUPL-1.2
"""P9: a dead worker costs seconds. kill -9 inside every kind of job and every handler, resumed within 30 s, once.

One kill hits all of them: each is in an organization of its own and is held inside its work by a lock of the test or by
a slow answer of the network, so that none can have finished or not yet begun when the worker dies.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack

import pytest

from tests.support.processes import until
from tests.support.servers import Servers, plain
from tests.workers.dead_worker_cases import CASES as PLAIN_CASES
from tests.workers.dead_worker_cases import HANDLERS, Case
from tests.workers.dead_worker_exports import EXPORT_CASES
from tests.workers.dead_worker_webhooks import WEBHOOK_CASES
from tests.workers.stage import Stage, open_stage
from workers.subscriptions import JOBS

pytestmark = pytest.mark.xdist_group("dead_worker")  # one installation, one process

LATER_CASES = {**WEBHOOK_CASES, **EXPORT_CASES}
CASES = {**PLAIN_CASES, **LATER_CASES}
RESUMED_SECONDS_MAX = 30.0
PATIENT = "alter role belfry_app in database {} set {} = '60s'"
"""A lock of the test holds for as long as all others take to come inside."""


@pytest.fixture(scope="module")
async def stage(servers: Servers) -> AsyncIterator[Stage]:
    async with open_stage(servers, proxies=len(CASES), poll_seconds=30) as opened:
        name = plain(opened.urls["postgres"]).rpartition("/")[2].partition("?")[0]
        for setting in ("lock_timeout", "statement_timeout"):
            await opened.evidence.rows(PATIENT.format(name, setting))
        yield opened


@pytest.fixture(scope="module")
async def resumed(stage: Stage) -> Mapping[str, tuple[Case, float | None]]:
    """Every case with the seconds from the kill until its work was done; None when it was not within the bound."""
    found = await killed_and_resumed(stage, PLAIN_CASES)
    stage.crew.stop("all", "relay")
    return {**found, **await killed_and_resumed(stage, LATER_CASES)}


async def killed_and_resumed(stage: Stage, kinds: Mapping[str, type[Case]]) -> Mapping[str, tuple[Case, float | None]]:
    """As many at a time as one process has connections: each is held inside its work by one."""
    async with AsyncExitStack() as locks:
        cases = {
            name: case(stage, proxy, locks) for (name, case), proxy in zip(kinds.items(), stage.proxies, strict=False)
        }
        for case in cases.values():
            await case.prepare()
        stage.crew.start("all", "relay")

        async def missing() -> list[str]:
            return [name for name, case in cases.items() if not await case.is_inside()]

        async def all_inside() -> bool:
            return not await missing()

        try:
            await until(all_inside, "everything is inside its work")
        except AssertionError as error:
            error.add_note(f"not inside: {await missing()}\n{stage.crew.logs()[-4_000:]}")
            raise
        stage.crew.kill("all")
        killed_at = time.monotonic()
    stage.crew.start("all")
    seconds = dict[str, float]()
    while len(seconds) < len(cases) and time.monotonic() - killed_at < RESUMED_SECONDS_MAX:
        for name, case in cases.items():
            if name not in seconds and await case.done():
                seconds[name] = time.monotonic() - killed_at
        await asyncio.sleep(0.1)
    return {name: (case, seconds.get(name)) for name, case in cases.items()}


def test_every_job_and_every_handler_has_a_case() -> None:
    assert set(CASES) == {*JOBS, *HANDLERS}


@pytest.mark.parametrize("name", [*JOBS, *HANDLERS])
async def test_p9_what_a_killed_worker_was_doing_is_resumed_and_done_once(
    resumed: Mapping[str, tuple[Case, float | None]], name: str, tell: Callable[[str], None]
) -> None:
    case, seconds = resumed[name]
    assert seconds is not None, f"{name} was not resumed within {RESUMED_SECONDS_MAX:.0f} s"
    tell(f"resumed {seconds:.1f} s after kill -9")
    await case.check()
