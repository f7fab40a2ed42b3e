# SPDX-License-Identifier: EUPL-1.2
"""In which language a page or a refusal is written, and a refusal's sentence in it.

Sentences stand in English where they are raised; `catalogs/<language>.po` have them in the other languages. A sentence
without its translation fails a test.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

from services.kernel.errors import BelfryError

CATALOGS = Path(__file__).with_name("catalogs")
WISHES_MAX = 20
WISH_QUALITY = re.compile(r"q\s*=\s*([01](?:\.\d{0,3})?)")
LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
"""The part of BCP 47 that people's languages need: a language, and up to three further subtags."""


class Language(StrEnum):
    """The languages that Belfry speaks."""

    NL = "nl"
    FR = "fr"
    DE = "de"
    EN = "en"


SPOKEN = {language.value: language for language in Language}


def choose(*wishes: str | None, accept: str | None = None, otherwise: Iterable[str] = ()) -> Language:
    """The first of `wishes` that Belfry speaks, else what the header Accept-Language prefers, else `otherwise`."""
    candidates = [*(wish for wish in wishes if wish), *_accepted(accept), *otherwise]
    return next((language for each in candidates if (language := spoken(each)) is not None), Language.EN)


def spoken(tag: str) -> Language | None:
    """The language of a tag such as `nl-BE`, when Belfry speaks it."""
    return SPOKEN.get(tag.strip().lower().partition("-")[0])


@cache
def catalog(language: Language) -> Mapping[str, str]:
    """The sentences of a language by their English ones."""
    if language is Language.EN:
        return {}
    with (CATALOGS / f"{language}.po").open("rb") as file:
        return {str(each.id): str(each.string) for each in read_po(file, locale=language) if each.id and each.string}


def said(refusal: BelfryError, language: Language) -> str:
    """A refusal's sentence; in English when the language does not have it."""
    return catalog(language).get(refusal.sentence, refusal.sentence).format_map(refusal.values)


def _accepted(header: str | None) -> list[str]:
    wishes: list[tuple[float, int, str]] = []
    for place, wish in enumerate((header or "").split(",", WISHES_MAX)[:WISHES_MAX]):
        tag, _, parameters = wish.partition(";")
        quality = WISH_QUALITY.fullmatch(parameters.strip().lower())
        rank = float(quality[1]) if quality else 0.0 if parameters.strip() else 1.0
        if rank > 0:
            wishes.append((-rank, place, tag))
    return [tag for _, _, tag in sorted(wishes)]
