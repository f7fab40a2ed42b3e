# SPDX-License-Identifier: EUPL-1.2
"""The memory of the fake AT Protocol network: accounts, repositories, tokens, and what a reader is shown.

Writes go to the repositories at once. Readers see the view, a copy that can be frozen, as a real network shows things
late. Everything here is what the test's citizens do and what the test inspects; the HTTP side is `fake_atproto.py`.
"""

import base64
import hashlib
import itertools
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import regex

POST, LIKE, REPOST, FOLLOW = "app.bsky.feed.post", "app.bsky.feed.like", "app.bsky.feed.repost", "app.bsky.graph.follow"
TID_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
ACCESS_HOURS, REFRESH_DAYS = 2, 90
GRAPHEMES_MAX, BYTES_MAX = 300, 3_000
TID = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
URI = re.compile(r"at://did:plc:[a-z2-7]{24}/[A-Za-z.]+/[A-Za-z0-9._:~-]+")
GRAPHEME = regex.compile(r"\X")
POST_FIELDS = {"$type", "text", "createdAt", "langs", "facets", "reply", "embed", "tags", "labels"}

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """One record as it lies in a repository."""

    uri: str
    cid: str
    value: Record
    indexed_at: datetime

    @property
    def repo(self) -> str:
        return self.uri.split("/")[2]

    @property
    def collection(self) -> str:
        return self.uri.split("/")[3]

    @property
    def rkey(self) -> str:
        return self.uri.split("/")[4]

    @property
    def sort_at(self) -> str:
        """The earlier of the writer's own time and the index time, as the real servers sort."""
        return min(str(self.value.get("createdAt", "")), instant_text(self.indexed_at)) or instant_text(self.indexed_at)


@dataclass(frozen=True, slots=True)
class Person:
    """One account of the fake network."""

    name: str
    did: str
    handle: str
    password: str = field(repr=False)


@dataclass(slots=True)
class Token:
    did: str
    kind: str
    expired: bool = False
    used: bool = False
    """A refresh token that was used stays valid for a time of grace, as on the real servers."""


def instant_text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cid_of(value: object) -> str:
    """A content hash in the shape of a CID: the same content has the same one."""
    digest = hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()
    return "b" + base64.b32encode(b"\x01\x71\x12\x20" + digest).decode().lower().rstrip("=")


