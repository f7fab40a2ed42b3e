# SPDX-License-Identifier: EUPL-1.2
"""A delivery's way through the commands: what each outcome means, who may decide, and what the ledger of tries says."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.deliveries import commands, rules
from services.deliveries.commands import SEND, VERIFY, Attempt
from services.deliveries.rules import DeliveryState, Origin
from services.kernel.database import Database
from services.social_accounts.networks.interface import NotFound as Absent
from services.social_accounts.networks.interface import Sent
from services.social_accounts.rules import AccountIsNotConnected, CrisisOnlyAccount, OutboundKind, Purpose
from tests.services.deliveries.publishing import scheduled, town_on_bluesky
from tests.workers.towns import Evidence, Town

LOOKS = (10, 60, 360, 720)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LINK = "https://bsky.example/profile/town/post/1"


@pytest.fixture
async def town(database: Database, evidence: Evidence) -> Town:
    return await town_on_bluesky(database, evidence)


async def act(town: Town, call: Any, *arguments: Any, **options: Any) -> Any:
    """One command of Belfry itself, in a unit of work of its own."""
    async with town.database.unit_of_work(town.system) as uow:
        return await call(uow, *arguments, **options)


async def begun(town: Town, delivery_id: UUID) -> Attempt:
    attempt = await act(town, commands.begin, delivery_id=delivery_id, check_schedule=LOOKS)
    assert attempt is not None
    return attempt


async def unknown(town: Town, delivery_id: UUID) -> Attempt:
    attempt = await begun(town, delivery_id)
    assert await act(town, commands.record_unknown, attempt, "TIMED_OUT", LOOKS)
    return attempt


async def later(evidence: Evidence, delivery_id: UUID, passed: timedelta) -> None:
    """Time passes for one delivery."""
    sql = """
        update belfry.delivery set due_at = due_at - $2::interval, sent_at = sent_at - $2,
            first_sent_at = first_sent_at - $2, absent_since = absent_since - $2
        where id = $1
    """
    await evidence.rows(sql, delivery_id, passed)


async def forget_jobs(evidence: Evidence, delivery_id: UUID) -> None:
    """As whoever worked on them would finish them."""
    await evidence.rows("delete from belfry.job where subject_id = $1", delivery_id)


async def jobs_of(evidence: Evidence, delivery_id: UUID) -> dict[str, float]:
    """Which jobs a delivery has, and in how many seconds they are due."""
    sql = "select kind, extract(epoch from due_at - now())::float8 as wait from belfry.job where subject_id = $1"
    return {row["kind"]: row["wait"] for row in await evidence.rows(sql, delivery_id)}


def sent_as(attempt: Attempt, version: str = "bafyours") -> Sent:
    return Sent(attempt.prepared.remote_id or "", version, LINK, NOON)


# --- outcomes ---------------------------------------------------------------------------------------------------------


async def test_an_accepted_item_is_published_with_what_the_network_said(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    attempt = await begun(town, delivery_id)
    assert (await evidence.delivery(delivery_id))["state"] == DeliveryState.PUBLISHING
    assert await act(town, commands.record_sent, attempt, sent_as(attempt))
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["remote_version"], row["permalink"]) == ("PUBLISHED", "bafyours", LINK)
    assert row["published_at"] == NOON
    assert row["remote_id"] == attempt.prepared.remote_id
    assert await evidence.outcomes(delivery_id) == ["ACCEPTED"]
    for kind, times in {"delivery.scheduled": 1, "delivery.state_changed": 2, "delivery.published": 1}.items():
        assert await evidence.facts(town.id, kind, delivery_id) == times


async def test_a_refused_item_has_failed_with_its_reason(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    assert await act(town, commands.record_refused, await begun(town, delivery_id), "InvalidRequest")
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["error"]) == ("FAILED", "InvalidRequest")
    assert await evidence.outcomes(delivery_id) == ["REFUSED"]
    assert await evidence.facts(town.id, "delivery.failed", delivery_id) == 1


async def test_what_was_certainly_not_sent_is_tried_five_times_ever_later_and_has_then_failed(
    town: Town, evidence: Evidence
) -> None:
    delivery_id = await scheduled(town)
    prepared: set[bytes] = set()
    waits: list[float] = []
    for number in range(1, rules.ATTEMPTS_MAX + 1):
        attempt = await begun(town, delivery_id)
        prepared.add(attempt.prepared.to_bytes())
        await forget_jobs(evidence, delivery_id)
        assert await act(town, commands.record_not_sent, attempt, "REFUSED_CONNECTION", None)
        assert (await evidence.delivery(delivery_id))["attempts"] == number
        waits += (await jobs_of(evidence, delivery_id)).values()
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["error"]) == ("FAILED", "REFUSED_CONNECTION")
    assert len(prepared) == 1, "every attempt sends the same bytes"
    assert await evidence.outcomes(delivery_id) == ["NOT_SENT"] * rules.ATTEMPTS_MAX
    assert waits == sorted(waits), "each wait is longer than the one before"
    assert len(waits) == rules.ATTEMPTS_MAX - 1


async def test_the_network_s_own_wait_is_respected(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    attempt = await begun(town, delivery_id)
    await forget_jobs(evidence, delivery_id)
    await act(town, commands.record_not_sent, attempt, "RateLimitExceeded", timedelta(seconds=90))
    assert 80 < (await jobs_of(evidence, delivery_id))[SEND] <= 90


async def test_an_unknown_outcome_is_looked_into_and_not_tried_again(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    await unknown(town, delivery_id)
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["verification"], row["error"]) == ("UNCONFIRMED", "CHECKING", "TIMED_OUT")
    assert 5 < (await jobs_of(evidence, delivery_id))[VERIFY] <= 10
    assert await act(town, commands.begin, delivery_id=delivery_id, check_schedule=LOOKS) is None
    assert await evidence.outcomes(delivery_id) == ["UNKNOWN"]


async def test_a_delivery_that_is_found_being_sent_was_left_by_a_crash(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    dead = await begun(town, delivery_id)
    assert await act(town, commands.begin, delivery_id=delivery_id, check_schedule=LOOKS) is None
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["verification"], row["error"]) == ("UNCONFIRMED", "CHECKING", "CRASHED")
    assert row["fence"] == dead.fence + 1
    assert await act(town, commands.record_sent, dead, sent_as(dead)) is False, "it was away too long"
    assert (await evidence.delivery(delivery_id))["state"] == "UNCONFIRMED"


async def test_a_late_outcome_of_an_old_try_is_refused(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    old = await begun(town, delivery_id)
    await act(town, commands.record_not_sent, old, "REFUSED_CONNECTION", None)
    new = await begun(town, delivery_id)
    assert new.fence == old.fence + 1
    assert await act(town, commands.record_sent, old, sent_as(old)) is False
    assert await act(town, commands.record_refused, old, "LATE") is False
    assert await act(town, commands.record_not_sent, old, "LATE", None) is False
    assert await act(town, commands.record_unknown, old, "LATE", LOOKS) is False
    assert (await evidence.delivery(delivery_id))["state"] == "PUBLISHING"
    assert await evidence.outcomes(delivery_id) == ["NOT_SENT", None]
    assert await act(town, commands.record_sent, new, sent_as(new))


# --- looking ----------------------------------------------------------------------------------------------------------


async def checked(town: Town, delivery_id: UUID) -> Attempt:
    attempt = await act(town, commands.to_check, delivery_id=delivery_id)
    assert attempt is not None
    return attempt


async def test_what_is_found_was_there_all_along(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    await unknown(town, delivery_id)
    attempt = await checked(town, delivery_id)
    await act(town, commands.record_found, attempt, sent_as(attempt))
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["verification"], row["attempts"]) == ("PUBLISHED", None, 1)
    assert await act(town, commands.to_check, delivery_id=delivery_id) is None


async def test_an_exact_absence_sends_the_same_bytes_again_under_a_new_fence(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    first = await unknown(town, delivery_id)
    await act(town, commands.record_absent, await checked(town, delivery_id), Absent(exact=True), LOOKS)
    assert (await evidence.delivery(delivery_id))["state"] == "SCHEDULED"
    assert SEND in await jobs_of(evidence, delivery_id)
    second = await begun(town, delivery_id)
    assert (second.prepared, second.fence) == (first.prepared, first.fence + 1)


async def test_an_absence_that_is_not_exact_is_proven_by_time_and_gives_one_more_try(
    town: Town, evidence: Evidence
) -> None:
    delivery_id = await scheduled(town)
    await unknown(town, delivery_id)
    for passed, expected in ((10, "UNCONFIRMED"), (300, "UNCONFIRMED"), (300, "SCHEDULED")):
        await later(evidence, delivery_id, timedelta(seconds=passed))
        await act(town, commands.record_absent, await checked(town, delivery_id), Absent(exact=False), LOOKS)
        assert (await evidence.delivery(delivery_id))["state"] == expected
    await unknown(town, delivery_id)
    for passed in (10, 300):
        await later(evidence, delivery_id, timedelta(seconds=passed))
        await act(town, commands.record_absent, await checked(town, delivery_id), Absent(exact=False), LOOKS)
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["verification"], row["resends"]) == ("UNCONFIRMED", "NEEDS_DECISION", 1)


async def test_the_same_key_is_repeated_for_a_quarter_of_an_hour_only(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    await unknown(town, delivery_id)
    await later(evidence, delivery_id, rules.SAME_KEY_REPEAT_MAX + timedelta(seconds=1))
    await act(town, commands.record_absent, await checked(town, delivery_id), Absent(exact=True), LOOKS)
    assert (await evidence.delivery(delivery_id))["state"] == "UNCONFIRMED"


async def test_looks_that_tell_nothing_end_with_a_person_s_decision(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    await unknown(town, delivery_id)
    waits: list[float] = []
    for _ in LOOKS:
        waits.append((await jobs_of(evidence, delivery_id))[VERIFY])
        await forget_jobs(evidence, delivery_id)
        await act(town, commands.record_cannot_tell, await checked(town, delivery_id), LOOKS)
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["verification"]) == ("UNCONFIRMED", "NEEDS_DECISION")
    assert [round(wait, -1) for wait in waits] == [10, 50, 300, 360]
    assert sum(LOOKS[-1:]) <= rules.DECISION_AFTER.total_seconds()
    assert await evidence.facts(town.id, "delivery.needs_decision", delivery_id) == 1
    assert await jobs_of(evidence, delivery_id) == {}, "nobody looks any more"


async def test_whatever_happens_a_person_is_asked_within_a_quarter_of_an_hour(town: Town, evidence: Evidence) -> None:
    """Every try is unknown, every look finds nothing: sends are repeated, and still it does not take longer."""
    delivery_id = await scheduled(town)
    passed = timedelta(0)
    while True:
        await unknown(town, delivery_id)
        while (row := await evidence.delivery(delivery_id))["verification"] == "CHECKING":
            wait = timedelta(seconds=(await jobs_of(evidence, delivery_id))[VERIFY])
            await forget_jobs(evidence, delivery_id)
            await later(evidence, delivery_id, wait)
            passed += wait
            await act(town, commands.record_absent, await checked(town, delivery_id), Absent(exact=True), LOOKS)
        if row["state"] != "SCHEDULED":
            break
    assert (row["state"], row["verification"]) == ("UNCONFIRMED", "NEEDS_DECISION")
    assert row["attempts"] > rules.ATTEMPTS_MAX
    assert passed <= rules.DECISION_AFTER


async def test_a_crash_that_is_found_hours_later_is_still_looked_into_once(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    await begun(town, delivery_id)
    await later(evidence, delivery_id, timedelta(hours=5))
    await act(town, commands.begin, delivery_id=delivery_id, check_schedule=LOOKS)
    assert (await evidence.delivery(delivery_id))["verification"] == "CHECKING"
    attempt = await checked(town, delivery_id)
    await act(town, commands.record_found, attempt, sent_as(attempt))
    assert (await evidence.delivery(delivery_id))["state"] == "PUBLISHED"


async def test_a_deletion_seen_on_the_network_makes_it_a_person_s_question(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    await unknown(town, delivery_id)
    attempt = await checked(town, delivery_id)
    await act(town, commands.seen, delivery_id=delivery_id, deleted=True)
    assert (await evidence.delivery(delivery_id))["verification"] == "NEEDS_DECISION"
    # A look that was under way comes back empty-handed: what was deleted must not be published again.
    await act(town, commands.record_absent, attempt, Absent(exact=True), LOOKS)
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["verification"], row["attempts"]) == ("UNCONFIRMED", "NEEDS_DECISION", 1)


async def test_a_refusal_after_an_unknown_outcome_does_not_say_that_nothing_is_there(
    town: Town, evidence: Evidence
) -> None:
    """The first try may have arrived and be shown late: the refusal speaks of the second one alone."""
    delivery_id = await scheduled(town)
    await unknown(town, delivery_id)
    await act(town, commands.record_absent, await checked(town, delivery_id), Absent(exact=True), LOOKS)
    await act(town, commands.record_refused, await begun(town, delivery_id), "InvalidToken")
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["verification"], row["error"]) == ("UNCONFIRMED", "NEEDS_DECISION", "InvalidToken")
    assert await evidence.outcomes(delivery_id) == ["UNKNOWN", "REFUSED"]
    assert await evidence.facts(town.id, "delivery.failed", delivery_id) == 0


async def test_an_account_that_was_revoked_meanwhile_leaves_the_question_to_a_person(
    town: Town, evidence: Evidence
) -> None:
    delivery_id = await scheduled(town)
    await unknown(town, delivery_id)
    await evidence.rows("update belfry.social_account set connection = 'REVOKED' where id = $1", town.account_id)
    for _ in LOOKS:
        await act(town, commands.record_absent, await checked(town, delivery_id), Absent(exact=True), LOOKS)
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["verification"], row["attempts"]) == ("UNCONFIRMED", "NEEDS_DECISION", 1)
    assert row["error"] == "ACCOUNT_IS_NOT_CONNECTED"


# --- gates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "late", "state"),
    [
        (Origin.REPLY, rules.REPLY_LATE_MAX - timedelta(minutes=1), "PUBLISHING"),
        (Origin.REPLY, rules.REPLY_LATE_MAX + timedelta(minutes=1), "SUSPENDED"),
        (Origin.POST, rules.POST_LATE_MAX - timedelta(minutes=1), "PUBLISHING"),
        (Origin.POST, rules.POST_LATE_MAX + timedelta(minutes=1), "SUSPENDED"),
    ],
)
async def test_what_comes_too_late_is_suspended(
    town: Town, evidence: Evidence, origin: Origin, late: timedelta, state: str
) -> None:
    delivery_id = await scheduled(town, origin=origin)
    await later(evidence, delivery_id, late)
    await act(town, commands.begin, delivery_id=delivery_id, check_schedule=LOOKS)
    row = await evidence.delivery(delivery_id)
    assert (row["state"], row["error"]) == (state, "LATE" if state == "SUSPENDED" else None)
    assert await evidence.outcomes(delivery_id) == ([] if state == "SUSPENDED" else [None])


async def test_nothing_is_sent_before_it_is_due(town: Town, evidence: Evidence) -> None:
    delivery_id = await scheduled(town)
    await later(evidence, delivery_id, timedelta(hours=-1))
    assert await act(town, commands.begin, delivery_id=delivery_id, check_schedule=LOOKS) is None
    assert (await evidence.delivery(delivery_id))["state"] == "SCHEDULED"


@pytest.mark.parametrize("kind", [OutboundKind.STARTER, OutboundKind.PROACTIVE])
async def test_a_crisis_account_refuses_to_speak_first_when_asked_and_again_before_sending(
    database: Database, evidence: Evidence, kind: OutboundKind
) -> None:
    town = await town_on_bluesky(database, evidence, Purpose.CRISIS_ONLY)
    with pytest.raises(CrisisOnlyAccount):
        await scheduled(town, kind=kind)
    gate = "update belfry.social_account set crisis_posting_open = $2 where id = $1"
    await evidence.rows(gate, town.account_id, True)
    stopped, sent = await scheduled(town, kind=kind), await scheduled(town, kind=kind)
    await begun(town, sent)
    await evidence.rows(gate, town.account_id, False)
    assert await act(town, commands.begin, delivery_id=stopped, check_schedule=LOOKS) is None
    row = await evidence.delivery(stopped)
    assert (row["state"], row["error"], row["attempts"]) == ("SUSPENDED", "CRISIS_ONLY_ACCOUNT", 0)


async def test_a_crisis_account_answers_citizens_at_any_time(database: Database, evidence: Evidence) -> None:
    town = await town_on_bluesky(database, evidence, Purpose.CRISIS_ONLY)
    await begun(town, await scheduled(town, kind=OutboundKind.REPLY))


async def test_an_account_that_is_not_connected_carries_nothing(town: Town, evidence: Evidence) -> None:
    waiting = await scheduled(town)
    await evidence.rows("update belfry.social_account set connection = 'REVOKED' where id = $1", town.account_id)
    with pytest.raises(AccountIsNotConnected):
        await scheduled(town)
    assert await act(town, commands.begin, delivery_id=waiting, check_schedule=LOOKS) is None
    row = await evidence.delivery(waiting)
    assert (row["state"], row["error"]) == ("SUSPENDED", "ACCOUNT_IS_NOT_CONNECTED")


async def test_a_text_that_the_network_cannot_carry_is_refused_before_anything_is_stored(
    town: Town, evidence: Evidence
) -> None:
    with pytest.raises(rules.TextIsTooLongForNetwork) as refusal:
        await scheduled(town, text="a" * 301)
    assert refusal.value.field == ("text",)
    assert await evidence.one("select count(*) from belfry.delivery where tenant_id = $1", town.id) == 0
