# SPDX-License-Identifier: EUPL-1.2
"""The command line: `./belfry <command>`. It starts the edges as child processes by module name, never imports them.

    running.py      up, demo, token, migrate, seed, schema, api, worker, relay
    building.py     graphiql
    checking.py     test, lint, doctor, bench
    edges.py        which module is which process

What a command needs is imported inside it: `./belfry --help` must not wait for the whole system.
"""

import sys

import typer

from services.cli import building, checking, running
from services.embedded import EmbeddedError

app = typer.Typer(
    name="belfry",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def belfry() -> None:
    """Belfry: the coordinated back office of a municipality's social media.

    Begin with `./belfry up`.
    """


running.register(app)
building.register(app)
checking.register(app)


def main() -> None:
    """Run one command. An expected failure is one sentence on standard error and exit code 1."""
    try:
        app(prog_name="belfry")
    except EmbeddedError as error:
        sys.stderr.write(f"belfry: {error}\n")
        sys.exit(1)
