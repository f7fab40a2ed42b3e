# SPDX-License-Identifier: EUPL-1.2
"""P6: one holder for every claimed conversation, whatever lapses, crashes, pauses and is taken over meanwhile.

A walk compares every step with a model of one page; a load of 64 claimers at once is judged afterwards, from what each
of them was told and from the rows, by somebody who took no part.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import zip_longest
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.assignments import commands
from services.assignments.rules import CLAIMS_MAX
from services.conversations import commands as conversations
from services.conversations.rules import Outcome
from services.kernel.access import Actor, Role
from services.kernel.database import Database
from services.kernel.errors import BelfryError, ServiceUnavailable
from tests.services.assignments.ledger import Ledger
from tests.services.conversations.scenes import ask, people, sql
from tests.services.conversations.standing import Town, found_town
from tests.support import statements
from tests.support.loops import LoopThread, loop_thread
from tests.support.servers import plain

Urls = Mapping[str, str]
CONVERSATIONS, PEOPLE, COORDINATORS = 12, 4, 2
STEPS, WALKS = 40, 4
LOCK_TIMEOUT = timedelta(seconds=2)
CLAIMERS = 64

some_person = st.integers(0, PEOPLE - 1)
some_question = st.integers(0, CONVERSATIONS - 1)


@dataclass
class Card:
    """What the model knows of one conversation."""

    holder: int | None = None
    live: bool = False
    fence: int = 0
    closed: bool = False
    given: dict[int, int] = field(default_factory=dict)
    """The last fence that each person was given; they go on using it, however long they were away."""


class Ground:
    """One town for all walks; each walk gets conversations and people of its own."""

    def __init__(self, loop: LoopThread, urls: Urls) -> None:
        self.loop, self.urls = loop, urls
        self.database = Database(urls["belfry_app"], pool_size=2)
        self.town: Town = loop.run(found_town(self.database))
        self.admin: asyncpg.Connection = loop.run(asyncpg.connect(plain(urls["postgres"])))
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def close(self) -> None:
        self.loop.run(self.admin.close())
        self.loop.run(self.database.close())


class ClaimWalk(RuleBasedStateMachine):
    """People claim, pause, crash and come back; the clock runs out; coordinators step in."""

    ground: Ground

    @initialize()
    def begin(self) -> None:
        run, town = self.ground.loop.run, self.ground.town
        self.questions: list[UUID] = run(ask(town, *(f"question {number}" for number in range(CONVERSATIONS))))
        self.actors: list[Actor] = run(people(town, PEOPLE - COORDINATORS, Role.OPERATOR))
        self.actors += run(people(town, COORDINATORS, Role.COORDINATOR))
        self.cards = [Card() for _ in self.questions]
        self.claim(0, 0)  # a walk may draw few kinds of acts: a refused claim and a refused write are in each
        self.claim(1, 0)
        assert self.code(1, commands.heartbeat, 0, fence=1) == "CLAIM_IS_STALE"

    def code(self, who: int, command: Callable[..., Any], question: int, **given: Any) -> str:
        """OK or the code of the refusal."""

        async def act() -> str:
            try:
                async with self.ground.town.database.unit_of_work(self.actors[who]) as uow:
                    await command(uow, conversation_id=self.questions[question], **given)
            except BelfryError as refusal:
                return refusal.code
            return "OK"

        found = self.ground.loop.run(act())
        (self.ground.accepted if found == "OK" else self.ground.refused)[command.__name__] += 1
        return found

    def held_by(self, who: int) -> int:
        return sum(card.holder == who and card.live for card in self.cards)

    def given_to(self, who: int, card: Card) -> None:
        card.holder, card.live, card.fence = who, True, card.fence + 1
        card.given[who] = card.fence

    @rule(who=some_person, question=some_question)
    def claim(self, who: int, question: int) -> None:
        card = self.cards[question]
        found = self.code(who, commands.claim, question)
        if card.closed:
            assert found == "INVALID_STATE"
        elif card.live and card.holder != who:
            assert found == "ALREADY_CLAIMED"
        elif card.live:
            assert found == "OK"
        elif self.held_by(who) >= CLAIMS_MAX:
            assert found == "TOO_MANY_CLAIMS"
        else:
            assert found == "OK"
            self.given_to(who, card)

    @rule(who=some_person)
    def claim_whatever_is_free(self, who: int) -> None:
        for question in range(CONVERSATIONS):
            self.claim(who, question)

    @rule(who=some_person, question=some_question, data=st.data())
    def write(self, who: int, question: int, data: st.DataObject) -> None:
        """A heartbeat or a release, under whatever fence this person once was given, or will be."""
        card = self.cards[question]
        fence = card.given.get(who, data.draw(st.integers(0, 3)))
        command = data.draw(st.sampled_from([commands.heartbeat, commands.release]))
        holds = card.holder == who and card.live and card.fence == fence
        assert self.code(who, command, question, fence=fence) == ("OK" if holds else "CLAIM_IS_STALE")
        if holds and command is commands.release:
            card.holder, card.live = None, False

    @rule(who=some_person, question=some_question)
    def take_over(self, who: int, question: int) -> None:
        card = self.cards[question]
        found = self.code(who, commands.take_over, question, reason="A walk.")
        if who < PEOPLE - COORDINATORS:
            assert found == "FORBIDDEN"
        elif card.closed:
            assert found == "INVALID_STATE"
        else:
            assert found == "OK"
            self.given_to(who, card)

    @precondition(lambda self: any(card.live for card in self.cards))
    @rule(data=st.data())
    def a_lease_ends_while_its_holder_is_away(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([place for place, card in enumerate(self.cards) if card.live]))
        self.cards[number].live = False
        self.ground.loop.run(
            self.ground.admin.execute(
                "update belfry.conversation set lease_until = now() - interval '1 second' where id = $1",
                self.questions[number],
            )
        )

    @rule(question=some_question)
    def the_clock_looks(self, question: int) -> None:
        card = self.cards[question]

        async def look() -> None:
            async with self.ground.town.database.unit_of_work(self.ground.town.actor) as uow:
                await commands.lapse(uow, conversation_id=self.questions[question])

        self.ground.loop.run(look())
        if not card.live:
            card.holder = None

    @rule(question=some_question)
    def close_or_reopen(self, question: int) -> None:
        card, coordinator = self.cards[question], PEOPLE - 1
        [version] = [row["version"] for row in self.rows() if row["id"] == self.questions[question]]
        if card.closed:
            found = self.code(coordinator, conversations.reopen, question, text="On.", expected_version=version)
        else:
            given = {"text": "Off.", "outcome": Outcome.RESOLVED, "expected_version": version}
            found = self.code(coordinator, conversations.close, question, **given)
            card.holder, card.live = None, False
            self.complete(question)
        assert found == "OK"
        card.closed = not card.closed

    def complete(self, question: int) -> None:
        """What the handler of the closing does."""

        async def act() -> None:
            async with self.ground.town.database.unit_of_work(self.ground.town.actor) as uow:
                await commands.complete(uow, conversation_id=self.questions[question], done_at=uow.now)

        self.ground.loop.run(act())

    def rows(self) -> list[asyncpg.Record]:
        statement = (
            "select id, holder_id, lease_until > now() live, fence, version from belfry.conversation where id = any($1)"
        )
        return self.ground.loop.run(self.ground.admin.fetch(statement, self.questions))

    @invariant()
    def the_rows_say_what_the_model_says(self) -> None:
        found = {row["id"]: row for row in self.rows()}
        history = self.ground.loop.run(
            self.ground.admin.fetch(
                "select conversation_id, holder_id, fence, state, claimed_at, ended_at from belfry.claim"
                " where conversation_id = any($1) order by conversation_id, fence",
                self.questions,
            )
        )
        for question, card in zip(self.questions, self.cards, strict=True):
            row, mine = found[question], [claim for claim in history if claim["conversation_id"] == question]
            holder = None if card.holder is None else self.actors[card.holder].id
            assert (row["holder_id"], bool(row["live"]), row["fence"]) == (holder, card.live, card.fence)
            assert [claim["fence"] for claim in mine] == list(range(1, card.fence + 1))
            running = [claim for claim in mine if claim["state"] == "HELD"]
            assert [(claim["holder_id"], claim["fence"]) for claim in running] == (
                [(holder, card.fence)] if holder else []
            )
            assert all((claim["ended_at"] is None) == (claim["state"] == "HELD") for claim in mine)
        for who in range(PEOPLE - COORDINATORS):
            assert self.held_by(who) <= CLAIMS_MAX


@pytest.fixture
def ground(database_urls: Urls) -> Iterator[Ground]:
    with loop_thread() as loop:
        made = Ground(loop, database_urls)
        yield made
        made.close()


def test_a_walk_of_claims_pauses_and_takeovers_always_has_one_holder(
    ground: Ground, tell: Callable[[str], None]
) -> None:
    class Walk(ClaimWalk):
        pass

    Walk.ground = ground
    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=WALKS,
            stateful_step_count=STEPS,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
    assert ground.refused["heartbeat"] + ground.refused["release"] > 0
    tell(
        f"{WALKS} walks: accepted {dict(ground.accepted)}, refused {dict(ground.refused)}; every step equals the model"
    )


class Load:
    """Claimers at once over real connections."""

    def __init__(self, town: Town, urls: Urls, questions: list[UUID], actors: list[Actor], turns: int) -> None:
        self.town, self.urls, self.questions, self.actors, self.turns = town, urls, questions, actors, turns
        self.ledger = Ledger()

    async def run(self) -> Ledger:
        self.admin = await asyncpg.create_pool(plain(self.urls["postgres"]), min_size=1, max_size=2)
        try:
            await asyncio.gather(*(self.person(who) for who in range(len(self.actors))))
        finally:
            await self.admin.close()
        return self.ledger

    async def act(self, who: int, command: Callable[..., Any], question: int, **given: Any) -> str:
        while True:
            try:
                async with self.town.database.unit_of_work(self.actors[who]) as uow:
                    await command(uow, conversation_id=self.questions[question], **given)
            except ServiceUnavailable:
                await asyncio.sleep(0.02)
                continue
            except BelfryError as refusal:
                self.ledger.codes[refusal.code] += 1
                return refusal.code
            self.ledger.codes[command.__name__] += 1
            return "OK"

    async def person(self, who: int) -> None:
        chance = Random(who)
        remembered: dict[int, int] = {}
        takes_over = self.actors[who].roles == (Role.COORDINATOR,)
        for _ in range(self.turns):
            known = chance.choice([*remembered]) if remembered and chance.random() < 0.4 else None
            question = chance.randrange(len(self.questions)) if known is None else known
            if question in remembered and chance.random() < 0.6:
                await self.write(who, question, remembered[question], chance)
                continue
            command = commands.take_over if takes_over and chance.random() < 0.3 else commands.claim
            given = {"reason": "Load."} if command is commands.take_over else {}
            if await self.act(who, command, question, **given) == "OK":
                fence = await self.fence_of(who, question)
                if fence is not None:
                    remembered[question] = fence
                    self.ledger.grant(question, fence, who)
            if question in remembered and chance.random() < 0.5:
                # A crash or a long pause: the lease ends, and whoever it was still remembers the fence.
                self.ledger.expired.add((question, remembered[question]))
                await self.admin.execute(
                    "update belfry.conversation set lease_until = now() - interval '1 second'"
                    " where id = $1 and fence = $2 and holder_id is not null",
                    self.questions[question],
                    remembered[question],
                )

    async def fence_of(self, who: int, question: int) -> int | None:
        """The newest fence that this person was given, as the history says."""
        return await self.admin.fetchval(
            "select max(fence) from belfry.claim where conversation_id = $1 and holder_id = $2",
            self.questions[question],
            self.actors[who].id,
        )

    async def write(self, who: int, question: int, fence: int, chance: Random) -> None:
        command = chance.choice([commands.heartbeat, commands.release])
        was_stale = self.ledger.highest[question] > fence
        if command is commands.release:
            self.ledger.released.add((question, fence))
        found = await self.act(who, command, question, fence=fence)
        if was_stale:
            self.ledger.stale_accepted += found == "OK"
            self.ledger.stale_refused += found == "CLAIM_IS_STALE"


async def load(town: Town, urls: Urls, *, turns: int, questions: int) -> str:
    """64 claimers, then a judge who reads what they wrote down and the rows."""
    asked = await ask(town, *(f"question {number}" for number in range(questions)))
    actors = await people(town, CLAIMERS - 4, Role.OPERATOR) + await people(town, 4, Role.COORDINATOR)
    with statements.unwatched():
        ledger = await Load(town, urls, asked, actors, turns).run()
    assert ledger.double == []
    assert ledger.stale_accepted == 0
    assert ledger.stale_refused > 0
    rows = await sql(
        urls,
        "select conversation_id, holder_id, fence, state, claimed_at, ended_at from belfry.claim where tenant_id = $1"
        " order by conversation_id, fence",
        town.organization.id,
    )
    ends: Counter[str] = Counter()
    for number, question in enumerate(asked):
        mine = [row[1:] for row in rows if row[0] == question]
        assert [fence for _, fence, *_ in mine] == list(range(1, len(mine) + 1))
        for (holder, fence, state, _, ended_at), following in zip_longest(mine, mine[1:]):
            ends[state] += 1
            who = ledger.granted.get((number, fence))
            assert who is None or actors[who].id == holder
            # One hold ends before the next begins, and for a reason that somebody gave. Instants are those at which
            # transactions began: one that waited for the other's lock began at most so much before it.
            assert following is None or (ended_at is not None and ended_at <= following[3] + LOCK_TIMEOUT)
            assert state != "LAPSED" or (number, fence) in ledger.expired
            assert state != "RELEASED" or (number, fence) in ledger.released
    most = await sql(
        urls, "select count(*) from belfry.conversation where tenant_id = $1 and lease_until > now()"
        " and holder_id = any($2) group by holder_id order by 1 desc limit 1",
        town.organization.id, [each.id for each in actors[:-4]],
    )  # fmt: skip
    assert not most or most[0][0] <= CLAIMS_MAX
    return (
        f"{CLAIMERS} claimers × {turns:,} acts over {questions} conversations: {len(rows):,} claims, 0 double, "
        f"0 stale writes accepted, {ledger.stale_refused:,} stale writes refused; ends {dict(ends)}, "
        f"answers {dict(ledger.codes)}"
    )


async def test_sixty_four_claimers_never_hold_the_same_conversation_and_no_stale_write_passes(
    database: Database, database_urls: Urls, tell: Callable[[str], None]
) -> None:
    tell(await load(await found_town(database), database_urls, turns=8, questions=60))


@pytest.mark.slow
async def test_sixty_four_claimers_with_five_thousand_acts_each(
    database: Database, database_urls: Urls, tell: Callable[[str], None]
) -> None:
    tell(await load(await found_town(database), database_urls, turns=5_000, questions=200))
