# SPDX-License-Identifier: EUPL-1.2
"""P15: documents and streams that were made to cost us are refused before a resolver runs, and cost little."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import orjson
import pytest

from graphql_schema.reading.execution import FALLBACKS, STATEMENTS, counted
from services.kernel.access import Role
from tests.graphql_schema.serving import JSON, Served
from tests.graphql_schema.street import EVENTS, Street

CPU_SECONDS_MAX = 0.05
MARGIN = 4
"""Server and client share a process here, and a busy machine counts a second core's work twice."""


def query(text: str, **variables: Any) -> bytes:
    return orjson.dumps({"query": text, "variables": variables} if variables else {"query": text})


def chain(levels: int, name: str = "contact", inner: str = "id") -> str:
    """`{ contact { conversations { nodes { contact { …`."""
    return f"{name} {{ conversations {{ nodes {{ {chain(levels - 3, name, inner)} }} }} }}" if levels > 0 else inner


def conversations(inner: str) -> str:
    return f"{{ conversations {{ nodes {{ {inner} }} }} }}"


def many(count: int, text: str) -> str:
    """A text so often, with the number in it."""
    return " ".join(text.replace("%", str(number)) for number in range(count))


def listed(kind: str, use: str, value: Any) -> bytes:
    """A page of conversations with one variable."""
    return query(f"query ($v: {kind}) {{ conversations({use}: $v) {{ nodes {{ id }} }} }}", v=value)


def filtered(tree: Any) -> bytes:
    return listed("ConversationFilter", "filter", tree)


def nested(depth: int, key: str) -> Any:
    tree: Any = {"state": {"eq": "OPEN"}}
    for _ in range(depth):
        tree = {key: [tree] if key != "not" else tree}
    return tree


DOUBLING = "query { ...F0 } " + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(28))
SPREAD = " fragment F on Conversation { contact { id } }"
ITSELF = " fragment A on Conversation { contact { conversations { nodes { ...A } } } }"
FIGURE = 'responseTimeSeries(since: "2026-01-01T00:00:00Z", granularity: DAY) { n }'
PAGE = "first: 100"
DEAR = f"conversations({PAGE}) {{ nodes {{ messages({PAGE}) {{ nodes {{ author {{ id }} }} }} }} }}"

DOCUMENTS: dict[str, bytes] = {
    **{f"json {n} deep": b'{"query":' + b"[" * n for n in (65, 1_000, 100_000)},
    **{f"json objects {n} deep": b'{"variables":' + b'{"a":' * n for n in (65, 5_000, 40_000)},
    "a batch": orjson.dumps([{"query": "{ __typename }"}] * 2_000),
    "not an object": b'"' + b"x" * 200_000 + b'"',
    "half an object": b'{"query": "' + b"{ a " * 40_000,
    "a body of spaces": b" " * 200_000,
    "too large": b'{"query": "' + b"x" * 300_000 + b'"}',
    **{f"{n} tokens": query("{" + " a" * n + "}") for n in (1_500, 20_000, 60_000)},
    **{f"{n} comments": query("#\n" * n + "{ __typename }") for n in (600, 100_000)},
    "one long name": query("{ " + "a" * 200_000 + " }"),
    "one long text": query('{ node(id: "' + "x" * 200_000 + '") { id } }'),
    "a block text": query('{ node(id: """' + "x\n" * 60_000 + '""") { id } }'),
    "one long number": query("{ conversations(first: " + "9" * 100_000 + ") { nodes { id } } }"),
    "escapes": query('{ node(id: "' + "\\u0041" * 30_000 + '") { id } }'),
    **{f"braces {n} deep": query("{a" * n + "}" * n) for n in (13, 200, 700)},
    **{f"brackets {n} deep": query("{ nodes(ids: " + "[" * n + "]" * n + ") { id } }") for n in (100, 600)},
    **{f"a chain of {n} levels": query(conversations(chain(n))) for n in (12, 60)},
    **{f"{n} aliases": query("{" + " ".join(f"a{i}: __typename" for i in range(n)) + "}") for n in (31, 400)},
    **{f"{n} roots": query("{" + " viewer { roles }" * n + "}") for n in (21, 200)},
    **{f"{n} fields": query(conversations(" id" * n)) for n in (499, 1_400)},
    **{f"the same {n} times": query(conversations(" contact { id }" * n)) for n in (72, 160, 340)},
    **{f"the same fragment {n} times": query(conversations(" ...F" * n) + SPREAD) for n in (100, 460)},
    "fragments that double": query(DOUBLING),
    "fragments in a circle": query("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"),
    "a fragment of itself": query(conversations("...A") + ITSELF),
    "many fragments": query("{ ...F0 } " + many(200, "fragment F% on Query { __typename }")),
    "unused fragments": query("{ __typename } " + many(29, "fragment F% on Query { __typename }")),
    "inline fragments": query("{" + "... on Query {" * 300 + "__typename" + "}" * 300 + "}"),
    **{f"{n} directives": query("{ __typename" + " @include(if: true)" * n + "}") for n in (5, 300)},
    "directives everywhere": query("{" + " ".join(f"a{n}: __typename @skip(if: false)" for n in range(25)) + "}"),
    "unknown directives": query("{ __typename" + "".join(f" @d{n}" for n in range(4)) + "}"),
    **{f"{n} operations": query(" ".join(f"query Q{i} {{ __typename }}" for i in range(n))) for n in (2, 31, 300)},
    "300 variables": query("query (" + many(300, "$v%: Int") + ") { __typename }"),
    "a type system": query("type A { a: Int } " * 300),
    "unknown fields": query("{" + " ".join(f"nothing{n}" for n in range(20)) + "}"),
    "names that are nearly right": query(conversations(" ".join(f"identifie{n}" for n in range(400)))),
    "introspection without end": query(
        "{ __schema { types {" + " fields { type {" * 12 + " name" + " } }" * 12 + "}}}"
    ),
    "introspection 21 times": query("{" + many(21, "a%: __schema { types { name } }") + "}"),
    **{f"a filter {n} deep": filtered(nested(n, key)) for n, key in ((4, "and"), (20, "not"), (28, "or"))},
    "a filter of a thousand": filtered({"state": {"in": ["OPEN"] * 1_000}}),
    "a wide filter": filtered({"and": [{"or": [{"state": {"eq": "OPEN"}}] * 100}] * 100}),
    "a thousand ids": query("query ($i: [ID!]!) { nodes(ids: $i) { id } }", i=["x"] * 1_000),
    "a thousand orders": listed(
        "[ConversationOrder!]", "orderBy", [{"field": "OPENED_AT", "direction": "ASC"}] * 1_000
    ),
    "a page of a million": query("{ conversations(first: 1000000) { nodes { id } } }"),
    "a page of less than nothing": query("{ conversations(first: -1) { nodes { id } } }"),
    "a page from both ends": query("{ conversations(first: 1, last: 1) { nodes { id } } }"),
    **{f"a cursor of {n}": listed("String", "after", "x" * n) for n in (1, 20_000)},
    "a long search": listed("String", "query", "a " * 9_000),
    "a search that cannot be": listed("String", "query", "a\x00b"),
    "a variable of a wrong shape": listed("Int", "first", {"a": [[[1]]]}),
    "what costs too much": query("{ " + DEAR + " }"),
    "what costs far too much": query("{ " + many(20, f"a%: {DEAR}") + " }"),
    "costly by variables": query("query ($n: Int) { " + DEAR.replace(PAGE, "first: $n") + " }", n=100),
    "figures by the dozen": query("{" + many(20, f"a%: {FIGURE}") + " }"),
    "a subscription without a stream": query("subscription { conversationEvents { event } }"),
    "two subscriptions in one": query("subscription { " + many(2, "a%: conversationEvents { event }") + " }"),
    "a defect of types": query("{ viewer { ... on Conversation { id } } }"),
    "a mutation with a field that is none": query(
        "mutation ($t: ID!) { conversationClaim(input: {conversationId: $t, x: $t}) { __typename } }", t="x" * 30_000
    ),
}


