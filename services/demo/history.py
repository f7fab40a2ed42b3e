# SPDX-License-Identifier: EUPL-1.2
"""Eight weeks of an organization that does not exist, ending now: exchanges, own posts, and what is still open."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.conversations.commands import NO_RESPONSE
from services.conversations.models import Contact
from services.conversations.rules import ChannelKind, ConversationState
from services.demo import remote
from services.demo.arrivals import Arrivals
from services.demo.exchange import NO_RESPONSE_DAYS, Exchange
from services.demo.foundation import Ground
from services.demo.ledger import Ledger, Row
from services.demo.own_posts import OwnPosts
from services.demo.places import Place, Thread
from services.demo.plans import AccountPlan, OrganizationPlan
from services.demo.remote import Citizen
from services.demo.stories import Story
from services.kernel import identifiers, jobs
from services.kernel.database import UnitOfWork
from services.social_accounts.rules import Network

KNOWN_CITIZEN_SHARE = 0.2
COMMENT_SHARE = 0.6
REOPEN_WINDOW = timedelta(days=14)


@dataclass(slots=True)
class _Known:
    """A citizen who has written before, and where their last private exchange ended."""

    citizen: Citizen
    row: Row
    private: Exchange | None = None


@dataclass(slots=True)
class History:
    """Everything that happened in one organization until `now`."""

    ground: Ground
    plan: OrganizationPlan
    chance: random.Random
    now: datetime
    ledger: Ledger = field(default_factory=Ledger)
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    known: dict[str, list[_Known]] = field(default_factory=dict[str, list[_Known]])
    taken: set[tuple[str, UUID]] = field(default_factory=set[tuple[str, UUID]])

    def tell(self) -> None:
        """Make all rows."""
        arrivals = Arrivals(self.plan, self.chance, self.now)
        posts = OwnPosts(self.ground, self.plan, self.ledger, self.chance, arrivals)
        posts.welcome()
        for story in arrivals.stories():
            self._play(story, posts)
        posts.speak_in_crisis()
        posts.fill_up([at for each in self.exchanges for at in each.answered_at])

    async def write(self, uow: UnitOfWork) -> None:
        """Insert all rows, and have unanswered questions of ours looked at when their time is up."""
        await self.ledger.write(uow)
        for each in self.exchanges:
            if each.state is ConversationState.WAITING_ON_CITIZEN and each.asked_back_at is not None:
                due_at = each.asked_back_at + timedelta(days=NO_RESPONSE_DAYS)
                await jobs.schedule(uow, NO_RESPONSE, each.place.id, due_at=due_at)

    def _play(self, story: Story, posts: OwnPosts) -> None:
        account, submission = story.account, remote.submission_id(self.chance)
        known = self._citizen(story, submission)
        thread = self._thread(story, known, submission, posts)
        self.taken.add((thread.key, thread.contact_id))
        place = Place(self.ground, self.plan, self.ledger, self.chance, account, thread, identifiers.new())
        exchange = Exchange(place, story)
        exchange.play()
        self.exchanges.append(exchange)
        if story.is_private:
            known.private = exchange
        if exchange.citizens:
            known.row["seen_at"] = max(known.row["seen_at"], exchange.citizens[-1]["occurred_at"])

    def _citizen(self, story: Story, submission: str) -> _Known:
        """Somebody who wrote to this account before, or somebody new. On a form everybody is new."""
        account = story.account
        earlier = self.known.setdefault(account.handle, [])
        if account.network is not Network.WEBFORM and earlier and self.chance.random() < KNOWN_CITIZEN_SHARE:
            familiar = earlier[self.chance.randrange(len(earlier))]
            if _may_return(familiar, story):
                return familiar
        citizen = remote.citizen(self.chance, account, self.plan.voice, submission)
        row = self.ledger.add(
            Contact,
            {
                "tenant_id": self.ground.tenant_id,
                "id": identifiers.new(),
                "created_at": story.opened_at,
                "version": 1,
                "network": account.network,
                "server_host": account.server_host,
                "external_id": citizen.external_id,
                "handle": citizen.handle,
                "display_name": citizen.display_name,
                "email": citizen.email,
                "seen_at": story.opened_at,
                "opted_out": False,
                "blocked": story.is_spam and account.network is not Network.WEBFORM,
            },
        )
        known = _Known(citizen, row)
        if not story.is_spam:
            earlier.append(known)
        return known

    def _thread(self, story: Story, known: _Known, submission: str, posts: OwnPosts) -> Thread:
        account, contact_id = story.account, known.row["id"]
        if account.network is Network.WEBFORM:
            return Thread(contact_id, known.citizen, ChannelKind.FORM, submission, submission, submission)
        first_id = remote.post_id(self.chance, account, known.citizen.external_id)
        if story.is_private:
            key = f"t_{known.citizen.external_id}"
            before = known.private
            return Thread(
                contact_id,
                known.citizen,
                ChannelKind.DIRECT,
                key,
                first_id,
                key,
                episode=before.place.thread.episode + 1 if before else 1,
                previous_id=before.place.id if before else None,
            )
        root_id = self._commented_post(account, story, contact_id, posts)
        key = root_id or first_id
        return Thread(contact_id, known.citizen, ChannelKind.PUBLIC, key, first_id, key, parent_id=root_id)

    def _commented_post(self, account: AccountPlan, story: Story, contact_id: UUID, posts: OwnPosts) -> str | None:
        """Which post of ours a citizen commented on; None for a post of their own or a second thread under ours."""
        if account.network is not Network.FACEBOOK or self.chance.random() >= COMMENT_SHARE:
            return None
        root_id = posts.commented(account, story.opened_at)
        return None if root_id is None or (root_id, contact_id) in self.taken else root_id


def _may_return(known: _Known, story: Story) -> bool:
    """A new private exchange begins only when the former one can no longer be reopened."""
    if not story.is_private or known.private is None:
        return True
    closed_at = known.private.closed_at
    return closed_at is not None and closed_at + REOPEN_WINDOW < story.opened_at
