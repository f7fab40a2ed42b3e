# SPDX-License-Identifier: EUPL-1.2
"""The requests of the contact form, from the first byte to the answer.

Counted by address first, so that whoever is over the limit costs no database; counted for the organization last, so
that nobody else's mistakes use up what it can take.
"""

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.conversations.routes import fields, pages, submissions
from services.conversations.routes.markup import CONTENT_SECURITY_POLICY
from services.conversations.routes.receiving import (
    FORM,
    JSON,
    address_of,
    body_fields,
    declared_type,
    media_type,
    prefers_json,
)
from services.conversations.routes.refusals import FieldError, NotUsable, Refusal, Refused
from services.conversations.routes.submissions import Form, Receipt, Thread
from services.conversations.routes.words import WORDS
from services.kernel.errors import ServiceUnavailable
from services.kernel.languages import Language, choose
from services.kernel.markup import Html
from services.kernel.rates import Limit, RateCounter
from services.kernel.runtime import Runtime
from services.kernel.serialization import to_json
from services.tenancy.rules import SLUG

BY_ADDRESS = Limit("contact_address", count_max=60, window_seconds=60)
BY_ORGANIZATION = Limit("contact_organization", count_max=600, window_seconds=60)
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
PAGE_KEY_BYTES = 16

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Vary": "Accept, Accept-Language",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
}

Answering = Callable[[Request], Awaitable[Response]]


