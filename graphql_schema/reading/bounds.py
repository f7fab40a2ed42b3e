# SPDX-License-Identifier: EUPL-1.2
"""What every text and list in an argument must keep to, whatever field it is for."""

from collections.abc import Mapping
from typing import Any

from services.kernel.errors import BadUserInput

INPUT_LIST_MAX = 100
TEXT_LENGTH_MAX = 20_000


FLAWS = ("Text cannot contain the character U+0000.", "Text cannot contain half of a surrogate pair.")


def flaw_of(text: str) -> str | None:
    """What keeps PostgreSQL from storing a text, as a sentence of FLAWS; None for nearly every text."""
    if "\x00" in text:
        return FLAWS[0]
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return FLAWS[1]
    return None


def check_values(arguments: Mapping[str, Any]) -> None:
    """Refuse texts and lists beyond their bounds, however deep they stand. Raises BadUserInput."""
    stack: list[Any] = list(arguments.values())
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            if len(value) > TEXT_LENGTH_MAX:
                raise BadUserInput("A text has at most {count} characters.", count=TEXT_LENGTH_MAX)
            if (flaw := flaw_of(value)) is not None:
                raise BadUserInput(flaw)
        elif isinstance(value, list):
            if len(value) > INPUT_LIST_MAX:
                raise BadUserInput("A list has at most {count} items.", count=INPUT_LIST_MAX)
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
