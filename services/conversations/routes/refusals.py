# SPDX-License-Identifier: EUPL-1.2
"""Why the form refuses a request as a whole, and what is wrong with single fields."""

from dataclasses import dataclass
from enum import Enum


class Refusal(Enum):
    """Each reason with its HTTP status and its code; `words` has the sentence in every language."""

    NOT_FOUND = (404, "NOT_FOUND")
    TOO_SLOW = (408, "TIMEOUT")
    TOO_LARGE = (413, "PAYLOAD_TOO_LARGE")
    UNSUPPORTED = (415, "UNSUPPORTED_MEDIA_TYPE")
    KEY_REUSED = (422, "IDEMPOTENCY_KEY_REUSED")
    THROTTLED = (429, "THROTTLED")
    UNAVAILABLE = (503, "SERVICE_UNAVAILABLE")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def code(self) -> str:
        return self.value[1]


class Refused(Exception):
    """Ends a request with a refusal. `retry_after_seconds` says when to come again, where waiting helps."""

    def __init__(self, refusal: Refusal, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field. `field` is None when the whole body cannot be read."""

    field: str | None
    code: str
    message: str


class NotUsable(Exception):
    """What was typed cannot be taken, with every reason."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__(", ".join(error.code for error in errors))
        self.errors = errors
