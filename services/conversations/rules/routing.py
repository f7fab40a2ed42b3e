# SPDX-License-Identifier: EUPL-1.2
"""Routing: ordered rules of keywords, first match wins, and the trace that tells why."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

WORD = re.compile(r"[^\W_]+", re.UNICODE)
KEYWORDS_MAX = 100
TRACE_RULES_MAX = 50


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the routing table. A keyword of several words matches them next to each other."""

    id: UUID
    name: str
    keywords: tuple[str, ...]
    category_id: UUID
    social_account_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Where a text goes. `why` replays: the same text and rules give the same route."""

    rule_id: UUID | None
    category_id: UUID | None
    why: dict[str, Any]


def folded(text: str) -> list[str]:
    """The words of a text, case folded and without marks: 'Straatverlichting à l'Église' gives four plain words."""
    plain = unicodedata.normalize("NFKD", text)
    return WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)).casefold())


def matches(keyword: str, words: Sequence[str]) -> bool:
    """Whether a keyword's words occur next to each other."""
    wanted = folded(keyword)
    return bool(wanted) and any(
        list(words[start : start + len(wanted)]) == wanted for start in range(len(words) - len(wanted) + 1)
    )


def route(text: str, *, account_id: UUID, rules: Iterable[Rule]) -> Route:
    """The first rule that has a keyword in the text; without one the coordination desk keeps it."""
    words = folded(text)
    passed: list[dict[str, str]] = []
    for rule in rules:
        reason = "no keyword occurs"
        if rule.social_account_id not in (None, account_id):
            reason = "the rule is for another account"
        elif (keyword := next((each for each in rule.keywords if matches(each, words)), None)) is not None:
            why = {"rule": rule.name, "keyword": keyword, "passed": passed[:TRACE_RULES_MAX]}
            return Route(rule.id, rule.category_id, why)
        passed.append({"rule": rule.name, "because": reason})
    return Route(None, None, {"rule": None, "passed": passed[:TRACE_RULES_MAX]})
