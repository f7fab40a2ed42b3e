# SPDX-License-Identifier: EUPL-1.2
"""The pure parts of the form: markup, addresses, languages, and how a question stands."""

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from services.conversations.routes import fields
from services.conversations.routes.receiving import address_of
from services.conversations.routes.refusals import NotUsable, Refusal
from services.conversations.routes.standing import Entry, Standing, standing
from services.conversations.routes.words import EN, WORDS
from services.conversations.rules import ConversationState, Direction, ReplyPurpose
from services.kernel.languages import Language, choose
from services.kernel.markup import Html, fill, join

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
HERS = Entry(Direction.INBOUND, "?", NOW)
OURS = Entry(Direction.OUTBOUND, "!", NOW, purpose=ReplyPurpose.ANSWER)
PROMISE = Entry(Direction.OUTBOUND, "…", NOW, purpose=ReplyPurpose.ACKNOWLEDGEMENT)
S, T = ConversationState, Standing


class Seen(HTMLParser):
    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str]] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [("tag", tag), *(("value", value or "") for _, value in attrs)]

    def handle_data(self, data: str) -> None:
        self.found.append(("text", data))


@given(st.text(alphabet=st.one_of(st.sampled_from("<>&\"'$={}/ script"), st.characters(codec="utf-8"))))
def test_no_text_becomes_an_element_or_leaves_its_attribute(text: str) -> None:
    text = text.replace("\r", "").replace("\x00", "")
    seen = Seen(fill('<p title="$text">$text</p>', text=text)).found
    assert seen[:2] == [("tag", "p"), ("value", text)]
    assert "".join(value for kind, value in seen[2:] if kind == "text") == text
    assert {kind for kind, _ in seen[2:]} <= {"text"}


def test_markup_stands_as_it_is() -> None:
    inner = fill("<b>$text</b>", text="<")
    assert fill("<p>$inner</p>", inner=join([inner, Html("<br>")])) == "<p><b>&lt;</b>\n<br></p>"


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("::ffff:192.0.2.7", 1), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (("testclient", 1), "testclient"),
        (None, "unknown"),
    ],
)
def test_an_address_is_the_peer_s_and_of_the_new_kind_the_network_s(peer: object, counted: str) -> None:
    headers = [(b"x-forwarded-for", b"203.0.113.1"), (b"x-real-ip", b"203.0.113.1")]
    assert address_of(Request({"type": "http", "client": peer, "headers": headers})) == counted


@given(st.lists(st.text(max_size=12), max_size=4), st.text(max_size=60))
def test_a_language_is_always_found(wishes: list[str], accept: str) -> None:
    assert choose(*wishes, accept=accept) in Language


def test_every_language_has_every_sentence() -> None:
    for words in WORDS.values():
        assert set(words.standings) == set(Standing)
        assert set(words.refusals) == set(Refusal)
        assert NOW.strftime(words.instant).isprintable()
        assert all(text.format(instant="i", reference="r", count=1, actual=2) for text in sentences(words))


def sentences(words: object) -> list[str]:
    texts = [getattr(words, name) for name in type(words).__slots__]  # type: ignore[attr-defined]
    return [text for text in texts if isinstance(text, str)]


def taken(values: dict[str, object]) -> fields.Question | NotUsable:
    try:
        return fields.question(values, EN)
    except NotUsable as refusal:
        return refusal


@given(st.dictionaries(st.sampled_from(["text", "name", "email", "language"]), st.one_of(st.text(), st.integers())))
def test_whatever_is_typed_is_taken_clean_or_refused_with_reasons(values: dict[str, object]) -> None:
    read = taken(values)
    if isinstance(read, NotUsable):
        assert read.errors
        assert all(error.message and error.field in ("text", "name", "email", "language") for error in read.errors)
        return
    assert 0 < len(read.text) <= 10_000
    assert "\x00" not in read.text + (read.name or "")
    assert read.name is None or read.name == read.name.strip() != ""
    assert fields.question({"text": read.text, "name": read.name, "email": read.email}, EN).text == read.text


@pytest.mark.parametrize(
    ("state", "entries", "waiting", "stands"),
    [
        (None, [HERS], True, T.RECEIVED),
        (S.NEW, [HERS], False, T.OPEN),
        (S.OPEN, [HERS], False, T.OPEN),
        (S.OPEN, [HERS, PROMISE], False, T.OPEN),
        (S.OPEN, [HERS, OURS], False, T.ANSWERED),
        (S.OPEN, [HERS, OURS, PROMISE], False, T.OPEN),
        (S.OPEN, [HERS, OURS, HERS], False, T.OPEN),
        (S.WAITING_ON_CITIZEN, [HERS, OURS], False, T.WAITING_ON_CITIZEN),
        (S.WAITING_ON_CITIZEN, [HERS, OURS, HERS], True, T.OPEN),
        (S.WAITING_ON_DEPARTMENT, [HERS], False, T.OPEN),
        (S.SNOOZED, [HERS], False, T.OPEN),
        (S.CLOSED, [HERS], False, T.CLOSED),
        (S.CLOSED, [HERS, OURS], False, T.CLOSED),
        (S.CLOSED, [HERS, OURS, HERS], True, T.OPEN),
        (S.REOPEN_REQUESTED, [HERS, OURS], False, T.ANSWERED),
        (S.CLOSED, [], False, T.CLOSED),
    ],
)
def test_how_a_question_stands(
    state: ConversationState | None, entries: list[Entry], waiting: bool, stands: Standing
) -> None:
    assert standing(state, entries, waiting=waiting) is stands
