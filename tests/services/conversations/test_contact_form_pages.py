# SPDX-License-Identifier: EUPL-1.2
"""The pages as a browser without scripts gets them: readable, labeled, in four languages, and with nothing foreign."""

import hashlib
import re
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import httpx2
import orjson
import pytest

from services.conversations.routes.standing import Standing
from services.conversations.routes.words import WORDS
from services.kernel.languages import Language
from services.kernel.settings import Settings
from tests.support.contact_form import Served, drain, messages, open_form, publish, raw_events, reply, served
from tests.support.organizations import TestOrganization

SCRIPT = """<script>alert('x')</script><img src=x onerror="y"> & "quoted" 'words' $text {text} </textarea>"""


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    def fields(self) -> dict[str, str]:
        """The hidden values that a browser would send back."""
        return {each["name"]: each["value"] for each in self.all("input") if each["type"] == "hidden"}


@pytest.fixture(scope="module")
async def form(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def filled_in(client: httpx2.AsyncClient, path: str, **typed: str) -> httpx2.Response:
    """Open a page, fill its form in, and send it, as a browser does."""
    page = await client.get(path)
    [action] = [each["action"] for each in Page(page.text).all("form")]
    return await client.post(page.url.join(action).raw_path.decode(), data=Page(page.text).fields() | typed)


def check_page(answer: httpx2.Response, language: str) -> Page:
    """What holds for every page, whatever it says."""
    page = Page(answer.text)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-language"] == language
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-robots-tag"] == "noindex"
    assert page.all("html") == [{"lang": language}]
    assert len(page.all("title")) == len(page.all("h1")) == len(page.all("main")) == 1
    check_policy(answer, page)
    check_labels(page)
    return page


def check_policy(answer: httpx2.Response, page: Page) -> None:
    """Nothing runs, nothing comes from elsewhere, and the one style is the one that the policy names."""
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert policy["style-src"] == f"'sha256-{b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
    assert not page.all("script", "img", "iframe", "object", "embed", "base")
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            assert attributes.get(name, "?").startswith(("?", "#", "data:,"))


def check_labels(page: Page) -> None:
    """Every field has a label, and whatever is referred to by id is there once."""
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert set(ids.values()) <= {1}
    labels = [each["for"] for each in page.all("label")]
    asked = [each["id"] for each in page.all("input", "textarea") if each.get("type") != "hidden"]
    assert sorted(labels) == sorted(asked)
    for _, attributes in page.elements:
        for name in ("aria-describedby", "aria-labelledby"):
            assert set(attributes.get(name, "").split()) <= set(ids)


@pytest.mark.parametrize("language", list(Language))
async def test_every_page_speaks_every_language(
    form: Served, organization: TestOrganization, language: Language
) -> None:
    account = await open_form(form.runtime, organization)
    words = WORDS[language]
    async with form.client(headers={"Accept-Language": f"x-klingon, {language}-BE;q=0.5, *;q=0.1"}) as client:
        page = check_page(await client.get(f"/contact/{organization.slug}"), language)
        assert words.contact in page.texts
        missing = await client.get("/contact/nobody")
        assert "This page does not exist." in missing.text or language is not Language.EN
        check_page(missing, language)
        wrong = await filled_in(client, f"/contact/{organization.slug}", text="")
        assert wrong.status_code == 400
        assert words.text_missing in check_page(wrong, language).texts
        sent = await filled_in(client, f"/contact/{organization.slug}", text="?")
        assert sent.status_code == 303
        path = sent.headers["location"]
        seen = await client.get(path)
        assert words.standings[Standing.RECEIVED] in check_page(seen, language).texts
        await drain(form.runtime, organization, account)
        told = (await client.get(path, headers={"Accept": "application/json"})).json()
        assert told["acknowledgement"] in check_page(await client.get(path), language).texts
    [message] = await messages(form.runtime, organization)
    assert message.language == language


@pytest.mark.parametrize(
    ("query", "accept", "spoken"),
    [
        ("", "", "nl"),
        ("", "pt, ja;q=0.5", "nl"),
        ("", "fr;q=0.2, de;q=0.9, en;q=0", "de"),
        ("?language=fr", "de", "fr"),
        ("?language=fr-BE", "de", "fr"),
        ("?language=xx", "de", "de"),
        ("?language=%3Cscript%3E", "", "nl"),
    ],
)
async def test_the_address_decides_the_language_then_the_browser_then_the_organization(
    form: Served, organization: TestOrganization, query: str, accept: str, spoken: str
) -> None:
    await open_form(form.runtime, organization)
    async with form.client(headers={"Accept-Language": accept}) as client:
        check_page(await client.get(f"/contact/{organization.slug}{query}"), spoken)


async def test_a_browser_asks_reads_and_goes_on(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    typed = {"text": "Eerste regel\r\nTweede regel", "name": "Noor Bakker", "email": "noor@example.org"}
    async with form.client(follow_redirects=True) as client:
        page = await filled_in(client, f"/contact/{organization.slug}?language=nl", **typed)
        assert (page.status_code, [each.status_code for each in page.history]) == (200, [303])
        assert "Eerste regel\nTweede regel" in check_page(page, "nl").texts
        await drain(form.runtime, organization, account)
        await publish(form.runtime, organization, await reply(form.runtime, organization, "Ons\nantwoord"))
        page = await filled_in(client, page.url.raw_path.decode(), text="Dank u")
        assert (page.status_code, [each.status_code for each in page.history]) == (200, [303])
        shown = check_page(page, "nl").texts
    assert [text for text in shown if text in ("Eerste regel\nTweede regel", "Ons\nantwoord", "Dank u")] == [
        "Eerste regel\nTweede regel",
        "Ons\nantwoord",
        "Dank u",
    ]
    assert organization.slug.partition("-")[0].title() in shown
    [first, _] = await raw_events(form.runtime, organization)
    assert orjson.loads(first.body)["language"] == "nl"


async def test_a_double_click_is_one_submission_and_changed_words_are_another(
    form: Served, organization: TestOrganization
) -> None:
    await open_form(form.runtime, organization)
    path = f"/contact/{organization.slug}"
    async with form.client() as client:
        hidden = Page((await client.get(path)).text).fields()
        sent = [await client.post(path, data=hidden | {"text": text}) for text in ("x", "x", "y")]
        without = [await client.post(path, data={"text": "x", "key": key}) for key in ("", "short", "short")]
    assert {answer.status_code for answer in [*sent, *without]} == {303}
    assert sent[0].headers["location"] == sent[1].headers["location"] != sent[2].headers["location"]
    assert len(await raw_events(form.runtime, organization)) == 5


async def test_what_was_typed_is_there_again_beside_what_is_wrong(form: Served, organization: TestOrganization) -> None:
    await open_form(form.runtime, organization)
    typed = {"text": "\n x" + "y" * 10_000, "name": SCRIPT, "email": '"><script>'}
    async with form.client() as client:
        answer = await filled_in(client, f"/contact/{organization.slug}?language=en", **typed)
    page = check_page(answer, "en")
    assert answer.status_code == 400
    assert "".join(page.texts).count("Your text has 10,001 characters; at most 10,000 are possible.") == 2
    values = {each["name"]: each["value"] for each in page.all("input")}
    assert (values["name"], values["email"]) == (SCRIPT, '"><script>')
    assert "\n\n x" + "y" * 10_000 in page.texts
    wrong = [each["id"] for each in page.all("input", "textarea") if each.get("aria-invalid") == "true"]
    assert wrong == ["text", "email"]
    assert {each["href"] for each in page.all("a")} >= {"#text", "#email"}
    assert [each["role"] for each in page.all("div") if "role" in each] == ["alert"]
    assert "There is a problem: " in "".join(page.texts)


async def test_a_follow_up_that_is_empty_is_explained_on_the_page(form: Served, organization: TestOrganization) -> None:
    await open_form(form.runtime, organization)
    async with form.client() as client:
        sent = await filled_in(client, f"/contact/{organization.slug}?language=fr", text="Bonjour")
        answer = await filled_in(client, sent.headers["location"], text=" ")
    assert answer.status_code == 400
    assert "Bonjour" in check_page(answer, "fr").texts
    assert len(await raw_events(form.runtime, organization)) == 1


async def test_what_looks_like_markup_is_shown_as_it_was_written(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    async with form.client() as client:
        sent = await filled_in(client, f"/contact/{organization.slug}", text=SCRIPT, name=SCRIPT)
        path = sent.headers["location"]
        await client.post(path, data={"text": SCRIPT})
        assert check_page(await client.get(path), "nl").texts.count(SCRIPT) == 2
        await drain(form.runtime, organization, account)
        await publish(form.runtime, organization, await reply(form.runtime, organization, SCRIPT))
        assert check_page(await client.get(path), "nl").texts.count(SCRIPT) == 3
        told: dict[str, Any] = (await client.get(path, headers={"Accept": "application/json"})).json()
    assert [each["text"] for each in told["messages"]] == [SCRIPT] * 3


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html;q=0.5, application/json;q=0.9", "application/json"),
        ("*/*", "text/html; charset=utf-8"),
        ("", "text/html; charset=utf-8"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json;q=0, */*", "text/html; charset=utf-8"),
        ("nonsense;q=x, ;;, application/json;q=0.1, text/*", "text/html; charset=utf-8"),
    ],
)
async def test_the_status_is_a_page_for_people_and_json_for_whoever_asks(
    form: Served, organization: TestOrganization, accept: str, media: str
) -> None:
    await open_form(form.runtime, organization)
    async with form.client(headers={"Accept": accept}) as client:
        sent = await client.post(f"/contact/{organization.slug}", data={"text": "x"})
        answer = await client.get(sent.headers["location"])
    assert answer.headers["content-type"] == media
    assert answer.headers["vary"] == "Accept, Accept-Language"
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
