# SPDX-License-Identifier: EUPL-1.2
"""Public compilers look at our operations and examples: graphql-codegen, gql.tada, relay-compiler, tsc --strict.

Each finds a mistake that is planted: a field that is not there, or is not what the code takes it for.
"""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from services.embedded import CannotInstall
from tests.examples.workplaces import EXAMPLES, Workplace, node_workplace
from tests.support.source import ROOT

pytestmark = pytest.mark.judges

PAGE = ROOT / "graphql_schema" / "graphiql" / "page"
SOURCES = {name: EXAMPLES / name for name in ("typescript-urql", "typescript-gql-tada", "relay")} | {"graphiql": PAGE}


def prepared(name: str, tmp_path: Path) -> Workplace:
    """A copy in which everything that is generated has been."""
    workplace = node_workplace(SOURCES[name], tmp_path)
    if name == "relay":
        workplace.npm("run", "generate")
    return workplace


@pytest.mark.parametrize("name", SOURCES)
def test_the_compilers_accept_what_we_have_written(name: str, tmp_path: Path) -> None:
    prepared(name, tmp_path).check()


@pytest.mark.parametrize(
    ("name", "file", "right", "wrong", "who"),
    [
        ("typescript-urql", "src/inbox.ts", "nextContactDueAt", "nextContactDueOn", "nextContactDueOn"),
        ("typescript-urql", "src/inbox.ts", "lastMessage?.text", "lastMessage?.occurredAt", "TS2339"),
        ("typescript-gql-tada", "src/inbox.ts", "category { name }", "category { title }", "TS2339"),
        ("typescript-gql-tada", "src/follow.ts", "node { state }", "node { state mood }", "mood"),
        ("typescript-gql-tada", "src/answer.ts", "purpose: 'ANSWER'", "purpose: 'JOKE'", "TS2322"),
        ("relay", "src/Row.tsx", "lastMessage { id text }", "lastMessage { id words }", "words"),
        ("relay", "src/Inbox.tsx", "conversations?.edges", "conversations?.rows", "TS2339"),
        ("relay", "src/Live.tsx", "event cursor node", "cursor node", "TS2339"),
        ("graphiql", "src/main.tsx", "defaultTabs={TABS}", "defaultTabs={7}", "TS2322"),
    ],
)
def test_a_planted_mistake_is_found(name: str, file: str, right: str, wrong: str, who: str, tmp_path: Path) -> None:
    workplace = prepared(name, tmp_path)
    workplace.spoil(file, right, wrong)
    with pytest.raises(CannotInstall) as found:
        if name == "relay":
            workplace.npm("run", "generate")
        workplace.check()
    assert who in found.value.output


def with_our_operations(tmp_path: Path) -> Workplace:
    """The example with the operations that GraphiQL offers among its own."""
    workplace = node_workplace(SOURCES["typescript-urql"], tmp_path)
    for operation in (PAGE / "examples").glob("*.graphql"):
        shutil.copyfile(operation, workplace.folder / "src" / operation.name)
    workplace.spoil("codegen.ts", "['src/*.ts']", "['src/*.ts', 'src/*.graphql']")
    workplace.spoil("src/inbox.ts", "query Inbox(", "query InboxPage(")  # names are unique among all documents
    return workplace


def test_our_own_operations_are_accepted_and_stand_in_the_manifest_under_their_hashes(tmp_path: Path) -> None:
    workplace = with_our_operations(tmp_path)
    workplace.check()
    manifest = json.loads((workplace.folder / "src" / "gql" / "persisted-documents.json").read_text())
    assert {f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for text in manifest.values()} == set(manifest)
    for name in ("query Inbox ", "query InboxPage", "NewestConversations", "Desk", "Live", "Follow", "Claim", "Reply"):
        assert any(name in text for text in manifest.values()), name


def test_a_mistake_in_our_own_operations_is_found(tmp_path: Path) -> None:
    workplace = with_our_operations(tmp_path)
    workplace.spoil("src/desk.graphql", "currentlyAvailable", "currentlyAvailableHere")
    with pytest.raises(CannotInstall) as found:
        workplace.check()
    assert "currentlyAvailableHere" in found.value.output
