# SPDX-License-Identifier: EUPL-1.2
"""Acts on deliveries: decide what came of one that Belfry could not find out."""

from uuid import UUID

import strawberry

from graphql_schema.deliveries.types import Delivery
from graphql_schema.mutation import Act, given, id_of, idempotency_key, mutation, mutation_input, mutation_payload
from graphql_schema.reading.mapping import read_back
from services.conversations import commands
from services.deliveries.commands import LINK_LENGTH_MAX
from services.deliveries.rules import Resolution
from services.kernel.access import Permission


@mutation_input
class DeliveryResolveInput:
    """What a person found out about a delivery, or decided."""

    delivery_id: UUID = id_of(Delivery, "The UNCONFIRMED delivery.")
    resolution: Resolution = given("What is the case, or shall be done.")
    link: str | None = given("Where the item can be seen; required when it is there.", length_max=LINK_LENGTH_MAX)
    idempotency_key: str | None = idempotency_key()


@mutation_payload
class DeliveryResolvePayload:
    """What a decision answers."""

    delivery: Delivery | None = read_back("The delivery as it is now.")


@strawberry.type
class DeliveryMutations:
    """Acts on deliveries."""

    @mutation(
        "Decide about a delivery whose outcome is unknown: it is there, send it again, or give it up.",
        permission=Permission.DELIVERY_RESOLVE,
    )
    async def delivery_resolve(self, act: Act, input: DeliveryResolveInput) -> DeliveryResolvePayload:
        delivery_id = await commands.resolve_delivery(
            act.uow, delivery_id=input.delivery_id, resolution=input.resolution, link=input.link
        )
        return DeliveryResolvePayload(delivery=Delivery.of(delivery_id))
