# SPDX-License-Identifier: EUPL-1.2
"""What operations cost: by hand for each kind of field, and never less than what an answer holds."""

import json
from typing import Any

import orjson
import pytest
from graphql import get_operation_ast, parse
from graphql.execution import get_variable_values
from hypothesis import given
from hypothesis import strategies as st

from graphql_schema.billing import objects_in, objects_in_json
from graphql_schema.reading.price import INTROSPECTION, Price, price_of
from graphql_schema.schema import ApiSchema, api_schema


@pytest.fixture(scope="module")
def whole() -> ApiSchema:
    return api_schema()


def priced(schema: ApiSchema, text: str, **variables: Any) -> tuple[int, int]:
    """The price with these variables, and how much of it is not objects."""
    document = parse(text)
    operation = get_operation_ast(document)
    assert operation is not None
    found = get_variable_values(schema.core, operation.variable_definitions or (), variables)
    assert not isinstance(found, list), found
    price = price_of(schema.core, document, operation, found)
    return price.of(found.coerced), price.weights


ITEMS = "nodes { id }"
PRICES: dict[str, tuple[int, dict[str, Any]]] = {
    "{ __typename }": (0, {}),
    "{ viewer { roles } }": (1, {}),
    "{ viewer { person { name } organization { name } } }": (3, {}),
    "{ node(id: 1) { id } }": (1, {}),
    "{ node(id: 1) { ... on Conversation { department { id } contact { id } } ... on Message { author { id } } } }": (
        3,
        {},
    ),
    "{ a: viewer { roles } b: viewer { roles } }": (2, {}),
    "{ viewer { roles } viewer { permissions } }": (1, {}),
    "{ departments { totalCount } }": (1, {}),
    f"{{ departments {{ {ITEMS} }} }}": (21, {}),
    f"{{ departments(first: 3) {{ {ITEMS} pageInfo {{ hasNextPage }} }} }}": (5, {}),
    f"{{ departments(last: 100) {{ {ITEMS} edges {{ node {{ id }} }} }} }}": (301, {}),
    f"query ($n: Int) {{ departments(first: $n) {{ {ITEMS} }} }}": (8, {"n": 7}),
    f"query ($n: Int = 4) {{ departments(first: $n) {{ {ITEMS} }} }}": (5, {}),
    f"query ($n: Int) {{ departments(first: $n) {{ {ITEMS} }} }} ": (21, {"n": None}),
    f"query ($n: Int) {{ departments(last: $n) {{ {ITEMS} }} }} ": (101, {"n": 2**31 - 1}),
    f"query ($n: Int) {{ departments(last: $n) {{ {ITEMS} }} }}": (1, {"n": -5}),
    "{ conversations(first: 5) { nodes { messages(first: 10) { nodes { author { id } } } } } }": (111, {}),
    "{ nodes(ids: [1, 2, 3]) { id } }": (3, {}),
    "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Department { parent { id } } } }": (4, {"ids": ["a", "b"]}),
    "query ($on: Boolean!) { viewer { person @include(if: $on) { id } } }": (1, {"on": False}),
    "{ viewer { ...V } } fragment V on Viewer { person { id } ... { person { name } } }": (2, {}),
    '{ responseTime(since: "2026-01-01T00:00:00Z", until: "2026-02-01T00:00:00Z") { n } }': (100, {}),
    '{ responseTimeSeries(since: "2026-01-01T00:00:00Z", until: "2026-02-01T00:00:00Z", granularity: DAY) { n } }': (
        200,
        {},
    ),
    "{ __schema { types { name fields { name } } } }": (INTROSPECTION, {}),
    'mutation { conversationClaim(input: {conversationId: "x"}) { conversation { id } userErrors { code } } }': (
        12,
        {},
    ),
    "subscription { conversationEvents { node { department { name } } } }": (3, {}),
}


@pytest.mark.parametrize("text", PRICES)
def test_a_price_is_what_can_be_added_up_by_hand(whole: ApiSchema, text: str) -> None:
    expected, variables = PRICES[text]
    assert priced(whole, text, **variables)[0] == expected


def test_weights_are_told_apart_from_objects(whole: ApiSchema) -> None:
    assert priced(whole, "{ viewer { roles } }") == (1, 0)
    assert priced(whole, "mutation { conversationClaim(input: {conversationId: 1}) { userErrors { code } } }") == (
        11,
        9,
    )
    assert priced(whole, "{ __schema { types { name } } viewer { roles } }") == (INTROSPECTION + 1, INTROSPECTION)


def test_a_price_with_open_sizes_is_found_once(whole: ApiSchema) -> None:
    text = "query ($n: Int, $m: Int) { conversations(first: $n) { nodes { messages(last: $m) { nodes { id } } } } }"
    document = parse(text)
    operation = get_operation_ast(document)
    assert operation is not None
    variables = get_variable_values(whole.core, operation.variable_definitions or (), {})
    assert not isinstance(variables, list)
    price = price_of(whole.core, document, operation, variables)
    for n in (0, 1, 50):
        for m in (0, 3, 100):
            assert price.of({"n": n, "m": m}) == 1 + n * (1 + 1 + m)


def test_every_list_of_objects_in_the_schema_says_how_long_it_may_be(whole: ApiSchema) -> None:
    """Or it counts as twenty: nothing of a list is free."""
    assert Price(repeated=()).of({}) == 0
    sdl = whole.as_str()
    for line in sdl.splitlines():
        if "Connection!" in line and line.startswith("  )"):
            assert "@listSize" in line, line
        if line.strip().startswith("userErrors:"):
            assert "@listSize(assumedSize: 1)" in line, line


TEXTS = st.text(alphabet='{}[]",: \\\nab_é\u2028', max_size=12)
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, min_size=1, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_objects_are_counted_without_reading_the_json(data: dict[str, Any]) -> None:
    assert objects_in_json(orjson.dumps(data)) - 1 == objects_in(data)
    as_the_database_writes = json.dumps(data, separators=(", ", " : "), ensure_ascii=False).encode()
    assert objects_in_json(as_the_database_writes) - 1 == objects_in(data)
    assert objects_in({"a": orjson.Fragment(orjson.dumps(data))}) == 1 + objects_in(data)
