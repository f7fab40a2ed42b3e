# SPDX-License-Identifier: EUPL-1.2
"""Requests of at most 3 kB, each filled with the worst that somebody could think of; none repeats another's text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

import orjson

BYTES_MAX = 3_072
PAGE = "conversations(first: 1) { nodes { %s } }"
SHARE = 2
number = count()


@dataclass(frozen=True)
class Small:
    """One request: its body, and headers beyond the usual ones."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        assert len(self.body) + sum(map(len, self.headers.values())) <= BYTES_MAX


def fresh(text: str) -> str:
    """A text that no cache has seen: a comment of its own stands in front."""
    return f"#{next(number)}\n{text}"


def filled(before: str, unit: str, between: str = "", closing: str = "", after: str = "", times: int = 10_000) -> str:
    """A unit as often as 3 kB of JSON hold it, with something that closes each."""

    def written(times: int) -> str:
        return f"{before}{unit * times}{between}{closing * times}{after}"

    def size(times: int) -> int:
        return len(orjson.dumps({"query": f"#{10**7}\n" + written(times)}))

    low, high = 0, times
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(middle) <= BYTES_MAX else (low, middle - 1)
    return written(low)


def document(before: str, unit: str, *others: str, times: int = 10_000) -> Small:
    """A document: before, unit, between, closing, after."""
    return Small(orjson.dumps({"query": fresh(filled(before, unit, *others, times=times))}))


def numbered(before: str, unit: str, after: str) -> Small:
    """A unit with the number of its place in it."""
    text = before
    for place in count():
        more = unit.replace("%", str(place))
        if len(orjson.dumps({"query": text + more + after})) > BYTES_MAX - 20:
            return Small(orjson.dumps({"query": fresh(text + after)}))
        text += more
    raise AssertionError


def variables(query: str, before: str, unit: str, between: str = "", closing: str = "", after: str = "") -> Small:
    """A query whose variables, as JSON text, are filled."""
    head = orjson.dumps({"query": fresh(query)})[:-1] + b',"variables":'
    room = BYTES_MAX - len(head) - 1 - len((before + between + after).encode())
    times = room // len((unit + closing).encode())
    return Small(head + f"{before}{unit * times}{between}{closing * times}{after}}}".encode())


def raw(before: str, unit: str, between: str = "", closing: str = "", after: str = "") -> Small:
    """Bytes of a body as they are, valid or not."""
    times = (BYTES_MAX - len((before + between + after).encode())) // len((unit + closing).encode())
    return Small(f"{before}{unit * times}{between}{closing * times}{after}".encode())


