# SPDX-License-Identifier: EUPL-1.2
"""What an installation remembers in its data folder, in files of mode 0600: its secrets, and where it runs now."""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from services.embedded.data_root import owner_of
from services.embedded.errors import EmbeddedError

KEY_BYTES = 32
PASSWORD_BYTES = 24
STATE_FILE = "state.json"
CREDENTIALS_FILE = "credentials.json"
KEY_FILE = "key"


@dataclass(frozen=True)
class State:
    """A running installation. `environment` holds the BELFRY_* variables of its children: URLs with credentials."""

    pid: int
    port: int
    public_url: str
    socket_folder: str
    environment: Mapping[str, str]
    children: Mapping[str, int]  # The pid of each child by name, servers included.


def write_state(data_root: Path, state: State) -> None:
    """Replace the state file in one step."""
    write_private(data_root / STATE_FILE, json.dumps(asdict(state), indent=2) + "\n")


def remove_state(data_root: Path) -> None:
    """Forget the run: nothing answers any more."""
    (data_root / STATE_FILE).unlink(missing_ok=True)


def read_state(data_root: Path) -> State | None:
    """The installation that runs on `data_root` and is ready, or None; EmbeddedError if its files are not ours."""
    try:
        state = State(**json.loads((data_root / STATE_FILE).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return None  # Written by another release, or no state file at all.
    except OSError as error:
        raise EmbeddedError(f"{data_root} belongs to somebody else: {error.strerror}.") from error
    # The state of a run that was killed stays behind; the lock file names the process that owns the folder now.
    return state if owner_of(data_root) == state.pid else None


def enter_environment(state: State) -> None:
    """Make this process see what the children of the running installation see, before it reads its settings."""
    os.environ.update(state.environment)


def credentials(data_root: Path, names: tuple[str, ...]) -> dict[str, str]:
    """A password per role name, made on first use and kept; a name that is new in this release gets one too."""
    path = data_root / CREDENTIALS_FILE
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in names if name not in known]
    if missing:
        known |= {name: secrets.token_hex(PASSWORD_BYTES) for name in missing}
        write_private(path, json.dumps(known, indent=2) + "\n")
    return known


def key_file(data_root: Path, *, sealed_before: bool) -> Path:
    """The file with the key-encryption key, 32 random bytes in base64, made on first start.

    Refuses to make a new key over data that an older one may have sealed (`sealed_before`).
    """
    path = data_root / KEY_FILE
    if not path.exists():
        if sealed_before:
            raise EmbeddedError(
                f"The key {path} is missing, and the stored credentials cannot be opened without it: "
                f"put it back, or remove {data_root} to start anew."
            )
        write_private(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read; after a crash it is either the old one or the new one, whole."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
