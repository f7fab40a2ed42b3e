# SPDX-License-Identifier: EUPL-1.2
"""What can go wrong with a network, by what the worker must do about it.

    NetworkError
    ├── Transient         nothing happened                       retry with jitter
    ├── RateLimited       told to slow down                      retry after `retry_after`
    ├── QuotaSpent        budget used up                         park until `until`
    ├── AuthExpired       token expired                          refresh once, retry once
    ├── AuthRevoked       token dead                             stop the account, tell the tenant
    ├── MissingScope      permission not granted                 fail, name it
    ├── Rejected          documented refusal of the content      fail, show the problems
    ├── WindowClosed      private answer no longer allowed       fail
    ├── TargetGone        the answered item was deleted          fail, mark the message
    ├── Duplicate         the network says it has it already     find_sent
    ├── OutcomeUnknown    written, and no answer that tells      verify, never retry blindly
    ├── Blocked           the account is blocked                 stop publishing, tell the tenant
    └── ContractBroken    cannot be read                         keep the raw event, alert

None of them carries an answer's body or a token: only its digest, so that two failures can be compared.
"""

import hashlib
from datetime import datetime, timedelta

from services.social_accounts.networks.interface import Problem, QuotaScope


class NetworkError(Exception):
    """`platform` is the connector's key, `code` the network's own word or ours, `scope` whom it concerns."""

    def __init__(
        self,
        platform: str,
        code: str,
        *,
        scope: QuotaScope = QuotaScope.ACCOUNT,
        retry_after: timedelta | None = None,
        remote_body: bytes | None = None,
    ) -> None:
        self.platform = platform
        self.code = code
        self.scope = scope
        self.retry_after = retry_after
        self.remote_body_digest = None if remote_body is None else hashlib.sha256(remote_body).hexdigest()
        super().__init__(f"{platform} {code}")


class Transient(NetworkError):
    """Nothing happened: no byte was written, or the call only reads."""


class RateLimited(NetworkError):
    """Not processed. `retry_after` is always set."""


class QuotaSpent(NetworkError):
    """A day, project or money budget is used up."""

    def __init__(self, platform: str, code: str, *, until: datetime, scope: QuotaScope = QuotaScope.APP) -> None:
        super().__init__(platform, code, scope=scope)
        self.until = until


class AuthExpired(NetworkError):
    """The access token has run out; a refresh token may renew it."""


class AuthRevoked(NetworkError):
    """Only a person can open the account again."""


class MissingScope(NetworkError):
    """The credentials do not allow this; `code` names what is missing."""


class Rejected(NetworkError):
    """The network, or our own outbound client, refuses this request whatever the time."""

    def __init__(
        self, platform: str, code: str, problems: tuple[Problem, ...] = (), *, remote_body: bytes | None = None
    ) -> None:
        super().__init__(platform, code, remote_body=remote_body)
        self.problems = problems or (Problem(code),)


class WindowClosed(NetworkError):
    """The time in which a private answer is allowed has passed."""


class TargetGone(NetworkError):
    """The item that was meant no longer exists."""


class Duplicate(NetworkError):
    """The network says that it has this already, perhaps under `remote_id`."""

    def __init__(self, platform: str, code: str, *, remote_id: str | None, remote_body: bytes | None = None) -> None:
        super().__init__(platform, code, remote_body=remote_body)
        self.remote_id = remote_id


class OutcomeUnknown(NetworkError):
    """The change was at least partly written, and whether it happened is not known."""


class Blocked(NetworkError):
    """The network has taken the account down or suspended it."""


class ContractBroken(NetworkError):
    """An answer or an event is not what the network documents."""
