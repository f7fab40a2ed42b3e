# SPDX-License-Identifier: EUPL-1.2
"""An operation has a price, which is taken before it runs and told with its answer; what was too much is given back."""

import re
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from graphql_schema.billing import FAULTS
from graphql_schema.schema import api_schema
from services.kernel import bell
from services.kernel.access import Role
from services.kernel.buckets import KEY_PREFIX
from services.kernel.database import Database
from services.kernel.settings import Settings
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.serving import GRAPHQL, JSON, Served, served
from tests.graphql_schema.small_schema import Tripwire
from tests.graphql_schema.street import EVENTS, Street
from tests.support.organizations import TestOrganization, found_organization

PAGE = "{ departments(first: 10) { nodes { id name parent { id } } } }"
ADD = 'departmentAdd(input: {code: "NEW", name: "New"}) { department { id } userErrors { code } }'


@pytest.fixture
async def fresh_token(database: Database, token_of: TokenOf) -> str:
    """A token with a bucket of its own."""
    return await token_of(await found_organization(database, name="Kostwijk"), Role.COORDINATOR)


def cost(answer: Any) -> dict[str, Any]:
    return answer.json()["extensions"]["cost"]


async def test_an_answer_says_its_price_what_it_cost_and_what_is_left(api: Served, fresh_token: str) -> None:
    for _ in range(2):  # seen first, and known
        answer = await api.post({"query": PAGE}, fresh_token)
        told, data = cost(answer), answer.json()["data"]
        parents = sum(each["parent"] is not None for each in data["departments"]["nodes"])
        assert told["requestedQueryCost"] == 21
        assert told["actualQueryCost"] == 1 + len(data["departments"]["nodes"]) + parents
        assert told["maximumQueryCost"] == 2_000
        status = told["throttleStatus"]
        assert (status["maximumAvailable"], status["restoreRate"]) == (10_000, 100)
        assert 10_000 - 50 < status["currentlyAvailable"] <= 10_000


async def test_both_executors_tell_the_same_cost(api: Served, fresh_token: str) -> None:
    fast = await api.post({"query": PAGE}, fresh_token)
    slow = await api.post({"query": PAGE}, fresh_token, headers={"X-Execution": "ordinary"})
    assert (fast.headers["x-execution"], slow.headers["x-execution"]) == ("compiled", "ordinary")
    for name in ("requestedQueryCost", "actualQueryCost"):
        assert cost(fast)[name] == cost(slow)[name]


