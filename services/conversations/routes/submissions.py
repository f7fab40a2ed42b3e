# SPDX-License-Identifier: EUPL-1.2
"""What the form keeps and shows: submissions as raw events, the doors of their status pages, and threads.

The door of the status page is committed first, then the submission, then the sender hears of it. A process that dies
in between leaves a door that leads nowhere and that nobody knows; it never leaves an acknowledged submission without
its page, nor a submission that was kept while its sender was told nothing and can only send it again.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from services.conversations import queries, rules
from services.conversations.models import Message
from services.conversations.routes.fields import Question
from services.conversations.routes.refusals import Refusal, Refused
from services.conversations.routes.standing import Entry, Standing, standing
from services.conversations.rules import Direction
from services.identity import commands as identity_commands
from services.identity import queries as identity
from services.identity.rules import DoorKind
from services.kernel import identifiers
from services.kernel.access import Actor
from services.kernel.database import Snapshot
from services.kernel.encryption import digest
from services.kernel.runtime import Runtime
from services.kernel.serialization import from_json, to_json
from services.social_accounts import commands as social_accounts
from services.social_accounts import queries as accounts
from services.social_accounts.networks.interface import RawEvent as Received
from services.social_accounts.networks.webform import FOLLOW_UP_MARK, SUBMISSION_KIND, SUBMISSION_VERSION
from services.social_accounts.rules import RawEventState
from services.tenancy import queries as tenancy
from services.tenancy.rules import OrganizationState

ENTRIES_MAX = 200
"""How many messages of a thread a page shows: the newest."""

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Form:
    """The contact form of one organization. `account_id` is None while it takes nothing in."""

    organization_id: UUID
    slug: str
    name: str
    locales: Sequence[str]
    zone: str
    account_id: UUID | None

    @property
    def actor(self) -> Actor:
        return Actor.system(self.organization_id)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a citizen gets: a number to quote, and the secret part of the address of the status page."""

    reference: str
    token: str


@dataclass(frozen=True, slots=True)
class Thread:
    """One submission and everything that followed, as the citizen may read it; entries oldest first."""

    id: UUID
    reference: str
    question: Question
    received_at: datetime
    standing: Standing
    entries: Sequence[Entry]


async def form_of(runtime: Runtime, slug: str) -> Form:
    """The form behind a slug. Raises Refused for an unknown or suspended organization."""
    organization_id = await identity.organization_of_slug(runtime.database, slug)
    if organization_id is None:
        raise Refused(Refusal.NOT_FOUND)
    async with runtime.database.snapshot(Actor.system(organization_id)) as snapshot:
        return await _form(snapshot, slug)


async def form_and_thread(runtime: Runtime, slug: str, token: str) -> tuple[Form, Thread]:
    """What a status link leads to. Raises Refused when it leads nowhere, or not into this organization."""
    async with runtime.database.directory() as directory:
        front = await identity.door(directory, DoorKind.ORGANIZATION_SLUG, slug.encode())
        status = await identity.door(directory, DoorKind.FORM_STATUS, digest(token))
    if front is None or status is None or front.organization_id != status.organization_id:
        raise Refused(Refusal.NOT_FOUND)
    async with runtime.database.snapshot(Actor.system(front.organization_id)) as snapshot:
        return await _form(snapshot, slug), await _thread(snapshot, status.subject_id)


async def submit(runtime: Runtime, form: Form, question: Question, key: str | None) -> Receipt:
    """Keep a submission; what is given back may be told to the sender. The same key and content give the same receipt.

    Raises Refused when the form is closed, or when the key came with another content before.
    """
    account_id = _open(form)
    if key is None:
        submission_id, token = identifiers.new(), secrets.token_urlsafe(TOKEN_BYTES)
    else:
        submission_id = _derived_id(runtime, form, "submission", key)
        token = _derived_token(runtime, form, submission_id, question)
    body = _body(question, submission_id, question.text)
    await _open_status_door(runtime, form, submission_id, token)
    await _receive(runtime, form, account_id, str(submission_id), body, keyed=key is not None)
    return Receipt(rules.reference_of(str(submission_id)), token)


async def follow_up(runtime: Runtime, form: Form, thread: Thread, text: str, key: str | None) -> None:
    """Keep a further message of a thread. Raises Refused as `submit` does."""
    account_id = _open(form)
    message_id = _derived_id(runtime, form, str(thread.id), key) if key else identifiers.new()
    body = _body(thread.question, thread.id, text)
    await _receive(runtime, form, account_id, f"{thread.id}{FOLLOW_UP_MARK}{message_id}", body, keyed=key is not None)


def _open(form: Form) -> UUID:
    if form.account_id is None:
        raise Refused(Refusal.NOT_FOUND)
    return form.account_id


