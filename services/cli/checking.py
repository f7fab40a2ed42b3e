# SPDX-License-Identifier: EUPL-1.2
"""The commands that check Belfry: its tests, its lints, this machine, its speed."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from services.cli import edges
from services.cli.doctor import Verdict, findings
from services.cli.running import PORT, DataOption, data_root
from services.embedded import CHECKOUT, EmbeddedError, own_wishes

OFF_BY_DEFAULT = ("peer", "oidc_provider", "browser", "judges", "chaos", "slow")
PROCESSES = "2"
"""A third process gains nothing on two cores: servers and workers of the tests use what is left."""
# An option that narrows the run: then a second process costs more (3 to 5 s of imports) than it saves.
DISTRIBUTING = ("-n", "--numprocesses")
NARROWING = (*DISTRIBUTING, "-k", "--collect-only", "--co", "--lf", "--last-failed", "--pdb")
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": ["--help"]}
TOOL_SECONDS_MAX = 600
RUNS = 'if __name__ == "__main__":'
PROGRAMS = Path(sys.executable).parent  # Where uv installs the tools, beside the interpreter.


def register(app: typer.Typer) -> None:
    """Add the commands of this module, in the order of `--help`."""
    app.command("test", rich_help_panel="Checks", context_settings=PASS_ON)(run_tests)
    app.command(rich_help_panel="Checks")(lint)
    app.command(rich_help_panel="Checks")(doctor)
    app.command(rich_help_panel="Checks", context_settings=PASS_ON)(bench)


def run_tests(
    context: typer.Context,
    peers: Annotated[
        bool, typer.Option("--peers", help="Also against real network servers on this machine; needs a C++ compiler.")
    ] = False,
) -> None:
    """Run the tests. Every other option and path goes to pytest."""
    options = [_absolute(option) for option in context.args]
    if peers and "-m" not in options:
        options += ["-m", " and ".join(f"not {marker}" for marker in OFF_BY_DEFAULT if marker != "peer")]
    if not any(option.startswith(NARROWING) or not option.startswith("-") for option in context.args):
        options += ["-n", PROCESSES]
    if any(option.startswith(DISTRIBUTING) for option in options):
        options += ["--dist", "loadgroup"]  # tests of one installation stay in one process
    edges.become(*edges.python_module("pytest", *options))


def lint() -> None:
    """Run every linter; one line for each."""
    tools = {
        "ruff check": (PROGRAMS / "ruff", "check", "."),
        "ruff format": (PROGRAMS / "ruff", "format", "--check", "."),
        "basedpyright": (PROGRAMS / "basedpyright",),
        "import contracts": (PROGRAMS / "lint-imports",),
        "uv lock": (_uv(), "lock", "--check"),
    }
    failed = [name for name, command in tools.items() if not _passes(name, command)]
    if failed:
        raise typer.Exit(1)


def doctor(data: DataOption = None) -> None:
    """Tell whether Belfry can run on this machine, and what is missing."""
    verdicts: set[Verdict] = set()
    for finding in findings(data_root(data), PORT):
        verdicts.add(finding.verdict)
        typer.echo(f"{finding.verdict:<8} {finding.about}")
    if Verdict.FAILED in verdicts or (Verdict.SKIPPED in verdicts and _skips_are_failures()):
        raise typer.Exit(1)


def bench(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="One of the list; without a name the list.")] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep the servers' data here, for the next run.")
    ] = None,
) -> None:
    """Run one of the performance measurements in bench/. Every other option goes to it; -h tells which it has."""
    known = measurements(CHECKOUT / "bench")
    if name is None:
        typer.echo("\n".join(known) or "bench/ holds no measurement.")
        return
    if name not in known:
        raise EmbeddedError(f"There is no measurement {name}. Known: {', '.join(known) or 'none'}.")
    kept = [] if keep is None else ["--keep", str(keep.expanduser().absolute())]
    edges.become(*edges.python_module(f"bench.{name}", *kept, *context.args))


def measurements(folder: Path) -> list[str]:
    """The modules of a folder that can be run; the others are what those are made of."""
    return sorted(path.stem for path in folder.glob("*.py") if RUNS in path.read_text(encoding="utf-8"))


def _absolute(option: str) -> str:
    """A path keeps its meaning although pytest runs in the checkout; a test's name after :: stays."""
    path, separator, name = option.partition("::")
    return f"{Path(path).absolute()}{separator}{name}" if not option.startswith("-") and Path(path).exists() else option


def _uv() -> Path | None:
    private = sorted((CHECKOUT / ".boot").glob("uv-*/bin/uv"))
    found = shutil.which("uv")
    return private[-1] if private else Path(found) if found else None


def _passes(name: str, command: tuple[Path | str | None, ...]) -> bool:
    """Run one tool and print its line; what it says is shown only when it finds something."""
    program = command[0]
    if program is None or not Path(program).exists():
        typer.echo(f"SKIPPED {name}: {Path(program).name if program else 'uv'} is not installed")
        return not _skips_are_failures()
    begun = time.monotonic()
    try:
        finished = subprocess.run(
            [str(part) for part in command],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TOOL_SECONDS_MAX,
            check=False,
        )
        passed, output = finished.returncode == 0, finished.stdout
    except subprocess.TimeoutExpired as error:
        passed, output = False, (error.stdout or b"") + f"\nnot done after {TOOL_SECONDS_MAX} s".encode()
    if not passed:
        typer.echo(output.decode(errors="replace").rstrip())
    typer.echo(f"{'passed' if passed else 'FAILED':<7} {name}  {time.monotonic() - begun:.1f} s")
    return passed


def _skips_are_failures() -> bool:
    return own_wishes().get("BELFRY_REQUIRE") == "all"
