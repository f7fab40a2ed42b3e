# SPDX-License-Identifier: EUPL-1.2
"""The social networks Belfry speaks to: one file per platform (a family of files where it is long), one protocol.

This registry is the only place that knows all of them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from services.social_accounts.networks.bluesky import BlueskyConnector
from services.social_accounts.networks.interface import Connector
from services.social_accounts.networks.webform import WebformConnector

_CONNECTORS: tuple[Connector, ...] = (BlueskyConnector(), WebformConnector())

NETWORKS: Mapping[str, Connector] = MappingProxyType({connector.key: connector for connector in _CONNECTORS})
"""Every network that can be connected, by the name the register of accounts uses."""


def connector_for(network: str) -> Connector | None:
    """The connector of a network, or None where accounts can only be registered."""
    return NETWORKS.get(network)
