# SPDX-License-Identifier: EUPL-1.2
"""URLs by which somebody might reach inside: spellings of addresses, shapes of URLs, and names that lie."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from tests.support.name_server import CUT, FAILED, FOREIGN, GARBAGE, SILENT, UNKNOWN

PUBLIC_IPV4, PUBLIC_IPV6 = "93.184.216.34", "2606:4700::1111"
PUBLIC = frozenset({PUBLIC_IPV4, PUBLIC_IPV6})

INNER_IPV4 = (
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "192.0.0.9", "192.88.99.1", "198.18.0.1", "224.0.0.1", "255.255.255.255",
)  # fmt: skip
INNER_IPV6 = (
    "::1", "::", "0:0:0:0:0:0:0:1", "0000:0000:0000:0000:0000:0000:0000:0001", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fe80::1%25eth0", "fe80::1%eth0", "::1%25lo", "::1%lo", "fec0::1", "ff02::1", "ff0e::1", "5f00::1", "100::1",
    "2001::1", "2001:2::1", "2001:20::1", "2001:db8::1", "3fff::1", "4000::1", "FE80::A", "v1.fe80::1", "::127.1",
    "::ffff:127.1", "::1.", "::ffff:0x7f.1", "1::1::1",
)  # fmt: skip
PLACES = ("127.0.0.1", "169.254.169.254", "[::1]")


def spelled(text: str) -> Iterator[str]:
    """An IPv4 address in ways in which one resolver or another would read it."""
    number, parts = int(ipaddress.IPv4Address(text)), [int(each) for each in text.split(".")]
    a, b, c, d = parts
    yield from (text, f"{text}.", f"{text}..", str(number), f"{number}.", f"0{number:o}", f"0o{number:o}")
    yield from (f"0x{number:x}", f"0X{number:X}", f"0x{number:016x}", str(number + 2**32), f"+{number}")
    yield from (f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{c << 8 | d}", f"0x{a:x}.{number & 0xFFFFFF}")
    yield ".".join(f"0x{each:x}" for each in parts)
    yield ".".join(f"0{each:o}" for each in parts)
    yield ".".join(f"{each:03d}" for each in parts)
    yield f"0x{a:x}.0{b:o}.{c}.{d}"
    yield text.translate({ord(str(n)): 0xFF10 + n for n in range(10)})
    yield text.translate({ord("0"): "⓪"} | {ord(str(n)): chr(0x2460 + n - 1) for n in range(1, 10)})
    yield text.replace(".", "。")
    yield text.replace(".", "．", 1)
    yield quote(text).replace(".", "%2e")
    yield "".join(f"%{ord(each):02x}" for each in text)
    yield from (f"{text}%00.public.test", f"{text}%2f.public.test", f"{text}\u00ad", f"{text}\u200b", f"[{text}]")


def hidden(text: str) -> Iterator[str]:
    """An IPv4 address inside of IPv6 ones."""
    number = int(ipaddress.IPv4Address(text))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    yield from (f"::{text}", f"::ffff:{text}", f"::FFFF:{high}:{low}", f"0:0:0:0:0:ffff:{high}:{low}")
    yield from (f"::ffff:0:{high}:{low}", f"64:ff9b::{high}:{low}", f"64:ff9b:1::{high}:{low}", f"2002:{high}:{low}::")
    teredo = number ^ 0xFFFFFFFF
    yield f"2001:0:4136:e378:8000:63bf:{teredo >> 16:x}:{teredo & 0xFFFF:x}"
    yield f"fe80::5efe:{high}:{low}"


def shaped(place: str) -> Iterator[str]:
    """URLs in which one reader sees public.test and another one the place."""
    yield from (
        f"https://public.test@{place}/", f"https://public.test:443@{place}/", f"https://public.test%40@{place}/",
        f"https://@{place}/", f"https://:@{place}/", f"https://a@public.test@{place}/", f"https://{place}@public.test/",
        f"https://public.test#@{place}/", f"https://public.test?@{place}/", f"https://public.test\\@{place}/",
        f"https://public.test%5c@{place}/", f"https://{place}\\@public.test/", f"https://{place}%23@public.test/",
        f"https://{place}#@public.test/", f"https://{place}?.public.test/", f"https://{place}%0d%0aHost:public.test/",
        f"https:/{place}/", f"https:///{place}/", f"https:////{place}/", f"https:{place}", f"https:\\\\{place}\\",
        f"//{place}/", f"/\\{place}/", f" https://{place}/", f"https://{place} /", f"https://\t{place}/",
        f"ht\ntps://{place}/", f"https://{place}\n.public.test/", f"https://{place}\u2215.public.test/",
        f"https://{place}:443:80/", f"https://{place}:+443/", f"https://{place}:0443/", f"https://{place}:/",
        f"https://{place}:\uff14\uff14\uff13/", f"https://{place}:4_43/", f"https://public.test;{place}/",
        f"https://public.test,{place}/", f"https://public.test&@{place}/", f"https://%5b{place}%5d/",
    )  # fmt: skip


SCHEMES = (
    "http", "HTTP", "ws", "wss", "ftp", "ftps", "sftp", "tftp", "gopher", "dict", "ldap", "ldaps", "file", "jar",
    "netdoc", "data", "javascript", "unix", "http+unix", "ssh", "telnet", "smb", "imap", "redis", "h2c", "httpss",
)  # fmt: skip
PORTS = (0, 1, 21, 22, 25, 80, 110, 2375, 3306, 5432, 6379, 8000, 8080, 8443, 9200, 11211, 27017, 65535, 65536, -1)

NAMES: Mapping[str, Sequence[str]] = {
    **{f"public{n}.test": [f"{PUBLIC_IPV4} {PUBLIC_IPV6}"] for n in range(8)},
    "public.test": [PUBLIC_IPV4],
    "six.public.test": [PUBLIC_IPV6],
    **{f"inner{n}.test": [each] for n, each in enumerate(INNER_IPV4)},
    **{f"first{n}.test": [f"{PUBLIC_IPV4} {each}"] for n, each in enumerate(INNER_IPV4)},
    **{f"last{n}.test": [f"{each} {PUBLIC_IPV4}"] for n, each in enumerate(INNER_IPV4)},
    **{f"six{n}.test": [each] for n, each in enumerate(hidden("127.0.0.1"))},
    **{f"sixmixed{n}.test": [f"{PUBLIC_IPV4} {each}"] for n, each in enumerate(hidden("10.0.0.1"))},
    **{f"sixfirst{n}.test": [f"{PUBLIC_IPV6} {each}"] for n, each in enumerate(("::1", "fc00::1", "fe80::1"))},
    # What changes its mind: public while it is judged, another place when it is asked once more.
    **{f"rebind{n}.test": [PUBLIC_IPV4, each] for n, each in enumerate(INNER_IPV4)},
    **{f"sixrebind{n}.test": [PUBLIC_IPV6, each] for n, each in enumerate(("::1", "::ffff:127.0.0.1", "fc00::1"))},
    "sixthen.test": [f"{PUBLIC_IPV6} 127.0.0.1"],
    "rebind-back.test": ["127.0.0.1", PUBLIC_IPV4],
    "rebind-other-family.test": [PUBLIC_IPV4, "::1", "127.0.0.1"],
    **{f"turns{n}.test": [PUBLIC_IPV4] * n + ["127.0.0.1"] for n in range(1, 5)},
    "alias.test": ["=inner0.test"],
    "alias-to-localhost.test": ["=localhost"],
    "alias-to-number.test": ["=127.1"],
    "alias-of-metadata.test": ["=metadata.internal"],
    "alias-that-changes.test": ["=public.test", "=inner0.test"],
    **{f"chain{n}.test": [f"=chain{n + 1}.test"] for n in range(12)},
    **{f"long{n}.test": [f"=long{n + 1}.test"] for n in range(39)},
    "circle.test": ["=circle2.test"],
    "circle2.test": ["=circle.test"],
    "many.test": [" ".join(f"93.184.216.{n}" for n in range(1, 40))],
    "many-and-one.test": [" ".join([*(f"93.184.216.{n}" for n in range(1, 31)), "127.0.0.1"])],
    **{f"{trick}.test": [trick] for trick in (UNKNOWN, FAILED, SILENT, GARBAGE, CUT, FOREIGN)},
    **{f"{trick}-then-inner.test": [trick, "127.0.0.1"] for trick in (UNKNOWN, FAILED, GARBAGE)},
}
"""What the attacker's server says of each name; every other name is 127.0.0.1 and ::1."""

