# SPDX-License-Identifier: EUPL-1.2
"""In which language a page or a refusal is written."""

import re
from collections.abc import Iterable
from enum import StrEnum

WISHES_MAX = 20
WISH_QUALITY = re.compile(r"q\s*=\s*([01](?:\.\d{0,3})?)")
LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
"""The part of BCP 47 that people's languages need: a language, and up to three further subtags."""


class Language(StrEnum):
    """The languages that the form speaks."""

    NL = "nl"
    FR = "fr"
    DE = "de"
    EN = "en"


SPOKEN = {language.value: language for language in Language}


def choose(*wishes: str | None, accept: str | None = None, otherwise: Iterable[str] = ()) -> Language:
    """The first of `wishes` that the form speaks, else what the header Accept-Language prefers, else `otherwise`."""
    candidates = [*(wish for wish in wishes if wish), *_accepted(accept), *otherwise]
    return next((language for each in candidates if (language := spoken(each)) is not None), Language.EN)


def spoken(tag: str) -> Language | None:
    """The language of a tag such as `nl-BE`, when the form speaks it."""
    return SPOKEN.get(tag.strip().lower().partition("-")[0])


def _accepted(header: str | None) -> list[str]:
    wishes: list[tuple[float, int, str]] = []
    for place, wish in enumerate((header or "").split(",", WISHES_MAX)[:WISHES_MAX]):
        tag, _, parameters = wish.partition(";")
        quality = WISH_QUALITY.fullmatch(parameters.strip().lower())
        rank = float(quality[1]) if quality else 0.0 if parameters.strip() else 1.0
        if rank > 0:
            wishes.append((-rank, place, tag))
    return [tag for _, _, tag in sorted(wishes)]
