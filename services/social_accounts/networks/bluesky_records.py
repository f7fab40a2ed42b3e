# SPDX-License-Identifier: EUPL-1.2
"""What we write into a repository: record keys, addresses of records, and the exact bytes of a post. Pure.

Everything that a repeat must not change is decided here from the draft alone: the record key, the time and the body.
The same draft gives the same bytes, and the same bytes are the same post.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import regex

from services.social_accounts.networks.bluesky_capabilities import BLUESKY
from services.social_accounts.networks.interface import (
    Account,
    Draft,
    ItemRef,
    LengthUnit,
    Prepared,
    Problem,
    Publish,
)

POST = "app.bsky.feed.post"
WEB_URL = "https://bsky.app"
TID_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
TID_LENGTH = 13
TID_CLOCK_BITS = 10
LINKS_MAX = 50
LANGUAGES_MAX = 3

_DID = r"did:[a-z]+:[A-Za-z0-9._:%-]{1,1000}"
_URI = re.compile(rf"at://(?P<repo>{_DID})/(?P<collection>[A-Za-z][A-Za-z0-9.-]*)/(?P<rkey>[A-Za-z0-9._:~-]{{1,512}})")
_GRAPHEME = regex.compile(r"\X")
_LINK = re.compile(r"https?://[A-Za-z0-9][^\s<>\"'`]*")
_LINK_END = ".,;:!?)]}"
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class RecordAddress:
    """at://repo/collection/rkey, with the repository as a DID."""

    repo: str
    collection: str
    rkey: str

    @property
    def uri(self) -> str:
        return f"at://{self.repo}/{self.collection}/{self.rkey}"

    @property
    def permalink(self) -> str | None:
        """Where people read it; only posts have a page."""
        return f"{WEB_URL}/profile/{self.repo}/post/{self.rkey}" if self.collection == POST else None


def address_of(uri: object) -> RecordAddress | None:
    """The parts of a record's address, or None when it is not one."""
    found = _URI.fullmatch(uri) if isinstance(uri, str) else None
    return None if found is None else RecordAddress(found["repo"], found["collection"], found["rkey"])


def record_key(draft: Draft) -> str:
    """A TID: 53 bits of microseconds and 10 of a clock number, both from the draft.

    Many drafts of one transaction share their instant, so the microseconds within the second come from the delivery's
    id. The second lies before the draft's own, because a key from the future would be odd.
    """
    digest = int.from_bytes(hashlib.sha256(draft.delivery_id.bytes).digest()[:8])
    second = int((draft.created_at - _SECOND).timestamp())
    microseconds = second * 1_000_000 + (digest >> TID_CLOCK_BITS) % 1_000_000
    number = microseconds << TID_CLOCK_BITS | digest & ((1 << TID_CLOCK_BITS) - 1)
    letters = [TID_ALPHABET[number >> 5 * place & 31] for place in range(TID_LENGTH)]
    return "".join(reversed(letters))


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, the form the network's own programs write."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def problems_of(draft: Draft) -> list[Problem]:
    """Everything that is wrong with a draft; empty when it can be sent."""
    if draft.publish not in BLUESKY.publish:
        return [Problem("PUBLISH_NOT_SUPPORTED", field="publish")]
    try:
        size = len(draft.text.encode())
    except UnicodeEncodeError:
        return [Problem("TEXT_UNUSABLE")]
    if "\x00" in draft.text:
        return [Problem("TEXT_UNUSABLE")]
    found: list[Problem] = []
    if not draft.text.strip():
        found.append(Problem("TEXT_EMPTY"))
    lengths = {LengthUnit.BYTE: size, LengthUnit.GRAPHEME: sum(1 for _ in _GRAPHEME.finditer(draft.text))}
    found += [
        Problem("TEXT_TOO_LONG", limit=limit.limit, actual=lengths[limit.unit], unit=limit.unit)
        for limit in BLUESKY.text_limits[draft.publish]
        if lengths[limit.unit] > limit.limit
    ]
    if draft.publish is Publish.REPLY:
        references = () if draft.reply_to is None else (draft.reply_to.root, draft.reply_to.parent)
        if not references:
            found.append(Problem("REPLY_TARGET_MISSING", field="reply_to"))
        if any(address_of(reference.remote_id) is None or not reference.version for reference in references):
            found.append(Problem("REPLY_TARGET_INVALID", field="reply_to"))
    return found


def prepared_post(draft: Draft, account: Account) -> Prepared:
    """The one request that publishes this draft; the draft has no problems.

    `swapRecord: null` says "only if nothing is there". It must stand in the body as null: left out, the call would
    overwrite what is there.
    """
    key = record_key(draft)
    body = {
        "repo": account.remote_id,
        "collection": POST,
        "rkey": key,
        "record": _post(draft),
        "swapRecord": None,
    }
    return Prepared(
        send_key=key,
        publish=draft.publish,
        remote_id=RecordAddress(account.remote_id, POST, key).uri,
        created_at=draft.created_at,
        body=orjson.dumps(body),
    )


def links_of(text: str) -> list[dict[str, Any]]:
    """Facets that make web addresses clickable; positions are bytes of UTF-8, as the network counts."""
    facets: list[dict[str, Any]] = []
    for found in _LINK.finditer(text):
        link = _without_closing_marks(found.group())
        start = len(text[: found.start()].encode())
        facets.append(
            {
                "index": {"byteStart": start, "byteEnd": start + len(link.encode())},
                "features": [{"$type": "app.bsky.richtext.facet#link", "uri": link}],
            }
        )
    return facets[:LINKS_MAX]


def _post(draft: Draft) -> dict[str, Any]:
    record: dict[str, Any] = {"$type": POST, "text": draft.text, "createdAt": instant_text(draft.created_at)}
    languages = [language for language in draft.languages if _LANGUAGE.fullmatch(language)][:LANGUAGES_MAX]
    if languages:
        record["langs"] = languages
    facets = links_of(draft.text)
    if facets:
        record["facets"] = facets
    if draft.publish is Publish.REPLY and draft.reply_to is not None:
        record["reply"] = {"root": _reference(draft.reply_to.root), "parent": _reference(draft.reply_to.parent)}
    return record


def _reference(item: ItemRef) -> dict[str, str]:
    return {"uri": item.remote_id, "cid": item.version}


def _without_closing_marks(link: str) -> str:
    # A sentence may end behind a link; a bracket belongs to the link when it was opened in it.
    while link[-1] in _LINK_END:
        opening = {")": "(", "]": "[", "}": "{"}.get(link[-1])
        if opening is not None and link.count(opening) >= link.count(link[-1]):
            break
        link = link[:-1]
    return link
