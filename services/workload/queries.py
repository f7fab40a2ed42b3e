# SPDX-License-Identifier: EUPL-1.2
"""Figures as SELECTs with named parameters, one row a period. `rules` defines the same figures in plain Python.

Parameters, all of them nullable: `argument_since`, `argument_until` (a half-open period; the last four weeks if left
out), `argument_department_id`, `argument_social_account_id`, and for a series `argument_granularity` with
`argument_time_zone`; without a granularity there is one row. A period counts what began in it; `as_of` is the instant
at which it was counted.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    DOUBLE_PRECISION,
    BindParameter,
    ColumnElement,
    DateTime,
    FromClause,
    Integer,
    Interval,
    Numeric,
    Select,
    Subquery,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.selectable import LateralFromClause
from sqlalchemy.types import TypeEngine

from services.conversations import queries as conversations
from services.conversations.rules import SegmentOutcome
from services.kernel.access import Permission
from services.kernel.isolation import ACTOR
from services.social_accounts import queries as accounts
from services.social_accounts.rules import OutboundKind
from services.workload.rules import BUCKET_SECONDS, DEFINITION_VERSION, PERIOD_DAYS, VIEWER_N_MIN, Granularity

INSTANT = DateTime(timezone=True)
HALF = 0.5 + 1e-9
"""Half of those waiting; the margin is for the rounding of logarithms, far below one wait in a hundred million."""


def _argument(name: str, kind: TypeEngine[Any]) -> BindParameter[Any]:
    return bindparam(f"argument_{name}", type_=kind)


UNTIL = func.coalesce(cast(_argument("until", INSTANT), INSTANT), func.now(), type_=INSTANT)
SINCE = func.coalesce(
    cast(_argument("since", INSTANT), INSTANT),
    UNTIL - literal_column(f"interval '{PERIOD_DAYS} days'", Interval()),
    type_=INSTANT,
)


def _periods() -> Subquery:
    """The one period that was asked for, or with a granularity its days, weeks or months, cut at both ends."""
    granularity = cast(_argument("granularity", Text()), Text())
    zone = func.coalesce(cast(_argument("time_zone", Text()), Text()), "UTC")
    unit = func.lower(func.coalesce(granularity, Granularity.WEEK.value))
    step = cast(literal("1 ", Text()) + unit, Interval())
    local_since, local_until = func.timezone(zone, SINCE), func.timezone(zone, UNTIL)
    start = func.generate_series(func.date_trunc(unit, local_since), local_until, step).column_valued("starts")
    since = func.greatest(func.timezone(zone, start, type_=INSTANT), SINCE, type_=INSTANT)
    until = func.least(func.timezone(zone, start + step, type_=INSTANT), UNTIL, type_=INSTANT)
    parts = select(since.label("since"), until.label("until")).where(granularity.is_not(None), since < until)
    whole = select(SINCE.label("since"), UNTIL.label("until")).where(granularity.is_(None))
    return union_all(whole, parts).subquery("period")


def _shown(department: ColumnElement[Any], account: ColumnElement[Any]) -> ColumnElement[bool]:
    """What the actor may count, and what was asked for."""
    wanted_department = cast(_argument("department_id", Uuid()), Uuid())
    wanted_account = cast(_argument("social_account_id", Uuid()), Uuid())
    return and_(
        or_(
            ACTOR.everywhere(Permission.METRICS_READ),
            department == any_(ACTOR.departments(Permission.METRICS_READ)),
        ),
        or_(wanted_department.is_(None), department == wanted_department),
        or_(wanted_account.is_(None), account == wanted_account),
    )


def _whole(value: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(value, Integer)


def _share(numerator: ColumnElement[int], denominator: ColumnElement[int]) -> ColumnElement[Any]:
    """A quotient of four digits; null when there is nothing to divide by."""
    return func.round(cast(numerator, Numeric()) / func.nullif(denominator, 0), 4, type_=Numeric())


def _counted_waits(period: Subquery) -> LateralFromClause:
    """The waits of a period: seconds, whether answered (an event), and whether they count at all."""
    waits = conversations.waits().subquery("wait")
    outcome = waits.c.outcome
    seconds = func.extract("epoch", func.coalesce(waits.c.closed_at, func.now()) - waits.c.opened_at)
    is_excluded = or_(
        func.coalesce(outcome == SegmentOutcome.WITHDRAWN, False),
        and_(func.coalesce(outcome == SegmentOutcome.DISMISSED, False), waits.c.is_dismissal_confirmed),
    )
    return (
        select(
            func.floor(seconds).label("seconds"),
            func.coalesce(outcome == SegmentOutcome.ANSWERED, False).label("answered"),
            outcome.is_(None).label("running"),
            is_excluded.label("excluded"),
        )
        .where(
            waits.c.opened_at >= period.c.since,
            waits.c.opened_at < period.c.until,
            _shown(waits.c.department_id, waits.c.social_account_id),
        )
        .correlate(period)
        .lateral("counted")
    )


def _response_totals(period: Subquery) -> LateralFromClause:
    waits = _counted_waits(period)
    answered, counts = waits.c.answered, ~waits.c.excluded
    bounds = (0, *BUCKET_SECONDS)
    columns = [
        func.count().filter(answered).label("n"),
        func.count().filter(counts).label("opened"),
        func.count().filter(and_(waits.c.running, counts)).label("running"),
        func.count().filter(waits.c.excluded).label("excluded"),
        func.percentile_disc(0.5).within_group(waits.c.seconds).filter(answered).label("median"),
        func.percentile_disc(0.9).within_group(waits.c.seconds).filter(answered).label("p90"),
    ]
    for place, upper in enumerate((*BUCKET_SECONDS, None)):
        lower = waits.c.seconds > bounds[place] if place else true()
        within = waits.c.seconds <= upper if upper is not None else true()
        columns.append(func.count().filter(and_(answered, lower, within)).label(f"bucket_{place}"))
    return select(*columns).select_from(waits).correlate(period).lateral("totals")


def _censored(period: Subquery) -> LateralFromClause:
    """Kaplan and Meier's estimate over the waits of a period; logarithms turn its product into a running sum."""
    waits = _counted_waits(period)
    closed_unanswered = and_(~waits.c.answered, ~waits.c.running)
    time = case((closed_unanswered, null()), else_=waits.c.seconds)
    known = select(time.label("time"), waits.c.answered).where(~waits.c.excluded).correlate(period).lateral("known")
    at_time = (
        select(
            known.c.time,
            func.count().filter(known.c.answered).label("answered"),
            (
                func.sum(func.count()).over()
                - func.coalesce(func.sum(func.count()).over(order_by=known.c.time, rows=(None, -1)), 0)
            ).label("at_risk"),
        )
        .group_by(known.c.time)
        .correlate(period)
        .lateral("at_time")
    )
    all_gone = at_time.c.answered == at_time.c.at_risk
    left = 1 - cast(at_time.c.answered, DOUBLE_PRECISION()) / at_time.c.at_risk
    log_left = case((all_gone, 0.0), else_=func.ln(case((all_gone, 1.0), else_=left)))
    survival = (
        select(
            at_time.c.time,
            at_time.c.answered,
            case(
                (func.bool_or(all_gone).over(order_by=at_time.c.time), 0.0),
                else_=func.exp(func.sum(log_left).over(order_by=at_time.c.time)),
            ).label("left"),
        )
        .correlate(period)
        .lateral("survival")
    )
    reached = and_(survival.c.answered > 0, survival.c.left <= HALF)
    return (
        select(func.min(survival.c.time).filter(reached).label("median"), func.max(survival.c.time).label("largest"))
        .correlate(period)
        .lateral("censored")
    )