class ContactForm:
    """The two addresses of every organization's form."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rates = RateCounter(runtime.valkey, secret=runtime.vault.derive("rate limits"))

    async def question(self, request: Request) -> Response:
        """`/contact/<organization>`"""
        return await _answered(request, self._submit if request.method == "POST" else self._show_form)

    async def status(self, request: Request) -> Response:
        """`/contact/<organization>/<token>`"""
        return await _answered(request, self._follow_up if request.method == "POST" else self._show_status)

    async def _show_form(self, request: Request) -> Response:
        form = await self._open_form(request)
        language = _language(request, form)
        return _html(pages.question_page(form, language, key=_page_key(), typed={}), language)

    async def _submit(self, request: Request) -> Response:
        await self._count(BY_ADDRESS, address_of(request))
        is_form = media_type(request) == FORM
        form = await self._open_form(request)
        language = _language(request, form)
        values: dict[str, Any] = {}
        try:
            values = await body_fields(request, WORDS[language])
            key = fields.idempotency_key(request.headers.get(fields.KEY_FIELD), WORDS[language])
            question = fields.question(values, WORDS[language])
        except NotUsable as refusal:
            if not is_form:
                return _problems(refusal.errors, language)
            page = pages.question_page(form, language, key=_page_key(), typed=values, errors=refusal.errors)
            return _html(page, language, status=400)
        await self._count(BY_ORGANIZATION, str(form.organization_id))
        receipt = await submissions.submit(self._runtime, form, question, key or _key_of_page(values, is_form))
        return self._acknowledged(form, receipt, language, is_form)

    async def _show_status(self, request: Request) -> Response:
        form, thread = await self._thread(request)
        language = _language(request, form, thread.question.language)
        if prefers_json(request):
            return _json(_standing(form, thread, language), language)
        return _html(pages.status_page(form, thread, language, key=_page_key(), typed={}), language)

    async def _follow_up(self, request: Request) -> Response:
        await self._count(BY_ADDRESS, address_of(request))
        is_form = media_type(request) == FORM
        form, thread = await self._thread(request)
        if form.account_id is None:
            raise Refused(Refusal.NOT_FOUND)
        language = _language(request, form, thread.question.language)
        values: dict[str, Any] = {}
        try:
            values = await body_fields(request, WORDS[language])
            key = fields.idempotency_key(request.headers.get(fields.KEY_FIELD), WORDS[language])
            text = fields.follow_up(values, WORDS[language])
        except NotUsable as refusal:
            if not is_form:
                return _problems(refusal.errors, language)
            page = pages.status_page(form, thread, language, key=_page_key(), typed=values, errors=refusal.errors)
            return _html(page, language, status=400)
        await self._count(BY_ORGANIZATION, str(form.organization_id))
        await submissions.follow_up(self._runtime, form, thread, text, key or _key_of_page(values, is_form))
        receipt = Receipt(thread.reference, request.path_params["token"])
        return self._acknowledged(form, receipt, language, is_form)

    async def _open_form(self, request: Request) -> Form:
        slug = request.path_params["slug"]
        if not SLUG.fullmatch(slug):
            raise Refused(Refusal.NOT_FOUND)
        form = await submissions.form_of(self._runtime, slug)
        if form.account_id is None:
            raise Refused(Refusal.NOT_FOUND)
        return form

    async def _thread(self, request: Request) -> tuple[Form, Thread]:
        slug, token = request.path_params["slug"], request.path_params["token"]
        if not (SLUG.fullmatch(slug) and TOKEN.fullmatch(token)):
            raise Refused(Refusal.NOT_FOUND)
        return await submissions.form_and_thread(self._runtime, slug, token)

    async def _count(self, limit: Limit, subject: str) -> None:
        verdict = await self._rates.take(limit, subject)
        if not verdict.allowed:
            raise Refused(Refusal.THROTTLED, retry_after_seconds=verdict.retry_after_seconds)

    def _acknowledged(self, form: Form, receipt: Receipt, language: Language, is_form: bool) -> Response:
        url = f"{self._runtime.settings.public_url.rstrip('/')}/contact/{form.slug}/{receipt.token}"
        if is_form:
            # Only the path: a page that came by another name of this server stays there, as its policy demands.
            location = f"{urlsplit(url).path}?{pages.LANGUAGE_PARAMETER}={language}"
            return RedirectResponse(location, status_code=303, headers=HEADERS)
        body = {"reference": receipt.reference, "statusUrl": url}
        return _json(body, language, status=202, headers={"Location": url})


async def _answered(request: Request, answer: Answering) -> Response:
    try:
        return await answer(request)
    except Refused as refused:
        return _refused(request, refused.refusal, refused.retry_after_seconds)
    except ServiceUnavailable as error:
        return _refused(request, Refusal.UNAVAILABLE, error.retry_after_seconds)


def _refused(request: Request, refusal: Refusal, retry_after_seconds: int | None) -> Response:
    language = _language(request, None)
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    if refusal in (Refusal.TOO_LARGE, Refusal.TOO_SLOW):
        headers["Connection"] = "close"
    if refusal is Refusal.UNSUPPORTED:
        headers["Accept-Post"] = f"{JSON}, {FORM}"
    by_form = declared_type(request) == FORM if request.method == "POST" else not prefers_json(request)
    if by_form:
        return _html(pages.refusal_page(refusal, language), language, status=refusal.status, headers=headers)
    sentence = WORDS[language].refusals[refusal]
    return _problems([FieldError(None, refusal.code, sentence)], language, status=refusal.status, headers=headers)


def _language(request: Request, form: Form | None, own: str | None = None) -> Language:
    """Asked for in the address, else that of the question, else the browser's, else the organization's first."""
    return choose(
        request.query_params.get(pages.LANGUAGE_PARAMETER),
        own,
        accept=request.headers.get("accept-language"),
        otherwise=form.locales if form else (),
    )


def _page_key() -> str:
    """Makes a form that is sent twice by a double click one submission."""
    return secrets.token_urlsafe(PAGE_KEY_BYTES)


def _key_of_page(values: Mapping[str, Any], is_form: bool) -> str | None:
    """The key of a page with the hash of what was typed: going back and writing something else is a new message."""
    key = values.get(pages.KEY_INPUT)
    if not is_form or not isinstance(key, str) or not fields.IDEMPOTENCY_KEY.fullmatch(key):
        return None
    return f"{key} {hashlib.sha256(to_json(values, sort_keys=True)).hexdigest()}"


def _standing(form: Form, thread: Thread, language: Language) -> dict[str, Any]:
    return {
        "reference": thread.reference,
        "state": thread.standing,
        "acknowledgement": pages.acknowledgement(form, thread, language),
        "messages": [
            {
                "direction": entry.direction,
                "text": entry.text,
                "at": entry.at,
                "deleted": entry.text is None,
            }
            for entry in thread.entries
        ],
    }


def _problems(
    errors: list[FieldError], language: Language, *, status: int = 400, headers: Mapping[str, str] | None = None
) -> Response:
    listed = [{"field": error.field, "code": error.code, "message": error.message} for error in errors]
    return _json({"errors": listed}, language, status=status, headers=headers)


def _json(
    body: Mapping[str, Any], language: Language, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(to_json(body), status, {**HEADERS, "Content-Language": language, **(headers or {})}, JSON)


def _html(page: Html, language: Language, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(page, status, {**HEADERS, "Content-Language": language, **(headers or {})}, "text/html")
