# SPDX-License-Identifier: EUPL-1.2
"""What the tables must hold after a world was taken in, told from the world itself: plain, slow, and in one pass.

Nothing here is taken from the code under test but the words of its closed sets. The same shapes are read from the
database by `tests.services.conversations.standing`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.services.conversations.world import ACCOUNTS, FORM, HARBOR, SPRING, Fact, Thing, World

PREFERENCE = [HARBOR, SPRING, FORM]
"""The account for service first, then the oldest."""

ROUTES: list[tuple[str, str | None, str, str]] = [
    ("street lamp", None, "Lights", "LIGHTS"),
    ("harbor", SPRING, "Harbor by way of Spring", "ROADS"),
    ("bin", None, "Waste", "ROADS"),
    ("pool", HARBOR, "Pool by way of Harbor", "PEOPLE"),
]
"""(keyword, the only account it is for, category, department), in order."""


@dataclass(frozen=True)
class Standing:
    """Contacts, conversations, messages and segments by their names in the world."""

    contacts: Mapping[str, tuple[Any, ...]]
    conversations: Mapping[tuple[str, str, int], tuple[Any, ...]]
    messages: Mapping[str, tuple[Any, ...]]
    segments: Mapping[str, tuple[Any, ...]]


@dataclass
class Place:
    """A conversation as the oracle builds it."""

    key: tuple[str, str]
    citizens: list[Thing]
    ours: list[Thing]


def expected(world: World, facts: Iterable[Fact] | None = None) -> Standing:
    """The state after these facts of the world, in whatever order they came."""
    known: dict[str, list[Fact]] = {}
    for fact in world.facts if facts is None else facts:
        if fact.kind != "LIKE":
            known.setdefault(fact.thing.id, []).append(fact)
    things = [thing for thing in world.things if thing.id in known]
    places = _places(things, known)
    where = {thing.id: place for place in places.values() for thing in (*place.citizens, *place.ours)}
    messages = {thing.id: _message(thing, known[thing.id], where.get(thing.id)) for thing in things}
    conversations: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    segments: dict[str, tuple[Any, ...]] = {}
    for place in places.values():
        conversations[*place.key, 1] = _conversation(place, known)
        segments.update(_segments(place, known))
    return Standing(_contacts(things, known), conversations, messages, segments)


def is_created(facts: list[Fact]) -> bool:
    return any(fact.kind != "DELETE" for fact in facts)


def account_of(thing: Thing, facts: list[Fact]) -> str:
    """Our own item is its writer's; another's belongs to the preferred one of the accounts that saw it."""
    own = [handle for handle, did in ACCOUNTS.items() if did == thing.author and is_created(facts)]
    return own[0] if own else min({fact.account for fact in facts}, key=PREFERENCE.index)


def words_of(facts: list[Fact]) -> tuple[str, str, datetime | None, datetime | None]:
    """(text, version, deleted at, edited at): the words seen last, none when it was deleted."""
    last = max(facts, key=lambda fact: fact.observed)
    deleted = min((fact.observed for fact in facts if fact.kind == "DELETE"), default=None)
    first = min(facts, key=lambda fact: (fact.kind == "DELETE", fact.observed))
    changed = any(fact.kind == "EDIT" for fact in facts) or first.version.tag != last.version.tag
    edited = last.observed if changed and deleted is None else None
    return "" if deleted else last.version.text, last.version.tag, deleted, edited


def kind_of(thing: Thing, facts: list[Fact]) -> str | None:
    """How our own item counts."""
    if thing.is_repost:
        return "RESHARE"
    if thing.parent is None:
        return "STARTER"
    # An account knows its own items only: what goes on under them is no answer.
    return None if thing.parent.author in {ACCOUNTS[fact.account] for fact in facts} else "REPLY"


def _places(things: list[Thing], known: Mapping[str, list[Fact]]) -> dict[tuple[str, str], Place]:
    places: dict[tuple[str, str], Place] = {}
    where: dict[str, Place] = {}
    for thing in things:
        if not thing.is_own and is_created(known[thing.id]):
            place = places.setdefault((thing.root, thing.author), Place((thing.root, thing.author), [], []))
            place.citizens.append(thing)
            where[thing.id] = place
    # A parent is older in the list than what hangs under it.
    for thing in things:
        if thing.is_own and not thing.is_repost and is_created(known[thing.id]) and thing.parent is not None:
            above = where.get(thing.parent.id)
            if above is not None:
                above.ours.append(thing)
                where[thing.id] = above
    return places


def _message(thing: Thing, facts: list[Fact], place: Place | None) -> tuple[Any, ...]:
    text, version, deleted, edited = words_of(facts)
    created = is_created(facts)
    own = thing.is_own and created
    kind = kind_of(thing, facts) if own else None
    return (
        "OUTBOUND" if own else "INBOUND",
        text,
        version,
        deleted,
        edited,
        place.key if place else None,
        account_of(thing, facts),
        thing.author if created and not own else None,
        thing.at if created else min(fact.observed for fact in facts),
        kind,
        thing.at if own else None,
        "ANSWER" if kind == "REPLY" else None,
    )


def _contacts(things: list[Thing], known: Mapping[str, list[Fact]]) -> dict[str, tuple[Any, ...]]:
    newest: dict[str, Fact] = {}
    for thing in things:
        for fact in known[thing.id]:
            if not thing.is_own and fact.kind != "DELETE":
                current = newest.get(thing.author)
                if current is None or fact.observed > current.observed:
                    newest[thing.author] = fact
    return {
        author: (
            None if fact.thing.is_form else f"{author[8:]}.test",
            fact.name,
            f"{author[-4:]}@home.example" if fact.thing.is_form else None,
        )
        for author, fact in newest.items()
    }


def _conversation(place: Place, known: Mapping[str, list[Fact]]) -> tuple[Any, ...]:
    citizens = sorted(place.citizens, key=lambda thing: (thing.at, thing.id))
    account = min((account_of(thing, known[thing.id]) for thing in citizens), key=PREFERENCE.index)
    text = words_of(known[citizens[0].id])[0]
    category, department = None, "DESK"
    for keyword, only, name, code in ROUTES:
        if only in (None, account) and f" {keyword} " in f" {text} ":
            category, department = name, code
            break
    last = max(thing.at for thing in (*place.citizens, *place.ours))
    return account, citizens[0].at, last, "OPEN", department, category


def _segments(place: Place, known: Mapping[str, list[Fact]]) -> dict[str, tuple[Any, ...]]:
    moments: list[tuple[datetime, int, str, Thing]] = []
    for thing in place.citizens:
        moments.append((thing.at, 0, thing.id, thing))
        deleted = words_of(known[thing.id])[2]
        if deleted is not None:
            moments.append((max(deleted, thing.at), 1, thing.id, thing))
    for thing in place.ours:
        if kind_of(thing, known[thing.id]) == "REPLY":
            moments.append((thing.at, 2, thing.id, thing))
    found: dict[str, tuple[Any, ...]] = {}
    opener: Thing | None = None
    waiting: set[str] = set()
    for at, rank, _, thing in sorted(moments, key=lambda moment: moment[:3]):
        outcome = None
        if rank == 0:
            if opener is None:
                opener, waiting = thing, set()
                found[thing.id] = (place.key, thing.at, None, None, None, None, len(found) == 0)
            waiting.add(thing.id)
        elif opener is not None and rank == 1 and thing.id in waiting:
            waiting.discard(thing.id)
            outcome = None if waiting else "WITHDRAWN"
        elif opener is not None and rank == 2:
            outcome = "ANSWERED"
        if outcome is not None and opener is not None:
            seconds = int((at - opener.at).total_seconds())
            first = found[opener.id][-1]
            found[opener.id] = (place.key, opener.at, at, outcome, thing.id, seconds, first)
            opener = None
    return found
