# SPDX-License-Identifier: EUPL-1.2
"""The root fields of figures."""

import strawberry

from graphql_schema.reading.mapping import computed
from graphql_schema.workload.types import SERIES_ONLY, OutboundMix, ResponseTime

SERIES = "The same, day by day, week by week or month by month: at most 98 days, weeks or 28-day months at a time."


@strawberry.type
class WorkloadQueries:
    """Figures."""

    response_time: ResponseTime | None = computed("How long citizens waited, over one period.", without=SERIES_ONLY)
    response_time_series: list[ResponseTime] = computed(SERIES)
    outbound_mix: OutboundMix | None = computed("What the organization said, over one period.", without=SERIES_ONLY)
    outbound_mix_series: list[OutboundMix] = computed(SERIES)