def _response_time(period: Subquery) -> Subquery:
    totals, censored = _response_totals(period), _censored(period)
    enough = or_(ACTOR.sees_small_numbers, totals.c.n >= VIEWER_N_MIN)
    enough_opened = or_(ACTOR.sees_small_numbers, totals.c.opened >= VIEWER_N_MIN)

    def shown(value: ColumnElement[Any], condition: ColumnElement[bool] = enough) -> ColumnElement[Any]:
        return case((condition, value))

    columns: list[ColumnElement[Any]] = [
        period.c.since,
        period.c.until,
        func.now().label("as_of"),
        literal_column(str(DEFINITION_VERSION), Integer()).label("definition_version"),
        _whole(totals.c.n).label("n"),
        shown(_whole(totals.c.median)).label("median_wall_seconds"),
        shown(_whole(totals.c.p90)).label("p90_wall_seconds"),
        cast(null(), Integer).label("median_open_seconds"),
        cast(null(), Integer).label("p90_open_seconds"),
        shown(_whole(censored.c.median), enough_opened).label("censored_median_wall_seconds"),
        shown(_whole(case((censored.c.median.is_(None), censored.c.largest))), enough_opened).label(
            "censored_median_at_least_wall_seconds"
        ),
        _whole(totals.c.n).label("answered_share_numerator"),
        _whole(totals.c.opened).label("answered_share_denominator"),
        shown(_share(totals.c.n, totals.c.opened), enough_opened).label("answered_share"),
        _whole(totals.c.running).label("still_waiting_count"),
        shown(_share(totals.c.excluded, totals.c.opened + totals.c.excluded), enough_opened).label("excluded_share"),
    ]
    places = range(len(BUCKET_SECONDS) + 1)
    columns.extend(shown(_whole(totals.c[f"bucket_{place}"])).label(f"bucket_{place}") for place in places)
    return _joined(columns, period, totals, censored).subquery("response_time")


