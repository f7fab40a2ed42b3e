# SPDX-License-Identifier: EUPL-1.2
"""The same for exports: written once, whatever died meanwhile, and dropped once."""

from services.integrations import commands
from services.integrations.commands import EXPIRE, EXPORT
from services.integrations.rules import ExportKind
from services.social_accounts.commands import DRAIN
from tests.workers.dead_worker_cases import NONE, Case

HELD = "select 1 from belfry.export where id = $1 for update"
STATE = "select state from belfry.export where id = $1"
LINES = (
    "select convert_from(string_agg(content, '' order by number), 'UTF8') from belfry.export_piece where export_id = $1"
)
PIECES = "select count(*) from belfry.export_piece where export_id = $1"
OVER = "update belfry.export set expires_at = now() where id = $1"


class ExportCase(Case):
    """A coordinator has asked for the conversations of a town where one question was asked."""

    export_id = NONE

    async def wished(self) -> None:
        self.town = await self.stage.town_with_form()
        await self.town.submit("Waarom is het zwembad dicht?")
        await self.stage.work(DRAIN, self.town.account_id)
        async with self.town.database.unit_of_work(self.town.coordinator) as uow:
            row = await commands.create_export(uow, kind=ExportKind.CONVERSATIONS, since=None, until=None)
        self.export_id = row.id


class Write(ExportCase):
    async def prepare(self) -> None:
        await self.wished()
        await self.hold(HELD, self.export_id)

    async def done(self) -> bool:
        return await self.one(STATE, self.export_id) == "READY"

    async def check(self) -> None:
        assert str(await self.one(LINES, self.export_id)).count("\n") == 1
        assert await self.facts("export.ready") == 1
        assert await self.jobs(EXPORT) == 0


class Expire(ExportCase):
    async def prepare(self) -> None:
        await self.wished()
        await self.stage.work(EXPORT, self.export_id)
        await self.stage.evidence.rows(OVER, self.export_id)
        await self.due(EXPIRE, self.export_id)
        await self.hold(HELD, self.export_id)

    async def done(self) -> bool:
        return await self.one(STATE, self.export_id) == "EXPIRED"

    async def check(self) -> None:
        assert await self.one(PIECES, self.export_id) == 0
        assert await self.facts("export.expired") == 1
        assert await self.jobs(EXPIRE) == 0


EXPORT_CASES: dict[str, type[Case]] = {EXPORT: Write, EXPIRE: Expire}
