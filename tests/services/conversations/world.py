# SPDX-License-Identifier: EUPL-1.2
"""A small invented world of citizens and two accounts of one town, and what the networks tell of it, as raw events.

Everything follows from one seed. A `Fact` is one observation by one account; its raw event is what the product's door
receives. Repeats of a fact are the same bytes, as a network that sends again sends the same.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson

from services.social_accounts.networks.interface import RawEvent
from services.social_accounts.networks.webform import SUBMISSION_KIND, SUBMISSION_VERSION

SPRING, HARBOR, FORM = "spring", "harbor", "form"
"""Handles of the town's accounts: SPRING is the older one, HARBOR the one for service, FORM the contact form."""

ACCOUNTS = {SPRING: "did:plc:spring", HARBOR: "did:plc:harbor"}
OWNERS = {did: handle for handle, did in ACCOUNTS.items()}
CITIZENS = [f"did:plc:citizen{number}" for number in range(6)]
START = datetime(2026, 10, 5, 9, tzinfo=UTC)
WORDS = ["the", "street", "lamp", "is", "broken", "bin", "day", "harbor", "when", "thanks", "pool", "opens"]
REPOST_REASON = "app.bsky.feed.defs#reasonRepost"


@dataclass(frozen=True)
class Version:
    """One form of an item's words, from `at` on."""

    tag: str
    text: str
    language: str
    at: datetime


@dataclass
class Thing:
    """One item of the world. `parent` is what it answers, or what it passes on when it is a repost."""

    id: str
    author: str
    at: datetime
    versions: list[Version]
    parent: "Thing | None" = None
    is_repost: bool = False
    thread: str | None = None
    facts: "list[Fact]" = field(default_factory=list)

    @property
    def is_own(self) -> bool:
        return self.author in OWNERS

    @property
    def is_form(self) -> bool:
        return self.thread is not None

    @property
    def root(self) -> str:
        """The item that began the thread."""
        if self.thread is not None:
            return self.thread
        top = self
        while top.parent is not None:
            top = top.parent
        return top.id


@dataclass(frozen=True)
class Fact:
    """What one account saw of one item at one instant. `kind`: CREATE, EDIT (a second look), DELETE, or a LIKE."""

    account: str
    kind: str
    thing: Thing = field(compare=False, repr=False)
    version: Version
    observed: datetime
    name: str
    raw: RawEvent = field(compare=False, repr=False)


@dataclass
class World:
    things: list[Thing]
    facts: list[Fact]

    def deliveries(self, chance: Random, *, most: int) -> list[Fact]:
        """Every fact 1 to `most` times, in any order."""
        many = [fact for fact in self.facts for _ in range(chance.randint(1, most))]
        chance.shuffle(many)
        return many


