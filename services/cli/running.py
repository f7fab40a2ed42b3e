# SPDX-License-Identifier: EUPL-1.2
"""The commands that run Belfry, or one part of it."""

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import edges
from services.embedded import (
    CHECKOUT,
    EmbeddedError,
    Plan,
    Progress,
    State,
    Supervisor,
    default_data_root,
    enter_environment,
    own_wishes,
    read_state,
)

if TYPE_CHECKING:
    from services.kernel.settings import Settings

PORT = 8000

PortOption = Annotated[int, typer.Option("--port", min=1, max=65_535, help="Port on 127.0.0.1.")]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="BELFRY_DATA",
        metavar="DIR",
        show_default=".belfry/ in the checkout; for root a folder in /var/lib/belfry",
        help="Folder of the installation's data.",
    ),
]


class RoleName(StrEnum):
    """The roles of people, as `token` takes them."""

    OPERATOR = "operator"
    COORDINATOR = "coordinator"
    MANAGER = "manager"
    ADMIN = "admin"
    EXPERT = "expert"
    VIEWER = "viewer"


def register(app: typer.Typer) -> None:
    """Add the commands of this module, in the order of `--help`."""
    for command in (up, demo, token, migrate, seed, schema):
        app.command()(command)
    for name, command in (("api", api), ("worker", worker), ("relay", relay)):
        app.command(name, rich_help_panel="Single processes, configured by BELFRY_* variables")(command)


def up(
    port: PortOption = PORT,
    data: DataOption = None,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Start without the demo organizations.")] = False,
) -> None:
    """Start everything on this machine: PostgreSQL, Valkey, API, workers. Ctrl-C stops it."""
    root = data_root(data)
    first_start = () if no_demo else (edges.seed(),)
    token_options = "" if root == default_data_root(CHECKOUT) else f" --data {shlex.quote(str(root))}"
    closing = [
        f"  GraphQL   http://127.0.0.1:{port}/graphql   (schema: http://127.0.0.1:{port}/schema.graphql)",
        f"  GraphiQL  http://127.0.0.1:{port}/graphiql   (built once by ./belfry graphiql)",
        f"  Reference http://127.0.0.1:{port}/docs/api",
        *([] if no_demo else [f"  Token     ./belfry token --organization molendam --role operator{token_options}"]),
        f"  Logs      {root / 'logs'}",
        "  Stop      Ctrl-C",
    ]
    _supervise(root, Plan(port, (edges.migrate(),), first_start, edges.serving(), closing_lines=closing))


def demo(port: PortOption = PORT, data: DataOption = None) -> None:
    """Start everything, play one scenario from question to answer, and stop."""
    plan = Plan(port, (edges.migrate(),), (edges.seed(),), edges.serving(), when_ready=edges.scenario())
    _supervise(data_root(data), plan)


def token(
    organization: Annotated[str, typer.Option(metavar="SLUG", help="molendam or waterrode, in the demo.")],
    role: Annotated[RoleName, typer.Option(help="The role to be granted.")],
    department: Annotated[
        str | None, typer.Option(metavar="CODE", help="Grant it for one department instead of the whole organization.")
    ] = None,
    person: Annotated[int, typer.Option(min=1, metavar="N", help="Which demo person of that role.")] = 1,
    data: DataOption = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Only if the installation listens on this port.")
    ] = None,
) -> None:
    """Print a bearer token for the running local installation, and nothing else."""
    root = data_root(data)
    state = _running(root)
    if port is not None and port != state.port:
        raise EmbeddedError(f"The installation in {root} listens on port {state.port}, not on {port}.")
    enter_environment(state)
    from services.cli.tokens import issue
    from services.kernel.errors import BelfryError

    try:
        bearer = issue(_settings(), organization=organization, role=role.value, department=department, person=person)
    except BelfryError as error:
        raise EmbeddedError(error.text) from error
    sys.stdout.write(f"{bearer}\n")


def migrate(data: DataOption = None) -> None:
    """Bring the database up to date."""
    _use_running_installation(data)
    from services.kernel import migrations

    migrations.upgrade(_settings())


def seed(data: DataOption = None) -> None:
    """Write the demo organizations into the database."""
    _use_running_installation(data)
    from services import demo

    settings = _settings()
    if not settings.is_local:
        raise EmbeddedError("The demo belongs on a local installation: BELFRY_ENVIRONMENT is production.")
    demo.seed(settings)


def schema() -> None:
    """Write graphql_schema/schema.graphql from the code."""
    edges.become(*edges.python_module(edges.SCHEMA))


def api() -> None:
    """The API alone."""
    edges.become(*edges.python_module(edges.API))


def worker(
    kind: Annotated[
        edges.WorkerClass, typer.Argument(metavar="CLASS", help="short, long, outward or all: the jobs it takes.")
    ],
) -> None:
    """One worker alone."""
    edges.become(*edges.python_module(edges.WORKERS, kind.value))


def relay() -> None:
    """The relay alone: what is due goes to the workers."""
    edges.become(*edges.python_module(edges.WORKERS, "relay"))


def data_root(data: Path | None) -> Path:
    """The data folder that is meant: the one given, from wherever the command is called, or the default."""
    return data.expanduser().absolute() if data is not None else default_data_root(CHECKOUT)


def _supervise(root: Path, plan: Plan) -> None:
    progress = Progress(sys.stdout)
    progress.say(f"Starting Belfry in {root}")
    Supervisor(root, plan, progress=progress).run()


def _running(root: Path) -> State:
    state = read_state(root)
    if state is None:
        raise EmbeddedError(f"No Belfry runs on {root}: start one with ./belfry up, or name its folder with --data.")
    return state


def _use_running_installation(data: Path | None) -> None:
    """Without a database of its own in the environment, a command means the local installation."""
    if "BELFRY_DATABASE_URL" not in own_wishes():
        enter_environment(_running(data_root(data)))


def _settings() -> "Settings":
    from services.kernel.settings import NotConfigured, read_settings

    try:
        return read_settings()
    except NotConfigured as error:
        raise EmbeddedError(str(error)) from error
