# SPDX-License-Identifier: EUPL-1.2
"""A series has as many points as it is priced for: a period of ages is refused before the database hears of it."""

import pytest

from graphql_schema.reading.execution import Executor
from graphql_schema.transport import EXECUTION
from services.kernel.access import Role
from services.workload.rules import SERIES_POINTS_MAX
from tests.graphql_schema.serving import Served
from tests.graphql_schema.street import Street

SERIES = """query ($since: DateTime, $until: DateTime, $granularity: Granularity!) {
  %s(since: $since, until: $until, granularity: $granularity, timeZone: "Europe/Amsterdam") { n } }"""


@pytest.mark.parametrize("executor", list(Executor))
@pytest.mark.parametrize("field", ["responseTimeSeries", "outboundMixSeries"])
@pytest.mark.parametrize(
    ("since", "until", "granularity", "is_answered"),
    [
        ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "DAY", False),
        ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "MONTH", False),
        ("1970-01-01T00:00:00Z", None, "WEEK", False),
        ("2026-03-01T22:30:00Z", "2026-06-07T22:30:00Z", "DAY", True),
        ("2026-03-01T22:30:00Z", "2026-06-07T22:30:01Z", "DAY", False),
        ("2025-01-01T00:00:00Z", "2026-11-01T00:00:00Z", "WEEK", True),
        ("2020-01-01T00:00:00Z", "2026-11-01T00:00:00Z", "MONTH", True),
        (None, None, "DAY", True),
        ("9999-12-31T00:00:00Z", "1970-01-01T00:00:00Z", "DAY", True),
    ],
)
async def test_a_series_has_at_most_the_points_that_it_is_priced_for(
    live: Served, street: Street, executor: Executor, field: str, since: str | None, until: str | None,
    granularity: str, is_answered: bool,
) -> None:  # fmt: skip
    variables = {"since": since, "until": until, "granularity": granularity}
    body = {"query": SERIES % field, "variables": variables}
    for _ in range(2):  # once unknown, once known
        answer = await live.post(body, street.token(Role.COORDINATOR), headers={EXECUTION: executor})
        found = answer.json()
        if is_answered:
            assert len(found["data"][field]) <= SERIES_POINTS_MAX
        else:
            assert answer.status_code == 400
            assert [each["extensions"]["code"] for each in found["errors"]] == ["BAD_USER_INPUT"]