ODD_NAMES = (
    "localhost", "LOCALHOST", "localhost.", "ip6-localhost", "intranet", "metadata.internal", "localtest.test",
    "127.0.0.1.nip.test", "app.localhost", "public.test.", "PUBLIC.TEST", "ＰＵＢＬＩＣ.test", "pub%6cic.test",
    "xn--.test", "xn--a.test", "-.test", "_.test", "a..test", "*.test", "bücher.test", "1.test", "test.1", "test.0x7f",
    "ⅼocalhost", "ʟocalhost", "loc%61lhost", "localhost%00.public.test", f"{'a' * 63}.test", f"{'a' * 64}.test",
)  # fmt: skip


def attacks() -> list[str]:
    """Every URL once. None of them may lead anywhere but to the public addresses."""
    found = [f"https://{host}/" for each in INNER_IPV4 for host in spelled(each)]
    found += [f"https://[{host}]/" for each in INNER_IPV4 for host in hidden(each)]
    found += [f"https://[{host}]/" for host in INNER_IPV6]
    found += [url for place in PLACES for url in shaped(place)]
    found += [f"{scheme}://{place}/" for scheme in SCHEMES for place in ("127.0.0.1", "inner0.test")]
    found += [f"https://{place}:{port}/" for port in PORTS for place in ("127.0.0.1", "public.test")]
    found += [f"https://{name}/" for name in NAMES if not name.startswith(("long", "chain"))]
    found += ["https://chain0.test/", "https://long0.test/"]
    found += [f"https://{name}/" for name in ODD_NAMES]
    return list(dict.fromkeys(found))


REDIRECTS = (301, 302, 303, 307, 308, 300, 305)
CHAIN_LINKS = 4


def leading_on(inside: Sequence[str]) -> list[str]:
    """Paths of a listed server that sends its callers on: by each status to each place, at once or after a chain."""
    places = [*inside, *(f"https://{place}/" for place in PLACES), "https://rebind0.test/", "//127.0.0.1/", "file:///"]
    return [
        f"/{kind}/{links}/{quote(place, safe='')}"
        for kind in (*map(str, REDIRECTS), "refresh", "proxy", "hint", "switch")
        for place in places
        for links in (0, CHAIN_LINKS)
    ]
