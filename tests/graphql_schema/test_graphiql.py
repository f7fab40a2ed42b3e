# SPDX-License-Identifier: EUPL-1.2
"""GraphiQL as our own page: what it answers before it is built, what it is served with, and what a browser sees."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from graphql_schema import graphiql
from graphql_schema.schema import api_schema
from services.cli.building import build_graphiql
from services.embedded import CannotInstall
from services.kernel.access import Role
from services.kernel.settings import Settings
from tests.graphql_schema.serving import Served, served
from tests.graphql_schema.street import Street
from tests.support import browser_runs

POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
EXAMPLES = {"Inbox": "conversations", "NewestConversations": "conversations", "Desk": "departments"}


@pytest.fixture
async def place(
    edge_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Served, Path]]:
    """A server whose bundle lies, or does not lie, in a folder of its own."""
    built = tmp_path / "built"
    monkeypatch.setattr(graphiql, "BUILT", built)
    async with served(edge_settings, api_schema()) as running:
        yield running, built


async def test_before_it_is_built_the_page_says_how_to_build_it(place: tuple[Served, Path]) -> None:
    server, _ = place
    answer = await server.get("/graphiql")
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (404, "NOT_BUILT")
    assert error["extensions"]["requestId"] == answer.headers["x-request-id"]
    assert "./belfry graphiql" in error["message"]
    assert (await server.get("/static/graphiql/assets/x.js")).status_code == 404
    assert (await server.get("/healthz")).status_code == 200


async def test_once_it_is_built_it_is_served_at_once_with_its_policy_and_is_kept(place: tuple[Served, Path]) -> None:
    server, built = place
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text("<!doctype html><title>GraphiQL</title>")
    (built / "assets" / "index-abc.js").write_text("0")
    (built.parent / "secret").write_text("none of your business")
    page = await server.get("/graphiql")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"] == POLICY
    assert page.headers["cache-control"] == "no-cache"
    script = await server.get("/static/graphiql/assets/index-abc.js")
    assert (script.status_code, script.headers["content-security-policy"]) == (200, POLICY)
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = await server.get("/static/graphiql/assets/index-abc.js", headers={"If-None-Match": script.headers["etag"]})
    assert again.status_code == 304
    for outside in ("/static/graphiql/../secret", "/static/graphiql/%2e%2e/secret", "/static/graphiql/", "/static/"):
        assert (await server.get(outside)).status_code == 404, outside
    assert (await server.client.post("/graphiql")).status_code == 405


@pytest.mark.browser
async def test_a_newcomer_runs_the_examples_in_a_browser(place: tuple[Served, Path], street: Street) -> None:
    """BELFRY_SCREENSHOTS names a folder for pictures of what the browser saw."""
    if reason := browser_runs.missing():
        pytest.skip(reason)
    server, built = place
    try:
        build_graphiql(built)
    except CannotInstall as refusal:
        pytest.skip(str(refusal))
    conversation = await street.open("ROADS")
    token, pictures = street.token(Role.COORDINATOR), os.environ.get("BELFRY_SCREENSHOTS", "")
    async with browser_runs.browser_script("graphiql.mjs", server.url, token, pictures) as script:
        assert await script.line() == {"tabs": 4}
        assert await script.line() == {"status": 401, "code": "UNAUTHENTICATED"}
        for name, field in EXAMPLES.items():
            line = await script.line()
            assert line["name"] == name
            assert "errors" not in line["body"], line
            assert line["body"]["data"][field]["nodes"], line
        line = await script.line()
        assert (line["live"], line["type"].partition(";")[0]) == (200, "text/event-stream")
        await street.say(conversation)
        assert "MESSAGE_RECEIVED" in (await script.line())["shown"]
        looks = await script.rest()
    assert len(looks) == 3
    assert looks == [{"origins": [server.url], "violations": [], "broken": []}] * 3
