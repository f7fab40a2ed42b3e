# SPDX-License-Identifier: EUPL-1.2
"""Routing as a pure rule: words, order, accounts, and a trace that replays."""

import unicodedata
from random import Random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.conversations.rules import Rule, reference_of, route
from services.conversations.rules.routing import TRACE_RULES_MAX, folded, matches

RANDOM = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ACCOUNT, OTHER = UUID(int=1), UUID(int=2)
VOCABULARY = ["lamp", "street", "église", "EGLISE", "bin", "straße", "café", "27", "naïve"]


def rule(number: int, *keywords: str, account: UUID | None = None) -> Rule:
    return Rule(UUID(int=100 + number), f"rule {number}", keywords, UUID(int=200 + number), account)


@pytest.mark.parametrize(
    ("keyword", "text", "found"),
    [
        ("lamp", "The lamp is broken", True),
        ("lamp", "The LAMP!", True),
        ("lamp", "headlamp and lamppost", False),
        ("lamp", "lamp-post", True),
        ("street lamp", "the street  lamp", True),
        ("street lamp", "street: lamp", True),
        ("street lamp", "street with a lamp", False),
        ("street lamp", "lamp street", False),
        ("église", "a l'Eglise", True),
        ("eglise", "L\u2019E\u0301GLISE", True),
        ("cafe", "café", True),
        ("strasse", "die Straße", True),
        ("\ufb01ets", "fiets", True),
        ("", "anything", False),
        ("!?", "anything !?", False),
        ("27", "house 27", True),
        ("27", "house 127", False),
        ("snake_case", "snake case", True),
    ],
)
def test_a_keyword_is_found_as_whole_words_whatever_its_marks_and_case(keyword: str, text: str, found: bool) -> None:
    assert matches(keyword, folded(text)) is found


def simply_folded(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)).casefold()


@RANDOM
@given(st.integers(0, 2**32))
def test_the_first_rule_that_matches_wins_and_the_trace_names_those_before(seed: int) -> None:
    chance = Random(seed)
    text = [chance.choice(VOCABULARY) for _ in range(chance.randrange(6))]
    rules = [
        rule(
            number,
            *(" ".join(chance.choices(VOCABULARY, k=chance.randint(1, 2))) for _ in range(chance.randint(0, 2))),
            account=chance.choice([None, ACCOUNT, OTHER]),
        )
        for number in range(chance.randrange(6))
    ]
    plain = f" {' '.join(simply_folded(word) for word in text)} "

    def hits(each: Rule) -> list[str]:
        if each.social_account_id not in (None, ACCOUNT):
            return []
        return [key for key in each.keywords if f" {' '.join(simply_folded(k) for k in key.split())} " in plain]

    winner = next((each for each in rules if hits(each)), None)
    found = route(", ".join(text), account_id=ACCOUNT, rules=rules)
    if winner is None:
        assert (found.rule_id, found.category_id, found.why["rule"]) == (None, None, None)
        passed = rules
    else:
        assert (found.rule_id, found.category_id) == (winner.id, winner.category_id)
        assert (found.why["rule"], found.why["keyword"]) == (winner.name, hits(winner)[0])
        passed = rules[: rules.index(winner)]
    assert [each["rule"] for each in found.why["passed"]] == [each.name for each in passed]
    limited = [each.name for each in passed if each.social_account_id not in (None, ACCOUNT)]
    told = [each["rule"] for each in found.why["passed"] if each["because"] == "the rule is for another account"]
    assert told == limited
    assert route(", ".join(text), account_id=ACCOUNT, rules=rules) == found


def test_the_trace_replays_to_the_same_route_from_the_stored_inputs() -> None:
    rules = [rule(1, "bin"), rule(2, "lamp", account=OTHER), rule(3, "street lamp", "lamp")]
    first = route("my street lamp", account_id=ACCOUNT, rules=rules)
    by_name = {each.name: each for each in rules}
    named = by_name[first.why["rule"]]
    passed = [by_name[each["rule"]] for each in first.why["passed"]]
    again = route("my street lamp", account_id=ACCOUNT, rules=[*passed, named])
    assert again == first
    assert first.why == {
        "rule": "rule 3",
        "keyword": "street lamp",
        "passed": [
            {"rule": "rule 1", "because": "no keyword occurs"},
            {"rule": "rule 2", "because": "the rule is for another account"},
        ],
    }


def test_the_trace_is_bounded_however_many_rules_were_passed_over() -> None:
    rules = [*(rule(number, "bin") for number in range(200)), rule(999, "lamp")]
    found = route("lamp", account_id=ACCOUNT, rules=rules)
    assert found.rule_id == UUID(int=1099)
    assert len(found.why["passed"]) == TRACE_RULES_MAX


def test_a_text_without_words_goes_to_the_desk() -> None:
    assert route("", account_id=ACCOUNT, rules=[rule(1, "lamp")]).category_id is None
    assert route("\U0001f44d\U0001f3fd !!", account_id=ACCOUNT, rules=[rule(1, "lamp")]).category_id is None


@RANDOM
@given(st.text(max_size=40))
def test_a_reference_is_two_groups_of_four_that_nobody_mishears(submission_id: str) -> None:
    reference = reference_of(submission_id)
    assert reference == reference_of(submission_id)
    groups = reference.split("-")
    assert [len(group) for group in groups] == [4, 4]
    assert not set("".join(groups)) & set("AEIOU01LSB")
