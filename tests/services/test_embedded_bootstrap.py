# SPDX-License-Identifier: EUPL-1.2
"""./belfry and the command line behind it: the script runs for real, with a stand-in for uv that tells its options."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SHELLS = [shell for shell in ("dash", "sh", "busybox") if shutil.which(shell)]
TOOLS = ("sh", "readlink", "dirname", "cat", "find", "grep", "mkdir")
UV = """#!/bin/sh
if [ "$1" = --version ]; then echo "uv {version} (stand-in)"; else echo "uv $*"; fi
"""
PYTHON = """#!/bin/sh
if [ "$1" = -c ]; then exec "{python}" "$@"; fi
printf 'cli'; printf ' <%s>' "$@"; echo " in $PWD"
"""


class Copy:
    """A checkout that holds the script alone, below a folder with a space."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "with space" / "belfry"
        self.tools = folder / "tools"
        self.tools.mkdir()
        for name in TOOLS:
            (self.tools / name).symlink_to(str(shutil.which(name)))
        (self.folder / ".venv" / "bin").mkdir(parents=True)
        shutil.copy(CHECKOUT / "belfry", self.folder / "belfry")
        (self.folder / "pyproject.toml").write_text("[dependency-groups]\nweb = [\n]\n")
        (self.folder / "uv.lock").touch()
        self.program(self.folder / ".venv" / "bin" / "python", PYTHON.format(python=sys.executable))
        self.program(self.tools / "uv", UV.format(version="0.13.9"))

    def program(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def run(self, *arguments: str, shell: str = "sh", **environment: str) -> subprocess.CompletedProcess[str]:
        prefix = [str(shutil.which(shell)), *(["sh"] if shell == "busybox" else [])]
        return subprocess.run(
            [*prefix, str(self.folder / "belfry"), *arguments],
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": str(self.tools), "VIRTUAL_ENV": "/other", "PYTHONPATH": "/other", **environment},
            check=False,
        )


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_syncs_the_lock_and_becomes_the_command_line_in_the_callers_folder(copy: Copy, shell: str) -> None:
    first = copy.run("up", "--data", "a b", shell=shell)
    assert first.stdout == "cli <-P> <-m> <services.cli> <up> <--data> <a b> in /\n"
    assert (
        f"uv sync --project {copy.folder} --frozen --quiet --python {os.path.realpath(sys.executable)}\n"
        in first.stderr
    )
    assert "installing the Python packages" in first.stderr
    second = copy.run("up", shell=shell)
    assert "installing" not in second.stderr


def test_a_group_that_was_asked_for_once_is_named_ever_after(copy: Copy) -> None:
    assert "--group" not in copy.run("test", "-q").stderr
    assert copy.run("test", "-q", "--peers").stderr.rstrip().endswith("--group web")
    assert copy.run("up").stderr.rstrip().endswith("--group web")
    assert copy.run("web", "build").stderr.count("--group web") == 1


def test_a_group_that_the_project_does_not_have_is_not_asked_for(copy: Copy) -> None:
    assert "--group" not in copy.run("infra", "test").stderr


def test_a_named_interpreter_that_does_not_fit_is_an_error(copy: Copy) -> None:
    for wrong in ("/no/such/python", "/bin/false"):
        refused = copy.run("up", BELFRY_PYTHON=wrong)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == f"belfry: BELFRY_PYTHON={wrong} is not Python 3.11 to 3.14.\n"


def test_a_stand_in_that_does_not_run_is_passed_over(copy: Copy) -> None:
    (copy.folder / ".venv" / "bin" / "python").unlink()
    copy.program(copy.tools / "python3.13", "#!/bin/sh\nexit 127\n")
    copy.program(copy.tools / "python3.12", "#!/bin/sh\nexit 1\n")
    assert "no Python 3.11 to 3.14 found" in copy.run("up").stderr
    copy.program(copy.tools / "python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    assert f"--python {os.path.realpath(sys.executable)}" in copy.run("up").stderr


def test_an_old_uv_on_the_path_is_left_alone(copy: Copy) -> None:
    copy.program(copy.tools / "uv", UV.format(version="0.8.22"))
    private = copy.folder / ".boot" / "uv-0.13.9" / "bin"
    private.mkdir(parents=True)
    copy.program(private / "uv", "#!/bin/sh\necho private $*\n")
    assert "private sync" in copy.run("up").stderr


def command_line(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **environment},
        check=False,
    )


def test_a_token_without_an_installation_is_one_sentence_and_nothing_on_stdout(tmp_path: Path) -> None:
    refused = command_line("token", "--organization", "molendam", "--role", "operator", "--data", str(tmp_path))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"belfry: No Belfry runs on {tmp_path}: start one with ./belfry up, or name its folder with --data.\n"
    )


def test_a_migration_without_configuration_names_what_is_missing() -> None:
    refused = command_line("migrate", BELFRY_DATABASE_URL="postgresql://belfry_app@db.example/belfry")
    assert refused.returncode == 1
    assert "  BELFRY_VALKEY_URL: Field required\n" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_doctor_finds_this_machine_fit(tmp_path: Path) -> None:
    report = command_line("doctor", "--data", str(tmp_path)).stdout
    assert "ok       embedded servers: postgres (PostgreSQL) 18." in report


def test_the_command_line_starts_without_the_heavy_packages() -> None:
    question = (
        "import sys, services.cli; print(sorted({'sqlalchemy', 'pydantic', 'strawberry', 'arq'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert answer.stdout == "[]\n"
