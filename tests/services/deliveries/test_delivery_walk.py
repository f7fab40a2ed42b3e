# SPDX-License-Identifier: EUPL-1.2
"""Any order of sending, crashing, looking, deciding and waiting: the machine never lies and never forgets an item.

The oracle is the table of `domain.md` 3 as `rules.TRANSITIONS` gives it, and what the rows themselves must agree on.
"""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.deliveries import commands, rules
from services.deliveries.commands import SEND, VERIFY, Attempt
from services.deliveries.rules import Absence, DeliveryState, Resolution, Verification, absence_is_proven
from services.kernel import jobs
from services.kernel.database import Database
from services.kernel.jobs import LeaseLost, Ticket
from services.social_accounts.networks.interface import NotFound as Absent
from services.social_accounts.networks.interface import Sent
from tests.services.deliveries.publishing import scheduled, town_on_bluesky
from tests.support.loops import LoopThread, loop_thread
from tests.workers.towns import Evidence, Town, evidence_of

LOOKS = (10, 60, 360, 720)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DELIVERY_PASSES = """
    update belfry.delivery set due_at = due_at - $2::interval, sent_at = sent_at - $2,
        first_sent_at = first_sent_at - $2, absent_since = absent_since - $2
    where id = $1
"""
JOBS_PASS = """
    update belfry.job set due_at = due_at - $2::interval, again_at = again_at - $2, lease_until = lease_until - $2
    where subject_id = $1
"""


# --- absence ----------------------------------------------------------------------------------------------------------

instants = st.timedeltas(timedelta(0), timedelta(days=365)).map(lambda passed: NOON + passed)
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=1))


@settings(deadline=None)
@given(sent_at=instants, first_after=spans, second_after=spans)
def test_absence_is_proven_by_two_listings_far_enough_apart_and_late_enough(
    sent_at: datetime, first_after: timedelta, second_after: timedelta
) -> None:
    first, now = sent_at + first_after, sent_at + first_after + second_after
    proven = absence_is_proven(Absence(first), sent_at=sent_at, now=now)
    assert proven == (second_after >= timedelta(minutes=5) and now - sent_at >= timedelta(minutes=10))


@settings(deadline=None)
@given(sent_at=instants, after=spans)
def test_one_listing_proves_nothing(sent_at: datetime, after: timedelta) -> None:
    assert absence_is_proven(Absence(None), sent_at=sent_at, now=sent_at + after) is False


@settings(deadline=None)
@given(sent_at=instants, first_after=spans, second_after=spans, more=spans)
def test_what_is_proven_stays_proven(
    sent_at: datetime, first_after: timedelta, second_after: timedelta, more: timedelta
) -> None:
    first, now = sent_at + first_after, sent_at + first_after + second_after
    before = absence_is_proven(Absence(first), sent_at=sent_at, now=now)
    assert absence_is_proven(Absence(first), sent_at=sent_at, now=now + more) >= before


@settings(deadline=None)
@given(schedule=st.lists(st.integers(1, 10_000), min_size=1, max_size=8, unique=True).map(sorted))
def test_looks_come_at_the_scheduled_seconds_after_the_request(schedule: list[int]) -> None:
    waits = [rules.check_after(done, schedule) for done in range(len(schedule) + 2)]
    assert waits[len(schedule) :] == [None, None]
    passed = timedelta(0)
    for wait, second in zip(waits, schedule, strict=False):
        assert wait is not None
        passed += wait
        assert passed == timedelta(seconds=second)


# --- the machine ------------------------------------------------------------------------------------------------------


