# SPDX-License-Identifier: EUPL-1.2
"""The limits in front of the executor, each before the step that it protects.

Bytes while they arrive; nesting before the JSON parser; tokens in the lexer; then one iterative walk over the document,
before validation, because finding overlapping fields is quadratic; then variables, pages and cursors, before any
resolver runs. Every refusal is one error without a path.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSyntaxError,
    InlineFragmentNode,
    Lexer,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    Source,
    TokenKind,
)
from starlette.types import Message, Receive

from graphql_schema.errors import (
    BadRequest,
    DocumentTooComplex,
    OperationUnresolved,
    PayloadTooLarge,
    QueryTooDeep,
)
from services.kernel.errors import BadUserInput, RequestRefused

BODY_BYTES_MAX = 256 * 1024
"""Also the limit of one WebSocket frame (Uvicorn's ws_max_size)."""
BODY_SECONDS_MAX = 10.0
JSON_NESTING_MAX = 64
VARIABLE_VALUES_MAX = 2_000
TOKENS_MAX = 1_500
COMMENTS_MAX = 500
DEPTH_MAX = 12
INTROSPECTION_DEPTH_MAX = 20
"""Beneath `__schema` and `__type`: the introspection query of common clients is 15 deep and reads no row."""
FIELDS_MAX = 500
ALIASES_MAX = 30
ROOT_FIELDS_MAX = 20
DIRECTIVES_MAX = 20
DIRECTIVES_IN_ONE_PLACE_MAX = 4
DEFINITIONS_MAX = 30
PAIRS_MAX = 2_500
"""Pairs of one object selected twice under one name: validation compares each pair, at 10 to 55 µs (measured)."""
EXECUTION_SECONDS_MAX = 10.0
SUBSCRIPTIONS_PER_CONNECTION_MAX = 25
CONNECTIONS_PER_CLIENT_MAX = 20
"""Sockets and streams of one person or machine, in one process."""
CONNECTION_INIT_TIMEOUT = timedelta(seconds=3)

PARSE_OPTIONS: Mapping[str, Any] = {"max_lexical_tokens": TOKENS_MAX, "max_comments": COMMENTS_MAX}
"""What the lexer enforces; given to graphql-core's `parse`."""

OPENING, CLOSING = b"{[", b"}]"
NO_BRACKETS = bytes(each for each in range(256) if each not in OPENING + CLOSING)
STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


async def receive_body(receive: Receive, declared: str | None) -> bytes:
    """The whole body, never more of it than allowed. Raises PayloadTooLarge, or BadRequest for a slow or cut one."""
    if declared is not None and declared.isdecimal() and int(declared) > BODY_BYTES_MAX:
        raise PayloadTooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while True:
                message: Message = await receive()
                if message["type"] != "http.request":
                    raise BadRequest("The connection was closed before the body was complete.")
                body += message.get("body", b"")
                if len(body) > BODY_BYTES_MAX:
                    raise PayloadTooLarge
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise BadRequest("The body did not arrive in time.") from error


def parse_object(body: bytes) -> dict[str, Any]:
    """The object that checked bytes hold. Raises BadRequest when they are not JSON."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest from error
    if not isinstance(found, dict):
        raise BadRequest
    return found


def check_variables(variables: Mapping[str, Any] | None) -> None:
    """Refuse more values than any operation can use, before each is coerced. Raises BadUserInput."""
    found, pending = 0, list[Any]((variables or {}).values())
    while pending:
        value = pending.pop()
        found += 1
        if found > VARIABLE_VALUES_MAX:
            raise BadUserInput("variables hold at most {count} values.", count=VARIABLE_VALUES_MAX)
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def check_nesting(body: bytes) -> None:
    """Refuse bytes that are not one object, or nest deeper than any request needs. Linear, and reads no value."""
    if not body.lstrip(b" \t\r\n").startswith(b"{"):
        raise BadRequest
    if body.count(b"{") + body.count(b"[") <= JSON_NESTING_MAX:
        return
    depth = 0
    for byte in STRINGS.sub(b"", body).translate(None, NO_BRACKETS):
        depth += 1 if byte in OPENING else -1
        if depth > JSON_NESTING_MAX:
            raise BadRequest("The body is nested deeper than {count}.", count=JSON_NESTING_MAX)


def refusal_of_syntax(query: str, error: GraphQLError) -> RequestRefused | None:
    """Whether a document that could not be parsed is too long or too deep, rather than wrong; None when it is wrong.

    Runs after a failure only, over no more tokens than the parser itself read.
    """
    if not isinstance(error, GraphQLSyntaxError):
        return None
    lexer, depth, tokens = Lexer(Source(query)), 0, 0
    try:
        while tokens <= TOKENS_MAX:
            token = lexer.advance()
            if token.kind is TokenKind.EOF:
                break
            tokens += 1
            if token.kind in (TokenKind.BRACE_L, TokenKind.BRACKET_L):
                depth += 1
                if depth > JSON_NESTING_MAX:
                    return QueryTooDeep()
            elif token.kind in (TokenKind.BRACE_R, TokenKind.BRACKET_R):
                depth -= 1
    except GraphQLError:
        pass  # the text stops being GraphQL here
    too_many_comments = query.count("#") > COMMENTS_MAX and tokens <= TOKENS_MAX
    return DocumentTooComplex() if tokens > TOKENS_MAX or too_many_comments else None


def check_document(document: DocumentNode) -> None:
    """One walk over a parsed document, fragments memoized. Raises DocumentTooComplex or QueryTooDeep."""
    if len(document.definitions) > DEFINITIONS_MAX:
        raise DocumentTooComplex("At most {count} definitions.", count=DEFINITIONS_MAX)
    definitions = [each for each in document.definitions if isinstance(each, ExecutableDefinitionNode)]
    _check_directives(definitions)
    measured: dict[str, Measure] = {}
    fragments = {each.name.value: each for each in definitions if isinstance(each, FragmentDefinitionNode)}
    for name in _dependencies_first(fragments):
        measured[name] = _measure(fragments[name], measured)
    for definition in definitions:
        if isinstance(definition, OperationDefinitionNode):
            _measure(definition, measured).check_operation()
    _check_pairs(definitions, fragments)


def check_operation_name(document: DocumentNode, name: str | None) -> None:
    """Refuse a document with several operations of which none is named."""
    operations = sum(isinstance(each, OperationDefinitionNode) for each in document.definitions)
    if operations > 1 and name is None:
        raise OperationUnresolved


class Measure:
    """What one operation or fragment asks for, fragments included."""

    def __init__(self) -> None:
        self.fields = self.aliases = self.roots = 0
        self.depth = self.introspection_depth = 0

    def check(self) -> None:
        """Refuse what no further node could make good. Called after each, so that counts stay small."""
        if self.fields > FIELDS_MAX:
            raise DocumentTooComplex(
                "At most {count} fields, those of fragments counted wherever they are spread.", count=FIELDS_MAX
            )
        if self.aliases > ALIASES_MAX:
            raise DocumentTooComplex("At most {count} aliases.", count=ALIASES_MAX)

    def check_operation(self) -> None:
        """Refuse what only a whole operation can exceed: a fragment alone does not know where it will stand."""
        if self.roots > ROOT_FIELDS_MAX:
            raise DocumentTooComplex("At most {count} root fields.", count=ROOT_FIELDS_MAX)
        if self.depth > DEPTH_MAX or self.introspection_depth > INTROSPECTION_DEPTH_MAX:
            raise QueryTooDeep("At most {count} levels.", count=DEPTH_MAX)

    def add_field(self, node: FieldNode, depth: int, introspecting: bool) -> None:
        self.fields += 1
        self.aliases += node.alias is not None
        self.roots += depth == 1
        self._reach(depth, introspecting)

    def add_fragment(self, other: "Measure", depth: int, introspecting: bool) -> None:
        """Count a spread at some depth as if its fields stood there."""
        self.fields += other.fields
        self.aliases += other.aliases
        self.roots += other.roots if depth == 0 else 0
        self._reach(depth + other.depth, introspecting)
        if other.introspection_depth:
            self._reach(depth + other.introspection_depth, introspecting=True)

    def _reach(self, depth: int, introspecting: bool) -> None:
        if introspecting:
            self.introspection_depth = max(self.introspection_depth, depth)
        else:
            self.depth = max(self.depth, depth)


def _measure(definition: OperationDefinitionNode | FragmentDefinitionNode, measured: Mapping[str, Measure]) -> Measure:
    measure = Measure()
    stack: list[tuple[SelectionNode, int, bool]] = [(each, 0, False) for each in definition.selection_set.selections]
    while stack:
        node, depth, introspecting = stack.pop()
        if isinstance(node, FragmentSpreadNode):
            # Unknown fragments and cycles are missing here; validation names them.
            if (other := measured.get(node.name.value)) is not None:
                measure.add_fragment(other, depth, introspecting)
                measure.check()
            continue
        if isinstance(node, FieldNode):
            depth += 1
            introspecting = introspecting or node.name.value in ("__schema", "__type")
            measure.add_field(node, depth, introspecting)
            measure.check()
        selections = getattr(node, "selection_set", None)
        if selections is not None:
            stack.extend((each, depth, introspecting) for each in selections.selections)
    return measure


def _check_directives(definitions: list[ExecutableDefinitionNode]) -> None:
    total = 0
    stack: list[Any] = list(definitions)
    while stack:
        node = stack.pop()
        here = len(node.directives or ())
        total += here
        if here > DIRECTIVES_IN_ONE_PLACE_MAX:
            raise DocumentTooComplex("At most {count} directives in one place.", count=DIRECTIVES_IN_ONE_PLACE_MAX)
        if total > DIRECTIVES_MAX:
            raise DocumentTooComplex("At most {count} directives.", count=DIRECTIVES_MAX)
        stack.extend(getattr(node, "variable_definitions", None) or ())
        selections = getattr(node, "selection_set", None)
        if selections is not None:
            stack.extend(selections.selections)


def _check_pairs(definitions: list[ExecutableDefinitionNode], fragments: Mapping[str, FragmentDefinitionNode]) -> None:
    pairs = 0
    for definition in definitions:
        merging, merged = [[definition.selection_set]], 0
        # What a measured definition merges is bounded; a circle of fragments is not, and validation names it.
        while merging and merged <= FIELDS_MAX:
            for same in _by_name(merging.pop(), fragments).values():
                merged += len(same)
                pairs += len(same) * (len(same) - 1) // 2
                merging.append(same)
            if pairs > PAIRS_MAX:
                raise DocumentTooComplex("One object is selected under the same name too often.")


def _by_name(
    selection_sets: list[SelectionSetNode], fragments: Mapping[str, FragmentDefinitionNode]
) -> dict[str, list[SelectionSetNode]]:
    """The selections of objects in some merged selection sets, by the name under which the answer has them."""
    found: dict[str, list[SelectionSetNode]] = {}
    pending, seen = list(selection_sets), set[str]()
    while pending:
        for node in pending.pop().selections:
            if isinstance(node, FragmentSpreadNode):
                if node.name.value in fragments and node.name.value not in seen:
                    seen.add(node.name.value)
                    pending.append(fragments[node.name.value].selection_set)
            elif isinstance(node, FieldNode) and node.selection_set is not None:
                found.setdefault((node.alias or node.name).value, []).append(node.selection_set)
            elif isinstance(node, InlineFragmentNode):
                pending.append(node.selection_set)
    return found


def _dependencies_first(fragments: Mapping[str, FragmentDefinitionNode]) -> list[str]:
    """Fragment names, each after those it spreads. Fragments of a cycle come in some order."""
    ordered: dict[str, None] = {}
    begun: set[str] = set()
    stack = [(name, False) for name in reversed(list(fragments))]
    while stack:
        name, finished = stack.pop()
        if finished:
            ordered[name] = None
        elif name not in begun:
            begun.add(name)
            stack.append((name, True))
            stack.extend((each, False) for each in _spreads(fragments[name]) if each in fragments)
    return list(ordered)


def _spreads(definition: FragmentDefinitionNode) -> Iterator[str]:
    stack: list[SelectionNode] = list(definition.selection_set.selections)
    while stack:
        node = stack.pop()
        if isinstance(node, FragmentSpreadNode):
            yield node.name.value
        elif (selections := getattr(node, "selection_set", None)) is not None:
            stack.extend(selections.selections)
