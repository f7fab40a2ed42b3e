# SPDX-License-Identifier: EUPL-1.2
"""The reference at /docs/api: nothing of the schema is missing, every link leads somewhere, nothing is foreign."""

import os
import re
from collections import deque
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLSchema, build_schema, parse, print_ast
from graphql.language import Visitor, visit

from graphql_schema import reference
from graphql_schema.reference import site
from graphql_schema.schema import SDL_FILE, api_schema
from services.kernel.settings import Settings
from tests.graphql_schema.serving import Served
from tests.support import browser_runs

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
CODE = re.compile(r"`([A-Z_]{4,})`")
LOADING = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("object", "data")}
LOOKED_AT = (
    "/docs/api", "/docs/api/index", "/docs/api/types/Query", "/docs/api/types/Conversation",
    "/docs/api/types/ConversationFilter", "/docs/api/types/UserErrorCode", "/docs/api/directives/listSize",
)  # fmt: skip


class Page(HTMLParser):
    """A page as a reader without styles has it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.texts_by_anchor: dict[str, str] = {}
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert "style" not in given and not any(name.startswith("on") for name in given), given
        assert tag not in ("script", "style", "iframe", "base"), tag
        if "id" in given:
            self.anchors.append(given["id"])
            self._within = given["id"]
        if tag == "a":
            self.links.append(given["href"])
        self.loaded += [given[name] for element, name in LOADING if element == tag and name in given]

    def handle_data(self, data: str) -> None:
        self.text += data
        self.texts_by_anchor[self._within] = self.texts_by_anchor.get(self._within, "") + data


@pytest.fixture(scope="module")
def sdl() -> str:
    return SDL_FILE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def schema(sdl: str) -> GraphQLSchema:
    return build_schema(sdl)


@pytest.fixture(scope="module")
def pages(sdl: str) -> Mapping[str, Page]:
    made = site.pages(sdl, reference.CONTRACT.read_text(encoding="utf-8"))
    return {address: Page(content.decode()) for address, content in made.items()}


def plain(text: str) -> str:
    """The words alone: how they are marked up and where lines break is the page's own affair."""
    return " ".join(re.sub(r"[`*_]", "", text).split())


def told(page: Page, anchor: str, element: Any) -> list[str]:
    """What a page does not say of an element that it says something of, at this anchor."""
    shown = plain(page.texts_by_anchor.get(anchor, ""))
    missing = [] if anchor in page.anchors else [f"no anchor {anchor}"]
    directives = element.ast_node.directives or ()
    wanted = [element.description or "no description", *map(print_ast, directives)]
    return missing + [f"{anchor}: {each}" for each in wanted if plain(each) not in shown]


def missing(schema: GraphQLSchema, pages: Mapping[str, Page]) -> list[str]:
    """Everything of the schema that is not on its page."""
    found: list[str] = []
    for name, definition in schema.type_map.items():
        if definition.ast_node is None:
            continue  # GraphQL's own
        page = pages.get(f"/docs/api/types/{name}")
        if page is None:
            found.append(name)
            continue
        if plain(definition.description or "no description") not in plain(page.text):
            found.append(f"{name}: its description")
        members = definition.values if isinstance(definition, GraphQLEnumType) else getattr(definition, "fields", {})
        for member, element in members.items():
            found += [f"{name}.{each}" for each in told(page, member, element)]
            if isinstance(definition, GraphQLEnumType):
                continue
            if str(element.type) not in page.texts_by_anchor.get(member, ""):
                found.append(f"{name}.{member}: {element.type}")
            if isinstance(definition, GraphQLInputObjectType):
                continue
            for argument, each in element.args.items():
                found += [f"{name}.{problem}" for problem in told(page, f"{member}.{argument}", each)]
    for directive in schema.directives:
        if directive.ast_node is not None:
            page = pages[f"/docs/api/directives/{directive.name}"]
            assert plain(directive.description or "none") in plain(page.text)
            found += [f"@{directive.name}: {argument}" for argument in directive.args if argument not in page.anchors]
    return found


def test_everything_of_the_schema_is_on_its_page(schema: GraphQLSchema, pages: Mapping[str, Page]) -> None:
    assert missing(schema, pages) == []
    assert len(pages) > 140


