# SPDX-License-Identifier: EUPL-1.2
"""What an organization posts by itself. How much follows from how much it answers: the megaphone grows quieter."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.conversations.models import Message
from services.conversations.rules import AuthorKind, Direction, Visibility
from services.demo import remote
from services.demo.arrivals import WEEK, Arrivals
from services.demo.foundation import Ground
from services.demo.hours import moments, pick
from services.demo.ledger import Ledger
from services.demo.plans import WEEKS, AccountPlan, OrganizationPlan
from services.kernel import identifiers
from services.social_accounts.rules import Network, OutboundKind, Purpose

STARTER_SHARE_FIRST, STARTER_SHARE_LAST = 0.73, 0.50
RESHARE_SHARE = 0.06
PROACTIVE_SHARE = 0.02
POSTED_IN_THE_EVENING_SHARE = 0.2
COMMENTED_AFTER = timedelta(minutes=20), timedelta(hours=30)
POST_AGAIN_AFTER = timedelta(days=3)
COUNTED_FOR = timedelta(days=30)


@dataclass(slots=True)
class OwnPosts:
    """The posts of one organization: first those that citizens commented on, then as many as the shares need."""

    ground: Ground
    plan: OrganizationPlan
    ledger: Ledger
    chance: random.Random
    arrivals: Arrivals
    newest: dict[str, tuple[datetime, str]] = field(default_factory=dict[str, tuple[datetime, str]])
    starters: list[int] = field(default_factory=lambda: [0] * WEEKS)

    def welcome(self) -> None:
        """The first post of each account that posts: it says that all of this is invented."""
        for place, account in enumerate(each for each in self.plan.accounts if each.posts):
            at = self.arrivals.since + timedelta(minutes=place + 1)
            text = self.plan.voice.first_post.format(account=account.display_name)
            self._start(account, at, text)

    def commented(self, account: AccountPlan, at: datetime) -> str | None:
        """The id of the post under which a citizen commented at an instant; None where the account never posts."""
        known = self.newest.get(account.handle)
        if known is not None and timedelta() < at - known[0] < POST_AGAIN_AFTER:
            return known[1]
        earliest, latest = COMMENTED_AFTER
        posted_at = at - timedelta(seconds=self.chance.uniform(earliest.total_seconds(), latest.total_seconds()) // 1)
        if not account.posts or posted_at <= self.arrivals.since + timedelta(hours=1):
            return None
        return self._start(account, posted_at, self._text(self.plan.voice.posts))

    def speak_in_crisis(self) -> None:
        """What the account for crises says, which is silent at all other times."""
        crisis, since = self.plan.crisis, self.arrivals.crisis_since
        account = next((each for each in self.plan.accounts if each.purpose is Purpose.CRISIS_ONLY), None)
        if crisis is None or since is None or account is None:
            return
        step = crisis.lasts / len(crisis.posts)
        for place, text in enumerate(crisis.posts):
            self._start(account, since + place * step + timedelta(minutes=11), text)

    def fill_up(self, answered_at: Sequence[datetime]) -> None:
        """Post as much in each week as makes the share of starters fall from 73 to 50 percent of what was said."""
        for week in range(WEEKS):
            start = self.arrivals.since + week * WEEK
            answers = sum(1 for each in answered_at if self._week(each) == week)
            share = STARTER_SHARE_FIRST + (STARTER_SHARE_LAST - STARTER_SHARE_FIRST) * week / (WEEKS - 1)
            total = answers / (1 - share - RESHARE_SHARE - PROACTIVE_SHARE)
            for at in self._moments(start, max(0, round(total * share) - self.starters[week])):
                self._start(self._account(at), at, self._text(self.plan.voice.posts))
            for at in self._moments(start, round(total * RESHARE_SHARE)):
                self._pass_on(self._account(at), at)
            for at in self._moments(start, max(1, round(total * PROACTIVE_SHARE))):
                self._offer(self._account(at), at)

    def _moments(self, start: datetime, count: int) -> list[datetime]:
        until = start + WEEK
        hours = self.arrivals.hours
        return moments(self.chance, hours, start, until, count, outside=POSTED_IN_THE_EVENING_SHARE)

    def _week(self, at: datetime) -> int:
        return min(WEEKS - 1, (at - self.arrivals.since) // WEEK)

    def _account(self, at: datetime) -> AccountPlan:
        posts = [each.posts if at < self.arrivals.now - each.quiet else 0.0 for each in self.plan.accounts]
        return self.chance.choices(self.plan.accounts, posts)[0]

    def _text(self, options: Sequence[str]) -> str:
        voice = self.plan.voice
        fill = {"street": pick(self.chance, voice.streets), "day": pick(self.chance, voice.days)}
        filled = pick(self.chance, options).format_map(fill)
        return filled[:1].upper() + filled[1:]

    def _start(self, account: AccountPlan, at: datetime, text: str) -> str:
        external_id = remote.post_id(self.chance, account, remote.own_id(account))
        counts = self._counts(account, at)
        self._add(account, at, text, OutboundKind.STARTER, external_id, root=external_id, parent=None, counts=counts)
        self.starters[self._week(at)] += 1
        if account.handle not in self.newest or self.newest[account.handle][0] < at:
            self.newest[account.handle] = at, external_id
        return external_id

    def _pass_on(self, account: AccountPlan, at: datetime) -> None:
        external_id = remote.post_id(self.chance, account, remote.own_id(account))
        parent = self._someone_elses(account)
        self._add(account, at, "", OutboundKind.RESHARE, external_id, root=parent, parent=parent, counts={})

    def _offer(self, account: AccountPlan, at: datetime) -> None:
        external_id = remote.post_id(self.chance, account, remote.own_id(account))
        parent, text = self._someone_elses(account), self._text(self.plan.voice.offers)
        self._add(account, at, text, OutboundKind.PROACTIVE, external_id, root=parent, parent=parent, counts={})

    def _someone_elses(self, account: AccountPlan) -> str:
        writer = remote.citizen(self.chance, account, self.plan.voice, "")
        return remote.post_id(self.chance, account, writer.external_id)

    def _counts(self, account: AccountPlan, at: datetime) -> dict[str, Any]:
        if account.network is Network.X:
            return {}
        likes = round(self.chance.lognormvariate(2.3, 0.9))
        return {
            "like_count": likes,
            "repost_count": likes // 5,
            "reply_count": likes // 8,
            "quote_count": likes // 30,
            "counted_at": min(self.arrivals.now, at + COUNTED_FOR),
        }

    def _add(
        self,
        account: AccountPlan,
        at: datetime,
        text: str,
        kind: OutboundKind,
        external_id: str,
        *,
        root: str,
        parent: str | None,
        counts: Mapping[str, Any],
    ) -> None:
        self.ledger.add(
            Message,
            {
                "tenant_id": self.ground.tenant_id,
                "id": identifiers.new(),
                "created_at": at,
                "version": 1,
                "social_account_id": self.ground.accounts[account.handle],
                "network": account.network,
                "server_host": account.server_host,
                "external_id": external_id,
                "version_tag": remote.version(account),
                "root_external_id": root,
                "parent_external_id": parent,
                "direction": Direction.OUTBOUND,
                "visibility": Visibility.PUBLIC,
                "author_kind": AuthorKind.EXTERNAL,
                "language": self.plan.locale,
                "text": text,
                "text_at": at,
                "occurred_at": at,
                "published_at": at,
                "permalink": remote.permalink(account, external_id),
                "outbound_kind": kind,
                **counts,
            },
        )
