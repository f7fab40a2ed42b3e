# SPDX-License-Identifier: EUPL-1.2
"""What a citizen typed: checked field by field, every mistake at once, and cleaned of what no reader could see."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.conversations.routes.refusals import FieldError, NotUsable
from services.conversations.routes.words import Words
from services.kernel.errors import Invalid, Required, TooLong
from services.kernel.languages import LANGUAGE_TAG
from services.social_accounts.networks.webform import TEXT_MAX

NAME_LENGTH_MAX = 200
EMAIL_LENGTH_MAX = 254
EMAIL_LOCAL_LENGTH_MAX = 64
LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
EMAIL = re.compile(rf"[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]+@(?:{LABEL}\.)+{LABEL}")
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{16,200}")
KEY_FIELD = "Idempotency-Key"
REPLACEMENT = "\ufffd"
KEPT_CONTROLS = frozenset("\n\t")
REORDERING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Letters that only turn the direction of writing: in a name they could make one person look like another."""


@dataclass(frozen=True, slots=True)
class Question:
    """One submission, cleaned."""

    text: str
    name: str | None = None
    email: str | None = None
    language: str | None = None


def question(values: Mapping[str, Any], words: Words) -> Question:
    """The submission in `values`. Raises NotUsable with all mistakes."""
    errors: list[FieldError] = []
    read = Question(
        text=_text(values, words, errors),
        name=_name(values, words, errors),
        email=_email(values, words, errors),
        language=_language(values, words, errors),
    )
    if errors:
        raise NotUsable(errors)
    return read


def follow_up(values: Mapping[str, Any], words: Words) -> str:
    """The text of a further message. Raises NotUsable."""
    errors: list[FieldError] = []
    text = _text(values, words, errors)
    if errors:
        raise NotUsable(errors)
    return text


def idempotency_key(header: str | None, words: Words) -> str | None:
    """The key of the header, with or without quotes around it. Raises NotUsable for one that could be guessed."""
    if header is None:
        return None
    bare = header.strip().removeprefix('"').removesuffix('"')
    if not IDEMPOTENCY_KEY.fullmatch(bare):
        raise NotUsable([FieldError(KEY_FIELD, Invalid.code, words.key_wrong)])
    return bare


def _text(values: Mapping[str, Any], words: Words, errors: list[FieldError]) -> str:
    text = _string(values, "text", words, errors)
    if text is None:
        return ""
    text = _readable(text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not text:
        errors.append(FieldError("text", Required.code, words.text_missing))
    elif len(text) > TEXT_MAX:
        message = words.text_too_long.format(actual=words.number(len(text)), count=words.number(TEXT_MAX))
        errors.append(FieldError("text", TooLong.code, message))
    return text


def _name(values: Mapping[str, Any], words: Words, errors: list[FieldError]) -> str | None:
    name = _string(values, "name", words, errors) or ""
    name = " ".join("".join(letter for letter in _readable(name) if letter not in REORDERING).split())
    if len(name) > NAME_LENGTH_MAX:
        errors.append(FieldError("name", TooLong.code, words.name_too_long.format(count=words.number(NAME_LENGTH_MAX))))
    return name or None


def _email(values: Mapping[str, Any], words: Words, errors: list[FieldError]) -> str | None:
    email = (_string(values, "email", words, errors) or "").strip()
    if len(email) > EMAIL_LENGTH_MAX:
        errors.append(FieldError("email", TooLong.code, words.email_wrong))
    elif email and not _is_plausible(email):
        errors.append(FieldError("email", Invalid.code, words.email_wrong))
    return email or None


def _is_plausible(email: str) -> bool:
    return EMAIL.fullmatch(email) is not None and len(email.partition("@")[0]) <= EMAIL_LOCAL_LENGTH_MAX


def _language(values: Mapping[str, Any], words: Words, errors: list[FieldError]) -> str | None:
    language = (_string(values, "language", words, errors) or "").strip()
    if language and not LANGUAGE_TAG.fullmatch(language):
        errors.append(FieldError("language", Invalid.code, words.language_wrong))
    return language or None


def _string(values: Mapping[str, Any], field: str, words: Words, errors: list[FieldError]) -> str | None:
    """The value of a field; '' when it is left out, None when it is not text, which is told once."""
    value = values.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        errors.append(FieldError(field, Invalid.code, words.not_text))
        return None
    return value


def _readable(text: str) -> str:
    """The text with a visible mark in place of each control character; the database cannot hold some of them."""
    return "".join(
        REPLACEMENT if unicodedata.category(letter) in ("Cc", "Cs") and letter not in KEPT_CONTROLS else letter
        for letter in text
    )
