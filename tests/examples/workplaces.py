# SPDX-License-Identifier: EUPL-1.2
"""Copies of the examples to work in: with their packages, beside the schema, and free to be spoiled."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from graphql_schema.schema import SDL_FILE
from services.embedded import CannotInstall, NodeInstallation, NodePackages
from tests.support.python_environment import CannotMake, python_with
from tests.support.source import ROOT

EXAMPLES = ROOT / "examples"
MADE = ("node_modules", "gql", "__generated__", "graphql-env.d.ts", "dist", "built", ".venv", "cursor.txt")


@dataclass(frozen=True)
class Workplace:
    """One copy. `commands` are those that its README shows, by their names."""

    folder: Path
    commands: Mapping[str, tuple[str, ...]]
    environment: Mapping[str, str]
    node: NodeInstallation | None = None

    def check(self) -> str:
        """What `npm run check` prints. Raises CannotInstall when it finds a mistake."""
        return self.npm("run", "check")

    def npm(self, *arguments: str) -> str:
        assert self.node is not None
        return self.node.run(self.node.npm, *arguments, folder=self.folder)

    def spoil(self, file: str, right: str, wrong: str) -> None:
        """Plant a mistake."""
        path = self.folder / file
        text = path.read_text()
        assert right in text
        path.write_text(text.replace(right, wrong, 1))


def node_workplace(source: Path, place: Path) -> Workplace:
    """A copy of a folder with a `package.json`. Skips when its packages cannot be installed."""
    try:
        found = NodePackages(source).installation()
    except CannotInstall as refusal:
        pytest.skip(str(refusal))
    folder = _copy(source, place)
    (folder / "node_modules").symlink_to(found.modules)
    names = ("inbox", "answer", "follow", "receive")
    commands = {name: (str(found.node), str(folder / "src" / f"{name}.ts")) for name in names}
    return Workplace(folder, commands, found.environment(), found)


def python_workplace(place: Path) -> Workplace:
    """A copy of the Python example, with an environment of its own."""
    try:
        python = python_with(EXAMPLES / "python" / "requirements.txt")
    except CannotMake as refusal:
        pytest.skip(str(refusal))
    folder = _copy(EXAMPLES / "python", place)
    names = ("inbox", "answer", "follow", "receive")
    return Workplace(folder, {name: (str(python), str(folder / f"{name}.py")) for name in names}, {})


def shell_workplace(place: Path) -> Workplace:
    """A copy of the scripts for curl."""
    for program in ("curl", "jq", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = _copy(EXAMPLES / "curl", place)
    names = ("inbox", "answer", "follow", "verify-webhook")
    return Workplace(folder, {name: (str(folder / f"{name}.sh"),) for name in names}, {})


def _copy(source: Path, place: Path) -> Path:
    """The folder at the same distance from the schema as in the checkout."""
    (place / "graphql_schema").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SDL_FILE, place / "graphql_schema" / SDL_FILE.name)
    return Path(shutil.copytree(source, place / "examples" / source.name, ignore=shutil.ignore_patterns(*MADE)))
