# SPDX-License-Identifier: EUPL-1.2
"""An organization with endpoints of other systems, and conversations in which something happens."""

from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from services.identity import commands as identity
from services.integrations import commands
from services.integrations.commands import DELIVER, EXPORT, FOLLOW
from services.integrations.rules import ExportKind
from services.kernel.access import Actor, ActorKind, Role, Scope
from services.kernel.runtime import Runtime
from tests.graphql_schema.street import Street
from tests.support.organizations import TestOrganization, found_organization
from tests.support.webhook_receiver import Behavior, Place, Receiver
from tests.workers.stage import Stage

READS = (Scope.CONVERSATIONS_READ, Scope.METRICS_READ)


@dataclass
class HookTown:
    """One organization, and its endpoints by the places that they are."""

    stage: Stage
    receiver: Receiver
    organization: TestOrganization
    street: Street
    endpoints: dict[str, UUID] = field(default_factory=dict)

    @property
    def runtime(self) -> Runtime:
        return self.stage.runtime

    @property
    def admin(self) -> Actor:
        return self.organization.actor(Role.ADMIN)

    async def client(self, *scopes: Scope) -> UUID:
        async with self.runtime.database.unit_of_work(self.admin) as uow:
            return (await identity.create_client(uow, name="Dashboard", scopes=list(scopes))).id

    async def endpoint(
        self, name: str, client_id: UUID, behavior: Behavior = Behavior.TAKES, *event_types: str
    ) -> tuple[UUID, Place]:
        """One more endpoint, whose owner keeps its secret."""
        place = self.receiver.place(f"{self.organization.slug}-{name}", behavior)
        async with self.runtime.database.unit_of_work(self.admin) as uow:
            row, secret = await commands.create_endpoint(
                uow,
                self.runtime.vault,
                api_client_id=client_id,
                url=place.url,
                description=name,
                event_types=event_types,
                allowed=self.runtime.settings.outbound_allow,
            )
        place.secrets.append(secret)
        self.endpoints[place.url] = row.id
        return row.id, place

    async def rotate(self, endpoint_id: UUID, place: Place) -> None:
        """A new secret, which its owner learns after the fact, as people do."""
        async with self.runtime.database.unit_of_work(self.admin) as uow:
            place.secrets.append(await commands.rotate_secret(uow, self.runtime.vault, endpoint_id=endpoint_id))

    async def take_out(self, client_id: UUID, *scopes: Scope) -> UUID:
        """An export of all conversations that a client asked for, and that is written."""
        client = Actor(self.organization.id, kind=ActorKind.API_CLIENT, client_id=client_id, scopes=frozenset(scopes))
        async with self.runtime.database.unit_of_work(client) as uow:
            row = await commands.create_export(uow, kind=ExportKind.CONVERSATIONS, since=None, until=None)
        await self.stage.work(EXPORT, row.id)
        return row.id

    async def follow(self) -> None:
        """Have written down what the endpoints are owed, here and now."""
        await self.make_due(FOLLOW, self.organization.id)
        await self.stage.work(FOLLOW, self.organization.id)

    async def deliver(self, endpoint_id: UUID) -> None:
        """Have an endpoint called, here and now, as if its pause were over."""
        sql = "select count(*) from belfry.job where kind = $1 and subject_id = $2"
        if await self.stage.evidence.one(sql, DELIVER, endpoint_id):
            await self.make_due(DELIVER, endpoint_id)
            await self.stage.work(DELIVER, endpoint_id)

    async def make_due(self, kind: str, subject_id: UUID) -> None:
        sql = "update belfry.job set due_at = now() where kind = $1 and subject_id = $2"
        await self.stage.evidence.rows(sql, kind, subject_id)

    async def pass_time(self, interval: str) -> None:
        """What waits for this organization's endpoints is due so much earlier, and has failed for so much longer."""
        for table, column in (("webhook_delivery", "due_at"), ("webhook_endpoint", "failing_since")):
            sql = f"update belfry.{table} set {column} = {column} - $2::text::interval where tenant_id = $1"
            await self.stage.evidence.rows(sql, self.organization.id, interval)

    async def log(self, endpoint_id: UUID) -> list[Any]:
        """Every delivery of an endpoint, the oldest first."""
        sql = "select * from belfry.webhook_delivery where webhook_endpoint_id = $1 order by created_at, id"
        return await self.stage.evidence.rows(sql, endpoint_id)

    async def row(self, endpoint_id: UUID) -> Any:
        [row] = await self.stage.evidence.rows("select * from belfry.webhook_endpoint where id = $1", endpoint_id)
        return row


async def hook_town(stage: Stage, receiver: Receiver, name: str = "Haken") -> HookTown:
    """An organization in which conversations happen."""
    organization = await found_organization(stage.runtime.database, name=name)
    street = Street(cast("Any", None), stage.runtime, organization, {})
    await street.prepare()
    return HookTown(stage, receiver, organization, street)
