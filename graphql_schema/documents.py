# SPDX-License-Identifier: EUPL-1.2
"""What a request asks for: a document's text, or the id of one that was registered before.

An id is the digest of the exact text, so what it names never changes and may be kept for as long as there is room. A
client finds its own documents and those that the installation brought; nobody finds another client's.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from cachetools import LRUCache
from graphql import DocumentNode, GraphQLSchema, GraphQLSyntaxError, OperationDefinitionNode, parse, specified_rules
from strawberry.http import GraphQLRequestData

from graphql_schema.errors import (
    BadRequest,
    PersistedDocumentNotFound,
    PersistedDocumentRequired,
    QueryCostExceeded,
)
from graphql_schema.limits import PARSE_OPTIONS, check_document, check_nesting, parse_object, refusal_of_syntax
from graphql_schema.reading.operations import price_without_variables
from graphql_schema.reading.price import QUERY_COST_MAX
from graphql_schema.stages import invalid
from services.identity.queries import Asker, document_text
from services.identity.rules import document_id, plain_document_id
from services.kernel.errors import RequestRefused
from services.kernel.runtime import Runtime

DOCUMENT_ID = "documentId"
QUERY_STRING_LENGTH_MAX = 16_384
PARAMETERS = frozenset({DOCUMENT_ID, "variables", "operationName", "extensions"})
MANIFEST_LENGTH_MAX = 200_000
KEPT_CHARACTERS_MAX = 8_000_000


class ManifestUnreadable(Exception):
    """A manifest, or a document in it, cannot be used. The text says which and why."""


class Documents:
    """The documents that requests may name. Made with the application, used by all its connections."""

    def __init__(self, runtime: Runtime, installed: Mapping[str, str] | None = None) -> None:
        self._runtime, self._installed = runtime, installed or {}
        self._kept: LRUCache[tuple[UUID, UUID, str], str] = LRUCache(KEPT_CHARACTERS_MAX, getsizeof=len)

    async def asked(self, given: Mapping[str, Any], asker: Asker) -> GraphQLRequestData:
        """The operation that the parameters of a request ask for.

        Raises BadRequest for parameters of the wrong shape, PersistedDocumentNotFound for an id that is not this
        client's, and PersistedDocumentRequired where a text will not do.
        """
        query, named = given.get("query"), given.get(DOCUMENT_ID)
        variables, name, extensions = (given.get(key) for key in ("variables", "operationName", "extensions"))
        if not _is(variables, dict) or not _is(extensions, dict) or not _is(name, str):
            raise BadRequest("variables and extensions are objects, operationName is a text.")
        if named is not None:
            if query is not None or not isinstance(named, str):
                raise BadRequest("Send either a query or a documentId, as a text.")
            query = await self._text(asker, named)
        elif not isinstance(query, str) or not query:
            raise BadRequest("The body has no query.")
        elif asker.documents_required:
            raise PersistedDocumentRequired
        return GraphQLRequestData(query=query, variables=variables, operation_name=name, extensions=extensions)

    async def _text(self, asker: Asker, named: str) -> str:
        plain = plain_document_id(named)
        if plain is None:
            raise PersistedDocumentNotFound
        if plain in self._installed:
            return self._installed[plain]
        client_id = asker.actor.client_id
        if client_id is None:
            raise PersistedDocumentNotFound
        key = (asker.actor.tenant_id, client_id, plain)
        text = self._kept.get(key)
        if text is None:
            async with self._runtime.database.snapshot(asker.actor) as snapshot:
                text = await document_text(snapshot, plain)
            if text is None:
                raise PersistedDocumentNotFound
            if len(text) <= KEPT_CHARACTERS_MAX:
                self._kept[key] = text
        return text


def parameters_of(query_string: bytes) -> dict[str, Any]:
    """What a GET asks for. Raises BadRequest."""
    if len(query_string) > QUERY_STRING_LENGTH_MAX:
        raise BadRequest("The address is too long; at most {count} bytes.", count=QUERY_STRING_LENGTH_MAX)
    try:
        pairs = parse_qsl(query_string.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=8)
    except ValueError as error:
        raise BadRequest("The address cannot be read.") from error
    given: dict[str, Any] = dict(pairs)
    if len(given) != len(pairs) or not set(given) <= PARAMETERS:
        raise BadRequest("The address has documentId, variables, operationName and extensions, each at most once.")
    for name in ("variables", "extensions"):
        if name in given:
            written = given[name].encode()
            check_nesting(written)
            given[name] = parse_object(written)
    return given


def read_manifest(written: str) -> dict[str, str]:
    """The texts of a manifest, a JSON object of ids and texts, by the ids that requests use. Raises ManifestUnreadable.

    graphql-codegen's client preset writes such a file, when it is told to hash by sha256.
    """
    try:
        check_nesting(written.encode())
        given = orjson.loads(written)
    except (RequestRefused, ValueError) as error:
        raise ManifestUnreadable("it is not one JSON object of ids and texts") from error
    if not isinstance(given, dict) or not given:
        raise ManifestUnreadable("it is not one JSON object of ids and texts")
    found: dict[str, str] = {}
    for key, text in given.items():
        plain = plain_document_id(key)
        if not isinstance(text, str) or plain is None or plain != document_id(text):
            raise ManifestUnreadable(f"the id {key[:100]} is not the SHA-256 of its text")
        found[plain] = text
    return found


def installed_documents(schema: GraphQLSchema, manifests: Iterable[Path]) -> dict[str, str]:
    """The documents that an installation brings for its own front ends. Raises ManifestUnreadable."""
    found: dict[str, str] = {}
    for path in manifests:
        for plain, text in read_manifest(path.read_text(encoding="utf-8")).items():
            check(schema, text)
            found[plain] = text
    return found


def check(schema: GraphQLSchema, text: str) -> str | None:
    """Put a document through the limits that need no variables. Returns the operation's name.

    Raises ManifestUnreadable with what is wrong.
    """
    try:
        document = parse(text, **PARSE_OPTIONS)
        check_document(document)
        operation = _only_operation(document)
        errors = invalid(schema, document, specified_rules)
        if errors:
            raise ManifestUnreadable(errors[0].message)
        cost = price_without_variables(schema, document, operation)
        if cost > QUERY_COST_MAX:
            raise QueryCostExceeded(cost=cost, count=QUERY_COST_MAX)
    except GraphQLSyntaxError as error:
        refusal = refusal_of_syntax(text, error)
        raise ManifestUnreadable(refusal.text if refusal else error.message) from error
    except RequestRefused as refusal:
        raise ManifestUnreadable(refusal.text) from refusal
    return operation.name.value if operation.name else None


def _only_operation(document: DocumentNode) -> OperationDefinitionNode:
    found = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    if len(found) != 1:
        raise ManifestUnreadable("a registered document has exactly one operation")
    return found[0]


def _is(value: Any, kind: type) -> bool:
    return value is None or isinstance(value, kind)