def _outbound_mix(period: Subquery) -> Subquery:
    said, owners = conversations.said().subquery("said"), accounts.owners().subquery("owner")
    department = func.coalesce(said.c.department_id, owners.c.owner_department_id)
    counts = [func.count().filter(said.c.outbound_kind == kind).label(kind.value.lower()) for kind in OutboundKind]
    totals = (
        select(*counts)
        .select_from(said.join(owners, owners.c.id == said.c.social_account_id))
        .where(
            said.c.published_at >= period.c.since,
            said.c.published_at < period.c.until,
            _shown(department, said.c.social_account_id),
        )
        .correlate(period)
        .lateral("totals")
    )
    interaction = totals.c.reply + totals.c.proactive
    total = totals.c.starter + totals.c.reshare + interaction
    enough = or_(ACTOR.sees_small_numbers, total >= VIEWER_N_MIN)
    columns = [
        period.c.since,
        period.c.until,
        func.now().label("as_of"),
        literal_column(str(DEFINITION_VERSION), Integer()).label("definition_version"),
        _whole(total).label("n"),
        *(
            _whole(case((enough, totals.c[kind.value.lower()]))).label(f"{kind.value.lower()}_count")
            for kind in OutboundKind
        ),
        _whole(case((enough, interaction))).label("interaction_numerator"),
        _whole(total).label("denominator"),
        case((enough, _share(interaction, total))).label("interaction_ratio"),
        case((enough, _share(totals.c.starter, total))).label("megaphone_ratio"),
        case((enough, _share(totals.c.reshare, total))).label("reshare_share"),
    ]
    return _joined(columns, period, totals).subquery("outbound_mix")


def _joined(columns: Sequence[ColumnElement[Any]], period: Subquery, *parts: LateralFromClause) -> Select[Any]:
    joined: FromClause = period
    for part in parts:
        joined = joined.join(part, true())
    return select(*columns).select_from(joined).order_by(period.c.since)


RESPONSE_TIME = _response_time(_periods())
"""How long citizens waited: one row, or one for each day, week or month."""

OUTBOUND_MIX = _outbound_mix(_periods())
"""What the organization said: one row, or one for each day, week or month."""
