# SPDX-License-Identifier: EUPL-1.2
"""Each limit at its edge: the last document that passes, and the first that does not. Refusals run no resolver."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from graphql import GraphQLError, get_introspection_query, parse, validate
from hypothesis import given
from hypothesis import strategies as st

from graphql_schema import limits
from graphql_schema.errors import BadRequest, DocumentTooComplex, QueryTooDeep
from graphql_schema.limits import (
    ALIASES_MAX,
    BODY_BYTES_MAX,
    DEFINITIONS_MAX,
    DEPTH_MAX,
    DIRECTIVES_IN_ONE_PLACE_MAX,
    DIRECTIVES_MAX,
    FIELDS_MAX,
    JSON_NESTING_MAX,
    PARSE_OPTIONS,
    ROOT_FIELDS_MAX,
    TOKENS_MAX,
    check_document,
    check_nesting,
    parse_object,
    receive_body,
    refusal_of_syntax,
)
from services.kernel.errors import RequestRefused
from tests.graphql_schema.serving import Served
from tests.graphql_schema.small_schema import Tripwire, small_schema

VALIDATION_CPU_SECONDS_MAX = 0.5


def depth(levels: int) -> str:
    """A document with this many levels of fields."""
    return "{ nested " + "{ inner " * (levels - 2) + "{ name }" + " }" * (levels - 1)


def within(selections: str) -> str:
    return f"{{ nested {{ {selections} }} }} "


def repeated(count: int) -> str:
    return "{ nested { " + "name " * (count - 1) + "} }"


def spread(fields: int, times: int) -> str:
    return f"{{ nested {{ {'...F ' * times}}} }} fragment F on Nested {{ {'name ' * fields}}}"


def chain(fragments: int, tail: str) -> str:
    """Fragments that spread one another: each adds a level."""
    links = " ".join(f"fragment F{i} on Nested {{ inner {{ ...F{i + 1} }} }}" for i in range(fragments))
    return f"{{ nested {{ ...F0 }} }} {links} fragment F{fragments} on Nested {{ {tail} }}"


def directives(places: int, each: int) -> str:
    return f"{{ {' '.join(f'a{i}: echo ' + '@skip(if: false) ' * each for i in range(places))} }}"


def aliases(count: int) -> str:
    return f"{{ nested {{ {' '.join(f'a{i}: name' for i in range(count))} }} }}"


def roots(count: int) -> str:
    return "{ %s }" % ("echo " * count)


def definitions(count: int) -> str:
    return "{ echo } " + " ".join(f"fragment F{i} on Query {{ echo }}" for i in range(count - 1))


def tokens(count: int) -> str:
    """A document of exactly this many tokens, of two or more."""
    return "{ %s }" % ("name " * (count - 2))


EDGES: list[tuple[Callable[[int], str], int, type[RequestRefused]]] = [
    (depth, DEPTH_MAX, QueryTooDeep),
    (lambda levels: chain(levels - 2, "name"), DEPTH_MAX, QueryTooDeep),
    (repeated, FIELDS_MAX, DocumentTooComplex),
    (
        lambda fields: spread((fields - 1) // 7, 7) if (fields - 1) % 7 == 0 else spread(fields - 1, 1),
        FIELDS_MAX,
        DocumentTooComplex,
    ),
    (aliases, ALIASES_MAX, DocumentTooComplex),
    (roots, ROOT_FIELDS_MAX, DocumentTooComplex),
    (lambda count: directives(count, 1), DIRECTIVES_MAX, DocumentTooComplex),
    (lambda count: directives(1, count), DIRECTIVES_IN_ONE_PLACE_MAX, DocumentTooComplex),
    (definitions, DEFINITIONS_MAX, DocumentTooComplex),
]


@pytest.mark.parametrize(("document", "limit", "refusal"), EDGES)
def test_the_last_document_within_a_limit_passes_and_the_next_does_not(
    document: Callable[[int], str], limit: int, refusal: type[RequestRefused]
) -> None:
    check_document(parse(document(limit)))
    with pytest.raises(refusal):
        check_document(parse(document(limit + 1)))


@pytest.mark.parametrize(("document", "limit", "refusal"), EDGES)
async def test_a_refused_document_is_one_error_and_no_resolver_runs(
    api: Served, token: str, document: Callable[[int], str], limit: int, refusal: type[RequestRefused]
) -> None:
    runs = Tripwire.runs
    answer = await api.post({"query": document(limit + 1)}, token)
    assert answer.status_code == 400
    assert [each["extensions"]["code"] for each in answer.json()["errors"]] == [refusal.code]
    assert Tripwire.runs == runs


def test_a_fragment_that_spreads_two_others_does_not_double_the_work() -> None:
    # Written out, the last of 28 fragments would be 2**28 fields.
    doubling = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(27))
    with pytest.raises(DocumentTooComplex):
        check_document(parse(f"{{ ...F0 }} {doubling} fragment F27 on Query {{ echo }}"))


def test_circles_and_unknown_fragments_are_left_to_validation() -> None:
    check_document(parse("{ ...A ...Unknown } fragment A on Query { ...B } fragment B on Query { ...A echo }"))
    check_document(parse("{ echo } fragment A on Query { ...A }"))


async def test_circles_are_refused_by_validation(api: Served, token: str) -> None:
    answer = await api.post({"query": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"}, token)
    assert answer.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_the_introspection_query_of_common_clients_is_within_the_limits(api: Served, token: str) -> None:
    query = get_introspection_query(
        descriptions=True, specified_by_url=True, directive_is_repeatable=True, schema_description=True,
        input_value_deprecation=True, one_of=True,
    )  # fmt: skip
    assert "Nested" in str(await api.ask(token, query))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (tokens(TOKENS_MAX + 1), "DOCUMENT_TOO_COMPLEX"),
        ("{ name " + "\n# a comment" * 600 + "\n}", "DOCUMENT_TOO_COMPLEX"),
        ("{a" * 300 + "}" * 300, "QUERY_TOO_DEEP"),
        ("{a" * 100, "QUERY_TOO_DEEP"),
        ("{ echo(text: " + "[" * 300 + "]" * 300 + ") }", "QUERY_TOO_DEEP"),
        ("{ echo", "GRAPHQL_PARSE_FAILED"),
        ('{ echo(text: "x) }', "GRAPHQL_PARSE_FAILED"),
        ("{ echo } \u0000", "GRAPHQL_PARSE_FAILED"),
    ],
)
async def test_what_the_parser_refuses_is_too_long_too_deep_or_wrong(
    api: Served, token: str, query: str, code: str
) -> None:
    answer = await api.post({"query": query}, token)
    assert [each["extensions"]["code"] for each in answer.json()["errors"]] == [code]


def test_the_lexer_stops_at_the_limit_of_tokens() -> None:
    parse(tokens(TOKENS_MAX), **PARSE_OPTIONS)  # pyright: ignore[reportArgumentType]
    with pytest.raises(GraphQLError) as caught:
        parse(tokens(TOKENS_MAX + 1), **PARSE_OPTIONS)  # pyright: ignore[reportArgumentType]
    assert isinstance(refusal_of_syntax(tokens(TOKENS_MAX + 1), caught.value), DocumentTooComplex)


WORST = {
    "one object, as often as allowed": within("inner { name } " * 71),
    "with an object in it": within("inner { inner { name } } " * 50),
    "beneath inline fragments": within("... on Nested { inner { name } } " * 71),
    "in many fragments": within(" ".join(f"...F{i}" for i in range(23)))
    + " ".join(f"fragment F{i} on Nested {{ {'inner { name } ' * 3} }}" for i in range(23)),
    "one leaf, as often as allowed": within("name " * 499),
}


@contextlib.contextmanager
def only_this_thread_counts() -> Iterator[None]:
    """Keep the collector from walking what all the tests before have left: that is not the work that is measured."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("name", WORST)
