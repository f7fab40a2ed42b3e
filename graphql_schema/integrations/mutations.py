# SPDX-License-Identifier: EUPL-1.2
"""Acts on webhooks: endpoints, their secrets, single messages; and on exports."""

from datetime import datetime
from typing import cast
from uuid import UUID

import strawberry

from graphql_schema.identity.types import ApiClient
from graphql_schema.integrations import downloads
from graphql_schema.integrations.types import Export, WebhookDelivery, WebhookEndpoint
from graphql_schema.mutation import (
    Act,
    changes_in,
    given,
    id_of,
    idempotency_key,
    mutation,
    mutation_input,
    mutation_payload,
    shown_once,
)
from graphql_schema.reading.mapping import read_back
from graphql_schema.scalars import Url
from services.integrations import commands
from services.integrations.rules import DESCRIPTION_LENGTH_MAX, URL_LENGTH_MAX, ExportKind
from services.kernel.access import Permission

TYPES = "What it shall be told of, `conversation.opened`; empty for everything. The documentation lists them."
SECRET = "What the messages are signed with, `whsec_…`. Keep it: it is never shown again."  # noqa: S105  a description


@mutation_input
class WebhookEndpointCreateInput:
    """An address that shall be told of what happens."""

    api_client_id: UUID = id_of(ApiClient, "The machine whose scopes decide what it is told of.")
    url: str = given("Where it is called: https on port 443, with a public name.", length_max=URL_LENGTH_MAX)
    description: str = given("What colleagues call it.", length_max=DESCRIPTION_LENGTH_MAX)
    event_types: list[str] = given(TYPES)
    idempotency_key: str | None = idempotency_key()


@mutation_payload
class WebhookEndpointCreatePayload:
    """What a new endpoint answers."""

    webhook_endpoint: WebhookEndpoint | None = read_back("The endpoint; it is told of what happens from now on.")
    secret: str | None = shown_once(SECRET)


@mutation_input
class WebhookEndpointUpdateInput:
    """What of an endpoint shall change; what is left out stays."""

    webhook_endpoint_id: UUID = id_of(WebhookEndpoint, "The endpoint.")
    url: strawberry.Maybe[str] = given("Where it is called.", length_max=URL_LENGTH_MAX)
    description: strawberry.Maybe[str] = given("What colleagues call it.", length_max=DESCRIPTION_LENGTH_MAX)
    event_types: strawberry.Maybe[list[str]] = given(TYPES)
    enabled: strawberry.Maybe[bool] = given("Whether it is told of what happens from now on.")
    expected_version: int | None = given("The version that you saw; another one is a CONFLICT.")


@mutation_payload
class WebhookEndpointUpdatePayload:
    """What a change answers."""

    webhook_endpoint: WebhookEndpoint | None = read_back("The endpoint as it is now.")


@mutation_input
class WebhookEndpointDeleteInput:
    """Which endpoint shall be forgotten."""

    webhook_endpoint_id: UUID = id_of(WebhookEndpoint, "The endpoint, with its secrets and its log.")


@mutation_payload
class WebhookEndpointDeletePayload:
    """What the end of an endpoint answers."""

    webhook_endpoint: WebhookEndpoint | None = read_back("Null: it is gone.")


@mutation_input
class WebhookEndpointSecretRotateInput:
    """Which endpoint shall have a new secret."""

    webhook_endpoint_id: UUID = id_of(WebhookEndpoint, "The endpoint.")


@mutation_payload
class WebhookEndpointSecretRotatePayload:
    """What a new secret answers."""

    webhook_endpoint: WebhookEndpoint | None = read_back(
        "The endpoint. Its messages carry two signatures for a day, so that it can change over without a gap."
    )
    secret: str | None = shown_once(SECRET)


@mutation_input
class WebhookEndpointTestInput:
    """Which endpoint shall be called."""

    webhook_endpoint_id: UUID = id_of(WebhookEndpoint, "The endpoint.")
    idempotency_key: str | None = idempotency_key()


@mutation_payload
class WebhookEndpointTestPayload:
    """What a test answers."""

    webhook_delivery: WebhookDelivery | None = read_back("The message; look at it again for how it went.")


@mutation_input
class WebhookDeliveryReplayInput:
    """Which message shall be sent once more."""

    webhook_delivery_id: UUID = id_of(WebhookDelivery, "The message.")
    idempotency_key: str | None = idempotency_key()


@mutation_payload
class WebhookDeliveryReplayPayload:
    """What a replay answers."""

    webhook_delivery: WebhookDelivery | None = read_back("The message, which waits again, under the id it had.")


@mutation_input
class ExportCreateInput:
    """What shall be taken out."""

    kind: ExportKind = given("What.")
    since: datetime | None = given("From when on, by when it began; null or left out for everything.")
    until: datetime | None = given("Up to when, this instant included; null or left out for up to now.")
    idempotency_key: str | None = idempotency_key()


@mutation_payload
class ExportCreatePayload:
    """What the wish for an export answers."""

    export: Export | None = read_back("The export; follow it by `exportEvents`, a webhook, or its id.")


