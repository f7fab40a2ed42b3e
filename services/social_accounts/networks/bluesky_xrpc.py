# SPDX-License-Identifier: EUPL-1.2
"""One call to a personal data server, and what each way of going wrong means.

Three kinds of calls, because the same silence means different things: `query` reads and `session` opens or renews a
sign-in, so a lost answer harms nobody; `mutate` changes the repository, so a lost answer is an unknown outcome.
Only an error in the protocol's own JSON is a documented refusal; anything else may come from a machine in between.
"""

import email.utils
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from services.kernel import outbound
from services.social_accounts.networks.errors import (
    AuthExpired,
    AuthRevoked,
    Blocked,
    ContractBroken,
    MissingScope,
    NetworkError,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    TargetGone,
    Transient,
)
from services.social_accounts.networks.interface import Account, Problem, QuotaReport, QuotaScope, Reach

KEY = "BLUESKY"
ACCESS, REFRESH = "access_jwt", "refresh_jwt"
"""Names in `Account.credentials`."""

RETRY_AFTER_DEFAULT = timedelta(seconds=60)
RETRY_AFTER_MIN, RETRY_AFTER_MAX = timedelta(seconds=1), timedelta(hours=24)
CODE_LENGTH_MAX = 60

EXPIRED = frozenset({"ExpiredToken"})
REVOKED = frozenset(
    {"InvalidToken", "AuthenticationRequired", "AuthMissing", "AuthFactorTokenRequired", "BadJwt", "AccountNotFound"}
)
BLOCKED = frozenset({"AccountTakedown", "AccountSuspended", "AccountDeactivated", "RepoTakendown", "RepoDeactivated"})
GONE = frozenset({"RecordNotFound"})
# The key we chose is taken by other content: a defect of ours or a stranger's hand, and never a reason to try again.
BROKEN = frozenset({"InvalidSwap"})

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer: its JSON object and what it said about quotas."""

    data: Json
    quotas: tuple[QuotaReport, ...]


async def query(
    base_url: str, method: str, params: Sequence[tuple[str, str]], reach: Reach, *, token: str | None = None
) -> Reply:
    """Read. Raises Transient when there is no answer; never OutcomeUnknown."""
    answer = await _request("GET", base_url, method, reach, Transient, token, params=params)
    return _reply(answer, reach.clock(), Transient, ContractBroken)


async def session(base_url: str, method: str, body: bytes, reach: Reach, *, token: str | None = None) -> Reply:
    """Open or renew a sign-in. A lost answer costs one more sign-in, so it is Transient."""
    answer = await _request("POST", base_url, method, reach, Transient, token, body=body)
    return _reply(answer, reach.clock(), Transient, ContractBroken)


async def mutate(account: Account, method: str, body: bytes, reach: Reach) -> Reply:
    """Change the repository, once. Whatever is not a clear answer is OutcomeUnknown."""
    answer = await _request("POST", account.base_url, method, reach, OutcomeUnknown, access_token(account), body=body)
    return _reply(answer, reach.clock(), OutcomeUnknown, OutcomeUnknown)


def access_token(account: Account) -> str:
    """Raises AuthRevoked when there is none."""
    return _credential(account, ACCESS)


def refresh_token(account: Account) -> str:
    """Raises AuthRevoked when there is none."""
    return _credential(account, REFRESH)


def _credential(account: Account, name: str) -> str:
    token = account.credentials.get(name)
    if not token:
        raise AuthRevoked(KEY, "NO_CREDENTIALS")
    return token


async def _request(
    verb: str,
    base_url: str,
    method: str,
    reach: Reach,
    without_answer: type[NetworkError],
    token: str | None,
    *,
    params: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> outbound.Answer:
    headers = {"accept": "application/json"}
    if body:
        headers["content-type"] = "application/json"
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    url = f"{base_url.rstrip('/')}/xrpc/{method}"
    try:
        return await reach.outbound.request(verb, url, headers=headers, params=params, content=body)
    except outbound.NotSent as error:
        if error.refused_by_us:
            raise Rejected(KEY, error.reason, (Problem(error.reason, field="server_url"),)) from error
        raise Transient(KEY, error.reason) from error
    except outbound.OutcomeUnknown as error:
        raise without_answer(KEY, error.reason) from error


def _reply(
    answer: outbound.Answer,
    now: datetime,
    unclear: type[NetworkError],
    unreadable: type[NetworkError],
) -> Reply:
    data = _json_object(answer.body)
    if answer.status == 200:
        if data is None:
            raise unreadable(KEY, "ANSWER_UNREADABLE", remote_body=answer.body)
        return Reply(data, _quotas(answer.headers))
    raise _error(answer, data, now, unclear, unreadable)


def _error(
    answer: outbound.Answer,
    data: Json | None,
    now: datetime,
    unclear: type[NetworkError],
    unreadable: type[NetworkError],
) -> NetworkError:
    body, status = answer.body, answer.status
    word = data.get("error") if data is not None else None
    code = word[:CODE_LENGTH_MAX] if isinstance(word, str) and word.isprintable() else None
    if status == 429 or code == "RateLimitExceeded":
        retry_after = _retry_after(answer.headers, now)
        return RateLimited(KEY, code or "HTTP_429", retry_after=retry_after, remote_body=body)
    if status >= 500 or status == 408:
        return unclear(KEY, code or f"HTTP_{status}", remote_body=body)
    if code is None or not 400 <= status < 500:
        return unreadable(KEY, f"HTTP_{status}", remote_body=body)
    return _refusal(status, code, body)


def _refusal(status: int, code: str, body: bytes) -> NetworkError:
    if code in EXPIRED:
        return AuthExpired(KEY, code, remote_body=body)
    if code in BLOCKED:
        return Blocked(KEY, code, remote_body=body)
    if code in REVOKED or status == 401:
        return AuthRevoked(KEY, code, remote_body=body)
    if code in GONE:
        return TargetGone(KEY, code, remote_body=body)
    if code in BROKEN:
        return ContractBroken(KEY, code, remote_body=body)
    if status == 403:
        return MissingScope(KEY, code, remote_body=body)
    return Rejected(KEY, code, remote_body=body)


def _json_object(body: bytes) -> Json | None:
    try:
        data: object = orjson.loads(body)
    except ValueError:
        data = _json_with_broken_letters(body)
    return cast("Json", data) if isinstance(data, dict) else None


def _json_with_broken_letters(body: bytes) -> object:
    # Half a surrogate pair in one item must not hide the whole page behind it.
    try:
        return orjson.loads(json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta:
    wait = _instant(headers.get("ratelimit-reset")) or _retry_instant(headers.get("retry-after"), now)
    if wait is None:
        return RETRY_AFTER_DEFAULT
    return min(max(wait - now, RETRY_AFTER_MIN), RETRY_AFTER_MAX)


def _retry_instant(value: str | None, now: datetime) -> datetime | None:
    if value is None:
        return None
    if value.isdecimal():
        return now + min(timedelta(seconds=int(value[:9])), RETRY_AFTER_MAX)
    try:
        found = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _instant(value: str | None) -> datetime | None:
    if value is None or not value.isdecimal():
        return None
    try:
        return datetime.fromtimestamp(int(value), UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _quotas(headers: Mapping[str, str]) -> tuple[QuotaReport, ...]:
    limit, remaining = headers.get("ratelimit-limit", ""), headers.get("ratelimit-remaining", "")
    if not (limit.isdecimal() and remaining.isdecimal()):
        return ()
    report = QuotaReport(
        bucket=headers.get("ratelimit-policy", "")[:CODE_LENGTH_MAX] or "requests",
        scope=QuotaScope.ACCOUNT,
        used=max(int(limit) - int(remaining), 0),
        limit=int(limit),
        resets_at=_instant(headers.get("ratelimit-reset")),
    )
    return (report,)
