# SPDX-License-Identifier: EUPL-1.2
"""The five import contracts, each proven by violations planted into a copy of the tree, and two rules beside them."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.source import PRODUCT, ROOT, domains, sources

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
SECONDS_MAX = 120
OF_OTHER_DOMAINS = frozenset({"queries", "commands", "events", "rules"})
CONNECTORS = "social_accounts.networks"
"""The one further thing that other domains may import: the networks behind their Protocol."""


@dataclass(frozen=True)
class Planted:
    """Lines appended to files (a missing file is made), and what the report must say of each."""

    lines: Mapping[str, str]
    reported: tuple[str, ...]


PLANTED = {
    "edges": Planted(
        {
            "graphql_schema/scalars.py": "import workers.relay",
            "workers/relay.py": "import graphql_schema.scalars",
            "services/tenancy/queries.py": "import graphql_schema.scalars",
            "services/kernel/clock.py": "import workers.relay",
        },
        (
            "graphql_schema.scalars -> workers.relay",
            "workers.relay -> graphql_schema.scalars",
            "services.tenancy.queries -> graphql_schema.scalars",
            "services.kernel.clock -> workers.relay",
        ),
    ),
    "line": Planted(
        {
            "services/tenancy/commands.py": "import services.conversations.queries",
            "services/deliveries/queries.py": "import services.conversations.queries",
            "services/kernel/clock.py": "import services.embedded",
            "services/embedded/errors.py": "import services.kernel.errors",
            "services/identity/rules.py": "import services.demo.people",
            "services/gossip/__init__.py": "",
        },
        (
            "services.tenancy.commands -> services.conversations.queries",
            "services.deliveries.queries -> services.conversations.queries",
            "services.kernel.clock -> services.embedded",
            "services.embedded.errors -> services.kernel.errors",
            "services.identity.rules -> services.demo.people",
            "- services.gossip",
        ),
    ),
    "files": Planted(
        {
            "services/tenancy/models.py": "import services.tenancy.queries\nimport services.tenancy.events",
            "services/tenancy/rules.py": "import services.tenancy.models",
            "services/tenancy/queries.py": "import services.tenancy.commands",
            "services/social_accounts/networks/webform.py": "import services.social_accounts.models",
            "services/identity/service.py": "",
            "services/assignments/types/__init__.py": "",
        },
        (
            "services.tenancy.models -> services.tenancy.queries",
            "services.tenancy.models -> services.tenancy.events",
            "services.tenancy.rules -> services.tenancy.models",
            "services.tenancy.queries -> services.tenancy.commands",
            "services.social_accounts.networks.webform -> services.social_accounts.models",
            "- services.identity.service",
            "- services.assignments.types",
        ),
    ),
    "pure": Planted(
        {
            "services/tenancy/rules.py": "import sqlalchemy",
            "services/conversations/rules/states.py": "import httpx2",
            "services/deliveries/rules.py": "import services.kernel.database",
            "services/kernel/errors.py": "import asyncio",
            "services/kernel/access.py": "import starlette.requests",
            "services/kernel/events.py": "import redis.asyncio",
        },
        (
            "services.tenancy.rules -> sqlalchemy",
            "services.conversations.rules.states -> httpx2",
            "services.deliveries.rules -> services.kernel.database",
            "services.kernel.errors -> asyncio",
            "services.kernel.access -> starlette",
            "services.kernel.events -> redis",
        ),
    ),
    "circles": Planted(
        {
            "services/kernel/identifiers.py": "import services.kernel.isolation",
            "graphql_schema/scalars.py": "import graphql_schema.schema",
            "workers/subscriptions.py": "import workers.main",
        },
        ("services.kernel", "graphql_schema", "workers"),
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    for folder in PRODUCT:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    yield tmp_path
    shutil.rmtree(tmp_path)


def lint_imports(checkout: Path, *contracts: str) -> tuple[bool, str]:
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    finished = subprocess.run(
        [str(LINT_IMPORTS), "--no-cache", "--no-logo", *chosen],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    return finished.returncode == 0, finished.stdout + finished.stderr


def contracts_of_the_project() -> list[dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_the_tree_as_it_stands_keeps_all_contracts() -> None:
    kept, report = lint_imports(ROOT)
    assert kept, report
    assert "5 kept, 0 broken" in report


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_violation_breaks_its_contract(copy: Path, contract: str) -> None:
    for name, lines in PLANTED[contract].lines.items():
        file = copy / name
        file.parent.mkdir(exist_ok=True)
        with file.open("a") as opened:
            opened.write(f"\n{lines}\n")
    kept, report = lint_imports(copy, contract)
    assert not kept
    said = " ".join(report.split())
    missing = [line for line in PLANTED[contract].reported if line not in said]
    assert missing == [], report


def test_there_are_five_contracts_and_each_has_its_planted_violations() -> None:
    assert [each["id"] for each in contracts_of_the_project()] == list(PLANTED)


def test_every_domain_is_under_the_contract_of_files() -> None:
    files = next(each for each in contracts_of_the_project() if each["id"] == "files")
    assert files["containers"] == [f"services.{name}" for name in domains()]
    assert files["exhaustive"] is True


def test_only_accounts_have_networks() -> None:
    assert [path.parent.name for path in sorted((ROOT / "services").glob("*/networks*"))] == ["social_accounts"]


def test_of_another_domain_only_queries_commands_events_and_rules_are_imported() -> None:
    wrong: list[str] = []
    for source in sources(*(f"services/{name}" for name in domains())):
        own = source.name.split("/")[1]
        for imported in source.imports:
            found = re.match(r"services\.(\w+)\.(\w+)", imported)
            if found is None or found[1] == own or found[1] not in domains():
                continue
            if found[2] not in OF_OTHER_DOMAINS and f"{found[1]}.{found[2]}" != CONNECTORS:
                wrong.append(f"{source.name}: {imported}")
    assert wrong == []


def test_reading_knows_no_domain() -> None:
    wrong = [
        f"{source.name}: {imported}"
        for source in sources("graphql_schema/reading")
        for imported in source.imports
        if re.match(rf"(services|graphql_schema)\.({'|'.join(domains())})\b", imported)
    ]
    assert wrong == []
