# SPDX-License-Identifier: EUPL-1.2
"""Which hosts and addresses may be reached: tables of the known tricks, and properties over whole ranges."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.addresses import (
    PUBLIC_IPV6,
    REFUSED_IPV4,
    REFUSED_IPV6,
    UrlRefused,
    address_refusal,
    host_refusal,
    target_of,
)

INSIDE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.9",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "2600::1%1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
OUTSIDE = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "192.0.1.1", "192.88.98.1", "223.255.255.1", "2600::1", "2a01::1"]
ODD_SPELLINGS = [
    "",
    ".",
    "localhost",
    "intranet",
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "1.2.3.256",
    "example.0x7f",
    "example.1",
    "example.test.",
    "127.0.0.1.",
    "①②⑦.⓪.⓪.①",
    "１２７.0.0.1",
    "%31.2.3.4",
    "a b.test",
    "a/b.test",
    "a@b.test",
    "fe80::1%eth0",
    "-a.test",
    "a..test",
    "EXAMPLE.test",
    f"{'a' * 64}.test",
    ".".join(["abcdefgh"] * 30),
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_any_house_is_refused(address: str) -> None:
    assert address_refusal(address) is not None


@pytest.mark.parametrize("address", OUTSIDE)
def test_a_public_address_is_reachable(address: str) -> None:
    assert address_refusal(address) is None


@pytest.mark.parametrize("text", ["", "nonsense", "1.2.3", "127.1", "1.2.3.4 ", "0x1.2.3.4", "1.2.3.4/8", "01.2.3.4"])
def test_an_answer_of_a_resolver_that_is_no_address_is_refused(text: str) -> None:
    assert address_refusal(text) is not None


@given(st.sampled_from(REFUSED_IPV4 + REFUSED_IPV6).flatmap(lambda network: st.ip_addresses(network=network)))
def test_no_address_of_a_refused_range_passes(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert address_refusal(str(address)) is not None


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_outside_public_unicast_passes(address: ipaddress.IPv6Address) -> None:
    assert address in PUBLIC_IPV6 or address_refusal(str(address)) is not None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_hidden_in_ipv6_never_passes(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    hidden = [
        number,
        0xFFFF << 32 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80,
        0x2001 << 112 | number ^ 0xFFFFFFFF,
    ]
    assert all(address_refusal(str(ipaddress.IPv6Address(value))) is not None for value in hidden)


@given(st.ip_addresses())
def test_nothing_that_python_calls_special_passes(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    special = not address.is_global or address.is_multicast or address.is_reserved or address.is_loopback
    assert not special or address_refusal(str(address)) is not None


@pytest.mark.parametrize("host", ODD_SPELLINGS)
def test_an_odd_spelling_is_refused_before_any_lookup(host: str) -> None:
    assert host_refusal(host) is not None


@pytest.mark.parametrize(
    "host", ["example.test", "xn--mnchen-3ya.test", "a_b.example.test", "1.example.test", "8.8.8.8"]
)
def test_an_ordinary_name_is_looked_up(host: str) -> None:
    assert host_refusal(host) is None


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{:d}", "0x{:x}", "0{:o}", "{:d}.", "1.{:d}"]))
def test_an_address_written_as_a_number_is_refused(number: int, spelling: str) -> None:
    assert host_refusal(spelling.format(number)) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.test/",
        "https://example.test:8443/",
        "https://example.test:80/",
        "ftp://example.test/",
        "file:///etc/hosts",
        "gopher://example.test:443/",
        "https://",
        "https:///path",
        "//example.test/",
        "example.test",
        "https://user:secret@example.test/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://①②⑦.⓪.⓪.①/",
        "https://[::1%25lo]/",
        "https://localhost/",
        "https://exam\nple.test/",
        "https://example.test:99999/",
    ],
)
def test_a_url_outside_the_rules_is_refused(url: str) -> None:
    with pytest.raises(UrlRefused):
        target_of(url, (), frozenset())


def test_a_listed_pair_may_use_plain_http_and_only_its_own_port() -> None:
    allowed = frozenset({"127.0.0.1:2583", "[::1]:2584"})
    assert target_of("http://127.0.0.1:2583/x", (), allowed).listed
    assert target_of("http://[::1]:2584/x", (), allowed).listed
    for url in ("http://127.0.0.1:2584/x", "http://127.0.0.2:2583/x", "http://127.0.0.1/x", "ftp://127.0.0.1:2583/x"):
        with pytest.raises(UrlRefused):
            target_of(url, (), allowed)


def test_parameters_are_added_to_the_url_that_was_judged() -> None:
    target = target_of("https://example.test/a?b=1", (("uris", "x y"), ("uris", "z")), frozenset())
    assert str(target.url) == "https://example.test/a?b=1&uris=x+y&uris=z"
    assert (target.host, target.port, target.listed) == ("example.test", 443, False)
