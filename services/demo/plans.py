# SPDX-License-Identifier: EUPL-1.2
"""What an organization of the demo consists of, as plain data: who it is, who works there, and what is said."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from services.conversations.rules import Difficulty, Intent, Outcome
from services.kernel.access import Role
from services.social_accounts.rules import Network, Purpose

HISTORY = timedelta(weeks=8)
WEEKS = HISTORY // timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class DepartmentPlan:
    """`above` is the code of the department above."""

    code: str
    name: str
    above: str | None = None
    is_coordination_desk: bool = False
    can_direct: bool = False


@dataclass(frozen=True, slots=True)
class PersonPlan:
    """Somebody who works there. `key` is the part of the e-mail address before the @.

    `roles` pairs a role with the code of a department, or with None for the whole organization. An avoider answers
    the easy questions and leaves the hard ones where they are.
    """

    key: str
    name: str
    roles: tuple[tuple[Role, str | None], ...]
    is_avoider: bool = False


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """One account. `asked` and `posts` weigh how often citizens write to it and how often it speaks by itself.

    `private` is the share of what citizens write to it that only they and the organization can read; `outside` the
    share of answers that were written in the network's own app. For the last `quiet` part of the history nothing
    happened on it.
    """

    network: Network
    handle: str
    display_name: str
    department: str
    purpose: Purpose
    server_host: str = ""
    deputy: str | None = None
    audiences: tuple[str, ...] = ()
    asked: float = 0.0
    posts: float = 0.0
    private: float = 0.0
    outside: float = 0.0
    quiet: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class CategoryPlan:
    """A topic of the tree. `responsible` None is a listed gap; `directing` is set on its conversations."""

    name: str
    responsible: str | None
    above: str | None = None
    viewers: tuple[str, ...] = ()
    directing: str | None = None
    formal: bool = False
    confidential: bool = False
    hard: bool = False
    e_service_url: str | None = None


@dataclass(frozen=True, slots=True)
class RulePlan:
    """One line of the routing table; `account` is the handle of the only account it is for."""

    category: str
    keywords: tuple[str, ...]
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a citizen asks, the answer to it, and where it makes sense what we ask back and are told then.

    Texts may hold {street}, {number} and {day}, the same ones throughout an exchange.
    """

    text: str
    answer: str = ""
    ask_back: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """What citizens ask about one category. `category` None: nothing that a rule knows.

    `vague` questions hold no keyword, so a person has to sort them. The answers of a formal category are referrals.
    """

    category: str | None
    weight: float
    questions: tuple[Question, ...]
    vague: tuple[Question, ...] = ()
    difficulty: Difficulty = Difficulty.NORMAL
    intent: Intent = Intent.QUESTION


@dataclass(frozen=True, slots=True)
class Voice:
    """What is said whatever the topic, in one language."""

    acknowledgements: tuple[str, ...]
    referrals: tuple[str, ...]
    thanks: tuple[str, ...]
    again: tuple[Question, ...]
    additions: tuple[str, ...]
    compliments: tuple[Question, ...]
    spam: tuple[Question, ...]
    closings: Mapping[Outcome, tuple[str, ...]]
    takeover_reason: str
    first_post: str
    posts: tuple[str, ...]
    offers: tuple[str, ...]
    streets: tuple[str, ...]
    days: tuple[str, ...]
    given_names: tuple[str, ...]
    family_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CrisisPlan:
    """Two days in which far more comes in, about one topic. It begins on the first Tuesday morning of its week."""

    topic: Topic
    arrivals: int
    week: int
    posts: tuple[str, ...]
    lasts: timedelta = timedelta(days=2)


@dataclass(frozen=True)
class OrganizationPlan:
    """One organization of the demo. `arrivals` is how many exchanges begin in each of the eight weeks."""

    slug: str
    name: str
    region: str
    locale: str
    zone: str
    departments: tuple[DepartmentPlan, ...]
    people: tuple[PersonPlan, ...]
    accounts: tuple[AccountPlan, ...]
    categories: tuple[CategoryPlan, ...]
    rules: tuple[RulePlan, ...]
    topics: tuple[Topic, ...]
    voice: Voice
    arrivals: tuple[int, ...]
    unrouted: int
    crisis: CrisisPlan | None = None

    @cached_property
    def desk(self) -> str:
        """The code of the coordination desk."""
        return next(each.code for each in self.departments if each.is_coordination_desk)

    @cached_property
    def by_category(self) -> Mapping[str, CategoryPlan]:
        return {each.name: each for each in self.categories}

    @cached_property
    def above(self) -> Mapping[str, str | None]:
        """The department above each one."""
        return {each.code: each.above for each in self.departments}

    def people_of(self, role: Role, department: str | None) -> tuple[PersonPlan, ...]:
        """Who has a role for the whole organization (None), or in a department or one above it."""
        line: list[str | None] = []
        while department is not None and department not in line:
            line.append(department)
            department = self.above[department]
        wanted = {(role, code) for code in line or [None]}
        return tuple(each for each in self.people if wanted & set(each.roles))