async def test_the_headers_say_what_is_left_and_when_it_is_full_again(api: Served, fresh_token: str) -> None:
    answer = await api.post({"query": PAGE}, fresh_token)
    assert answer.headers["ratelimit-policy"] == '"cost";q=10000;w=100'
    found = re.fullmatch(r'"cost";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert found is not None
    left, full_in = map(int, found.groups())
    assert left == cost(answer)["throttleStatus"]["currentlyAvailable"]
    assert full_in == -(-(10_000 - left) // 100)


async def test_the_limit_can_be_asked_for(live: Served, street: Street) -> None:
    query = "{ rateLimit { maximumQueryCost maximumAvailable currentlyAvailable restoreRate } }"
    found = (await live.ask(street.token(Role.VIEWER), query))["rateLimit"]
    assert found.pop("currentlyAvailable") in range(9_900, 10_001)
    assert found == {"maximumQueryCost": 2_000, "maximumAvailable": 10_000, "restoreRate": 100}


@pytest.mark.parametrize(("media", "status"), [(GRAPHQL, 400), (JSON, 200)])
async def test_what_costs_too_much_is_refused_before_anything_runs(
    api: Served, fresh_token: str, media: str, status: int
) -> None:
    runs, document = (
        Tripwire.runs,
        "{ echo "
        + " ".join(
            f"d{number}: departments(first: 100) {{ nodes {{ parent {{ parent {{ id }} }} }} }}" for number in range(7)
        )
        + " }",
    )
    for _ in range(2):
        answer = await api.post({"query": document}, fresh_token, accept=media)
        assert answer.status_code == status
        [error] = answer.json()["errors"]
        assert error["extensions"]["code"] == "QUERY_COST_EXCEEDED"
        assert "2107" in error["message"]
        assert "data" not in answer.json()
        assert cost(answer)["requestedQueryCost"] == 2_107
        assert cost(answer)["throttleStatus"]["currentlyAvailable"] == 10_000
    assert Tripwire.runs == runs


async def test_a_price_can_be_asked_for_without_running_anything(api: Served, fresh_token: str) -> None:
    runs = Tripwire.runs
    for document in ("{ echo departments(first: 50) { nodes { id } } }", PAGE, PAGE):
        answer = await api.post({"query": document}, fresh_token, headers={"X-Cost-Only": "1"})
        assert answer.status_code == 200
        assert answer.json()["data"] is None
        assert "errors" not in answer.json()
        assert cost(answer)["requestedQueryCost"] in (51, 21)
        assert cost(answer)["actualQueryCost"] == 0
        assert cost(answer)["throttleStatus"]["currentlyAvailable"] == 10_000
    assert Tripwire.runs == runs


async def test_a_mutation_can_be_priced_and_nothing_happens(api: Served, fresh_token: str) -> None:
    answer = await api.post({"query": "mutation { " + ADD + " }"}, fresh_token, headers={"X-Cost-Only": "1"})
    assert (answer.json()["data"], cost(answer)["requestedQueryCost"]) == (None, 12)
    found = await api.ask(fresh_token, "{ departments { nodes { code } } }")
    assert "NEW" not in [each["code"] for each in found["departments"]["nodes"]]


async def drained(valkey_url: str, town: TestOrganization, role: Role) -> None:
    """Other processes took all that there is, and more."""
    client = bell.connect(valkey_url)
    seconds, _ = await client.time()
    held = {"tokens": -5_000, "at": seconds}
    await cast("Any", client).hset(f"{KEY_PREFIX}:{town.id}:{town.members[role]}", mapping=held)
    await client.aclose()


@pytest.mark.parametrize("known", [False, True])
async def test_an_empty_bucket_is_refused_with_a_time_to_come_back_and_nothing_runs(
    api: Served, database: Database, token_of: TokenOf, valkey_url: str, known: bool
) -> None:
    town = await found_organization(database, name="Leegwijk")
    other, mine = await token_of(town, Role.OPERATOR), await token_of(town, Role.COORDINATOR)
    document = f"{{ departments(first: 100) {{ nodes {{ id parent {{ id }} }} }} }} # {town.id}"
    if known:
        await api.ask(other, document)
    await drained(valkey_url, town, Role.COORDINATOR)
    runs = Tripwire.runs
    for asked in (document, "{ echo " + document[2:], "mutation { " + ADD + " }"):
        answer = await api.post({"query": asked}, mine)
        assert answer.status_code == 429
        assert "data" not in answer.json()
        [error] = answer.json()["errors"]
        assert error["extensions"]["code"] == "THROTTLED"
        assert error["extensions"]["retryAfter"] == int(answer.headers["retry-after"]) >= 1
    assert Tripwire.runs == runs
    found = await api.ask(other, "{ departments { nodes { code } } }")
    assert "NEW" not in [each["code"] for each in found["departments"]["nodes"]]


async def test_streams_and_sockets_pay_too(street: Street) -> None:
    token = street.token(Role.COORDINATOR)
    query = "{ conversations(first: 10) { nodes { id } } }"
    async with street.api.stream(token, query) as stream:
        [(_, told), _] = await stream.rest()
        assert told["extensions"]["cost"]["requestedQueryCost"] == 11
    async with street.api.socket(token) as socket:
        await socket.subscribe(query)
        frame = await socket.receive()
        assert frame["payload"]["extensions"]["cost"]["actualQueryCost"] == 1
    after = await street.now()
    await street.open("ROADS")
    async with street.api.stream(token, EVENTS, after=after) as stream:
        kind, told = await stream.event()
        assert (kind, list(told)) == ("next", ["data"])


# What is refused for what is in it.

FAULTY: dict[str, Any] = {
    "GRAPHQL_PARSE_FAILED": {"query": "{"},
    "GRAPHQL_VALIDATION_FAILED": {"query": "{ nonsense }"},
    "OPERATION_RESOLUTION_FAILURE": {"query": "query A { viewer { scopes } } query B { viewer { scopes } }"},
    "BAD_USER_INPUT": {"query": "{ departments(first: 101) { totalCount } }"},
    "DOCUMENT_TOO_COMPLEX": {"query": "{ " + " ".join(f"a{number}: __typename" for number in range(40)) + " }"},
    "QUERY_TOO_DEEP": {"query": "{ a " * 20 + "} " * 20},
    "QUERY_COST_EXCEEDED": {
        "query": "{ conversations(first: 100) { nodes { messages(first: 100) { nodes { id } } } } }"
    },
    "BAD_REQUEST": {"query": 1},
}
SENT = 3


@pytest.fixture
async def dear(edge_settings: Settings) -> AsyncIterator[Served]:
    """The real schema, where a few refusals empty a bucket, and leave a debt that is not paid off in a test's time."""
    changed = edge_settings.model_copy(update={"refusal_cost": 12_000 // SENT})
    async with served(changed, api_schema()) as running:
        yield running


def test_every_fault_is_tried() -> None:
    assert set(FAULTY) == FAULTS


@pytest.mark.parametrize("code", FAULTY)
async def test_refusals_empty_the_bucket_and_then_nothing_is_read(dear: Served, fresh_token: str, code: str) -> None:
    for _ in range(SENT):
        refused = await dear.post(FAULTY[code], fresh_token)
        assert refused.json()["errors"][0]["extensions"]["code"] == code
    for body in (FAULTY[code], {"query": "{ viewer { scopes } }"}):
        for headers in ({}, {"X-Cost-Only": "1"}):
            answer = await dear.post(body, fresh_token, headers=headers)
            assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (429, "THROTTLED")
            assert int(answer.headers["retry-after"]) > 0


async def test_on_a_socket_and_a_stream_too(dear: Served, fresh_token: str) -> None:
    async with dear.socket(fresh_token) as socket:
        for number in range(SENT):
            await socket.subscribe("{ nonsense }" if number % 2 else "{", str(number))
            assert (await socket.receive())["type"] == "error"
        await socket.subscribe("{ viewer { scopes } }", "late")
        found = (await socket.receive())["payload"][0]["extensions"]["code"]
        assert found == "THROTTLED"
    answer = await dear.post({"query": EVENTS}, fresh_token, headers={"Accept": "text/event-stream"})
    assert answer.status_code == 429


async def test_what_was_executed_or_is_not_allowed_costs_nothing_more(
    dear: Served, street: Street, token_of: TokenOf
) -> None:
    token = await token_of(await found_organization(street.database, name="Kostwijk"), Role.VIEWER)
    for _ in range(2 * SENT):
        forbidden = await dear.post({"query": "{ conversations { totalCount } }"}, token)
        assert forbidden.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert (await dear.post({"query": '{ node(id: "x") { id } }'}, token)).json()["data"] == {"node": None}
    assert (await dear.post({"query": "{ viewer { scopes } }"}, token)).status_code == 200
