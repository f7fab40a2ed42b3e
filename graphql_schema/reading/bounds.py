# SPDX-License-Identifier: EUPL-1.2
"""What every text and list in an argument must keep to, whatever field it is for."""

from collections.abc import Mapping
from typing import Any

from services.kernel.errors import BadUserInput

INPUT_LIST_MAX = 100
TEXT_LENGTH_MAX = 20_000


def check_text(text: str) -> None:
    """Refuse what PostgreSQL cannot store in any text. Raises ValueError with a sentence for the caller."""
    if "\x00" in text:
        raise ValueError("Text cannot contain the character U+0000.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("Text cannot contain half of a surrogate pair.") from error


def check_values(arguments: Mapping[str, Any]) -> None:
    """Refuse texts and lists beyond their bounds, however deep they stand. Raises BadUserInput."""
    stack: list[Any] = list(arguments.values())
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            if len(value) > TEXT_LENGTH_MAX:
                raise BadUserInput(f"A text has at most {TEXT_LENGTH_MAX} characters.")
            try:
                check_text(value)
            except ValueError as error:
                raise BadUserInput(str(error)) from error
        elif isinstance(value, list):
            if len(value) > INPUT_LIST_MAX:
                raise BadUserInput(f"A list has at most {INPUT_LIST_MAX} items.")
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
