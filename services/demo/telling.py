# SPDX-License-Identifier: EUPL-1.2
"""How exchanges go: who picks a question up and when, what is answered, and how it ends. Chance is an argument."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.assignments.rules import ClaimState
from services.conversations.rules import Difficulty, Intent, Outcome, ReplyPurpose
from services.conversations.rules.gate import LEASE
from services.deliveries.rules import DeliveryState
from services.demo.hours import WorkingHours, pick
from services.demo.plans import AccountPlan, CategoryPlan, OrganizationPlan, PersonPlan, Question, Topic
from services.demo.stories import (
    PUBLISHING,
    Categorized,
    Closed,
    Held,
    Replied,
    RepliedOutside,
    Step,
    TookBack,
    Wrote,
)
from services.kernel.access import Role

NO_RESPONSE_AFTER = timedelta(days=14)
WAIT_MINUTES_MAX = 1_500.0
WAIT_SPREAD = 1.35
HANDLING_MINUTES: Mapping[Difficulty, float] = {Difficulty.EASY: 4, Difficulty.NORMAL: 8, Difficulty.HARD: 25}
WAIT_MINUTES: Mapping[Difficulty, float] = {Difficulty.EASY: 45, Difficulty.NORMAL: 90, Difficulty.HARD: 220}
CRISIS_WAIT_MINUTES = 25.0
RELEASED_SHARE, LAPSED_SHARE, TAKEN_OVER_SHARE = 0.1, 0.04, 0.03
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Scene:
    """One exchange before it is told. `pace` stretches waits; `known` is its category, None where nobody knows one."""

    plan: OrganizationPlan
    chance: random.Random
    hours: WorkingHours
    at: datetime
    topic: Topic
    account: AccountPlan
    known: CategoryPlan | None
    pace: float
    is_private: bool
    is_crisis: bool
    question: Question
    is_vague: bool
    fill: Mapping[str, str]

    @property
    def difficulty(self) -> Difficulty:
        return Difficulty.HARD if self.known is not None and self.known.hard else self.topic.difficulty

    @property
    def department(self) -> str:
        return (self.known.responsible if self.known else None) or self.plan.desk

    def happens(self, share: float) -> bool:
        return self.chance.random() < share

    def minutes(self, least: float, most: float) -> timedelta:
        return timedelta(seconds=round(self.chance.uniform(least, most) * 60))

    def text(self, *options: str) -> str:
        """One of several texts, with its places filled."""
        filled = pick(self.chance, options).format_map(self.fill)
        return filled[:1].upper() + filled[1:]

    def intent(self) -> Intent | None:
        """Half of all messages have been classified."""
        return self.topic.intent if self.happens(0.5) else None

    def coordinators(self) -> tuple[PersonPlan, ...]:
        return self.plan.people_of(Role.COORDINATOR, None)

    def worker(self) -> PersonPlan:
        """Somebody who may answer this."""
        people = self.plan.people_of(Role.OPERATOR, self.department)
        if self.difficulty is Difficulty.HARD:
            people = tuple(each for each in people if not each.is_avoider)
        if self.is_crisis or not people:
            people += self.coordinators()
        return people[self.chance.randrange(len(people))]

    def avoider(self) -> PersonPlan | None:
        """Whoever would have to answer this and leaves hard questions where they are."""
        people = self.plan.people_of(Role.OPERATOR, self.department)
        return next((each for each in people if each.is_avoider), None)

    def picked_up(self, asked_at: datetime) -> datetime:
        """When somebody takes it: after a wait with a long tail, in working time."""
        median = CRISIS_WAIT_MINUTES if self.is_crisis else WAIT_MINUTES[self.difficulty] * self.pace
        drawn = self.chance.lognormvariate(math.log(median), WAIT_SPREAD)
        return self.hours.after(asked_at + SECOND, min(max(drawn, 1.0), WAIT_MINUTES_MAX))

    def handled(self, since: datetime) -> datetime:
        """When the answer is written."""
        drawn = self.chance.lognormvariate(math.log(HANDLING_MINUTES[self.difficulty]), 0.5)
        return since + timedelta(seconds=round(60 * min(max(drawn, 1.0), 120.0)))


def tell(scene: Scene) -> tuple[Step, ...]:
    """The whole exchange, also what lies in the future."""
    fates = PRIVATE_FATES if scene.is_private else FATES
    if scene.account.outside == 1:
        fates = OUTSIDE_FATES
    elif scene.known is not None and scene.known.formal:
        fates = FORMAL_FATES
    return _from(scene, scene.chance.choices(list(fates), list(fates.values()))[0])


def tell_avoided(scene: Scene, avoider: PersonPlan) -> tuple[Step, ...]:
    """A hard question that somebody looks at and puts back; nobody else takes it."""
    steps: list[Step] = [_asked(scene)]
    if scene.happens(0.6):
        looked_at = scene.picked_up(scene.at)
        until = looked_at + scene.minutes(1, 3)
        steps.append(Held(looked_at, avoider.key, until, ClaimState.RELEASED))
    return tuple(steps)


def tell_unconfirmed(scene: Scene) -> tuple[Step, ...]:
    """An answer of which nobody knows whether it was published; it waits for a coordinator."""
    taken_at, person = scene.hours.after(scene.at, 60), scene.worker()
    accepted_at = scene.handled(taken_at)
    return (
        _asked(scene),
        Held(taken_at, person.key, accepted_at + 4 * LEASE, ClaimState.LAPSED),
        Replied(accepted_at, person.key, ReplyPurpose.ANSWER, _answer(scene), DeliveryState.UNCONFIRMED),
    )


def tell_unrouted(scene: Scene) -> tuple[Step, ...]:
    """It has only just come in."""
    return (_asked(scene),)


def tell_compliment(scene: Scene) -> tuple[Step, ...]:
    """Nothing was asked. Somebody may answer all the same."""
    seen_at, person = scene.picked_up(scene.at), scene.worker()
    steps: list[Step] = [Wrote(scene.at, scene.text(scene.question.text), Intent.COMPLIMENT)]
    if scene.happens(0.4) and scene.account.outside < 1:
        written_at = scene.handled(seen_at)
        ended_at = written_at + PUBLISHING + SECOND
        text = scene.text(scene.question.answer)
        steps += [
            Held(seen_at, person.key, ended_at, ClaimState.RELEASED),
            Replied(written_at, person.key, ReplyPurpose.ANSWER, text, follow_up=True),
        ]
        seen_at = ended_at
    return (*steps, _closing(scene, seen_at + SECOND, person, Outcome.NO_ANSWER_NEEDED))


def tell_spam(scene: Scene) -> tuple[Step, ...]:
    """Advertising, closed as such. Half of these closings have been confirmed by a coordinator."""
    person = scene.worker()
    asked = Wrote(scene.at, scene.text(scene.question.text), Intent.SPAM if scene.happens(0.5) else None)
    return asked, _dismissal(scene, person, Outcome.SPAM)


def _from(scene: Scene, fate: "Fate") -> tuple[Step, ...]:
    asked = _asked(scene)
    steps = fate(scene, asked.at)
    if scene.is_vague and scene.known is not None and isinstance(steps[0], Held):
        sorter = scene.plan.people_of(Role.OPERATOR, scene.plan.desk)[0]
        steps = [Categorized(steps[0].at - SECOND, sorter.key, scene.known.name), *steps]
    return asked, *steps


def _answered(scene: Scene, asked_at: datetime) -> list[Step]:
    if scene.happens(scene.account.outside):
        return _answered_outside(scene, asked_at)
    person, steps, held = _taken(scene, asked_at)
    steps.append(Replied(_before_end(held), person.key, ReplyPurpose.ANSWER, _answer(scene)))
    done_at = held.until + SECOND
    if scene.happens(0.25):
        done_at += scene.minutes(4, 200)
        steps.append(Wrote(done_at, scene.text(*scene.plan.voice.thanks), Intent.THANKS))
    elif scene.happens(0.04):
        again_at = scene.hours.after(done_at, 45)
        until = again_at + scene.minutes(3, 8)
        steps += [
            Held(again_at, person.key, until, ClaimState.RELEASED),
            Replied(_before_end(until), person.key, ReplyPurpose.ANSWER, scene.text(*scene.plan.voice.additions),
                    follow_up=True),
        ]  # fmt: skip
        done_at = until
    outcome = Outcome.RESOLVED if scene.topic.intent is Intent.REPORT and scene.happens(0.5) else Outcome.ANSWERED
    return [*steps, _closing(scene, done_at, person, outcome)]


def _answered_outside(scene: Scene, asked_at: datetime) -> list[Step]:
    answered_at = scene.handled(scene.picked_up(asked_at))
    closing = _closing(scene, answered_at, scene.worker(), Outcome.ANSWERED)
    return [RepliedOutside(answered_at, _answer(scene)), closing]


def _clarified(scene: Scene, asked_at: datetime) -> list[Step]:
    if not scene.question.ask_back or scene.happens(scene.account.outside):
        return _answered(scene, asked_at)
    person, steps, held = _taken(scene, asked_at)
    question = scene.text(scene.question.ask_back)
    replied_at = _before_end(held)
    steps.append(Replied(replied_at, person.key, ReplyPurpose.CLARIFYING_QUESTION, question))
    if scene.happens(0.45):
        closed_at = replied_at + PUBLISHING + NO_RESPONSE_AFTER + SECOND
        return [*steps, Closed(closed_at, None, Outcome.NO_RESPONSE, "The citizen did not answer our question.")]
    told_at = held.until + scene.minutes(20, 2_400)
    return [*steps, Wrote(told_at, scene.text(scene.question.told)), *_answered(scene, told_at)]


def _acknowledged(scene: Scene, asked_at: datetime) -> list[Step]:
    seen_at, person = scene.hours.after(asked_at + SECOND, scene.chance.uniform(3, 40)), scene.worker()
    until = seen_at + scene.minutes(2, 6)
    acknowledged: list[Step] = [
        Held(seen_at, person.key, until, ClaimState.RELEASED),
        Replied(_before_end(until), person.key, ReplyPurpose.ACKNOWLEDGEMENT,
                scene.text(*scene.plan.voice.acknowledgements)),
    ]  # fmt: skip
    return [*acknowledged, *_answered(scene, until)]


def _referred(scene: Scene, asked_at: datetime) -> list[Step]:
    person, steps, held = _taken(scene, asked_at)
    is_formal = scene.known is not None and scene.known.formal
    text = _answer(scene) if is_formal else scene.text(*scene.plan.voice.referrals)
    steps.append(Replied(_before_end(held), person.key, ReplyPurpose.REFERRAL, text))
    return [*steps, _closing(scene, held.until + SECOND, person, Outcome.REFERRED)]


def _reopened(scene: Scene, asked_at: datetime) -> list[Step]:
    steps = _answered(scene, asked_at)
    again_at = steps[-1].at + scene.minutes(600, 8_000)
    person, more, held = _taken(scene, again_at)
    again = scene.plan.voice.again[scene.chance.randrange(len(scene.plan.voice.again))]
    text = scene.text(again.answer)
    answer = Replied(_before_end(held), person.key, ReplyPurpose.ANSWER, text)
    wrote = Wrote(again_at, scene.text(again.text), Intent.QUESTION)
    return [*steps, wrote, *more, answer, _closing(scene, held.until + SECOND, person, Outcome.ANSWERED)]


def _refused_first(scene: Scene, asked_at: datetime) -> list[Step]:
    """The network refuses the first attempt; the second one passes."""
    person, steps, held = _taken(scene, asked_at)
    text = _answer(scene)
    refused_at = _before_end(held)
    ended_at = refused_at + timedelta(minutes=4) + PUBLISHING + SECOND
    return [
        *steps[:-1],
        Held(held.at, person.key, ended_at, ClaimState.COMPLETED),
        Replied(refused_at, person.key, ReplyPurpose.ANSWER, text, DeliveryState.FAILED),
        Replied(_before_end(ended_at), person.key, ReplyPurpose.ANSWER, text),
        _closing(scene, ended_at + SECOND, person, Outcome.ANSWERED),
    ]


def _unanswered(scene: Scene, asked_at: datetime) -> list[Step]:
    person = scene.worker()
    outcome = Outcome.DUPLICATE if scene.happens(0.5) else Outcome.RESOLVED
    seen_at = scene.picked_up(scene.picked_up(asked_at))
    text = scene.text(*scene.plan.voice.closings[outcome])
    return [Closed(seen_at, person.key, outcome, text)]


def _dismissed(scene: Scene, _asked_at: datetime) -> list[Step]:
    return [_dismissal(scene, scene.worker(), Outcome.NO_ANSWER_NEEDED)]


def _withdrawn(scene: Scene, asked_at: datetime) -> list[Step]:
    deleted_at = asked_at + scene.minutes(1, 40)
    person = scene.worker()
    closed_at = scene.hours.after(deleted_at + SECOND, scene.chance.uniform(30, 500))
    text = scene.text(*scene.plan.voice.closings[Outcome.NO_ANSWER_NEEDED])
    return [TookBack(deleted_at), Closed(closed_at, person.key, Outcome.NO_ANSWER_NEEDED, text)]


Fate = Callable[[Scene, datetime], list[Step]]
FATES: Mapping[Fate, float] = {
    _answered: 64,
    _clarified: 26,
    _acknowledged: 8,
    _referred: 3,
    _reopened: 4,
    _refused_first: 0.6,
    _unanswered: 5,
    _dismissed: 3,
    _withdrawn: 2,
}
PRIVATE_FATES: Mapping[Fate, float] = {
    fate: weight for fate, weight in FATES.items() if fate not in (_withdrawn, _refused_first)
}
"""What was sent through a form or in private cannot be taken back, and no network refuses the answer to it."""

OUTSIDE_FATES: Mapping[Fate, float] = {_answered: 85, _unanswered: 8, _dismissed: 4, _withdrawn: 3}
"""On an account that is answered in the network's own app only."""

