# SPDX-License-Identifier: EUPL-1.2
"""A query whose text is known is answered by its statement alone, and nobody can tell."""

import asyncio
import re
from typing import Any

import pytest

from graphql_schema import transport
from graphql_schema.reading.execution import FALLBACKS, counted
from graphql_schema.reading.operations import Operations
from graphql_schema.schema import ApiSchema
from services.kernel.errors import ServiceUnavailable
from services.kernel.identifiers import new
from tests.graphql_schema.serving import Served, without_cost

REQUEST_ID = re.compile(rb'"requestId":"[0-9a-f-]{36}"')


def unseen(selection: str = "id name") -> str:
    """A query whose text nobody has sent yet."""
    return f"query Q{new().hex}($n: Int) {{ departments(first: $n) {{ nodes {{ {selection} }} }} }}"


def comparable(answer: Any) -> tuple[int, dict[str, str], bytes]:
    """An answer without what is another one each time."""
    varying = ("x-request-id", "date", "ratelimit", "content-length")
    headers = {name: value for name, value in answer.headers.items() if name not in varying}
    return answer.status_code, headers, without_cost(REQUEST_ID.sub(b"", answer.content))


async def test_a_known_query_is_answered_without_strawberry(
    api: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"query": unseen(), "variables": {"n": 2}}
    first = await api.post(asked, token)
    assert first.headers["x-execution"] == "compiled"

    async def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("Strawberry was asked")

    monkeypatch.setattr(ApiSchema, "execute", forbidden)
    again = await api.post(asked, token)
    assert comparable(again) == comparable(first)
    other = await api.post({**asked, "variables": {"n": 1}}, token)
    assert len(other.json()["data"]["departments"]["nodes"]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"variables": {"n": "two"}},
        {"variables": {"n": 101}},
        {"variables": {"n": -1}},
        {"operationName": "Another"},
        {"variables": None},
    ],
)
async def test_what_is_refused_is_refused_in_the_same_words(api: Served, token: str, changes: dict[str, Any]) -> None:
    text = unseen()
    first = await api.post({"query": text, **changes}, token)
    await api.post({"query": text, "variables": {"n": 1}}, token)
    again = await api.post({"query": text, **changes}, token)
    assert comparable(again) == comparable(first)


async def test_falling_back_is_counted_once(api: Served, token: str) -> None:
    text = unseen()
    await api.post({"query": text}, token)
    before = dict(counted(FALLBACKS)).get("refused", 0)
    await api.post({"query": text, "variables": {"n": 101}}, token)
    assert dict(counted(FALLBACKS))["refused"] == before + 1


async def test_a_database_that_is_busy_is_told_in_the_same_words(
    api: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = unseen()

    async def busy(*_: Any) -> Any:
        raise ServiceUnavailable

    with monkeypatch.context() as planted:
        planted.setattr(Operations, "answer", busy)
        first = await api.post({"query": text}, token)
        again = await api.post({"query": text}, token)
    assert first.status_code == 503
    assert comparable(again) == comparable(first)
    assert (await api.post({"query": text}, token)).status_code == 200


async def test_a_query_that_takes_too_long_is_stopped(api: Served, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = unseen()
    await api.post({"query": text}, token)

    async def slow(*_: Any) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(transport, "EXECUTION_SECONDS_MAX", 0.05)
    monkeypatch.setattr(Operations, "answer", slow)
    stopped = await api.post({"query": text}, token)
    assert (stopped.status_code, stopped.json()["errors"][0]["extensions"]["code"]) == (504, "TIMEOUT")


async def test_what_the_compiler_cannot_answer_after_all_is_answered(
    api: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"query": unseen(), "variables": {"n": 2}}
    first = await api.post(asked, token)

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(Operations, "answer", nothing)
    again = await api.post(asked, token)
    assert again.headers["x-execution"] == "ordinary"
    assert without_cost(again.content) == without_cost(first.content)