def test_the_worst_documents_that_pass_are_cheap_to_validate(name: str) -> None:
    # Repeated selections are compared pairwise: the rule is quadratic, and the limits keep the square small.
    document, schema = parse(WORST[name], **PARSE_OPTIONS), small_schema().core  # pyright: ignore[reportArgumentType]
    check_document(document)
    with only_this_thread_counts():
        before = time.thread_time()
        assert validate(schema, document) == []
        taken = time.thread_time() - before
    assert taken < VALIDATION_CPU_SECONDS_MAX


@pytest.mark.parametrize(
    "document",
    [
        within("inner { name } " * 72),
        within("inner { inner { name } } " * 51),
        within("... on Nested { inner { name } } " * 72),
        f"{{ echo }} fragment F on Nested {{ {'inner { name } ' * 72} }}",
    ],
)
def test_one_object_selected_too_often_is_refused_before_validation(document: str) -> None:
    with pytest.raises(DocumentTooComplex):
        check_document(parse(document))


def test_a_circle_through_fields_ends() -> None:
    check_document(parse("{ ...A } fragment A on Nested { a: inner { ...A } b: inner { ...A } }"))


@pytest.mark.parametrize("extra", [0, 1])
def test_json_nests_to_the_limit_and_no_deeper(extra: int) -> None:
    body = b'{"a":' * (JSON_NESTING_MAX - 1) + b"[" + b"1" + b"]" + b"}" * (JSON_NESTING_MAX - 1)
    if extra:
        with pytest.raises(BadRequest):
            check_nesting(b'{"a":' + body + b"}")
    else:
        check_nesting(body)
        assert parse_object(body)