async def _form(snapshot: Snapshot, slug: str) -> Form:
    organization = await tenancy.organization(snapshot)
    if organization.state is not OrganizationState.ACTIVE:
        raise Refused(Refusal.NOT_FOUND)
    account = await accounts.form_account(snapshot)
    is_open = account is not None
    return Form(
        organization_id=organization.id,
        slug=slug,
        name=organization.name,
        locales=tuple(organization.locales),
        zone=organization.zone,
        account_id=account.id if account is not None and is_open else None,
    )


async def _open_status_door(runtime: Runtime, form: Form, submission_id: UUID, token: str) -> None:
    kind, key = DoorKind.FORM_STATUS, digest(token)
    try:
        async with runtime.database.directory() as directory:
            if await identity.door(directory, kind, key) is None:
                await identity_commands.open_door(
                    directory, kind, key, organization_id=form.organization_id, subject_id=submission_id
                )
    except IntegrityError:
        return  # the same request was sent twice at once, and its twin has just opened this door


async def _receive(
    runtime: Runtime, form: Form, account_id: UUID, external_id: str, body: bytes, *, keyed: bool
) -> None:
    async with runtime.database.unit_of_work(form.actor) as uow:
        event = Received(str(account_id), SUBMISSION_KIND, external_id, SUBMISSION_VERSION, uow.now, body)
        await social_accounts.receive(uow, account_id=account_id, events=[event])
        if keyed:
            kept = await accounts.submissions(uow, external_id, limit=ENTRIES_MAX)
            stored = {each.external_id: each.body for each in kept}
            if stored.get(external_id) != body:
                raise Refused(Refusal.KEY_REUSED)


def _body(question: Question, thread: UUID, text: str) -> bytes:
    """A raw event's body. A follow-up carries the name and address again, so that it does not wipe them out."""
    return to_json(
        {
            "name": question.name,
            "email": question.email,
            "text": text,
            "language": question.language,
            "reference": rules.reference_of(str(thread)),
            "thread": str(thread),
        }
    )


def _derived_id(runtime: Runtime, form: Form, purpose: str, key: str) -> UUID:
    """An id of version 8 (RFC 9562) that the same key always gives, and that nobody else can compute."""
    named = b"|".join((form.organization_id.bytes, purpose.encode(), key.encode()))
    seed = runtime.vault.sign("contact form id", named)
    value = int.from_bytes(seed[:16]) & ~(0xF << 76) | 0x8 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def _derived_token(runtime: Runtime, form: Form, submission_id: UUID, question: Question) -> str:
    """Bound to the content: whoever only guesses another sender's key does not get the way to their page."""
    content = hashlib.sha256(_body(question, submission_id, question.text)).digest()
    message = form.organization_id.bytes + submission_id.bytes + content
    return urlsafe_b64encode(runtime.vault.sign("contact form status link", message)).rstrip(b"=").decode()


async def _thread(snapshot: Snapshot, submission_id: UUID) -> Thread:
    thread = str(submission_id)
    received = await accounts.submissions(snapshot, thread, limit=ENTRIES_MAX)
    conversation = await queries.conversation_of_form(snapshot, thread)
    messages = await queries.messages_of_form(snapshot, thread, limit=ENTRIES_MAX)
    first = next((each for each in received if each.external_id == thread), None)
    if first is None and conversation is None:
        raise Refused(Refusal.NOT_FOUND)
    # Read before the messages: what is taken in meanwhile is found there, and shown once.
    known = {message.external_id for message in messages}
    waiting = [
        _entry_of_submission(each)
        for each in received
        if each.state is not RawEventState.DONE and each.external_id not in known and each.body
    ]
    entries = sorted([*map(_entry, messages), *waiting], key=lambda entry: entry.at)[-ENTRIES_MAX:]
    question = _question(first.body if first else b"")
    received_at = first.occurred_at if first and first.occurred_at else entries[0].at if entries else snapshot.now
    return Thread(
        id=submission_id,
        reference=rules.reference_of(thread),
        question=question,
        received_at=received_at,
        standing=standing(conversation.state if conversation else None, entries, waiting=bool(waiting)),
        entries=entries,
    )


def _entry(message: Message) -> Entry:
    return Entry(
        direction=message.direction,
        text=None if message.deleted_at is not None else message.text,
        at=message.occurred_at,
        language=message.language,
        purpose=message.purpose,
    )


def _entry_of_submission(event: "accounts.RawEvent") -> Entry:
    question = _question(event.body)
    return Entry(Direction.INBOUND, question.text, event.occurred_at or event.created_at, question.language)


def _question(body: bytes) -> Question:
    """The content of a raw event; empty when it was erased."""
    values = from_json(body) if body else {}
    return Question(
        text=values.get("text") or "",
        name=values.get("name"),
        email=values.get("email"),
        language=values.get("language"),
    )