class FakeNetwork:
    """What the citizens of a test do, and what the test looks at afterwards. Safe to call from any thread."""

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock or (lambda: datetime.now(UTC))
        self._ticks = itertools.count()
        self._last = datetime.min.replace(tzinfo=UTC)
        self.lock = threading.RLock()
        self.people: dict[str, Person] = {}
        self.tokens: dict[str, Token] = {}
        self.repos: dict[str, dict[str, Stored]] = {}
        self.writes: Counter[str] = Counter()
        self.sign_ins: Counter[str] = Counter()
        self._frozen: dict[str, dict[str, Stored]] | None = None

    # --- people ---

    def person(self, name: str) -> Person:
        """The account with this name, made at first use: `name.test`, with a password of its own."""
        with self.lock:
            if name not in self.people:
                digest = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode().lower()
                self.people[name] = Person(name, f"did:plc:{digest[:24]}", f"{name}.test", f"{name}-password")
                self.repos[self.people[name].did] = {}
            return self.people[name]

    def by_identifier(self, identifier: str) -> Person | None:
        """By handle or DID."""
        return next((one for one in self.people.values() if identifier in (one.handle, one.did)), None)

    def expire_access(self, name: str) -> None:
        """Every access token of this person answers ExpiredToken from now on."""
        self._each_token(name, lambda token: token.kind == "access", lambda token: setattr(token, "expired", True))

    def revoke(self, name: str) -> None:
        """Every token of this person is unknown from now on, as after a change of password."""
        did = self.person(name).did
        with self.lock:
            self.tokens = {text: token for text, token in self.tokens.items() if token.did != did}

    def expire_all(self, name: str) -> None:
        """Access and refresh tokens answer ExpiredToken."""
        self._each_token(name, lambda token: True, lambda token: setattr(token, "expired", True))

    def end_grace(self, name: str) -> None:
        """Refresh tokens that were used answer ExpiredToken from now on."""
        self._each_token(name, lambda token: token.used, lambda token: setattr(token, "expired", True))

    def new_tokens(self, did: str) -> tuple[str, str]:
        """(access, refresh), shaped like JWTs with an expiry that can be read."""
        with self.lock:
            return self._token(did, "access", timedelta(hours=ACCESS_HOURS)), self._token(
                did, "refresh", timedelta(days=REFRESH_DAYS)
            )

    # --- what citizens do ---

    def post(
        self,
        name: str,
        text: str,
        *,
        mention: str | None = None,
        reply_to: Stored | None = None,
        quote: Stored | None = None,
        created_at: datetime | None = None,
        **more: object,
    ) -> Stored:
        """Write a post; `mention` names a person whose handle is put in front and linked."""
        record: Record = {"$type": POST, "text": text, "createdAt": instant_text(created_at or self.now()), **more}
        if mention is not None:
            person = self.person(mention)
            label = f"@{person.handle}"
            record["text"] = f"{label} {text}"
            feature = {"$type": "app.bsky.richtext.facet#mention", "did": person.did}
            record["facets"] = [{"index": {"byteStart": 0, "byteEnd": len(label)}, "features": [feature]}]
        if reply_to is not None:
            root = reply_to.value.get("reply", {}).get("root", _reference(reply_to))
            record["reply"] = {"root": root, "parent": _reference(reply_to)}
        if quote is not None:
            record["embed"] = {"$type": "app.bsky.embed.record", "record": _reference(quote)}
        return self.write(self.person(name).did, POST, self.tid(), record)

    def like(self, name: str, target: Stored) -> Stored:
        return self._about(name, LIKE, _reference(target))

    def repost(self, name: str, target: Stored) -> Stored:
        return self._about(name, REPOST, _reference(target))

    def follow(self, name: str, other: str) -> Stored:
        return self._about(name, FOLLOW, self.person(other).did)

    def edit(self, target: Stored, text: str) -> Stored:
        """Overwrite a post with other words, as `putRecord` can; its own time stays."""
        return self.write(target.repo, target.collection, target.rkey, {**target.value, "text": text})

    def delete(self, target: Stored) -> None:
        with self.lock:
            self.repos[target.repo].pop(target.uri, None)

    # --- what a test inspects ---

    def records(self, name: str, collection: str = POST) -> dict[str, Stored]:
        """The person's records of a collection by record key."""
        with self.lock:
            repo = self.repos[self.person(name).did]
            return {stored.rkey: stored for stored in repo.values() if stored.collection == collection}

    def accepted(self, uri: str) -> int:
        """How many writes at this address changed something."""
        return self.writes[uri]

    def freeze_view(self) -> None:
        """Readers see what is there now until `thaw_view`; writers are not affected."""
        with self.lock:
            self._frozen = {did: dict(repo) for did, repo in self.repos.items()}

    def thaw_view(self) -> None:
        self._frozen = None

    # --- used by the HTTP side ---

    def now(self) -> datetime:
        """Never the same millisecond twice, so that lists have one order."""
        with self.lock:
            now = self._clock()
            now = now.replace(microsecond=now.microsecond // 1000 * 1000)
            self._last = max(now, self._last + timedelta(milliseconds=1))
            return self._last

    def tid(self) -> str:
        number = int(self.now().timestamp() * 1_000_000) << 10 | next(self._ticks) % 1024
        return "".join(reversed([TID_ALPHABET[number >> 5 * place & 31] for place in range(13)]))

    def write(self, did: str, collection: str, rkey: str, value: Record) -> Stored:
        with self.lock:
            stored = Stored(f"at://{did}/{collection}/{rkey}", cid_of(value), value, self.now())
            self.repos[did][stored.uri] = stored
            self.writes[stored.uri] += 1
            return stored

    def find(self, uri: str, *, in_view: bool) -> Stored | None:
        did = uri.split("/")[2]
        with self.lock:
            return (self._view() if in_view else self.repos).get(did, {}).get(uri)

    def shown(self, collection: str | None = None) -> Iterator[Stored]:
        """Everything readers see, newest first."""
        with self.lock:
            found = [stored for repo in self._view().values() for stored in repo.values()]
        kept = (stored for stored in found if collection in (None, stored.collection))
        return iter(sorted(kept, key=lambda stored: stored.sort_at, reverse=True))

    def handle_of(self, did: str) -> str:
        return next(one.handle for one in self.people.values() if one.did == did)

    def _view(self) -> dict[str, dict[str, Stored]]:
        return self.repos if self._frozen is None else self._frozen

    def _about(self, name: str, collection: str, subject: object) -> Stored:
        value = {"$type": collection, "subject": subject, "createdAt": instant_text(self.now())}
        return self.write(self.person(name).did, collection, self.tid(), value)

    def _token(self, did: str, kind: str, lifetime: timedelta) -> str:
        claims = {"sub": did, "scope": kind, "exp": int((self.now() + lifetime).timestamp()), "n": next(self._ticks)}
        middle = base64.urlsafe_b64encode(orjson.dumps(claims)).decode().rstrip("=")
        text = f"fake.{middle}.signature"
        self.tokens[text] = Token(did, kind)
        return text

    def _each_token(self, name: str, chosen: Callable[[Token], bool], act: Callable[[Token], None]) -> None:
        did = self.person(name).did
        with self.lock:
            for token in self.tokens.values():
                if token.did == did and chosen(token):
                    act(token)


def _reference(stored: Stored) -> Record:
    return {"uri": stored.uri, "cid": stored.cid}


def problem_of_post(rkey: str, record: Mapping[str, Any]) -> str | None:
    """What the protocol's schema says against a post, or None."""
    text = record.get("text")
    if TID.fullmatch(rkey) is None:
        return "Invalid TID string"
    if not set(record) <= POST_FIELDS or not isinstance(text, str):
        return f"fields: {sorted(record)}"
    if sum(1 for _ in GRAPHEME.finditer(text)) > GRAPHEMES_MAX or len(text.encode()) > BYTES_MAX:
        return "grapheme too big (maximum 300)"
    try:
        datetime.fromisoformat(record["createdAt"])
    except (KeyError, ValueError, TypeError):
        return "createdAt"
    for facet in record.get("facets", []):
        index = facet["index"]
        if not 0 <= index["byteStart"] < index["byteEnd"] <= len(text.encode()):
            return "facets"
    references = record.get("reply", {}).values()
    if "reply" in record and (
        set(record["reply"]) != {"root", "parent"} or not all(_is_reference(one) for one in references)
    ):
        return "reply"
    return None


def _is_reference(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"uri", "cid"} and URI.fullmatch(value["uri"]) is not None