@given(st.text(alphabet='\\"{}[]ax', max_size=200))
def test_brackets_inside_texts_do_not_nest(text: str) -> None:
    import orjson

    body = orjson.dumps({"query": text + "{" * JSON_NESTING_MAX})
    check_nesting(body)
    assert parse_object(body) == {"query": text + "{" * JSON_NESTING_MAX}


@given(st.recursive(st.none() | st.text(alphabet='\\"{[', max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_nesting_is_measured_as_the_parser_sees_it(value: Any) -> None:
    import orjson

    body = orjson.dumps({"a": value})
    check_nesting(body)
    with pytest.raises(BadRequest):
        check_nesting(b'{"a":' * JSON_NESTING_MAX + body + b"}" * JSON_NESTING_MAX)


@pytest.mark.parametrize("body", [b'{"a": ' + b'"' * 200_000, b"{" + b"[]" * 120_000, b'{"' + b"\\" * 250_000])
def test_the_scan_of_a_hostile_body_is_linear(body: bytes) -> None:
    before = time.process_time()
    with contextlib.suppress(BadRequest):
        check_nesting(body)
    assert time.process_time() - before < VALIDATION_CPU_SECONDS_MAX


async def test_a_body_is_counted_while_it_arrives() -> None:
    async def receive() -> dict[str, Any]:
        received.append(1)
        return {"type": "http.request", "body": b"x" * 1_000, "more_body": True}

    received: list[int] = []
    with pytest.raises(limits.PayloadTooLarge):
        await receive_body(receive, None)
    assert len(received) == BODY_BYTES_MAX // 1_000 + 1
    received.clear()
    with pytest.raises(limits.PayloadTooLarge):
        await receive_body(receive, str(BODY_BYTES_MAX + 1))
    assert not received


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query ($x: String!) { echo(text: $x) }", {"x": "a\x00b"}),
        ('{ echo(text: "a\\u0000b") }', {}),
        ("query ($x: String!) { echo(text: $x) }", {"x": "x" * 20_001}),
        ("query ($x: [String!]) { echo(texts: $x) }", {"x": ["x"] * 101}),
        ("query ($x: Int!) { number(of: $x) }", {"x": 2**31}),
        ("query ($x: Int) { number(of: $x) }", {"x": None}),
    ],
)
async def test_values_that_nothing_can_hold_are_refused_before_a_resolver_runs(
    api: Served, token: str, query: str, variables: dict[str, Any]
) -> None:
    runs = Tripwire.runs
    answer = await api.post({"query": query, "variables": variables}, token)
    assert answer.json()["errors"][0]["extensions"]["code"] in ("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED")
    assert answer.status_code == 400
    assert Tripwire.runs == runs


@pytest.mark.parametrize(
    "query", ["{ ech }", "{ echo(txt: 1) }", "query ($x: Strin) { echo(text: $x) }", "{ nested { nam } }"]
)
async def test_nothing_suggests_what_may_have_been_meant(api: Served, token: str, query: str) -> None:
    answer = await api.post({"query": query}, token)
    assert "Did you mean" not in answer.text
    assert answer.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_introspection_can_be_closed(edge_settings: Any, token: str) -> None:
    from graphql_schema.schema import build_schema
    from tests.graphql_schema.serving import served
    from tests.graphql_schema.small_schema import Mutation, Query, Subscription

    closed = build_schema(Query, Mutation, Subscription, introspection=False)
    async with served(edge_settings, closed) as api:
        answer = await api.post({"query": "{ __schema { queryType { name } } }"}, token)
        assert answer.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        assert (await api.ask(token, "{ __typename }")) == {"__typename": "Query"}
