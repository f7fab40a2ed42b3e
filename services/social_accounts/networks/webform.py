# SPDX-License-Identifier: EUPL-1.2
"""The contact form of our own site: what comes in is a POST to Belfry, what goes out is shown on the status page.

There is nobody to call. A submission arrives as a raw event whose body is JSON
`{name, email, text, language, reference, thread}`; `thread` is the id of the submission that began the exchange, and
a follow-up carries the same one. An answer is delivered by being PUBLISHED: the status page shows it from then on.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, cast

import orjson

from services.social_accounts.networks.capabilities import (
    Capabilities,
    EditRule,
    Ingest,
    LengthUnit,
    MediaRule,
    Publish,
    SendGuard,
    TextLimit,
    Threading,
    Transport,
)
from services.social_accounts.networks.errors import ContractBroken
from services.social_accounts.networks.interface import (
    Account,
    AccountGrant,
    Author,
    Channel,
    ConnectInput,
    Draft,
    Health,
    Inbound,
    InboundKind,
    ItemRef,
    KnownItem,
    Page,
    Prepared,
    Problem,
    RawEvent,
    Reach,
    ReplyTarget,
    Sample,
    Sent,
)

KEY = "WEBFORM"
TEXT_MAX = 10_000
SUBMISSION_VERSION = "1"
"""The version of every raw event of the form: what a citizen sent is never sent again in another form."""

SUBMISSION_KIND = "submission"
FOLLOW_UP_MARK, AFTER_FOLLOW_UPS = ".", "/"
"""A follow-up's id is the thread's, the mark, and its own; so all of them lie before the letter after the mark."""

CAPABILITIES = Capabilities(
    version="2026-11-22",
    checked_on=date(2026, 11, 22),
    backfill_days=0,
    ingest=frozenset({Ingest.DIRECT}),
    transports=frozenset({Transport.WEBHOOK}),
    streams=(),
    publish=frozenset({Publish.DIRECT}),
    text_limits=MappingProxyType({Publish.DIRECT: (TextLimit(TEXT_MAX, LengthUnit.CODE_POINT),)}),
    media=MediaRule(),
    threading=Threading.FLAT,
    reply_window=None,
    edit=EditRule(),
    delete=True,
    hide=False,
    react=False,
    typing_and_read_receipts=False,
    send_guard=SendGuard.CLIENT_ID,
    metrics=MappingProxyType({}),
    quotas=(),
)


class WebformConnector:
    """The form as a network. Its calls cannot fail: they call nobody."""

    key = KEY

    def capabilities(self, account: Account | None = None) -> Capabilities:
        return CAPABILITIES

    async def finish_auth(self, given: ConnectInput, reach: Reach) -> AccountGrant:
        """Our own form needs no credentials; the identifier is the organization's own name for it."""
        return AccountGrant(
            remote_id=given.identifier,
            handle=given.identifier,
            display_name=None,
            base_url=given.base_url,
            credentials={},
            expires_at=None,
        )

    async def refresh(self, account: Account, reach: Reach) -> AccountGrant:
        return AccountGrant(account.remote_id, account.handle, None, account.base_url, {}, None)

    async def check(self, account: Account, reach: Reach) -> Health:
        return Health()

    async def fetch(
        self,
        account: Account,
        stream: str,
        cursor: str | None,
        limit: int,
        reach: Reach,
        *,
        known: Sequence[KnownItem] = (),
    ) -> Page:
        """Nothing to fetch: submissions come by themselves."""
        return Page((), cursor, more=False)

    def parse(self, raw: RawEvent) -> list[Inbound]:
        """One message of a citizen. The author is the submission itself: a typed address proves no identity."""
        body = _object(raw)
        text, thread = body.get("text"), body.get("thread")
        if not isinstance(text, str) or not isinstance(thread, str) or not thread or raw.occurred_at is None:
            raise ContractBroken(KEY, "SUBMISSION_UNREADABLE", remote_body=raw.body)
        language = _text(body, "language")
        is_first = thread == raw.external_id
        return [
            Inbound(
                kind=InboundKind.MESSAGE,
                remote_id=raw.external_id,
                version=raw.version,
                text_at=raw.occurred_at,
                occurred_at=raw.occurred_at,
                channel=Channel.FORM,
                ingest=Ingest.DIRECT,
                author=Author(thread, display_name=_text(body, "name"), email=_text(body, "email")),
                text=text.replace("\x00", "\ufffd"),
                languages=() if language is None else (language,),
                root_id=thread,
                parent_id=None if is_first else thread,
                reply_target=ReplyTarget(ItemRef(thread, raw.version), ItemRef(raw.external_id, raw.version)),
            )
        ]

    def prepare(self, draft: Draft, account: Account) -> Prepared | list[Problem]:
        """The delivery's own id is the item's id, so that nothing can be there twice."""
        problems = _problems(draft)
        if problems or draft.reply_to is None:
            return problems
        body = {"thread": draft.reply_to.root.remote_id, "text": draft.text}
        key = str(draft.delivery_id)
        return Prepared(key, draft.publish, key, draft.created_at, orjson.dumps(body))

    async def send(self, prepared: Prepared, account: Account, reach: Reach) -> Sent:
        """Delivered: the status page shows what is PUBLISHED."""
        return Sent(prepared.send_key, SUBMISSION_VERSION, None, reach.clock())

    async def find_sent(self, prepared: Prepared, account: Account, since: datetime, reach: Reach) -> Sent:
        """Always there: nothing lies between the decision to publish and the page."""
        return Sent(prepared.send_key, SUBMISSION_VERSION, None, prepared.created_at)

    async def delete(self, remote_id: str, account: Account, reach: Reach) -> None:
        """The status page reads our own rows; there is nothing else to take back."""

    async def metrics(self, account: Account, remote_ids: Sequence[str], reach: Reach) -> list[Sample]:
        return []


def _problems(draft: Draft) -> list[Problem]:
    if draft.publish not in CAPABILITIES.publish:
        return [Problem("PUBLISH_NOT_SUPPORTED", field="publish")]
    found: list[Problem] = []
    if not draft.text.strip():
        found.append(Problem("TEXT_EMPTY"))
    if "\x00" in draft.text or any("\ud800" <= letter <= "\udfff" for letter in draft.text):
        found.append(Problem("TEXT_UNUSABLE"))
    if len(draft.text) > TEXT_MAX:
        found.append(Problem("TEXT_TOO_LONG", limit=TEXT_MAX, actual=len(draft.text), unit=LengthUnit.CODE_POINT))
    if draft.reply_to is None:
        found.append(Problem("REPLY_TARGET_MISSING", field="reply_to"))
    return found


def _object(raw: RawEvent) -> Mapping[str, Any]:
    try:
        found: object = orjson.loads(raw.body)
    except ValueError as error:
        raise ContractBroken(KEY, "SUBMISSION_UNREADABLE", remote_body=raw.body) from error
    if not isinstance(found, dict):
        raise ContractBroken(KEY, "SUBMISSION_UNREADABLE", remote_body=raw.body)
    return cast("Mapping[str, Any]", found)


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value.replace("\x00", "\ufffd") if isinstance(value, str) and value.strip() else None
