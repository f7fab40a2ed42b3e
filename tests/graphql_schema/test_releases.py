# SPDX-License-Identifier: EUPL-1.2
"""The schema is a contract: what it may become is judged against the last release."""

from datetime import date
from typing import Any

import pytest

from graphql_schema.schema import SDL_FILE
from services.kernel.clock import utc_now
from tests.support.releases import problems
from tests.support.source import ROOT

RELEASED = SDL_FILE.with_name("released.graphql")
CHANGELOG = ROOT / "CHANGELOG-api.md"
TODAY = date(2026, 11, 22)
OLD = """type Query {
  a: Int @deprecated(reason: "Use b. Removed after 2026-11-21.")
  b: [Int] @listSize(assumedSize: 5)
  c: Int
}"""


def change(level: str, kind: str, path: str) -> dict[str, Any]:
    return {"level": level, "type": kind, "path": path, "message": "something"}


def found(new: str, *changes: dict[str, Any], changelog: str = "", old: str = OLD, today: date = TODAY) -> list[str]:
    return [each.split(":")[0] for each in problems(changes, old, new, changelog, today)]


def test_the_schema_keeps_what_the_last_release_promised() -> None:
    """Deprecations and costs; what graphql-inspector says of the rest stands in test_judges."""
    assert problems([], RELEASED.read_text(), SDL_FILE.read_text(), CHANGELOG.read_text(), utc_now().date()) == []


def test_a_removal_passes_only_after_the_date_of_its_deprecation() -> None:
    removed = change("BREAKING", "FIELD_REMOVED", "Query.a")
    new = "type Query { b: [Int] c: Int }"
    assert found(new, removed) == []
    assert found(new, removed, today=date(2026, 11, 21)) == ["Query.a"]
    assert found(new, change("BREAKING", "FIELD_REMOVED", "Query.c")) == ["Query.c"]
    assert found(new, change("BREAKING", "FIELD_TYPE_CHANGED", "Query.a")) == ["Query.a"]


def test_what_may_surprise_needs_a_line_with_its_path() -> None:
    added = change("DANGEROUS", "ENUM_VALUE_ADDED", "E.C")
    assert found(OLD, added) == ["E.C"]
    assert found(OLD, added, changelog="- `E.C` is new: parked conversations.") == []


@pytest.mark.parametrize(
    ("reason", "is_fine"),
    [
        ("Use b. Removed after 2027-05-21.", True),
        ("Use b. Removed after 2027-05-20.", False),
        ("Use b.", False),
        ("Removed after 2030-01-01.", False),
        ("Use b. Removed after soon.", False),
    ],
)
def test_a_deprecation_names_what_to_use_and_a_date_far_enough_away(reason: str, is_fine: bool) -> None:
    new = OLD.replace("c: Int", f'c(x: Int @deprecated(reason: "{reason}")): Int @deprecated(reason: "{reason}")')
    assert found(new) == ([] if is_fine else ["Query.c", "Query.c.x"])


def test_a_deprecation_that_was_released_runs_out() -> None:
    assert found(OLD) == []
    assert found(OLD.replace("2026-11-21", "2026-12-01")) == ["Query.a"]


@pytest.mark.parametrize(
    ("directive", "is_fine"),
    [
        ("@listSize(assumedSize: 5)", True),
        ("@listSize(assumedSize: 4)", True),
        ("@listSize(assumedSize: 6)", False),
        ('@listSize(assumedSize: 5) @cost(weight: "2")', False),
        ('@listSize(assumedSize: 5) @cost(weight: "0")', True),
    ],
)
def test_nothing_becomes_dearer(directive: str, is_fine: bool) -> None:
    assert found(OLD.replace("@listSize(assumedSize: 5)", directive)) == ([] if is_fine else ["Query.b"])
