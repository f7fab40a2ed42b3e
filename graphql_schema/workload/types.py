# SPDX-License-Identifier: EUPL-1.2
"""Figures as clients see them: each with its numerator, its denominator, n and the instant at which it was counted."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from graphql_schema.reading.declarations import Argument
from graphql_schema.reading.mapping import column, figure, never_null, vocabulary
from graphql_schema.scalars import TimeZone
from graphql_schema.social_accounts.types import SocialAccount
from graphql_schema.tenancy.types import Department
from services.kernel.access import Permission
from services.workload import queries
from services.workload.rules import Granularity, check_series

R, X = queries.RESPONSE_TIME.c, queries.OUTBOUND_MIX.c

vocabulary(
    Granularity,
    "How long one point of a series is.",
    DAY="A day, from midnight to midnight.",
    WEEK="A week, from Monday.",
    MONTH="A month.",
)

ARGUMENTS = {
    "since": Argument(datetime, "The first instant of the period; four weeks before its end if left out."),
    "until": Argument(datetime, "The instant behind the period; now if left out."),
    "department_id": Argument(None, "Only what this department answers for.", node=Department),
    "social_account_id": Argument(None, "Only what went through this account.", node=SocialAccount),
    "granularity": Argument(Granularity, "How long one point of the series is.", is_required=True),
    "time_zone": Argument(TimeZone, "The zone whose days, weeks or months are meant; UTC if left out."),
}
SERIES_ONLY = ("granularity", "time_zone")


def check_period(given: Mapping[str, Any], now: datetime) -> None:
    """Refuse a series of too many points. Raises BadUserInput."""
    if (granularity := given["granularity"]) is not None:
        check_series(since=given["since"], until=given["until"], granularity=Granularity(granularity), now=now)


@figure(
    queries.RESPONSE_TIME,
    permission=Permission.METRICS_READ,
    arguments=ARGUMENTS,
    ordered_by=R.since,
    check=check_period,
)
class ResponseTime:
    """How long citizens waited for an answer, counted by when they asked. Wall time is all time, nights too.

    Open time counts opening hours only and is null until an organization has them. A VIEWER sees nothing over fewer
    than five items.
    """

    since: datetime = column(never_null(R.since), "The first instant of the period.")
    until: datetime = column(never_null(R.until), "The instant behind it.")
    as_of: datetime = column(never_null(R.as_of), "When it was counted; waits that go on are counted up to here.")
    definition_version: int = column(never_null(R.definition_version), "The version of the definition; it is frozen.")
    n: int = column(never_null(R.n), "How many waits an answer ended.")
    median_wall_seconds: int | None = column(R.median_wall_seconds, "The median of answered waits; null without any.")
    p90_wall_seconds: int | None = column(R.p90_wall_seconds, "Nine of ten answered waits were this long at the most.")
    median_open_seconds: int | None = column(R.median_open_seconds, "The median in opening hours; null without them.")
    p90_open_seconds: int | None = column(R.p90_open_seconds, "Nine of ten in opening hours; null without them.")
    censored_median_wall_seconds: int | None = column(
        R.censored_median_wall_seconds, "The median with unanswered waits counted too; null when less than half ended."
    )
    censored_median_at_least_wall_seconds: int | None = column(
        R.censored_median_at_least_wall_seconds, "Where that median is null: how long it is at the least."
    )
    answered_share: Decimal | None = column(R.answered_share, "Answered waits of all; null when nobody asked.")
    answered_share_numerator: int = column(never_null(R.answered_share_numerator), "Answered waits.")
    answered_share_denominator: int = column(
        never_null(R.answered_share_denominator), "All waits but withdrawn and confirmed dismissed ones."
    )
    still_waiting_count: int = column(never_null(R.still_waiting_count), "Waits that go on.")
    excluded_share: Decimal | None = column(R.excluded_share, "The share of withdrawn and confirmed dismissed waits.")
    up_to_15_minutes_count: int | None = column(R.bucket_0, "Answered within 15 minutes.")
    up_to_1_hour_count: int | None = column(R.bucket_1, "Answered in more, up to 1 hour.")
    up_to_2_hours_count: int | None = column(R.bucket_2, "Answered in more, up to 2 hours.")
    up_to_4_hours_count: int | None = column(R.bucket_3, "Answered in more, up to 4 hours.")
    up_to_8_hours_count: int | None = column(R.bucket_4, "Answered in more, up to 8 hours.")
    up_to_24_hours_count: int | None = column(R.bucket_5, "Answered in more, up to 24 hours.")
    up_to_72_hours_count: int | None = column(R.bucket_6, "Answered in more, up to 72 hours.")
    above_72_hours_count: int | None = column(R.bucket_7, "Answered after more than 72 hours.")


@figure(
    queries.OUTBOUND_MIX,
    permission=Permission.METRICS_READ,
    arguments=ARGUMENTS,
    ordered_by=X.since,
    check=check_period,
)
class OutboundMix:
    """What the organization said, each item counted once: how much is sent out, and how much answers somebody.

    The three ratios add to 1. A VIEWER sees nothing over fewer than five items.
    """

    since: datetime = column(never_null(X.since), "The first instant of the period.")
    until: datetime = column(never_null(X.until), "The instant behind it.")
    as_of: datetime = column(never_null(X.as_of), "When it was counted.")
    definition_version: int = column(never_null(X.definition_version), "The version of the definition; it is frozen.")
    n: int = column(never_null(X.n), "How many items were counted.")
    starter_count: int | None = column(X.starter_count, "STARTER: said on its own account.")
    reshare_count: int | None = column(X.reshare_count, "RESHARE: passed on without own words.")
    reply_count: int | None = column(X.reply_count, "REPLY: answers by people, one for each conversation and wait.")
    proactive_count: int | None = column(X.proactive_count, "PROACTIVE: help that was offered unasked.")
    interaction_numerator: int | None = column(X.interaction_numerator, "REPLY and PROACTIVE.")
    denominator: int = column(never_null(X.denominator), "All four.")
    interaction_ratio: Decimal | None = column(X.interaction_ratio, "REPLY and PROACTIVE of all; null of nothing.")
    megaphone_ratio: Decimal | None = column(X.megaphone_ratio, "STARTER of all; null of nothing.")
    reshare_share: Decimal | None = column(X.reshare_share, "RESHARE of all; null of nothing.")