def header(name: str, before: str, unit: str) -> Small:
    body = orjson.dumps({"query": fresh("{ viewer { roles } }")})
    return Small(body, {name: (before + unit * ((BYTES_MAX - len(body) - len(before)) // len(unit))).strip()})


ONE = "query ($v: %s) { conversations(%s: $v) { nodes { id } } }"
FILTER, TEXT, IDS = (
    ONE % ("ConversationFilter", "filter"),
    ONE % ("String", "query"),
    "query ($v: [ID!]!) { nodes(ids: $v) { id } }",
)
ORDER = ONE % ("[ConversationOrder!]", "orderBy")
AFTER, FIRST = ONE % ("String", "after"), ONE % ("Int", "first")
PERIOD = "query ($v: DateTime, $z: TimeZone) { responseTimeSeries(granularity: DAY, since: $v, timeZone: $z) { n } }"
CONNECT = "mutation ($v: SocialAccountConnectInput!) { socialAccountConnect(input: $v) { userErrors { code } } }"
REGISTER = "mutation ($v: SocialAccountRegisterInput!) { socialAccountRegister(input: $v) { userErrors { code } } }"
REPLY = "mutation ($v: ConversationReplyInput!) { conversationReply(input: $v) { userErrors { code } } }"
NODE = "query ($v: ID!) { node(id: $v) { id } }"
INNER = '{"state":{"eq":"OPEN"}}'

UNITS = {
    "letters": "x", "digits": "9", "zeros": "0", "signs": "-", "points": ".", "at signs": "@", "a.": "a.",
    "spaces": " ", "slashes": "/", "escapes": "\\\\", "quotes": '\\"', "nothing": "\\u200b", "accents": "\u0301",
    "dotless": "\u0131",
    "umlauts": "ä", "families": "👨‍👩‍👧‍👦", "flags": "🏴", "regional": "🇧", "arabic digits": "٠", "middle dots": "·",
    "ligatures": "ﷺ",
    "wide": "Ａ", "hangul": "\u1100", "marks and letters": "a\u0301\u0327", "line ends": "\\n", "words": "lamp ",
    "pluses": "+", "percents": "%25", "brackets": "[", "sharp": "ẞ", "virama": "\u094d", "tabs": "\\t",
}  # fmt: skip
"""What texts are filled with."""


def places(account: str, conversation: str) -> dict[str, tuple[str, str, str]]:
    """Where a text can stand: the query, and its variables around the text."""
    reply = f'{{"v":{{"conversationId":"{conversation}","purpose":"ANSWER","fence":1,"text":"'
    connect = f'{{"v":{{"socialAccountId":"{account}","identifier":"a.test","secret":"x","serverUrl":"https://'
    register = f'{{"v":{{"departmentId":"{account}","network":"BLUESKY","purpose":"NEWS","handle":"'
    return {
        "search": (TEXT, '{"v":"', '"}'), "cursor": (AFTER, '{"v":"', '"}'), "id": (NODE, '{"v":"', '"}'),
        "an instant": (PERIOD, '{"v":"2026-01-01T00:00:00.', '"}'), "an instant of it": (PERIOD, '{"v":"', '"}'),
        "a zone": (PERIOD, '{"z":"Europe/', '"}'), "a zone of it": (PERIOD, '{"z":"', '"}'),
        "reply": (REPLY, reply, '"}}'), "server": (CONNECT, connect, '.test"}}'), "handle": (REGISTER, register, '"}}'),
        "enum": (FILTER, '{"v":{"state":{"eq":"', '"}}}'),
        "an instant to compare": (FILTER, '{"v":{"openedAt":{"eq":"', '"}}}'),
        "a key": (FILTER, '{"v":{"', '":1}}'), "a number": (FIRST, '{"v":"', '"}'),
    }  # fmt: skip


def texts(account: str, conversation: str) -> Iterator[tuple[str, Small]]:
    """Every place of a text, each filled with its share of everything."""
    for turn, (place, (query, before, after)) in enumerate(places(account, conversation).items()):
        for what, unit in list(UNITS.items())[turn % SHARE :: SHARE]:
            yield f"{place} of {what}", variables(query, before, unit, after=after)


def shapes() -> Iterator[tuple[str, Small]]:
    """Documents, variables, bodies and headers."""
    selections = {
        "fields": " id", "long fields": " " + "x" * 200, "objects": " contact{id}",
        "objects with two": " contact{id handle}",
        "objects in objects": " contact{conversations{nodes{id}}}", "lists": " messages{nodes{id}}",
        "inline fragments": " ...on Conversation{id}", "bare fragments": " ...{id}", "included": " id@include(if:true)",
        "with arguments": " messages(first:1){nodes{id}}", "with nulls": " messages(first:null){nodes{id}}",
        "names": " __typename", "unknown": " idd", "aliased": " a:id", "spreads": " ...F",
        "empty": "{}", "commas": ",,,",
        "byte order marks": "\ufeff", "comments": "#\n", "long comments": "#" * 200 + "\n", "line ends": "\r\n",
    }  # fmt: skip
    fragment = " fragment F on Conversation { contact { id conversations { nodes { id } } } }"
    for name, unit in selections.items():
        tail = " } } }" + (fragment if "F" in unit else "")
        yield f"many {name}", document("{ conversations { nodes {", unit, "", "", tail)
    nests = {
        "objects": ("{ conversations{nodes", "{contact{conversations{nodes", "{id}", "}}", "}"),
        "fragments": ("{", "...on Query{", "__typename", "}", "}"),
        "fragments of none": ("{", "...{", "__typename", "}", "}"),
        "lists": ("{ nodes(ids: ", "[", "", "]", ") { id } }"),
        "input objects": ("{ conversations(filter: ", "{not:", "{}", "}", ") { nodes { id } } }"),
        "types of variables": ("query ($v: ", "[", "Int", "]", ") { __typename }"), "braces": ("", "{", "", "}", ""),
        "introspection": ("{ __schema { types { name ", "ofType{", "name", "}", "} } }"),
        "braces open": ("", "{a", "", "", ""),
    }  # fmt: skip
    for name, parts in nests.items():
        for times in (10, 12, 60, 10_000):
            yield f"nested {name}, {times}", document(*parts, times=times)
    yield "fragments in a chain", numbered("{...F0}", "fragment F% on Query{__typename}", "")
    doubling = " ".join(f"fragment F{n} on Query{{...F{n + 1} ...F{n + 1}}}" for n in range(28))
    yield "fragments that double", Small(orjson.dumps({"query": fresh("{...F0}" + doubling)}))
    around = " ".join(f"fragment F{n} on Query{{...F{(n + 1) % 29}}}" for n in range(29))
    yield "fragments in a circle", Small(orjson.dumps({"query": fresh("{...F0}" + around)}))
    crossed = " ".join(
        f"fragment F{n} on Query{{{' '.join(f'...F{each}' for each in range(n + 1, 18))}}}" for n in range(18)
    )
    yield "fragments that all spread all", Small(orjson.dumps({"query": fresh("{...F0}" + crossed)}))
    merged = " ".join(
        f"fragment F{n} on Conversation{{contact{{id}} contact{{handle}} contact{{email}}}}" for n in range(22)
    )
    spread = " ".join(f"...F{n}" for n in range(22))
    yield "fragments that overlap", Small(orjson.dumps({"query": fresh(f"{{{PAGE % spread}}} {merged}")}))
    for name, unit in {
        "operations": "query Q%{__typename}",
        "named fragments": "fragment F% on Query{__typename}",
    }.items():
        yield f"many {name}", numbered("", unit, "")
    yield "many variables", numbered("query(", "$v%:Int ", "){__typename}")
    yield "many defaults", numbered("query(", "$v%:[[Int]]=[[1]] ", "){__typename}")
    yield "variables that are used", numbered("query($a:Int){", "a%:conversations(first:$a){nodes{id}}", "}")
    yield "many aliases", numbered("{", "a%:__typename ", "}")
    yield "many roots", numbered("{", "a%:viewer{roles}", "}")
    yield "directives", document("{ __typename", " @include(if: true)", "", "", " }")
    yield "unknown directives", numbered("{ __typename", " @d%", " }")
    yield "a number in the document", document("{ conversations(first: ", "9", "", "", ") { nodes { id } } }")
    yield "a fraction in the document", document("{ conversations(first: 0.", "9", "", "", ") { nodes { id } } }")
    yield "an exponent in the document", document("{ conversations(first: 1e", "9", "", "", ") { nodes { id } } }")
    for name, unit in {"letters": "x", "quotes": '\\"', "escapes": "\\u0041", "pairs": "\\uD83D\\uDE00"}.items():
        yield f"a text of {name}", document('{ node(id: "', unit, "", "", '") { id } }')
    for name, unit in {"lines": "\n", "indented lines": "\n  x", "quotes": '\\"""', "spaces": " \n"}.items():
        yield f"a block text of {name}", document('{ node(id: """', unit, "", "", '""") { id } }')
    yield "a type system", document("type A{a:Int}", " type A{a:Int}")
    yield "many errors", document("{", " conversations(a:1 b:2){c}", "", "", "}")
    yield "values of a kind that is wrong", document('{ conversations(first: "', "x", "", "", '") { nodes { id } } }')
    yield from _variables()
    yield from _bodies()


def _variables() -> Iterator[tuple[str, Small]]:
    for name, unit in {
        "1": "1,",
        "texts": '"",',
        "lists": "[],",
        "objects": "{},",
        "nulls": "null,",
        "e": "1e9,",
    }.items():
        for query in (IDS, FILTER, ORDER, FIRST, TEXT):
            last = unit.rstrip(",")
            yield f"a list of {name} for {query[8:20]}", variables(query, '{"v":[', unit, after=f"{last}]}}")
    for key in ("and", "or"):
        yield f"a filter of {key}", variables(FILTER, f'{{"v":{{"{key}":[', INNER + ",", after=INNER + "]}}")
        yield f"a filter in {key}", variables(FILTER, '{"v":', f'{{"{key}":[', INNER, "]}", "}")
    yield "a filter in not", variables(FILTER, '{"v":', '{"not":', "{}", "}", "}")
    yield "a filter of texts", variables(FILTER, '{"v":{"state":{"in":[', '"OPEN",', after='"OPEN"]}}}')
    wide = '{"and":[' + ",".join([INNER] * 9) + "]},"
    yield "a filter of filters", variables(FILTER, '{"v":{"or":[', wide, after="{}]}}")
    yield "orders", variables(ORDER, '{"v":[', '{"field":"PRIORITY","direction":"ASC"},', after="{}]}")
    yield "lists in lists", variables(FIRST, '{"v":', "[", "", "]", "}")
    yield (
        "sixty lists in lists",
        Small(orjson.dumps({"query": fresh(IDS)})[:-1] + b',"variables":{"v":' + b"[" * 60 + b"]" * 60 + b"}}"),
    )
    for name, unit in {"nines": "9", "zeros": "0"}.items():
        for before in ("", "-", "0.", "1e", "1e-", "1."):
            yield f"a number of {before}{name}", variables(FIRST, f'{{"v":{before or "1"}', unit, after="}")


def _bodies() -> Iterator[tuple[str, Small]]:
    for name, parts in {
        "lists": ('{"query":', "["), "objects": ("", '{"a":'), "texts": ('{"query":"{a}","a":[', '"",'),
        "keys": ('{"query":"{a}"', ',"a":1'), "escapes": ('{"query":"', "\\u0041"), "halves": ('{"query":"', "\\ud800"),
        "quotes": ('{"query":"', '\\"'), "spaces": ("", " "), "spaces in it": ("{", " "), "zeros": ('{"query":', "0"),
        "a batch": ("[", '{"query":"{__typename}"},'), "nothing": ("", "\x00"), "closing": ("{", "}"),
        "stars": ("{", "/*"),
    }.items():  # fmt: skip
        yield f"a body of {name}", raw(*parts)
    for name in ("Accept", "Accept-Language", "X-Request-Id", "Authorization", "Content-Type", "X-Execution", "Origin"):
        for unit in (
            "a,",
            "a;q=0.1,",
            "*/*;",
            "application/json;",
            "nl-",
            '"',
            "=",
            "; ",
            "q=",
            "é".encode().decode("latin-1"),
        ):
            if unit.isascii():
                yield f"{name} of {unit}", header(name, "application/json, ", unit)
