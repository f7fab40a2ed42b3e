# SPDX-License-Identifier: EUPL-1.2
"""docs/api.md, table by table: what it says is what the code has, and there is nothing that it leaves out."""

import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest

from graphql_schema import documents, errors, event_streams, limits, sockets
from graphql_schema.connections import PAGE_SIZE, PAGE_SIZE_MAX, TOTAL_COUNT_MAX
from graphql_schema.negotiation import EXECUTED, STATUSES
from graphql_schema.reading import bounds, inputs, price, resolvers, sizes
from services.integrations import rules as integrations
from services.integrations.queries import EVENT_TYPES
from services.kernel import buckets
from services.kernel.access import SCOPE_PERMISSIONS
from services.kernel.runtime import WEBHOOK_LIMITS
from services.kernel.settings import Settings
from tests.support.source import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
CODE = re.compile(r"`([A-Z_]{4,})`")

LIMITS: Mapping[str, tuple[float, ...]] = {
    "body, and frame of a socket": (limits.BODY_BYTES_MAX,),
    "time for a body to arrive": (limits.BODY_SECONDS_MAX,),
    "address of a GET, its parameters": (documents.QUERY_STRING_LENGTH_MAX,),
    "nesting of JSON": (limits.JSON_NESTING_MAX,),
    "values in the variables": (limits.VARIABLE_VALUES_MAX,),
    "tokens of a document": (limits.TOKENS_MAX,),
    "levels": (limits.DEPTH_MAX,),
    "fields, those of fragments wherever they are spread": (limits.FIELDS_MAX,),
    "aliases": (limits.ALIASES_MAX,),
    "root fields": (limits.ROOT_FIELDS_MAX,),
    "directives": (limits.DIRECTIVES_MAX,),
    "directives in one place": (limits.DIRECTIVES_IN_ONE_PLACE_MAX,),
    "definitions": (limits.DEFINITIONS_MAX,),
    "items of a page, of a list in an input, and of `nodes(ids:)`": (
        PAGE_SIZE_MAX, bounds.INPUT_LIST_MAX, resolvers.NODES_MAX
    ),
    "comparisons of a filter, nested ones included": (inputs.FILTER_SIZE_MAX,),
    "characters of a text, unless its field says otherwise": (bounds.TEXT_LENGTH_MAX,),
    "cost of an operation": (price.QUERY_COST_MAX,),
    "time of an operation": (limits.EXECUTION_SECONDS_MAX,),
    "operations at a time on one socket": (limits.SUBSCRIPTIONS_PER_CONNECTION_MAX,),
    "sockets and streams of one client at a time, in one process": (limits.CONNECTIONS_PER_CLIENT_MAX,),
    "time for `connection_init`": (limits.CONNECTION_INIT_TIMEOUT.total_seconds(),),
}  # fmt: skip


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first column has this name."""
    lines = PAGE.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"| {first} |")) + 2
    rows: list[list[str]] = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_every_status_is_told_and_every_told_status_is_true() -> None:
    told = {
        code: (int(graphql), int(json))
        for _, graphql, json, codes in table("Case")
        for code in CODE.findall(codes) or [EXECUTED]
    }
    assert told == {code: tuple(statuses) for code, statuses in STATUSES.items()}


@pytest.mark.parametrize("row", table("Limit"), ids=lambda row: row[0])
def test_a_limit_is_what_it_is_told_to_be(row: list[str]) -> None:
    name, most, otherwise = row
    [number] = re.findall(r"\d+", most)
    assert {float(number)} == {float(each) for each in LIMITS[name]}
    assert CODE.findall(otherwise) or re.fullmatch(r"close \d{4}", otherwise)
    assert set(CODE.findall(otherwise)) <= set(STATUSES)


def test_no_limit_is_left_out() -> None:
    assert [row[0] for row in table("Limit")] == list(LIMITS)


def test_the_codes_are_the_closed_list() -> None:
    section = PAGE[PAGE.index("## 11. Error codes") :]
    assert set(CODE.findall(section)) - {"FORBIDDEN"} == errors.CODES - {"FORBIDDEN"}
    assert set(STATUSES) - {EXECUTED} == errors.CODES


EXPORT_BOUNDS = {
    "exports of one person or client that are not over": integrations.EXPORTS_MAX,
    "lines": integrations.EXPORT_LINES_MAX,
    "bytes": integrations.EXPORT_BYTES_MAX,
    "lines between two `export.progressed`": integrations.EXPORT_PROGRESS_LINES,
}


def test_the_bounds_of_exports_are_those_of_the_code() -> None:
    assert {name: int(number.replace(",", "")) for name, number in table("Bound")} == EXPORT_BOUNDS
    section = PAGE[PAGE.index("## 8. Exports") : PAGE.index("## 9.")]
    assert f"for {integrations.EXPORT_LINK_LIFE // timedelta(minutes=1)} minutes" in section
    assert f"kept for {integrations.EXPORT_KEPT.days} days" in section
    assert all(f"`{kind}`" in section for kind in integrations.ExportKind)
    assert all(f"`{failure}`" in section for failure in integrations.ExportFailure)


def test_every_comparison_is_told_with_how_deep_and_how_far_it_goes() -> None:
    section = PAGE[PAGE.index("## 10. Ids") : PAGE.index("## 11.")]
    told = section[section.index("`filter`") : section.index("All that is given")]
    assert set(re.findall(r"`(\w+)`", told)) - {"filter"} == set(inputs.DESCRIPTIONS)
    assert f"nest up to {inputs.FILTER_DEPTH_MAX} deep" in section
    assert f"has {PAGE_SIZE} items" in section
    assert f"at most {PAGE_SIZE_MAX}" in section
    assert f"up to {TOTAL_COUNT_MAX:,}" in section


def test_the_close_codes_are_those_of_sockets() -> None:
    told = {int(code) for code, _ in table("Close code")}
    ours = {sockets.INVALID_MESSAGE, sockets.UNACKNOWLEDGED, sockets.REFUSED, sockets.DUPLICATE}
    assert ours <= told
    assert told - ours == {4408, 4429}  # of the library that speaks the protocol


def test_the_figures_of_costs_are_those_of_the_code() -> None:
    section = PAGE[PAGE.index("## 6. Cost") : PAGE.index("## 7.")]
    assert f"cost {price.INTROSPECTION} each" in section
    assert f"taken for {sizes.ASSUMED_SIZE} items" in section
    assert f"{buckets.CAPACITY:,} that fills by {buckets.RESTORED_A_SECOND} a second" in section
    assert f"takes {Settings.model_fields['refusal_cost'].default} of the bucket" in section
    example = section[section.index("```json") : section.index("```\n\nThe headers")]
    names = set(re.findall(r'"(\w+)":', example)) - {"extensions", "cost"}
    assert names == {
        "requestedQueryCost", "actualQueryCost", "maximumQueryCost", "throttleStatus",
        "maximumAvailable", "currentlyAvailable", "restoreRate",
    }  # fmt: skip


def test_the_stream_beats_as_often_as_told() -> None:
    [row] = [row for row in table("Transport") if row[0] == "Server-sent events"]
    assert f"a comment every {event_streams.HEARTBEAT_SECONDS:.0f} s" in row[2]


UNITS = {"s": "seconds", "min": "minutes", "h": "hours"}


def test_a_webhook_is_sent_again_as_the_table_says() -> None:
    told = {int(failure): timedelta(**{UNITS[wait.split()[1]]: int(wait.split()[0])})
            for failure, wait in table("After failure")}  # fmt: skip
    assert told == dict(enumerate(integrations.RETRIES, 1))
    assert integrations.next_attempt(len(told) + 1, random.Random(0)) is None


def test_every_type_of_event_is_told_with_the_scopes_that_open_it() -> None:
    told = {kind: set(re.findall(r"`([\w:]+)`", scopes)) for kind, scopes in table("Event")}
    assert told == {
        f"`{kind}`": {scope.value for scope, opened in SCOPE_PERMISSIONS.items() if permission in opened}
        for kind, permission in EVENT_TYPES.items()
    }


def test_the_headers_of_a_webhook_are_those_of_the_table() -> None:
    signed = integrations.signed_headers("msg_1", b"{}", datetime.now(UTC), [integrations.new_secret()])
    assert {name.strip("`") for name, _ in table("Header")} == set(signed) - {"content-type"}


def test_the_example_of_a_webhook_has_the_shape_of_one() -> None:
    section = PAGE[PAGE.index("## 7. Webhooks") : PAGE.index("## 8.")]
    example = orjson.loads(section.partition("```json")[2].partition("```")[0])
    body = orjson.loads(
        integrations.body_of(example["type"], UUID(int=1), 1, datetime.fromisoformat(example["timestamp"]))
    )
    assert {**example, "data": {**example["data"], "id": body["data"]["id"]}} == body


def test_the_figures_of_webhooks_are_those_of_the_code() -> None:
    section = " ".join(PAGE[PAGE.index("## 7. Webhooks") : PAGE.index("## 8.")].split())
    assert f"it has {WEBHOOK_LIMITS.total_seconds:.0f} seconds" in section
    assert f"{integrations.GIVE_UP_AFTER.days} days without a success" in section
    assert f"in the log for {integrations.KEPT.days} days" in section
    assert f"beside it for {integrations.ROTATION.total_seconds() / 3600:.0f} hours" in section
    assert integrations.is_gone(410)
    assert integrations.JITTER == 0.1
    assert timedelta(days=1) == integrations.RETRY_AFTER_MAX
    assert timedelta(minutes=5) == integrations.PAUSE_MAX