class Maker:
    """Makes a world by chance. Instants of observation are all different; instants of writing often are not."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.things: list[Thing] = []
        self.facts: list[Fact] = []
        self.threads: list[Thing] = []
        self.ticks = 0

    def make(self, events: int) -> World:
        """At least so many facts."""
        while len(self.facts) < events:
            self._one()
        return World(self.things, self.facts)

    def _one(self) -> None:
        kind = self.chance.choices(
            ["post", "comment", "own post", "own reply", "repost", "form", "gone"], [5, 5, 2, 5, 1, 3, 1]
        )[0]
        posts = [each for each in self.things[-40:] if not each.is_form and not each.is_repost]
        if kind == "form":
            self._form()
        elif kind in ("comment", "own reply", "repost") and posts:
            self._below(kind, self.chance.choice(posts))
        elif kind == "own post":
            own = self.chance.choice([*ACCOUNTS])
            self._observed(self._thing(ACCOUNTS[own]), {own, *self._some(0.2)})
        elif kind == "gone":
            thing = self._thing(self.chance.choice(CITIZENS))
            self._deleted(thing, self.chance.choice([*ACCOUNTS]))
        else:
            self._observed(self._thing(self.chance.choice(CITIZENS)), self._some(0.5) or {SPRING})

    def _below(self, kind: str, parent: Thing) -> None:
        own = self.chance.choice([*ACCOUNTS])
        if kind == "comment":
            thing = self._thing(self.chance.choice(CITIZENS), parent)
            self._observed(thing, self._some(0.5) or {HARBOR})
        elif kind == "own reply":
            self._observed(self._thing(ACCOUNTS[own], parent), {own, *self._some(0.2)})
        else:
            thing = self._thing(ACCOUNTS[own], parent, is_repost=True)
            self._see(thing, own, "CREATE", thing.versions[0])

    def _some(self, share: float) -> set[str]:
        return {handle for handle in ACCOUNTS if self.chance.random() < share}

    def _minutes(self, most: int) -> timedelta:
        return timedelta(minutes=self.chance.randint(0, most))

    def _text(self) -> str:
        return " ".join(self.chance.choices(WORDS, k=self.chance.randint(1, 7)))

    def _thing(self, author: str, parent: Thing | None = None, *, is_repost: bool = False) -> Thing:
        at = (parent.at if parent else START) + self._minutes(90)
        number = f"{len(self.things):06d}"
        # Ids in another order than the things were made: nothing may rest on it.
        mark = f"{self.chance.randrange(1000):03d}{number}"
        collection = "app.bsky.feed.repost" if is_repost else "app.bsky.feed.post"
        first = Version(f"v1-{number}", "" if is_repost else self._text(), self.chance.choice(["nl", "fr"]), at)
        thing = Thing(f"at://{author}/{collection}/{mark}", author, at, [first], parent, is_repost)
        while not is_repost and self.chance.random() < 0.2:
            last = thing.versions[-1]
            tag = f"v{len(thing.versions) + 1}-{number}"
            thing.versions.append(
                Version(tag, self._text(), self.chance.choice(["nl", "fr"]), last.at + timedelta(hours=1))
            )
        self.things.append(thing)
        return thing

    def _observed(self, thing: Thing, handles: set[str]) -> None:
        for handle in sorted(handles):
            seen = [each for each in thing.versions if self.chance.random() < 0.7] or [thing.versions[-1]]
            for place, version in enumerate(seen):
                self._see(thing, handle, "EDIT" if place else "CREATE", version)
            if not thing.is_own and self.chance.random() < 0.2:
                self._liked(thing, handle)
        if self.chance.random() < 0.15:
            self._deleted(thing, self.chance.choice(sorted(handles)))

    def _tick(self) -> timedelta:
        self.ticks += 1
        return timedelta(microseconds=self.ticks)

    def _see(self, thing: Thing, handle: str, kind: str, version: Version) -> None:
        observed = version.at + self._minutes(30) + self._tick()
        # Who writes changes the name now and then; what was seen last is the name.
        name = f"{thing.author[8:]} {observed:%d-%H}"
        previous = thing.versions[thing.versions.index(version) - 1].tag if kind == "EDIT" else None
        raw = seen_event(thing, handle, version, observed, name, previous)
        self._add(Fact(handle, kind, thing, version, observed, name, raw))

    def _deleted(self, thing: Thing, handle: str) -> None:
        version = thing.versions[-1]
        observed = version.at + timedelta(minutes=31) + self._minutes(200) + self._tick()
        raw = deletion_event(thing, handle, version, observed)
        self._add(Fact(handle, "DELETE", thing, version, observed, "", raw))

    def _liked(self, thing: Thing, handle: str) -> None:
        observed = thing.at + self._tick()
        like = f"at://{CITIZENS[0]}/app.bsky.feed.like/{self.ticks}"
        item = {"uri": like, "cid": "like", "reason": "like", "record": {"subject": {"uri": thing.id}}}
        raw = RawEvent(handle, "like", like, "like", observed, _envelope(handle, "notification", observed, item))
        self.facts.append(Fact(handle, "LIKE", thing, thing.versions[0], observed, "", raw))

    def _form(self) -> None:
        first = self.chance.choice(self.threads) if self.threads and self.chance.random() < 0.4 else None
        number = f"{len(self.things):08d}"
        own_id = f"00000000-0000-7000-8000-0000{number}"
        thread = first.id if first else own_id
        at = (first.at if first else START) + self._minutes(300)
        version = Version(SUBMISSION_VERSION, self._text(), "nl", at)
        thing = Thing(f"{thread}.{own_id}" if first else thread, thread, at, [version], None, thread=thread)
        self.things.append(thing)
        if first is None:
            self.threads.append(thing)
        body = {"name": f"Visitor {thread[-4:]}", "email": f"{thread[-4:]}@home.example", "text": version.text,
                "language": "nl", "reference": "", "thread": thread}  # fmt: skip
        raw = RawEvent(FORM, SUBMISSION_KIND, thing.id, SUBMISSION_VERSION, at, orjson.dumps(body))
        self._add(Fact(FORM, "CREATE", thing, version, at, body["name"], raw))

    def _add(self, fact: Fact) -> None:
        fact.thing.facts.append(fact)
        self.facts.append(fact)


def _envelope(handle: str, source: str, observed: datetime, item: dict[str, Any], known: str | None = None) -> bytes:
    return orjson.dumps(
        {
            "source": source,
            "own": ACCOUNTS[handle],
            "observedAt": observed.isoformat(),
            "known": known,
            "item": item,
        }
    )


def deletion_event(thing: Thing, handle: str, version: Version, observed: datetime) -> RawEvent:
    """An item that an account held and does not find any more."""
    body = _envelope(handle, "gone", observed, {"uri": thing.id, "cid": version.tag}, version.tag)
    return RawEvent(handle, "delete", thing.id, version.tag, observed, body)


def seen_event(
    thing: Thing, handle: str, version: Version, observed: datetime, name: str, previous: str | None
) -> RawEvent:
    """An item as an account is told of it; `previous` is the version it held when it looked a second time."""
    author = {"did": thing.author, "handle": f"{thing.author[8:]}.test", "displayName": name}
    if thing.is_repost:
        assert thing.parent is not None
        reason = {"$type": REPOST_REASON, "by": author, "uri": thing.id, "cid": version.tag,
                  "indexedAt": thing.at.isoformat()}  # fmt: skip
        item: dict[str, Any] = {"post": {"uri": thing.parent.id}, "reason": reason}
        body = _envelope(handle, "feed", observed, item)
        return RawEvent(handle, "repost", thing.id, version.tag, thing.at, body)
    record: dict[str, Any] = {"text": version.text, "createdAt": thing.at.isoformat(), "langs": [version.language]}
    if thing.parent is not None:
        record["reply"] = {
            "root": {"uri": thing.root, "cid": "root"},
            "parent": {"uri": thing.parent.id, "cid": thing.parent.versions[0].tag},
        }
    view = {"uri": thing.id, "cid": version.tag, "author": author, "record": record, "indexedAt": observed.isoformat()}
    if previous is not None:
        body = _envelope(handle, "known", observed, view, previous)
    elif ACCOUNTS[handle] == thing.author:
        body = _envelope(handle, "feed", observed, {"post": view})
    else:
        body = _envelope(handle, "notification", observed, {**view, "reason": "mention"})
    return RawEvent(handle, "post", thing.id, version.tag, thing.at, body)
