# SPDX-License-Identifier: EUPL-1.2
"""The command that builds a page: what is bundled from npm is neither committed nor needed to start."""

import shutil
import time
from pathlib import Path

import typer

from services.embedded import CHECKOUT, NodePackages

GRAPHIQL = CHECKOUT / "graphql_schema" / "graphiql"


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(graphiql)


def graphiql() -> None:
    """Build the page at /graphiql. The first time it installs Node and its packages, in half a minute or so."""
    begun = time.monotonic()
    build_graphiql(GRAPHIQL / "built")
    typer.echo(f"GraphiQL is built, after {time.monotonic() - begun:.0f} s: a running API serves it at /graphiql.")


def build_graphiql(target: Path) -> None:
    """Bundle the page into a folder, which is replaced as a whole. Raises CannotInstall."""
    found = NodePackages(GRAPHIQL / "page").installation()
    bundle, former = target.with_suffix(".new"), target.with_suffix(".old")
    for leftover in (bundle, former):
        shutil.rmtree(leftover, ignore_errors=True)
    found.run("node_modules/vite/bin/vite.js", "build", "--logLevel", "warn", "--outDir", bundle, "--emptyOutDir")
    if target.exists():
        target.rename(former)
    bundle.rename(target)
    shutil.rmtree(former, ignore_errors=True)
