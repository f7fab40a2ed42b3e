# SPDX-License-Identifier: EUPL-1.2
"""The same for webhooks: written down once, called at least once, recorded once, forgotten."""

from uuid import UUID

from services.identity import commands as identity
from services.integrations import commands
from services.integrations.commands import DELIVER, FOLLOW, FORGET
from services.kernel.access import Actor, Scope
from services.social_accounts.commands import DRAIN
from tests.workers.dead_worker_cases import Case

DELIVERY = "select 1 from belfry.webhook_delivery where webhook_endpoint_id = $1 for update"
ENDPOINT = "select 1 from belfry.webhook_endpoint where id = $1 for update"
COUNT = "select count(*) from belfry.webhook_delivery where webhook_endpoint_id = $1"
OLD = """
    insert into belfry.webhook_delivery (tenant_id, webhook_endpoint_id, event_id, event_type, payload, occurred_at,
                                         state, attempts, due_at, created_at)
    select $1, $2, uuidv7(), 'conversation.opened', '{}', now(), 'DELIVERED', 1, now(), now() - interval '31 days'
"""


class WebhookCase(Case):
    """An organization with an endpoint behind the proxy, where nobody takes anything."""

    endpoint_id: UUID

    async def set_up(self) -> None:
        self.town = await self.stage.town_with_form()
        async with self.town.database.unit_of_work(Actor.system(self.town.id)) as uow:
            scopes = [Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_READ_PRIVATE]
            client = await identity.create_client(uow, name="Dashboard", scopes=scopes)
        async with self.town.database.unit_of_work(Actor.system(self.town.id)) as uow:
            endpoint, _ = await commands.create_endpoint(
                uow,
                self.stage.runtime.vault,
                api_client_id=client.id,
                url=f"{self.proxy.url}/hook",
                description="",
                event_types=["conversation.opened"],
                allowed=self.stage.runtime.settings.outbound_allow,
            )
        self.endpoint_id = endpoint.id


class Follow(WebhookCase):
    async def prepare(self) -> None:
        await self.set_up()
        await self.town.submit("Waarom is het zwembad dicht?")
        await self.stage.work(DRAIN, self.town.account_id)
        await self.hold(ENDPOINT, self.endpoint_id)

    async def done(self) -> bool:
        return await self.one(COUNT, self.endpoint_id) != 0

    async def check(self) -> None:
        assert await self.one(COUNT, self.endpoint_id) == 1


class Deliver(WebhookCase):
    async def prepare(self) -> None:
        await self.set_up()
        async with self.town.database.unit_of_work(Actor.system(self.town.id)) as uow:
            await commands.send_test(uow, endpoint_id=self.endpoint_id)
        await self.hold(DELIVERY, self.endpoint_id)

    async def done(self) -> bool:
        sql = "select attempts from belfry.webhook_delivery where webhook_endpoint_id = $1"
        return await self.one(sql, self.endpoint_id) == 1

    async def check(self) -> None:
        assert await self.one("select count(*) from belfry.webhook_attempt where tenant_id = $1", self.town.id) == 1
        assert await self.jobs(DELIVER) == 1


class Forget(WebhookCase):
    async def prepare(self) -> None:
        await self.set_up()
        await self.stage.evidence.rows(OLD, self.town.id, self.endpoint_id)
        await self.hold(DELIVERY, self.endpoint_id)

    async def done(self) -> bool:
        return await self.one(COUNT, self.endpoint_id) == 0

    async def check(self) -> None:
        assert await self.jobs(FORGET) == 1


WEBHOOK_CASES: dict[str, type[Case]] = {FOLLOW: Follow, DELIVER: Deliver, FORGET: Forget}
