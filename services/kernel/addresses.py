# SPDX-License-Identifier: EUPL-1.2
"""Which hosts and addresses the outbound client may reach: pure decisions, no network.

The rules are those of a server that fetches addresses typed by strangers. A host must be a canonical IP literal or a
full domain name; every address a name resolves to must be ordinary public unicast. Python's `is_global` differs
between patch releases, so this module never relies on it alone.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpx2

HTTPS_PORT = 443
HTTP_PORT = 80
HOST_LENGTH_MAX = 253

# Public by registry or by older Pythons, and still not a place where somebody else's server lives.
REFUSED_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)

# Only 2000::/3 holds public unicast. Inside it these carry IPv4 addresses, tunnels, documentation or protocol use.
PUBLIC_IPV6 = IPv6Network("2000::/3")
REFUSED_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
# The last label of a real name is never a number; resolvers read such spellings as an IPv4 address.
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")


class UrlRefused(Exception):
    """This URL may not be requested; the text says why, in our own words."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes. A listed target may have any address and any port, and may use plain http."""

    url: httpx2.URL
    host: str
    port: int
    listed: bool


def target_of(url: str, params: Sequence[tuple[str, str]], allowed: frozenset[str]) -> Target:
    """Read a URL the way it will be requested and judge it; `allowed` holds `host:port` in lower case.

    Raises UrlRefused.
    """
    try:
        read = httpx2.URL(url)
        read = read.copy_merge_params(list(params)) if params else read
    except (httpx2.InvalidURL, ValueError) as error:
        raise UrlRefused("not a valid address") from error
    host = read.raw_host.decode("ascii")
    port = read.port or (HTTPS_PORT if read.scheme == "https" else HTTP_PORT)
    shown = f"[{host}]" if ":" in host else host
    if read.userinfo:
        raise UrlRefused("credentials in the address")
    if read.scheme in ("http", "https") and f"{shown}:{port}" in allowed:
        return Target(read, host, port, listed=True)
    if read.scheme != "https" or port != HTTPS_PORT:
        raise UrlRefused("only https on port 443")
    refusal = host_refusal(host)
    if refusal is not None:
        raise UrlRefused(refusal)
    return Target(read, host, port, listed=False)


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address a host spells canonically, or None when it is a name or an odd spelling of an address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return None if isinstance(address, IPv6Address) and address.scope_id is not None else address


def host_refusal(host: str) -> str | None:
    """Why this host (lower case, ASCII, without brackets) may not be looked up, or None when it may."""
    if literal_address(host) is not None:
        return None
    if len(host) > HOST_LENGTH_MAX or _NAME.fullmatch(host) is None:
        return "not a full domain name"
    if _NUMBER.fullmatch(host.rpartition(".")[2]) is not None:
        return "an unusual spelling of an address"
    return None


def address_refusal(text: str) -> str | None:
    """Why this address, as a resolver gave it, may not be connected to, or None when it may."""
    address = literal_address(text)
    if address is None:
        return "not an address"
    if isinstance(address, IPv4Address):
        public = address.is_global and not any(address in network for network in REFUSED_IPV4)
    else:
        public = (
            address in PUBLIC_IPV6 and address.is_global and not any(address in network for network in REFUSED_IPV6)
        )
    return None if public else "not a public address"