@mutation_input
class ExportLinkIssueInput:
    """Which export shall be fetched."""

    export_id: UUID = id_of(Export, "An export of the caller's own that is READY.")


@mutation_payload
class ExportLinkIssuePayload:
    """What opens an export."""

    export: Export | None = read_back("The export.")
    url: Url | None = shown_once(
        "Where it can be fetched with GET, as often as needed, by whoever has the address: keep it to yourself."
    )
    ends_at: datetime | None = shown_once("When the address stops working, a quarter of an hour after it was made.")


@strawberry.type
class IntegrationMutations:
    """Acts on webhooks and exports."""

    @mutation(
        "Have everything of one kind that the caller may read written as lines of JSON, kept for a week. Each line has "
        "what the caller may see when it is written.",
        permission=Permission.EXPORT_READ,
    )
    async def export_create(self, act: Act, input: ExportCreateInput) -> ExportCreatePayload:
        row = await commands.create_export(act.uow, kind=input.kind, since=input.since, until=input.until)
        return ExportCreatePayload(export=Export.of(row.id))

    @mutation(
        "Make an address under which an export of the caller's own can be fetched for a quarter of an hour, as long as "
        "the caller may read it.",
        permission=Permission.EXPORT_READ,
    )
    async def export_link_issue(self, act: Act, input: ExportLinkIssueInput) -> ExportLinkIssuePayload:
        row, token, ends = await commands.issue_export_link(act.uow, act.runtime.vault, export_id=input.export_id)
        address = f"{act.runtime.settings.public_url}{downloads.PATH}/{token}"
        return ExportLinkIssuePayload(export=Export.of(row.id), url=Url(address), ends_at=ends)

    @mutation("Tell an address of what happens from now on.", permission=Permission.INTEGRATION_MANAGE)
    async def webhook_endpoint_create(
        self, act: Act, input: WebhookEndpointCreateInput
    ) -> WebhookEndpointCreatePayload:
        endpoint, secret = await commands.create_endpoint(
            act.uow,
            act.runtime.vault,
            api_client_id=input.api_client_id,
            url=input.url,
            description=input.description,
            event_types=input.event_types,
            allowed=act.runtime.settings.outbound_allow,
        )
        return WebhookEndpointCreatePayload(webhook_endpoint=WebhookEndpoint.of(endpoint.id), secret=secret)

    @mutation(
        "Change an endpoint, or enable one that was disabled. What happened while it was disabled is not told later; "
        "what waited then is sent.",
        permission=Permission.INTEGRATION_MANAGE,
    )
    async def webhook_endpoint_update(
        self, act: Act, input: WebhookEndpointUpdateInput
    ) -> WebhookEndpointUpdatePayload:
        endpoint = await commands.update_endpoint(
            act.uow,
            endpoint_id=input.webhook_endpoint_id,
            expected_version=input.expected_version,
            changes=cast("commands.EndpointChanges", changes_in(input)),
            allowed=act.runtime.settings.outbound_allow,
        )
        return WebhookEndpointUpdatePayload(webhook_endpoint=WebhookEndpoint.of(endpoint.id))

    @mutation("Forget an endpoint, its secrets and its log.", permission=Permission.INTEGRATION_MANAGE)
    async def webhook_endpoint_delete(
        self, act: Act, input: WebhookEndpointDeleteInput
    ) -> WebhookEndpointDeletePayload:
        await commands.delete_endpoint(act.uow, endpoint_id=input.webhook_endpoint_id)
        return WebhookEndpointDeletePayload(webhook_endpoint=None)

    @mutation(
        "Sign with a new secret. The one before signs beside it for a day, any older one no more.",
        permission=Permission.INTEGRATION_MANAGE,
    )
    async def webhook_endpoint_secret_rotate(
        self, act: Act, input: WebhookEndpointSecretRotateInput
    ) -> WebhookEndpointSecretRotatePayload:
        secret = await commands.rotate_secret(act.uow, act.runtime.vault, endpoint_id=input.webhook_endpoint_id)
        return WebhookEndpointSecretRotatePayload(
            webhook_endpoint=WebhookEndpoint.of(input.webhook_endpoint_id), secret=secret
        )

    @mutation(
        "Send a message of the type `webhook_endpoint.tested`, whatever types the endpoint is told of.",
        permission=Permission.INTEGRATION_MANAGE,
    )
    async def webhook_endpoint_test(self, act: Act, input: WebhookEndpointTestInput) -> WebhookEndpointTestPayload:
        delivery = await commands.send_test(act.uow, endpoint_id=input.webhook_endpoint_id)
        return WebhookEndpointTestPayload(webhook_delivery=WebhookDelivery.of(delivery.id))

    @mutation(
        "Send a message once more, whatever became of it: the same bytes under the same id, signed anew.",
        permission=Permission.INTEGRATION_MANAGE,
    )
    async def webhook_delivery_replay(
        self, act: Act, input: WebhookDeliveryReplayInput
    ) -> WebhookDeliveryReplayPayload:
        delivery = await commands.replay(act.uow, delivery_id=input.webhook_delivery_id)
        return WebhookDeliveryReplayPayload(webhook_delivery=WebhookDelivery.of(delivery.id))
