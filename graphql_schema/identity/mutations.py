# SPDX-License-Identifier: EUPL-1.2
"""Acts on API clients: what they may do, the keys by which they are known, and the documents that they may send."""

import asyncio
from datetime import datetime
from typing import cast
from uuid import UUID

import strawberry

from graphql_schema.documents import MANIFEST_LENGTH_MAX, ManifestUnreadable, check, read_manifest
from graphql_schema.identity.types import ApiClient, ApiKey
from graphql_schema.mutation import (
    Act,
    Errand,
    changes_in,
    errand,
    given,
    id_of,
    idempotency_key,
    mutation,
    mutation_input,
    mutation_payload,
    shown_once,
)
from graphql_schema.reading.annotations import core_schema
from graphql_schema.reading.mapping import read_back
from services.identity import commands
from services.identity.rules import CLIENT_NAME_LENGTH_MAX
from services.kernel.access import Permission
from services.kernel.errors import Invalid

SCOPES = (
    "What it may do: any of `conversations:read`, `conversations:read_private`, `metrics:read`, "
    "`social_accounts:write`. Every client may read the directory."
)


@mutation_input
class ApiClientCreateInput:
    """A machine that shall ask."""

    name: str = given("What colleagues call it.", length_max=CLIENT_NAME_LENGTH_MAX)
    scopes: list[str] = given(SCOPES)
    documents_required: bool = given("Whether it may only send documents that were registered before.")
    idempotency_key: str | None = idempotency_key()


@mutation_payload
class ApiClientCreatePayload:
    """What a creation answers."""

    api_client: ApiClient | None = read_back("The client, which has no key yet.")


@mutation_input
class ApiClientUpdateInput:
    """What of a client shall change; what is left out stays."""

    api_client_id: UUID = id_of(ApiClient, "The client.")
    name: strawberry.Maybe[str] = given("What colleagues call it.", length_max=CLIENT_NAME_LENGTH_MAX)
    scopes: strawberry.Maybe[list[str]] = given(SCOPES)
    documents_required: strawberry.Maybe[bool] = given("Whether it may only send registered documents.")
    expected_version: int | None = given("The version that you saw; another one is a CONFLICT.")


@mutation_payload
class ApiClientUpdatePayload:
    """What a change answers."""

    api_client: ApiClient | None = read_back("The client as it is now.")


@mutation_input
class ApiClientRevokeInput:
    """Which client shall end."""

    api_client_id: UUID = id_of(ApiClient, "The client.")


@mutation_payload
class ApiClientRevokePayload:
    """What the end of a client answers."""

    api_client: ApiClient | None = read_back("The client, none of whose keys opens anything any more.")


@mutation_input
class ApiKeyIssueInput:
    """For whom a key is, and until when."""

    api_client_id: UUID = id_of(ApiClient, "The client.")
    expires_at: datetime | None = given("When it ends, at most two years from now; when left out, after one year.")


@mutation_payload
class ApiKeyIssuePayload:
    """What a new key answers."""

    api_key: ApiKey | None = read_back("The key in the list of keys.")
    secret: str | None = shown_once("The key itself, to be sent as a bearer token. Keep it: it is never shown again.")


@mutation_input
class ApiKeyRevokeInput:
    """Which key shall end."""

    api_key_id: UUID = id_of(ApiKey, "The key.")


@mutation_payload
class ApiKeyRevokePayload:
    """What the end of a key answers."""

    api_key: ApiKey | None = read_back("The key; what it had opened is closed within seconds.")


@mutation_input
class ClientDocumentsRegisterInput:
    """Documents that a client may send by their ids."""

    api_client_id: UUID = id_of(ApiClient, "The client.")
    manifest: str = given(
        "A JSON object of ids and texts, as graphql-codegen's client preset writes it to `persisted-documents.json` "
        "when it hashes by sha256.",
        length_max=MANIFEST_LENGTH_MAX,
    )
    idempotency_key: str | None = idempotency_key()


@mutation_payload
class ClientDocumentsRegisterPayload:
    """What a registration of documents answers."""

    api_client: ApiClient | None = read_back("The client with its documents.")


@strawberry.type
class IdentityMutations:
    """Acts on machines and their credentials."""

    @mutation("Make a machine known. It has no key yet.", permission=Permission.INTEGRATION_MANAGE)
    async def api_client_create(self, act: Act, input: ApiClientCreateInput) -> ApiClientCreatePayload:
        client = await commands.create_client(
            act.uow, name=input.name, scopes=input.scopes, documents_required=input.documents_required
        )
        return ApiClientCreatePayload(api_client=ApiClient.of(client.id))

    @mutation(
        "Change what a machine is called, may do, and may send. When its scopes change, its open connections close.",
        permission=Permission.INTEGRATION_MANAGE,
    )
    async def api_client_update(self, act: Act, input: ApiClientUpdateInput) -> ApiClientUpdatePayload:
        client = await commands.update_client(
            act.uow,
            api_client_id=input.api_client_id,
            expected_version=input.expected_version,
            changes=cast("commands.ApiClientChanges", changes_in(input)),
        )
        return ApiClientUpdatePayload(api_client=ApiClient.of(client.id))

    @mutation("End a machine's access for good, with all its keys.", permission=Permission.INTEGRATION_MANAGE)
    async def api_client_revoke(self, act: Act, input: ApiClientRevokeInput) -> ApiClientRevokePayload:
        client = await commands.revoke_client(act.uow, api_client_id=input.api_client_id)
        return ApiClientRevokePayload(api_client=ApiClient.of(client.id))

    @errand(
        "Issue a key beside those that live, so that a client can change over without a gap.",
        permission=Permission.INTEGRATION_MANAGE,
    )
    async def api_key_issue(self, errand: Errand, input: ApiKeyIssueInput) -> ApiKeyIssuePayload:
        key, secret = await commands.issue_api_key(
            errand.runtime.database, errand.actor, api_client_id=input.api_client_id, expires_at=input.expires_at
        )
        return ApiKeyIssuePayload(api_key=ApiKey.of(key.id), secret=secret)

    @mutation("End one key.", permission=Permission.INTEGRATION_MANAGE)
    async def api_key_revoke(self, act: Act, input: ApiKeyRevokeInput) -> ApiKeyRevokePayload:
        key = await commands.revoke_api_key(act.uow, api_key_id=input.api_key_id)
        return ApiKeyRevokePayload(api_key=ApiKey.of(key.id))

    @mutation(
        "Register documents, which their client then names by `documentId`. Each passes the limits and the validation "
        "of documents now. What is registered already stays as it is.",
        permission=Permission.INTEGRATION_MANAGE,
    )
    async def client_documents_register(
        self, act: Act, input: ClientDocumentsRegisterInput
    ) -> ClientDocumentsRegisterPayload:
        documents: dict[str, tuple[str, str | None]] = {}
        try:
            for document_id, text in read_manifest(input.manifest).items():
                documents[document_id] = (text, check(core_schema(act.schema), text))
                await asyncio.sleep(0)  # each takes milliseconds, and others wait
        except ManifestUnreadable as error:
            raise Invalid("The manifest cannot be used: {problem}.", field=("manifest",), problem=str(error)) from error
        client = await commands.register_documents(act.uow, api_client_id=input.api_client_id, documents=documents)
        return ClientDocumentsRegisterPayload(api_client=ApiClient.of(client.id))
