# SPDX-License-Identifier: EUPL-1.2
"""What a network tells of citizens who write to one account, as the raw events that a poll stores. All invented."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import orjson

from services.social_accounts.networks.interface import RawEvent

OWN_DID = "did:web:bench.example"
REPLY_SHARE = 0.4
KNOWN_CITIZEN_SHARE = 0.4
REMEMBERED = 200
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Thread:
    """A thread that a citizen began, as far as the next reply in it needs to know."""

    uri: str
    citizen: int


@dataclass
class Mentions:
    """An endless stream: new threads of new and of known citizens, and what they add to their own threads."""

    chance: Random
    texts: list[str]
    now: datetime
    number: int = 0
    threads: deque[_Thread] = field(default_factory=lambda: deque[_Thread](maxlen=REMEMBERED))

    def take(self, size: int) -> list[RawEvent]:
        """The next events."""
        return [self._one() for _ in range(size)]

    def _one(self) -> RawEvent:
        number = self.number
        self.number, self.now = number + 1, self.now + SECOND
        if self.threads and self.chance.random() < REPLY_SHARE:
            thread = self.chance.choice(self.threads)
            return self._event(number, thread.citizen, thread)
        known = self.threads and self.chance.random() < KNOWN_CITIZEN_SHARE
        citizen = self.chance.choice(self.threads).citizen if known else number
        event = self._event(number, citizen, None)
        self.threads.append(_Thread(event.external_id, citizen))
        return event

    def _event(self, number: int, citizen: int, thread: _Thread | None) -> RawEvent:
        did = f"did:web:citizen{citizen}.example"
        uri, version = f"at://{did}/app.bsky.feed.post/bench{number}", f"cid{number}"
        at = self.now.isoformat()
        record: dict[str, Any] = {
            "$type": "app.bsky.feed.post",
            "text": self.chance.choice(self.texts),
            "createdAt": at,
            "langs": ["nl"],
        }
        if thread is not None:
            named = {"uri": thread.uri, "cid": f"cid{thread.uri.rpartition('bench')[2]}"}
            record["reply"] = {"root": named, "parent": named}
        author = {"did": did, "handle": f"citizen{citizen}.example", "displayName": f"Citizen {citizen}"}
        item = {"uri": uri, "cid": version, "author": author, "record": record, "indexedAt": at, "reason": "mention"}
        body = {"source": "notification", "own": OWN_DID, "observedAt": at, "known": None, "item": item}
        return RawEvent("bench", "post", uri, version, self.now, orjson.dumps(body))
