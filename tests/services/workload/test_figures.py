# SPDX-License-Identifier: EUPL-1.2
"""Figures in SQL equal the same figures in plain Python, for whoever asks and for whatever period."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from math import inf
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import RowMapping, select

from services.kernel import identifiers
from services.kernel.access import Actor
from services.kernel.database import Database
from services.workload import rules
from services.workload.queries import OUTBOUND_MIX, RESPONSE_TIME
from services.workload.rules import Granularity, Observation
from tests.services.conversations.standing import found_town
from tests.services.conversations.world import SPRING
from tests.services.workload.books import HOURS, START, Books, Scope, Wait, actors
from tests.support.servers import plain

ZONE = ZoneInfo("Europe/Amsterdam")
ARGUMENTS = ("since", "until", "department_id", "social_account_id", "granularity", "time_zone")


@dataclass(frozen=True)
class Asked:
    """What somebody asks for, and from which departments the answer may be made."""

    since: datetime
    until: datetime
    scope: Scope
    department: UUID | None = None
    account: UUID | None = None
    small: bool = True

    def shows(self, department: UUID, account: UUID) -> bool:
        return (
            (self.scope is None or department in self.scope)
            and self.department in (None, department)
            and self.account in (None, account)
        )

    def covers(self, instant: datetime) -> bool:
        return self.since <= instant < self.until


def share(numerator: int, denominator: int) -> Decimal | None:
    if not denominator:
        return None
    return (Decimal(numerator) / Decimal(denominator)).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def response_time(books: Books, asked: Asked, as_of: datetime) -> dict[str, Any]:
    """The figure by the rules."""
    waits = [w for w in books.waits if asked.covers(w.opened_at) and asked.shows(w.place.department, w.place.account)]
    counted = [w for w in waits if w.outcome != "WITHDRAWN" and not w.confirmed]
    answered = [w for w in waits if w.outcome == "ANSWERED"]

    def seconds(wait: Wait) -> int:
        return int(((wait.closed_at or as_of) - wait.opened_at).total_seconds())

    lengths = [seconds(wait) for wait in answered]
    censored = rules.censored_median(
        Observation(inf if w.outcome in ("UNANSWERED_CLOSED", "DISMISSED") else seconds(w), w.outcome == "ANSWERED")
        for w in counted
    )
    enough, enough_opened = asked.small or len(answered) >= 5, asked.small or len(counted) >= 5
    excluded = len(waits) - len(counted)
    return {
        "n": len(answered),
        "median_wall_seconds": rules.nearest_rank(lengths, Fraction(1, 2)) if enough else None,
        "p90_wall_seconds": rules.nearest_rank(lengths, Fraction(9, 10)) if enough else None,
        "median_open_seconds": None,
        "p90_open_seconds": None,
        "censored_median_wall_seconds": censored.seconds if enough_opened else None,
        "censored_median_at_least_wall_seconds": censored.at_least_seconds if enough_opened else None,
        "answered_share_numerator": len(answered),
        "answered_share_denominator": len(counted),
        "answered_share": share(len(answered), len(counted)) if enough_opened else None,
        "still_waiting_count": sum(w.outcome is None for w in counted),
        "excluded_share": share(excluded, len(waits)) if enough_opened else None,
        **{f"bucket_{place}": count if enough else None for place, count in enumerate(rules.buckets(lengths))},
    }


def outbound_mix(books: Books, asked: Asked) -> dict[str, Any]:
    """The figure by the rules: of several replies in one conversation and wait the first counts."""
    seen: set[tuple[UUID, datetime | None]] = set()
    counts: dict[str, int] = dict.fromkeys(("STARTER", "RESHARE", "REPLY", "PROACTIVE"), 0)
    for item in sorted(books.items, key=lambda each: (each.at, each.id)):
        if item.kind == "REPLY" and item.place is not None:
            begun = [w.opened_at for w in books.waits if w.place == item.place and w.opened_at <= item.at]
            key = (item.place.id, max(begun, default=None))
            if key in seen:
                continue
            seen.add(key)
        department = item.place.department if item.place else books.owner
        if asked.covers(item.at) and asked.shows(department, item.account):
            counts[item.kind] += 1
    mix = rules.OutboundMix(*counts.values())
    enough = asked.small or mix.total >= 5
    interaction = mix.reply + mix.proactive
    shown: dict[str, Any] = {
        "starter_count": mix.starter,
        "reshare_count": mix.reshare,
        "reply_count": mix.reply,
        "proactive_count": mix.proactive,
        "interaction_numerator": interaction,
        "interaction_ratio": share(interaction, mix.total),
        "megaphone_ratio": share(mix.starter, mix.total),
        "reshare_share": share(mix.reshare, mix.total),
    }
    hidden = {name: value if enough else None for name, value in shown.items()}
    return {"n": mix.total, "denominator": mix.total, **hidden}


async def figure(database: Database, actor: Actor, which: Any, **given: Any) -> list[RowMapping]:
    values = {f"argument_{name}": given.get(name) for name in ARGUMENTS}
    async with database.snapshot(actor) as snapshot:
        return [row._mapping for row in await snapshot.rows(select(which), **values)]


def chosen(row: RowMapping, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in wanted}


@pytest.fixture(scope="module")
async def both_books(database: Database, database_urls: Mapping[str, str]) -> AsyncIterator[list[Books]]:
    """The books of two towns, which must never be mixed."""
    admin = await asyncpg.connect(plain(database_urls["postgres"]))
    books = [Books(await found_town(database), admin) for _ in range(2)]
    for each in books:
        await each.open_places()
    yield books
    await admin.close()


async def check(database: Database, books: Books, actor: Actor, asked: Asked) -> None:
    given = {"since": asked.since, "until": asked.until, "department_id": asked.department,
             "social_account_id": asked.account}  # fmt: skip
    [row] = await figure(database, actor, RESPONSE_TIME, **given)
    wanted = response_time(books, asked, row["as_of"])
    assert chosen(row, wanted) == wanted
    assert (row["since"], row["until"], row["definition_version"]) == (asked.since, asked.until, 1)
    [row] = await figure(database, actor, OUTBOUND_MIX, **given)
    wanted = outbound_mix(books, asked)
    assert chosen(row, wanted) == wanted


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32))
async def test_figures_equal_the_rules_for_everybody_and_any_period(
    database: Database, both_books: list[Books], seed: int
) -> None:
    chance = Random(seed)
    for books in both_books:
        await books.write(chance, chance.choice([6, 40]))
    for books in both_books:
        for actor, scope, small in actors(books):
            since = START + timedelta(hours=chance.randrange(HOURS))
            until = since + timedelta(hours=chance.choice([0, 1, 30, 24 * 7, HOURS]))
            departments = [*books.town.organization.departments.values()]
            asked = Asked(
                since,
                until,
                scope,
                chance.choice([None, None, chance.choice(departments)]),
                chance.choice([None, None, books.town.accounts[SPRING]]),
                small,
            )
            await check(database, books, actor, asked)


def local_edges(asked: Asked, granularity: Granularity) -> list[datetime]:
    """The instants at which a day, week or month begins in Amsterdam, with both ends of the period."""
    edges = [asked.since]
    day = asked.since.astimezone(ZONE).date()
    while True:
        day += timedelta(days=1)
        edge = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
        if edge >= asked.until:
            return [*edges, asked.until]
        begins = {Granularity.DAY: True, Granularity.WEEK: day.weekday() == 0, Granularity.MONTH: day.day == 1}
        if begins[granularity]:
            edges.append(edge)


@pytest.mark.parametrize("granularity", Granularity)
async def test_a_series_over_the_end_of_summer_time_adds_up_to_the_whole_period(
    database: Database, both_books: list[Books], granularity: Granularity
) -> None:
    [books, _] = both_books
    await books.write(Random(7), 200)
    actor, scope, _ = actors(books)[0]
    whole = Asked(START + timedelta(hours=5), START + timedelta(hours=HOURS - 7), scope)
    given = {"since": whole.since, "until": whole.until}
    in_series = {**given, "granularity": granularity.value, "time_zone": "Europe/Amsterdam"}
    edges = local_edges(whole, granularity)
    parts = [Asked(since, until, scope) for since, until in pairwise(edges)]
    for which, by_rule in ((RESPONSE_TIME, response_time), (OUTBOUND_MIX, outbound_mix)):
        [total] = await figure(database, actor, which, **given)
        rows = await figure(database, actor, which, **in_series)
        assert [(row["since"], row["until"]) for row in rows] == [(part.since, part.until) for part in parts]
        for row, part in zip(rows, parts, strict=True):
            arguments = (row["as_of"],) if by_rule is response_time else ()
            wanted = by_rule(books, part, *arguments)
            assert chosen(row, wanted) == wanted
        added = [name for name in total if name == "n" or name.endswith(("_count", "numerator", "denominator"))]
        assert {name: sum(row[name] for row in rows) for name in added} == {name: total[name] for name in added}
    if granularity is Granularity.DAY:
        assert max(part.until - part.since for part in parts) == timedelta(hours=25)


async def test_nothing_said_and_nothing_asked_gives_nulls_and_never_zero(
    database: Database, both_books: list[Books]
) -> None:
    [books, _] = both_books
    await books.write(Random(1), 0)
    actor = actors(books)[0][0]
    [waits] = await figure(database, actor, RESPONSE_TIME)
    assert (waits["n"], waits["median_wall_seconds"], waits["answered_share"], waits["excluded_share"]) == (
        0,
        None,
        None,
        None,
    )
    [said] = await figure(database, actor, OUTBOUND_MIX)
    assert (said["n"], said["interaction_ratio"], said["megaphone_ratio"], said["reshare_share"]) == (
        0,
        None,
        None,
        None,
    )
    assert waits["until"] - waits["since"] == timedelta(days=rules.PERIOD_DAYS)
    assert waits["until"] == waits["as_of"]


async def test_the_worked_examples_of_the_specification(database: Database, both_books: list[Books]) -> None:
    [books, _] = both_books
    await books.write(Random(1), 0)
    actor = actors(books)[0][0]
    place = books.places[0]
    kinds = ["STARTER"] * 22 + ["RESHARE"] * 6 + ["REPLY"] * 10 + ["PROACTIVE"] * 2
    friday = datetime(2024, 10, 25, 16, 45, tzinfo=UTC)
    await books.admin.executemany(
        "insert into belfry.message (tenant_id, social_account_id, network, server_host, external_id, direction,"
        " visibility, author_kind, text, text_at, occurred_at, published_at, outbound_kind, version) values"
        " ($1, $2, 'BLUESKY', '', $3, 'OUTBOUND', 'PUBLIC', 'EXTERNAL', '', $4, $4, $4, $5, 1)",
        [(books.tenant, place.account, f"example {number}", friday, kind) for number, kind in enumerate(kinds)],
    )
    waits = [(friday, friday + timedelta(hours=hours)) for hours in (1, 3, 5)]
    waits.append((friday, friday + timedelta(hours=65, minutes=15)))
    await books.admin.executemany(
        "insert into belfry.waiting_segment (tenant_id, conversation_id, opened_by, opened_at, closed_at, outcome,"
        " is_first) values ($1, $2, $3, $4, $5, 'ANSWERED', true)",
        [(books.tenant, place.id, identifiers.new(), opened_at, closed_at) for opened_at, closed_at in waits],
    )
    given = {"since": START, "until": START + timedelta(days=30)}
    [said] = await figure(database, actor, OUTBOUND_MIX, **given)
    ratios = (said["interaction_ratio"], said["megaphone_ratio"], said["reshare_share"])
    assert ratios == (Decimal("0.3"), Decimal("0.55"), Decimal("0.15"))
    [waited] = await figure(database, actor, RESPONSE_TIME, **given)
    assert (waited["bucket_6"], waited["p90_wall_seconds"]) == (1, (65 * 60 + 15) * 60)
    assert waited["median_wall_seconds"] == 3 * 3600


async def test_those_still_waiting_count_in_the_median(database: Database, both_books: list[Books]) -> None:
    [books, _] = both_books
    await books.write(Random(1), 0)
    [(now,)] = await books.admin.fetch("select now()")
    long_ago = now - timedelta(days=2)
    waits = [(long_ago, long_ago + timedelta(hours=hours), "ANSWERED") for hours in (1, 3, 5)]
    waits += [(now - timedelta(hours=hours), None, None) for hours in (4, 10)]
    await books.admin.executemany(
        "insert into belfry.waiting_segment (tenant_id, conversation_id, opened_by, opened_at, closed_at, outcome,"
        " is_first) values ($1, $2, $3, $4, $5, $6, true)",
        [(books.tenant, books.places[0].id, identifiers.new(), *wait) for wait in waits],
    )
    [waited] = await figure(database, actors(books)[0][0], RESPONSE_TIME)
    assert (waited["n"], waited["answered_share"], waited["still_waiting_count"]) == (3, Decimal("0.6"), 2)
    assert (waited["median_wall_seconds"], waited["censored_median_wall_seconds"]) == (3 * 3600, 5 * 3600)
    assert waited["censored_median_at_least_wall_seconds"] is None
