# SPDX-License-Identifier: EUPL-1.2
"""Which organizations a data set has, as plain values: a hundred towns that do not exist, one of them very large.

Each has the departments, accounts, topics and routing rules of the demo's Molendam, and people of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from services.demo.organizations import MOLENDAM
from services.demo.plans import AccountPlan, OrganizationPlan, PersonPlan
from services.kernel.access import Role

CONVERSATIONS = 405_000
"""Conversations of a data set of scale 1; with 3 messages each and the own posts above 1,200,000 messages."""

ORGANIZATIONS = 100
SKEW = 1.15
"""The k-th organization has a share of 1 / k ** SKEW: the largest has a quarter of everything."""

CONVERSATIONS_MIN = 3
MEMBERS_MIN, MEMBERS_MAX = 14, 120
CONVERSATIONS_PER_MEMBER = 800

FIRST_SYLLABLES = ("Ostel", "Varn", "Quill", "Drem", "Hask", "Lorn", "Pellu", "Sark", "Tivel", "Wenn")
LAST_SYLLABLES = ("mere", "wick", "moor", "stede", "gard", "holm", "sluis", "brink", "laar", "voorde")

ROLES = (Role.COORDINATOR, Role.MANAGER, Role.ADMIN, Role.EXPERT, Role.VIEWER)
"""What the first five people of an organization are, for all of it; the others are operators of one department."""


@dataclass(frozen=True, slots=True)
class TownPlan:
    """One organization of a data set. `first` conversations stand before its own, over all organizations."""

    place: int
    tenant_id: UUID
    organization: OrganizationPlan
    conversations: int
    first: int

    @property
    def slug(self) -> str:
        return self.organization.slug


def towns(scale: float, seed: int) -> list[TownPlan]:
    """The organizations of a data set, the largest first."""
    shares = [place**-SKEW for place in range(1, ORGANIZATIONS + 1)]
    planned: list[TownPlan] = []
    first = 0
    for place, share in enumerate(shares, start=1):
        conversations = max(CONVERSATIONS_MIN, round(CONVERSATIONS * scale * share / sum(shares)))
        planned.append(
            TownPlan(place, _tenant_id(seed, place), _organization(place, conversations), conversations, first)
        )
        first += conversations
    return planned


def _tenant_id(seed: int, place: int) -> UUID:
    """The same in every run, in the shape of a UUIDv7."""
    return UUID(f"019a0000-{place:04x}-7000-8000-{seed % 2**48:012x}")


def _organization(place: int, conversations: int) -> OrganizationPlan:
    name = f"{FIRST_SYLLABLES[(place - 1) // 10]}{LAST_SYLLABLES[(place - 1) % 10]}"
    slug = f"{name.lower()}-{place:03}"
    return replace(
        MOLENDAM,
        slug=slug,
        name=f"Gemeente {name}",
        people=tuple(_people(conversations)),
        accounts=tuple(_account(each, name) for each in MOLENDAM.accounts),
        rules=tuple(
            replace(each, account=_handle(each.account, name) if each.account else None) for each in MOLENDAM.rules
        ),
    )


def _people(conversations: int) -> Iterator[PersonPlan]:
    count = min(max(conversations // CONVERSATIONS_PER_MEMBER, MEMBERS_MIN), MEMBERS_MAX)
    codes = [each.code for each in MOLENDAM.departments]
    given, family = MOLENDAM.voice.given_names, MOLENDAM.voice.family_names
    for number in range(count):
        name = f"{given[number % len(given)]} {family[number * 7 % len(family)]}"
        role = ROLES[number] if number < len(ROLES) else Role.OPERATOR
        department = None if number < len(ROLES) else codes[number % len(codes)]
        yield PersonPlan(f"colleague.{number + 1}", name, ((role, department),))


def _account(account: AccountPlan, name: str) -> AccountPlan:
    """The account of another town; its deputy is nobody in particular."""
    return replace(
        account,
        handle=_handle(account.handle, name),
        display_name=account.display_name.replace("Molendam", name),
        server_host=account.server_host.replace("molendam", name.lower()),
        deputy=None,
    )


def _handle(handle: str, name: str) -> str:
    return handle.replace("molendam", name.lower()).replace("Molendam", name)
