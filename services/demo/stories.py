# SPDX-License-Identifier: EUPL-1.2
"""What can happen in one exchange, as steps with instants. A story knows no rows and no state: those follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.assignments.rules import ClaimState
from services.conversations.rules import Difficulty, Intent, Outcome, ReplyPurpose
from services.deliveries.rules import DeliveryState
from services.demo.plans import AccountPlan, Topic

PUBLISHING = timedelta(seconds=2)
"""How long after its acceptance an answer is on its network."""


@dataclass(frozen=True, slots=True)
class Wrote:
    """The citizen wrote."""

    at: datetime
    text: str
    intent: Intent | None = None


@dataclass(frozen=True, slots=True)
class TookBack:
    """The citizen deleted everything they had written."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody worked on it from one instant to another. `by` is the key of a person."""

    at: datetime
    by: str
    until: datetime
    ended: ClaimState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Replied:
    """An answer was accepted; `state` is what became of its delivery."""

    at: datetime
    by: str
    purpose: ReplyPurpose
    text: str
    state: DeliveryState = DeliveryState.PUBLISHED
    follow_up: bool = False


@dataclass(frozen=True, slots=True)
class RepliedOutside:
    """Somebody answered in the network's own app."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Categorized:
    """A person said what it is about."""

    at: datetime
    by: str
    category: str


@dataclass(frozen=True, slots=True)
class Closed:
    """It was closed: by a person, or by the rule for citizens who do not come back (`by` None)."""

    at: datetime
    by: str | None
    outcome: Outcome
    text: str
    confirmed_by: str | None = None


Step = Wrote | TookBack | Held | Replied | RepliedOutside | Categorized | Closed


@dataclass(frozen=True, slots=True)
class Story:
    """One exchange. `steps` are in order of their instants, the first one is the citizen's."""

    topic: Topic
    account: AccountPlan
    steps: tuple[Step, ...]
    difficulty: Difficulty = Difficulty.NORMAL
    is_private: bool = False
    is_crisis: bool = False
    is_spam: bool = False
    is_unrouted: bool = False

    @property
    def opened_at(self) -> datetime:
        return self.steps[0].at


def until_now(steps: Sequence[Step], now: datetime) -> tuple[Step, ...]:
    """The steps that are over by now. With the first one that is not, everything behind it is still to come."""
    over: list[Step] = []
    for step in sorted(steps, key=lambda each: each.at):
        if _end(step) > now:
            break
        over.append(step)
    return tuple(over)


def _end(step: Step) -> datetime:
    if isinstance(step, Held):
        return step.until
    return step.at + PUBLISHING if isinstance(step, Replied) else step.at