HARMLESS = {"the same fragment 100 times"}
"""What looks costly and is not: it is answered."""


def executed() -> float:
    """How often any statement was made, or any query fell back to resolvers because it is not declared."""
    return sum(value for _, value in counted(STATEMENTS)) + dict(counted(FALLBACKS)).get("undeclared", 0)


async def test_p15_abuse_is_refused_before_a_resolver_runs_and_costs_little(
    live: Served, street: Street, tell: Callable[[str], None]
) -> None:
    token = street.token(Role.COORDINATOR)
    await live.ask(token, "{ conversations(first: 1) { nodes { id } } }")
    spent, passed = dict[str, float](), set[str]()
    for name, body in DOCUMENTS.items():
        turns, before = list[float](), executed()
        answers = list[Any]()
        for _ in range(3):
            began = time.process_time()
            answers.append(await live.post(body, token, accept=JSON))
            turns.append(time.process_time() - began)
        answer = answers[-1]
        found = answer.json()
        assert len(answer.content) < 20_000, name
        if "errors" in found:
            assert "data" not in found, name
            assert executed() == before, name
        else:
            passed.add(name)
        spent[name] = median(turns)
    assert passed == HARMLESS
    assert len(DOCUMENTS) - len(passed) >= 75
    dearest = max(spent, key=lambda name: spent[name])
    assert spent[dearest] < MARGIN * CPU_SECONDS_MAX, dearest
    above = {name: round(1_000 * each) for name, each in spent.items() if each > CPU_SECONDS_MAX}
    middle, most = 1_000 * median(spent.values()), 1_000 * spent[dearest]
    tell(
        f"P15: {len(DOCUMENTS) - len(passed)} documents refused before any statement: {middle:.1f} ms of processor "
        f"time in the middle, at most {most:.0f} ({dearest}), client included; above 50: {above or 'none'}"
    )


async def test_p15_streams_that_abuse_a_socket_cost_only_their_own(live: Served, street: Street) -> None:
    """Too many operations, the same id, garbage: each is answered or closed, and others go on."""
    token = street.token(Role.COORDINATOR)
    async with live.socket(token) as good, live.socket(token) as bad:
        for number in range(40):
            await bad.subscribe(EVENTS, str(number))
        refused = 0
        while refused < 15:
            frame = await bad.receive()
            refused += frame["type"] == "error" and frame["payload"][0]["extensions"]["code"] == "THROTTLED"
        await bad.connection.send("{" * 1_000)
        assert await bad.closed() == 4400
        await good.subscribe("{ viewer { roles } }")
        assert (await good.receive())["payload"]["data"]["viewer"]["roles"] == ["COORDINATOR"]


@pytest.mark.parametrize("message", ['{"type": "subscribe"}', "[]", '{"type": 1}', "x", '{"type": "nothing"}'])
async def test_p15_a_frame_that_is_none_closes_its_socket(live: Served, street: Street, message: str) -> None:
    async with live.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.connection.send(message)
        assert await socket.closed() == 4400
