# SPDX-License-Identifier: EUPL-1.2
"""Every sentence of a refusal exists in every language, with the same values."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_schema.reading.bounds import FLAWS
from services.kernel.errors import BadUserInput, BelfryError
from services.kernel.languages import Language, catalog, choose, said
from tests.support.source import PRODUCT, Source, sources

OTHERS = [each for each in Language if each is not Language.EN]
KEPT_IN_CONSTANTS = {"flaw": FLAWS}
"""Variables that hold a sentence, and which ones."""


def refusals() -> Iterator[type[BelfryError]]:
    """Every class of refusal, from everywhere."""
    for root in PRODUCT:
        for module in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{root}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    pending: list[type[BelfryError]] = [BelfryError]
    while pending:
        below = pending.pop().__subclasses__()
        yield from below
        pending.extend(below)


def called(node: ast.Call) -> str | None:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)


def sentences(source: Source, names: set[str]) -> Iterator[ast.expr]:
    """The first argument of every refusal that is made in a file."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and called(node) in names and node.args:
            yield node.args[0]


def in_the_code() -> set[str]:
    classes = {each for each in refusals() if each.__module__.split(".")[0] in PRODUCT}
    found = {each.__dict__["message"] for each in classes if "message" in each.__dict__}
    for source in sources(*PRODUCT):
        for sentence in sentences(source, {each.__name__ for each in classes}):
            where = f"{source.name}:{sentence.lineno}"
            if isinstance(sentence, ast.Constant):
                found.add(sentence.value)
            else:
                assert ast.unparse(sentence) in KEPT_IN_CONSTANTS, f"{where}: a sentence is never put together"
                found.update(KEPT_IN_CONSTANTS[ast.unparse(sentence)])
    return found


def values_of(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_has_its_translation_and_no_translation_is_left_over(language: Language) -> None:
    assert set(catalog(language)) == in_the_code()


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_values_of_its_sentence_and_says_something_else(language: Language) -> None:
    for sentence, translation in catalog(language).items():
        assert values_of(translation) == values_of(sentence), sentence
        assert translation.strip()
        assert translation != sentence


def test_a_refusal_is_said_in_a_language_with_its_values() -> None:
    refusal = BadUserInput("A list has at most {count} items.", count=7)
    assert {said(refusal, each) for each in Language} == {
        "A list has at most 7 items.",
        "Een lijst heeft ten hoogste 7 items.",
        "Une liste a 7 éléments au plus.",
        "Eine Liste hat höchstens 7 Einträge.",
    }
    assert refusal.text == str(refusal) == "A list has at most 7 items."
    assert said(BadUserInput("Nobody translated {what}.", what="this"), Language.NL) == "Nobody translated this."


@given(st.text(alphabet="{}!:.[]abc", max_size=20))
def test_a_value_is_never_read_as_a_sentence(value: str) -> None:
    refusal = BadUserInput("{argument} must be from 0 to {count}.", argument=value, count=3)
    for language in Language:
        assert said(refusal, language).startswith(value)


@pytest.mark.parametrize(
    ("header", "wishes", "expected"),
    [
        (None, (), "en"),
        ("", (), "en"),
        ("fr", (), "fr"),
        ("fr-BE, nl;q=0.9", (), "fr"),
        ("x-klingon, de-AT;q=0.5, nl;q=0.8", (), "nl"),
        ("nl;q=0", ("de",), "de"),
        ("*", ("nl-BE", "fr"), "nl"),
        ("es, pt", ("pl", "fr"), "fr"),
        ("nl;q=two, de;q=0.1", (), "de"),
    ],
)
def test_the_header_comes_first_then_what_is_wished_then_english(
    header: str | None, wishes: tuple[str, ...], expected: str
) -> None:
    assert choose(accept=header, otherwise=wishes) == expected
