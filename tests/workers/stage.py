# SPDX-License-Identifier: EUPL-1.2
"""A whole installation for one test module: database, Valkey, real worker and relay processes, and a fake network.

The fake and the fault proxies in front of it run in the test process; the background processes are children, by pid.
"""

import asyncio
import contextlib
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from services.kernel.runtime import Runtime, open_runtime
from tests.support import database as databases
from tests.support.fake_atproto import FakeAtproto
from tests.support.fake_atproto_state import Stored
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import Crew, OwnValkey, until
from tests.support.servers import Servers, make_settings
from tests.workers.towns import Evidence, Town, connected_town, evidence_of, town_with_form
from workers.deliver import FACT, Deliverer

POLL_SECONDS = 1
VERIFY_SECONDS = (1, 2, 4)
STOPPED = frozenset({"PUBLISHED", "FAILED", "SUSPENDED", "CANCELLED"})


@dataclass
class Stage:
    """`proxies` stand in front of the fake; each is allowed to the background processes from the start."""

    runtime: Runtime
    evidence: Evidence
    crew: Crew
    valkey: OwnValkey
    fake: FakeAtproto
    proxies: list[FaultProxy]
    urls: Mapping[str, str]
    _names: Any = field(default_factory=lambda: iter(range(1_000_000)))

    @property
    def deliverer(self) -> Deliverer:
        """A worker without a queue, in this process."""
        return Deliverer(self.runtime, random.Random(7))

    def new_name(self) -> str:
        """Somebody whom the fake network does not know yet."""
        return f"town{next(self._names)}"

    async def town(self, name: str, server_url: str | None = None) -> Town:
        """An organization with a connected Bluesky account of this name. Its first poll begins at once."""
        password = self.fake.network.person(name).password
        return await connected_town(self.runtime, name=name, password=password, server_url=server_url or self.fake.url)

    async def town_with_form(self) -> Town:
        return await town_with_form(self.runtime.database)

    def mention(self, name: str, text: str, *, by: str = "citizen") -> Stored:
        """A citizen writes to a town on the fake network."""
        return self.fake.network.post(by, text, mention=name)

    async def conversation_of(self, town: Town, external_id: str) -> UUID:
        """The conversation of a citizen's message, once the workers have taken it in."""
        sql = """
            select conversation_id from belfry.message
            where tenant_id = $1 and external_id = $2 and conversation_id is not null
        """
        return await until(lambda: self.evidence.one(sql, town.id, external_id), f"{external_id} is taken in")

    async def state_of(self, delivery_id: UUID) -> str:
        """The delivery's state, or NEEDS_DECISION when a person is asked."""
        row = await self.evidence.delivery(delivery_id)
        return row["verification"] if row["verification"] == "NEEDS_DECISION" else row["state"]

    async def ends_as(self, delivery_id: UUID, state: str, *, seconds: float = 40.0) -> None:
        """Wait until Belfry has done what it can for a delivery, which must be this."""

        async def ended() -> str | None:
            found = await self.state_of(delivery_id)
            return found if found in STOPPED or found == "NEEDS_DECISION" else None

        found = await until(ended, f"the delivery ends as {state}", seconds=seconds)
        assert found == state, (await self.evidence.delivery(delivery_id))["error"]

    def posts_of(self, town: Town) -> list[Stored]:
        """What lies in the town's repository now."""
        return list(self.fake.network.records(town.name).values())

    def writes_of(self, town: Town) -> int:
        """How often a write of the town changed something, deleted posts included."""
        did = self.fake.network.person(town.name).did
        return sum(times for uri, times in self.fake.network.writes.items() if uri.startswith(f"at://{did}/"))

    async def work(self, kind: str, subject_id: UUID) -> None:
        """Do one job here and now, as a worker would when it is rung."""
        sql = "select tenant_id, id from belfry.job where kind = $1 and subject_id = $2"
        ((tenant_id, job_id),) = await self.evidence.rows(sql, kind, subject_id)
        await self.deliverer.run(kind, tenant_id, job_id)

    async def deliver(self, tenant_id: UUID, kind: str) -> None:
        """Hand the facts of one kind to their handlers here and now."""
        sql = "select id from belfry.outbox where tenant_id = $1 and kind = $2 and state = 'WAITING' order by seq"
        for row in await self.evidence.rows(sql, tenant_id, kind):
            await self.deliverer.run(FACT, tenant_id, row["id"])

    async def is_blocked_by(self, pid: int) -> int:
        """How many sessions wait for this one."""
        sql = "select count(*) from pg_stat_activity where $1 = any(pg_blocking_pids(pid))"
        return await self.evidence.one(sql, pid)


@asynccontextmanager
async def open_stage(
    servers: Servers, *, proxies: int = 0, also_allowed: frozenset[str] = frozenset(), **changes: Any
) -> AsyncIterator[Stage]:
    """An installation of its own; `changes` are settings. Nothing runs until `stage.crew.start(...)`."""
    folder = Path(tempfile.mkdtemp(prefix="belfry-stage-"))
    name = databases.new_name("stage")
    urls = databases.create_copy(servers, name)
    network = FakeAtproto()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(databases.drop, servers, name)
        stack.enter_context(network.running())
        valkey = stack.enter_context(OwnValkey(folder))
        standing = [await stack.enter_async_context(FaultProxy(network.url)) for _ in range(proxies)]
        allowed = also_allowed | {each.url.removeprefix("http://") for each in (network, *standing)}
        wishes = {"poll_seconds": POLL_SECONDS, "verify_seconds": VERIFY_SECONDS, "outbound_allow": allowed, **changes}
        settings = make_settings(urls, valkey.url, **wishes)
        await valkey_answers(valkey)
        runtime = await stack.enter_async_context(open_runtime(settings))
        evidence = await stack.enter_async_context(evidence_of(urls))
        crew = stack.enter_context(Crew(settings, folder))
        yield Stage(runtime, evidence, crew, valkey, network, standing, urls)


async def valkey_answers(valkey: OwnValkey) -> None:
    """Return when it takes connections."""

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(valkey.socket))
        except OSError:
            return False
        writer.close()
        return True

    await until(answers, "Valkey answers")
