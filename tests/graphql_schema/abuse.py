# SPDX-License-Identifier: EUPL-1.2
"""Eighty bodies that were made to cost us: what P15 sends, in the tests and in the bench."""

from typing import Any

import orjson


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
