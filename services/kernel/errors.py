# SPDX-License-Identifier: EUPL-1.2
"""Refusals: every way in which Belfry says no, each with a code and a sentence for the reader.

    BelfryError
    ├── RequestRefused          a top-level error: the caller cannot repair it in the input
    │   ├── Unauthenticated
    │   ├── Forbidden           role or scope is missing for the whole act
    │   ├── OrganizationSuspended
    │   ├── BadUserInput        malformed argument, page or cursor
    │   ├── Throttled
    │   └── ServiceUnavailable  a dependency is down or a lock could not be had; retry later
    └── DomainError             a user error: data in the payload, with a field to point at
        ├── Required, Invalid, TooLong, Taken, NotFound, NotPermitted, InvalidState, LimitReached
        ├── Conflict            somebody else changed the row first
        ├── IdempotencyKeyReused, IdempotencyInProgress
        └── PlatformRejected, PlatformUnavailable
            … and each domain's own refusals, beside the rule that raises them

Anything else that is raised is a defect: it is masked, and logged under the request's id.
"""

from typing import ClassVar

RETRY_AFTER_SECONDS = 2


class BelfryError(Exception):
    """The root of every refusal. `code` never changes; `message` is a sentence for a person.

    A sentence is English as it stands in the code, with a name in braces for each of its values. It is the key under
    which the other languages have theirs (`languages.py`), so it is never put together.
    """

    code: ClassVar[str]
    message: ClassVar[str]

    def __init__(self, sentence: str | None = None, **values: object) -> None:
        self.sentence, self.values = sentence or self.message, values
        super().__init__(self.text)

    @property
    def text(self) -> str:
        """The sentence in English."""
        return self.sentence.format_map(self.values)


class RequestRefused(BelfryError):
    """The request as a whole is refused; nothing in its input would repair it."""

    retry_after_seconds: int | None = None


class Unauthenticated(RequestRefused):
    code = "UNAUTHENTICATED"
    message = "Sign in, or send a valid bearer token."


class Forbidden(RequestRefused):
    code = "FORBIDDEN"
    message = "Your role does not allow this."


class OrganizationSuspended(RequestRefused):
    code = "ORGANIZATION_SUSPENDED"
    message = "This organization is suspended."


class BadUserInput(RequestRefused):
    code = "BAD_USER_INPUT"
    message = "An argument cannot be used."


class Throttled(RequestRefused):
    code = "THROTTLED"
    message = "Too many requests; try again later."

    def __init__(
        self, sentence: str | None = None, *, retry_after_seconds: int = RETRY_AFTER_SECONDS, **values: object
    ) -> None:
        super().__init__(sentence, **values)
        self.retry_after_seconds = retry_after_seconds


class ServiceUnavailable(RequestRefused):
    code = "SERVICE_UNAVAILABLE"
    message = "A part of the system is busy or down; try again in a moment."
    retry_after_seconds = RETRY_AFTER_SECONDS


REFUSALS: dict[str, type["DomainError"]] = {}
"""Every code that a user error may carry, by its first class: the GraphQL enum is made from it."""


class DomainError(BelfryError):
    """A refusal that a user can understand or repair.

    `field` is the path into the input, outermost first; empty when no single field is at fault.
    A refusal rolls the unit of work back: nothing was written and nothing emitted.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" in cls.__dict__:
            REFUSALS.setdefault(cls.code, cls)

    def __init__(self, sentence: str | None = None, *, field: tuple[str, ...] = (), **values: object) -> None:
        super().__init__(sentence, **values)
        self.field = field


class Required(DomainError):
    code = "REQUIRED"
    message = "This field is required."


class Invalid(DomainError):
    code = "INVALID"
    message = "This value cannot be used."


class TooLong(DomainError):
    code = "TOO_LONG"
    message = "This text is too long."


class Taken(DomainError):
    code = "TAKEN"
    message = "This is already in use."


class NotFound(DomainError):
    """Unknown, foreign and invisible rows alike: the caller cannot tell which."""

    code = "NOT_FOUND"
    message = "There is no such thing, or you may not see it."


class Conflict(DomainError):
    code = "CONFLICT"
    message = "Somebody else changed this first; look at the current version."


class NotPermitted(DomainError):
    """The actor may see this row, but not do this with it."""

    code = "NOT_PERMITTED"
    message = "You may see this, but not do this with it."


class InvalidState(DomainError):
    code = "INVALID_STATE"
    message = "This is not possible in the current state."


class LimitReached(DomainError):
    code = "LIMIT_REACHED"
    message = "A limit has been reached."


class IdempotencyKeyReused(DomainError):
    code = "IDEMPOTENCY_KEY_REUSED"
    message = "This idempotency key was used for a different input."

    def __init__(self) -> None:
        super().__init__(field=("idempotencyKey",))


class IdempotencyInProgress(DomainError):
    code = "IDEMPOTENCY_IN_PROGRESS"
    message = "The first request with this idempotency key is still running; repeat it in a moment."

    def __init__(self) -> None:
        super().__init__(field=("idempotencyKey",))


class PlatformRejected(DomainError):
    code = "PLATFORM_REJECTED"
    message = "The network refused this."


class PlatformUnavailable(DomainError):
    code = "PLATFORM_UNAVAILABLE"
    message = "The network cannot be reached at the moment."
