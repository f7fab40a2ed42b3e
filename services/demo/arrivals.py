# SPDX-License-Identifier: EUPL-1.2
"""Who writes when, to which account, about what: the stories of eight weeks, in order of their beginnings."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from services.conversations.rules import Difficulty, Intent
from services.demo import telling
from services.demo.hours import OUTSIDE_SHARE, WorkingHours, moments, pick, quarter_before
from services.demo.plans import HISTORY, WEEKS, AccountPlan, CategoryPlan, CrisisPlan, OrganizationPlan, Topic
from services.demo.stories import Step, Story, until_now
from services.demo.telling import Scene
from services.kernel.access import Role
from services.social_accounts.rules import Network

WEEK = timedelta(weeks=1)
CRISIS_TALK_SHARE = 0.85
COMPLIMENT_SHARE, SPAM_SHARE, VAGUE_SHARE = 0.05, 0.015, 0.08
AVOIDED_FOR = timedelta(weeks=5)
AVOIDED_SHARE = 0.85
TO_THE_FORM_SHARE = 0.7
UNCONFIRMED_BETWEEN = timedelta(days=3), timedelta(days=7)
"""How long ago the one answer was sent whose outcome nobody knows."""

PACE_FIRST, PACE_LAST = 1.4, 0.8
"""Waits shrink over the weeks: somebody made a plan."""

UNROUTED_EVERY = timedelta(minutes=4)


@dataclass
class Arrivals:
    """Tells the stories of one organization, up to `now`."""

    plan: OrganizationPlan
    chance: random.Random
    now: datetime
    has_unconfirmed: bool = False

    @cached_property
    def until(self) -> datetime:
        return quarter_before(self.now)

    @cached_property
    def since(self) -> datetime:
        return self.until - HISTORY

    @cached_property
    def hours(self) -> WorkingHours:
        return WorkingHours(ZoneInfo(self.plan.zone))

    @cached_property
    def crisis_hours(self) -> WorkingHours:
        return WorkingHours(ZoneInfo(self.plan.zone), opens=7, closes=23, days=frozenset(range(7)))

    @cached_property
    def crisis_since(self) -> datetime | None:
        """The first Tuesday morning of the week of the crisis."""
        if self.plan.crisis is None:
            return None
        tuesday = WorkingHours(self.hours.zone, opens=6, closes=7, days=frozenset({1}))
        return tuesday.after(self.since + self.plan.crisis.week * WEEK, 0)

    def stories(self) -> list[Story]:
        """Everything that began in these weeks, as far as it has gone."""
        told = [*self._ordinary(), *self._in_crisis(), *self._just_now()]
        return sorted(told, key=lambda each: each.opened_at)

    def _ordinary(self) -> Iterator[Story]:
        for week, count in enumerate(self.plan.arrivals):
            start = self.since + week * WEEK
            for at in moments(self.chance, self.hours, start, start + WEEK, count, outside=OUTSIDE_SHARE):
                yield self._story(at, self._topic())

    def _in_crisis(self) -> Iterator[Story]:
        crisis, since = self.plan.crisis, self.crisis_since
        if crisis is None or since is None:
            return
        ends_at = since + crisis.lasts
        for at in moments(self.chance, self.hours, since, ends_at, crisis.arrivals, outside=OUTSIDE_SHARE):
            topic = crisis.topic if self.chance.random() < CRISIS_TALK_SHARE else self._topic()
            yield self._story(at, topic)

    def _just_now(self) -> Iterator[Story]:
        """What came in so recently that it is not routed yet."""
        form = self._form()
        for place in range(self.plan.unrouted):
            at = max(self.until, self.now - (place + 1) * UNROUTED_EVERY) if place else self.now - timedelta(minutes=1)
            scene = self._scene(at - timedelta(seconds=place), self._topic(), form, is_private=True)
            yield Story(scene.topic, form, telling.tell_unrouted(scene), scene.difficulty, is_unrouted=True)

    def _story(self, at: datetime, topic: Topic) -> Story:
        account = self._account(at)
        draw = self.chance.random()
        if topic is not self._crisis_topic and draw < SPAM_SHARE:
            return self._told(at, Topic(None, 0, self.plan.voice.spam, intent=Intent.SPAM), account)
        if topic is not self._crisis_topic and draw < SPAM_SHARE + COMPLIMENT_SHARE:
            return self._told(at, Topic(None, 0, self.plan.voice.compliments, intent=Intent.COMPLIMENT), account)
        known = self._category(topic)
        avoided = known is not None and self._is_avoided(at, topic, known)
        if (known is not None and known.confidential) or (avoided and self.chance.random() < TO_THE_FORM_SHARE):
            account = self._form()
        return self._told(at, topic, account)

    def _told(self, at: datetime, topic: Topic, account: AccountPlan) -> Story:
        is_form = account.network is Network.WEBFORM
        is_direct = not is_form and self.chance.random() < account.private
        scene = self._scene(at, topic, account, is_private=is_form or is_direct)
        return Story(
            topic,
            account,
            until_now(self._steps(scene), self.now),
            scene.difficulty,
            is_private=is_direct,
            is_crisis=scene.is_crisis,
            is_spam=topic.intent is Intent.SPAM,
        )

    def _steps(self, scene: Scene) -> tuple[Step, ...]:
        if scene.topic.intent is Intent.SPAM:
            return telling.tell_spam(scene)
        if scene.topic.intent is Intent.COMPLIMENT:
            return telling.tell_compliment(scene)
        avoider = scene.avoider()
        if (
            avoider is not None
            and scene.known is not None
            and self._is_avoided(scene.at, scene.topic, scene.known)
            and scene.account.network is Network.WEBFORM
            and scene.happens(AVOIDED_SHARE)
        ):
            return telling.tell_avoided(scene, avoider)
        age = self.now - scene.at
        recent = UNCONFIRMED_BETWEEN[0] < age < UNCONFIRMED_BETWEEN[1]
        answerable = not (scene.known and scene.known.formal) and 0 < scene.account.outside < 1
        if recent and answerable and not self.has_unconfirmed:
            self.has_unconfirmed = True
            return telling.tell_unconfirmed(scene)
        return telling.tell(scene)

    def _scene(self, at: datetime, topic: Topic, account: AccountPlan, *, is_private: bool) -> Scene:
        voice = self.plan.voice
        week = min(WEEKS - 1, (at - self.since) // WEEK)
        pace = PACE_FIRST + (PACE_LAST - PACE_FIRST) * week / (WEEKS - 1)
        is_crisis = topic is self._crisis_topic
        is_vague = bool(topic.vague) and self.chance.random() < VAGUE_SHARE
        questions = topic.vague if is_vague else topic.questions
        return Scene(
            plan=self.plan,
            chance=self.chance,
            hours=self.crisis_hours if is_crisis else self.hours,
            at=at,
            topic=topic,
            account=account,
            known=self._category(topic),
            pace=pace if is_private else pace * 0.7,
            is_private=is_private,
            is_crisis=is_crisis,
            question=questions[self.chance.randrange(len(questions))],
            is_vague=is_vague,
            fill={
                "street": pick(self.chance, voice.streets),
                "number": str(self.chance.randrange(2, 240)),
                "day": pick(self.chance, voice.days),
            },
        )

    @property
    def _crisis_topic(self) -> Topic | None:
        crisis: CrisisPlan | None = self.plan.crisis
        return crisis.topic if crisis else None

    def _topic(self) -> Topic:
        return self.chance.choices(self.plan.topics, [each.weight for each in self.plan.topics])[0]

    def _account(self, at: datetime) -> AccountPlan:
        asked = [each.asked if at < self.now - each.quiet else 0.0 for each in self.plan.accounts]
        return self.chance.choices(self.plan.accounts, asked)[0]

    def _form(self) -> AccountPlan:
        return next(each for each in self.plan.accounts if each.network is Network.WEBFORM)

    def _category(self, topic: Topic) -> CategoryPlan | None:
        return self.plan.by_category[topic.category] if topic.category else None

    def _is_avoided(self, at: datetime, topic: Topic, known: CategoryPlan) -> bool:
        """Whether this is a hard question of late for somebody who leaves those where they are."""
        is_hard = (known.hard or topic.difficulty is Difficulty.HARD) and not known.formal
        people = self.plan.people_of(Role.OPERATOR, known.responsible) if known.responsible else ()
        return is_hard and at > self.now - AVOIDED_FOR and any(each.is_avoider for each in people)
