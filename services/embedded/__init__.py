# SPDX-License-Identifier: EUPL-1.2
"""PostgreSQL and Valkey for one machine, from pip-installed programs, and the supervisor of `./belfry up`.

    servers.py      both servers in one data folder: postgres.py, valkey.py, over data_root.py and binaries.py
    node_packages.py  programs of npm, on a Node that pip installs: what builds /graphiql, and what judges us
    supervisor.py   everything that `up` runs, over processes.py, interruption.py, environment.py, state.py

The only package that knows the two wheels. Everybody else imports from here, and sees URLs.
"""

from services.embedded.binaries import program_versions
from services.embedded.data_root import default_data_root
from services.embedded.environment import own_wishes
from services.embedded.errors import AlreadyRunning, ChildEnded, EmbeddedError, PortInUse, TookTooLong
from services.embedded.node_packages import CannotInstall, NodeInstallation, NodePackages
from services.embedded.processes import ChildCommand
from services.embedded.progress import Progress
from services.embedded.servers import CHECKOUT, EmbeddedServers, temporary_servers
from services.embedded.state import State, enter_environment, read_state
from services.embedded.supervisor import Plan, Supervisor, check_port_is_free

__all__ = [
    "CHECKOUT",
    "AlreadyRunning",
    "CannotInstall",
    "ChildCommand",
    "ChildEnded",
    "EmbeddedError",
    "EmbeddedServers",
    "NodeInstallation",
    "NodePackages",
    "Plan",
    "PortInUse",
    "Progress",
    "State",
    "Supervisor",
    "TookTooLong",
    "check_port_is_free",
    "default_data_root",
    "enter_environment",
    "own_wishes",
    "program_versions",
    "read_state",
    "temporary_servers",
]