class DeliveryMachine(RuleBasedStateMachine):
    """One delivery, its worker, its network and a person. Every ticket and attempt that ever was may come back late."""

    thread: LoopThread
    town: Town
    evidence: Evidence

    @initialize()
    def schedule(self) -> None:
        self.id: UUID = self.thread.run(scheduled(self.town))
        self.sending: list[tuple[Ticket, Attempt]] = []
        self.looking: list[tuple[Ticket, Attempt]] = []
        self.last: list[Any] | None = None

    def run(self, call: Any, *arguments: Any, **options: Any) -> Any:
        async def act() -> Any:
            async with self.town.database.unit_of_work(self.town.system) as uow:
                return await call(uow, *arguments, **options)

        return self.thread.run(act())

    def take(self, kind: str) -> Ticket | None:
        """The worker's lease of the job, when it is due."""
        sql = "select id from belfry.job where subject_id = $1 and kind = $2"
        job_id = self.thread.run(self.evidence.one(sql, self.id, kind))
        return None if job_id is None else self.run(jobs.lease, job_id)

    def conclude(self, ticket: Ticket, call: Any, *arguments: Any) -> None:
        """Record an outcome and finish the job, in one transaction as the handlers do."""

        async def both(uow: Any) -> None:
            await call(uow, *arguments)
            await jobs.finish(uow, ticket)

        with contextlib.suppress(LeaseLost):  # another worker has the job; nothing of this was kept
            self.run(both)

    @rule()
    def begin(self) -> None:
        ticket = self.take(SEND)
        if ticket is None:
            return

        async def intent(uow: Any) -> Attempt | None:
            attempt = await commands.begin(uow, delivery_id=self.id, check_schedule=LOOKS)
            if attempt is None:
                await jobs.finish(uow, ticket)
            return attempt

        attempt = self.run(intent)
        if attempt is not None:
            self.sending.append((ticket, attempt))

    @precondition(lambda self: self.sending)
    @rule(data=st.data(), outcome=st.sampled_from(["sent", "refused", "not_sent", "unknown", "unknown"]))
    def answer(self, data: st.DataObject, outcome: str) -> None:
        ticket, attempt = data.draw(st.sampled_from(self.sending), label="attempt")
        arguments: Mapping[str, tuple[Any, ...]] = {
            "sent": (commands.record_sent, attempt, Sent(attempt.prepared.remote_id or "", "v1", None, NOON)),
            "refused": (commands.record_refused, attempt, "InvalidRequest"),
            "not_sent": (commands.record_not_sent, attempt, "RateLimitExceeded", None),
            "unknown": (commands.record_unknown, attempt, "TIMED_OUT", LOOKS),
        }
        self.conclude(ticket, *arguments[outcome])

    @rule()
    def look(self) -> None:
        ticket = self.take(VERIFY)
        if ticket is None:
            return

        async def question(uow: Any) -> Attempt | None:
            attempt = await commands.to_check(uow, delivery_id=self.id)
            if attempt is None:
                await jobs.finish(uow, ticket)
            return attempt

        attempt = self.run(question)
        if attempt is not None:
            self.looking.append((ticket, attempt))

    @precondition(lambda self: self.looking)
    @rule(data=st.data(), seen=st.sampled_from(["found", "absent", "absent exactly", "cannot tell"]))
    def see(self, data: st.DataObject, seen: str) -> None:
        ticket, attempt = data.draw(st.sampled_from(self.looking), label="look")
        arguments: Mapping[str, tuple[Any, ...]] = {
            "found": (commands.record_found, attempt, Sent(attempt.prepared.remote_id or "", "v1", None, NOON)),
            "absent": (commands.record_absent, attempt, Absent(exact=False), LOOKS),
            "absent exactly": (commands.record_absent, attempt, Absent(exact=True), LOOKS),
            "cannot tell": (commands.record_cannot_tell, attempt, LOOKS),
        }
        self.conclude(ticket, *arguments[seen])

    @rule(seconds=st.sampled_from([3, 20, 70, 400, 1_000]))
    def wait(self, seconds: int) -> None:
        for sql in (DELIVERY_PASSES, JOBS_PASS):
            self.thread.run(self.evidence.rows(sql, self.id, timedelta(seconds=seconds)))

    @rule(deleted=st.booleans())
    def network_shows(self, deleted: bool) -> None:
        self.run(commands.seen, delivery_id=self.id, deleted=deleted)

    @rule(resolution=st.sampled_from(list(Resolution)))
    def decide(self, resolution: Resolution) -> None:
        try:
            self.run(commands.resolve, delivery_id=self.id, resolution=resolution, link="https://social.example/1")
        except rules.DeliveryIsNotUnconfirmed:
            assert self.last is not None
            assert self.last[0] is not DeliveryState.UNCONFIRMED

    @invariant()
    def the_rows_agree(self) -> None:
        row, facts, jobs_waiting, outcomes = self.thread.run(self.everything())
        self.only_known_steps_were_taken(row, facts)
        self.somebody_goes_on_with_it(row, jobs_waiting)
        self.the_ledger_of_tries_is_complete(row, outcomes)
        told = [row[name] for name in ("state", "verification", "remote_version", "permalink", "error", "attempts")]
        if self.last is not None and not rules.TRANSITIONS[self.last[0]]:
            assert told == self.last, "what is decided stays"
        self.last = [DeliveryState(told[0]), *told[1:]]

    async def everything(self) -> tuple[Mapping[str, Any], list[Any], set[str], list[str | None]]:
        facts = "select kind, body from belfry.outbox where subject_id = $1 order by seq"
        waiting = "select kind from belfry.job where subject_id = $1 and state = 'WAITING'"
        return (
            dict(await self.evidence.delivery(self.id)),
            await self.evidence.rows(facts, self.id),
            {job["kind"] for job in await self.evidence.rows(waiting, self.id)},
            await self.evidence.outcomes(self.id),
        )

    @staticmethod
    def only_known_steps_were_taken(row: Mapping[str, Any], facts: list[Any]) -> None:
        state = DeliveryState.SCHEDULED
        for fact in facts:
            if fact["kind"] == "delivery.state_changed":
                body = orjson.loads(fact["body"])
                assert body["before"] == state
                state = DeliveryState(body["after"])
                assert state in rules.TRANSITIONS[DeliveryState(body["before"])]
        assert row["state"] == state
        assert [fact["kind"] for fact in facts].count("delivery.published") == (state is DeliveryState.PUBLISHED)

    @staticmethod
    def somebody_goes_on_with_it(row: Mapping[str, Any], jobs_waiting: set[str]) -> None:
        if row["state"] in (DeliveryState.SCHEDULED, DeliveryState.PUBLISHING):
            assert SEND in jobs_waiting, "silently not published"
        if row["verification"] == Verification.CHECKING:
            assert VERIFY in jobs_waiting, "nobody looks"
        assert (row["state"] == DeliveryState.UNCONFIRMED) == (row["verification"] is not None)

    @staticmethod
    def the_ledger_of_tries_is_complete(row: Mapping[str, Any], outcomes: list[str | None]) -> None:
        assert len(outcomes) == row["attempts"]
        assert None not in outcomes[:-1], "a try was left without an outcome"
        assert outcomes.count("ACCEPTED") <= 1
        if row["state"] == DeliveryState.FAILED:
            assert "UNKNOWN" not in outcomes, "nobody knows that it is not there"


def test_a_delivery_keeps_its_promises_in_any_order(database_urls: Mapping[str, str]) -> None:
    async def opened() -> tuple[Database, Any]:
        evidence = evidence_of(database_urls)
        DeliveryMachine.evidence = await evidence.__aenter__()
        database = Database(database_urls["belfry_app"], pool_size=2)
        DeliveryMachine.town = await town_on_bluesky(database, DeliveryMachine.evidence)
        return database, evidence

    async def close(database: Database, evidence: Any) -> None:
        await evidence.__aexit__(None, None, None)
        await database.close()

    with loop_thread() as thread:
        DeliveryMachine.thread = thread
        opened_things = thread.run(opened())
        try:
            run_state_machine_as_test(
                DeliveryMachine,
                settings=settings(
                    max_examples=15,
                    stateful_step_count=20,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
        finally:
            thread.run(close(*opened_things))
