# SPDX-License-Identifier: EUPL-1.2
"""docs/integrators.md, followed to the letter on a fresh start: what it says is printed is what is printed."""

import os
import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.examples.page import Block, Terminal, blocks_of, follow, pattern_of, terminal
from tests.examples.workplaces import EXAMPLES
from tests.support.installation import free_port
from tests.support.python_environment import CannotMake, python_with
from tests.support.source import ROOT

PAGE = ROOT / "docs" / "integrators.md"
PORT, RECEIVER_PORT = "8000", "4000"
LANGUAGES = {"sh", "python", "text"}


def on_ports_of_our_own(page: str) -> tuple[str, str]:
    """The page for a machine on which others listen too, and the address of its Belfry."""
    port, receiver_port = free_port(), free_port()
    assert "./belfry up\n" in page
    page = page.replace("./belfry up\n", f"./belfry up --port {port}\n")
    page = page.replace(f"127.0.0.1:{RECEIVER_PORT}", f"127.0.0.1:{receiver_port}")
    page = page.replace(f'"127.0.0.1", {RECEIVER_PORT}', f'"127.0.0.1", {receiver_port}')
    assert RECEIVER_PORT not in page
    return page.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{port}"), f"http://127.0.0.1:{port}"


def environment(folder: Path, address: str) -> dict[str, str]:
    """A newcomer's, but with a data folder of its own, and without proxies before loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BELFRY_")}
    return {**kept, "BELFRY_DATA": str(folder / "data"), "BELFRY_URL": address, "no_proxy": "127.0.0.1"}


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A folder that looks like a fresh clone, but for what the page does not touch."""
    for program in ("curl", "jq", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    try:
        python_with(EXAMPLES / "python" / "requirements.txt")  # the package index can be reached, or could
    except CannotMake as refusal:
        pytest.skip(str(refusal))
    for name in ("belfry", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.judges
async def test_the_page_does_what_it_says(newcomer: Path) -> None:
    page, address = on_ports_of_our_own(PAGE.read_text(encoding="utf-8"))
    blocks = blocks_of(page)
    assert {each.language for each in blocks} == LANGUAGES
    async with AsyncExitStack() as stack:
        opened: dict[int, Terminal] = {}
        for number in sorted({each.terminal for each in blocks if each.terminal is not None}):
            opened[number] = await stack.enter_async_context(terminal(newcomer, environment(newcomer, address)))
        await follow(blocks, opened, newcomer)
        verified = received(opened)
        assert [kind for kind, _ in verified] == ["webhook_endpoint.tested"] * 2 + ["conversation.opened"]
        assert verified[0] == verified[1]
        assert verified[2][1] != verified[1][1]


def received(terminals: Mapping[int, Terminal]) -> list[list[str]]:
    """What the receiver says it has verified: types and ids."""
    said = terminals[3].printed.partition("listening\n")[2].splitlines()
    return [line.split() for line in said if " msg_" in line]


@pytest.mark.parametrize(
    ("told", "printed", "is_so"),
    [
        ('{"code":"…"}', '{"code":"TAKEN"}', True),
        ('{"code":"TAKEN"}', '{"code":"NOT_FOUND"}', False),
        ("…\nready\n…", "a\nready\nb", True),
        ("…\nready\n…", "a\nb", False),
        ("304", "3041", False),
    ],
)
def test_what_is_printed_is_compared_but_for_what_differs(told: str, printed: str, is_so: bool) -> None:
    assert bool(pattern_of(told).fullmatch(printed)) is is_so


async def test_a_page_that_says_something_else_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.examples.page.WITHIN_SECONDS", 1)
    for text, printed in (("echo one", "two"), ("echo one; false", "one"), ("echo one", "one\ntwo")):
        blocks = [Block("sh", "Terminal 2:", text, 1), Block("text", "It prints:", printed, 2)]
        async with terminal(tmp_path, dict(os.environ)) as opened:
            with pytest.raises(AssertionError, match="line 2 of the page"):
                await follow(blocks, {2: opened}, tmp_path)