FORMAL_FATES: Mapping[Fate, float] = {_referred: 1}


def _taken(scene: Scene, asked_at: datetime) -> tuple[PersonPlan, list[Step], Held]:
    """Who answers, everybody's claims until then, and the last one: it ends a second after the answer is out."""
    taken_at, person = scene.picked_up(asked_at), scene.worker()
    held = Held(taken_at, person.key, scene.handled(taken_at) + PUBLISHING + SECOND, ClaimState.COMPLETED)
    before_at = taken_at - scene.minutes(13, 25)
    if before_at <= asked_at or not scene.hours.is_open(before_at):
        return person, [held], held
    other, draw = scene.worker().key, scene.chance.random()
    rescuers = [each for each in scene.coordinators() if each.key != other]
    if draw < RELEASED_SHARE:
        before = Held(before_at, other, before_at + scene.minutes(1, 8), ClaimState.RELEASED)
    elif draw < RELEASED_SHARE + LAPSED_SHARE:
        before = Held(before_at, other, before_at + LEASE + SECOND, ClaimState.LAPSED)
    elif draw < RELEASED_SHARE + LAPSED_SHARE + TAKEN_OVER_SHARE and rescuers:
        before = Held(before_at, other, taken_at, ClaimState.TAKEN_OVER, scene.plan.voice.takeover_reason)
        person = rescuers[0]
        held = Held(taken_at, person.key, held.until, ClaimState.COMPLETED)
    else:
        return person, [held], held
    return person, [before, held], held


def _before_end(held: Held | datetime) -> datetime:
    """When an answer was accepted so that the claim ends a second after it is out."""
    return (held.until if isinstance(held, Held) else held) - PUBLISHING - SECOND


def _asked(scene: Scene) -> Wrote:
    return Wrote(scene.at, scene.text(scene.question.text), scene.intent())


def _answer(scene: Scene) -> str:
    return scene.text(scene.question.answer)


def _closing(scene: Scene, after: datetime, person: PersonPlan, outcome: Outcome) -> Closed:
    """Closed at once, or when somebody tidies up, at most two working days later."""
    at = after + scene.minutes(1, 5)
    if scene.happens(0.5):
        at = scene.hours.after(at, scene.chance.uniform(30, 900))
    return Closed(at, person.key, outcome, scene.text(*scene.plan.voice.closings[outcome]))


def _dismissal(scene: Scene, person: PersonPlan, outcome: Outcome) -> Closed:
    at = scene.picked_up(scene.at)
    others = [each.key for each in scene.coordinators() if each.key != person.key]
    confirmed_by = others[0] if scene.happens(0.5) else None
    return Closed(at, person.key, outcome, scene.text(*scene.plan.voice.closings[outcome]), confirmed_by)