class Without(Visitor):
    """A document without the nodes of one kind and name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__()
        self.wanted = (kind, name)

    def enter(self, node: Any, *_: Any) -> Any:
        name = getattr(getattr(node, "name", None), "value", None)
        return self.REMOVE if (node.kind, name) == self.wanted else None


PLANTED = {
    ("directive", "cost"): "Query.outboundMix: @cost",
    ("field_definition", "reference"): "Conversation.no anchor reference",
    ("enum_value_definition", "SNOOZED"): "ConversationState.no anchor SNOOZED",
    ("input_value_definition", "query"): "Query.no anchor conversations.query",
    ("enum_type_definition", "AccountLifecycle"): "AccountLifecycle",
}


def test_whatever_was_left_out_would_be_found(sdl: str, schema: GraphQLSchema) -> None:
    """All at once, because the whole site is made for it: each plant is found by its own words."""
    document = parse(sdl.replace("Where a delivery stands", "Where a delivery goes"))
    for kind, name in PLANTED:
        document = visit(document, Without(kind, name))
    pages = {address: Page(each.decode()) for address, each in site.pages(print_ast(document), "# Contract").items()}
    found = missing(schema, pages)
    for where in (*PLANTED.values(), "DeliveryState: its description"):
        assert any(each.startswith(where) for each in found), (where, found[:9])


def test_every_link_leads_to_a_page_and_to_a_place_in_it(pages: Mapping[str, Page]) -> None:
    outside = {"/graphiql", "/schema.graphql"}
    wrong: list[str] = []
    for address, page in pages.items():
        assert len(page.anchors) == len(set(page.anchors)), address
        for link in page.links:
            path, _, anchor = link.partition("#")
            target = pages.get(path or address)
            if path.startswith("http") or path in outside:
                continue
            if target is None or (anchor and anchor not in target.anchors):
                wrong.append(f"{address} -> {link}")
    assert wrong == []


def test_every_page_can_be_reached_from_the_first(pages: Mapping[str, Page]) -> None:
    seen, waiting = set[str](), deque(["/docs/api"])
    while waiting:
        address = waiting.popleft()
        if address in pages and address not in seen:
            seen.add(address)
            waiting.extend(link.partition("#")[0] for link in pages[address].links)
    assert seen == set(pages)


def test_a_page_loads_its_style_and_its_icon_and_nothing_else(pages: Mapping[str, Page]) -> None:
    assert {each for page in pages.values() for each in page.loaded} == {site.STYLE, site.ICON}
    assert b"url(" not in site.file("style.css")
    assert b"@import" not in site.file("style.css")


def test_codes_and_statuses_are_told(pages: Mapping[str, Page]) -> None:
    """What docs/api.md says is what the server does: test_contract.py holds it to that."""
    contract = pages["/docs/api"].text
    codes = set(CODE.findall(reference.CONTRACT.read_text(encoding="utf-8")))
    assert len(codes) >= 20
    assert [code for code in codes if code not in contract] == []
    assert re.search(r"429\s+429\s+THROTTLED", contract)


def test_words_of_a_description_never_become_elements() -> None:
    hostile = '"""<script>alert(1)</script> [x](javascript:alert(1)) & `<b>`"""\ntype Query { "<img src=x>" a: Int }'
    page = site.pages(hostile, "# <script>x</script>")["/docs/api/types/Query"].decode()
    assert "<script>" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert 'href="javascript' not in page


async def test_anybody_may_read_it_and_nobody_loads_it_twice(live: Served) -> None:
    for address in ("/docs/api", "/docs/api/types/Conversation", "/docs/api/style.css", "/docs/api/icon.svg"):
        first = await live.get(address)
        assert first.status_code == 200, address
        assert first.headers["content-security-policy"] == POLICY
        assert first.headers["cache-control"] == "public, max-age=300"
        again = await live.get(address, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = await live.get(address, headers={"If-None-Match": '"another"'})
        assert (other.status_code, other.content) == (200, first.content)
    assert (await live.client.head("/docs/api")).status_code == 200
    for nowhere in ("/docs/api/types/Nothing", "/docs/api/", "/docs", "/docs/api/../api.md"):
        answer = await live.get(nowhere)
        assert answer.status_code == 404, nowhere
        assert answer.json()["errors"][0]["extensions"]["requestId"] == answer.headers["x-request-id"]
    assert (await live.client.post("/docs/api")).status_code == 405


async def test_it_shows_the_schema_that_is_served(live: Served, edge_settings: Settings) -> None:
    served = api_schema().as_str()
    assert (await live.get("/schema.graphql")).text == served
    page = site.pages(served, reference.CONTRACT.read_text(encoding="utf-8"))["/docs/api/types/Query"]
    assert (await live.get("/docs/api/types/Query")).content == page


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
async def test_a_browser_finds_no_barrier_and_no_other_origin(live: Served, size: str, scheme: str) -> None:
    if reason := browser_runs.missing():
        pytest.skip(reason)
    asked = (live.url, os.environ.get("BELFRY_SCREENSHOTS", ""), size, scheme, *LOOKED_AT)
    async with browser_runs.browser_script("reference.mjs", *asked) as script:
        *looks, end = await script.rest()
    assert [look["address"] for look in looks] == list(LOOKED_AT)
    for look in looks:
        assert look["barriers"] == [], look["address"]
        assert not look["overflows"], look["address"]
        assert look["checks"] > 10
    assert end == {"origins": [live.url], "violations": [], "broken": []}
