# SPDX-License-Identifier: EUPL-1.2
"""What a local token looks like and how long it lives."""

import re
import secrets
from datetime import timedelta

from services.kernel.errors import DomainError

LOCAL_TOKEN = re.compile(r"belfry_local_[A-Za-z0-9_-]{43}")
LOCAL_TOKEN_LIFE = timedelta(days=30)


class NotALocalInstallation(DomainError):
    code = "NOT_A_LOCAL_INSTALLATION"
    message = "Tokens are issued this way only by a local, embedded installation."


class PersonIsUnknown(DomainError):
    code = "PERSON_IS_UNKNOWN"
    message = "Nobody in this organization has that role."


def new_local_token() -> str:
    """A token of 256 bits of chance, recognizable by its first letters wherever it leaks."""
    return f"belfry_local_{secrets.token_urlsafe(32)}"


def check_local(is_local: bool) -> None:
    if not is_local:
        raise NotALocalInstallation
