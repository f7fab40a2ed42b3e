# SPDX-License-Identifier: EUPL-1.2
"""The project's own source as text and syntax trees, for the tests of the house rules."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("services", "graphql_schema", "workers")
EVERYTHING = (*PRODUCT, "alembic", "tests", "bench")
NOT_DOMAINS = frozenset({"kernel", "embedded", "cli", "demo"})


@dataclass(frozen=True)
class Source:
    """One Python file of ours."""

    path: Path
    name: str
    """Relative to the checkout, with slashes."""

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def imports(self) -> frozenset[str]:
        """Every module and every name that is imported, dotted, wherever in the file it stands."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        return frozenset(found)

    def imports_any(self, package: str) -> bool:
        return any(each == package or each.startswith(f"{package}.") for each in self.imports)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def sources(*folders: str) -> list[Source]:
    """The files of some folders of the checkout; installed packages are never inside one."""
    return [source for folder in folders for source in _sources(folder)]


@lru_cache
def _sources(folder: str) -> tuple[Source, ...]:
    return tuple(
        Source(path, path.relative_to(ROOT).as_posix())
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "node_modules" not in path.parts
    )


def domains() -> list[str]:
    """The folders of services/ that are domains."""
    return sorted(
        path.name
        for path in (ROOT / "services").iterdir()
        if path.is_dir() and path.name not in NOT_DOMAINS and any(path.glob("*.py"))
    )
