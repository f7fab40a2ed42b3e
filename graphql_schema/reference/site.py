# SPDX-License-Identifier: EUPL-1.2
"""All pages of the reference, made from the SDL and from docs/api.md. A page needs nothing but its style sheet."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from graphql import parse

from graphql_schema.reference.definitions import DIRECTIVES, ROOTS, TYPES, Reference
from graphql_schema.reference.words import anchor, document, headings, title
from services.kernel.markup import Html, fill, join

HOME = "/docs/api"
INDEX = f"{HOME}/index"
STYLE = f"{HOME}/style.css"
ICON = f"{HOME}/icon.svg"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title – Belfry API</title>
<link rel="icon" type="image/svg+xml" href="$icon">
<link rel="stylesheet" href="$style">
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header>
<p><a href="$home">Belfry API</a></p>
<nav aria-label="Main"><ul>
$main
</ul></nav>
</header>
<div class="frame">
<main id="content" tabindex="-1">
$content
</main>
<nav class="all" aria-labelledby="all-types">
<h2 id="all-types">All types</h2>
$types
</nav>
</div>
</body>
</html>
"""


def pages(sdl: str, contract: str) -> Mapping[str, bytes]:
    """Every page by its address. `contract` is docs/api.md."""
    reference = Reference(parse(sdl, no_location=True))
    made = {
        HOME: (title(contract), _home(contract)),
        INDEX: ("Index", _index(reference)),
        **{f"{TYPES}/{name}": (name, reference.type_page(name)) for name in reference.types},
        **{f"{DIRECTIVES}/{name}": (f"@{name}", reference.directive_page(name)) for name in reference.directives},
    }
    types, roots = _all_types(reference), [name for name in ROOTS if name in reference.types]
    return {address: _page(address, name, content, types, roots) for address, (name, content) in made.items()}


def _page(address: str, name: str, content: Html, types: Html, roots: Iterable[str]) -> bytes:
    places = [(HOME, "Contract"), *((f"{TYPES}/{root}", root) for root in roots), (INDEX, "Index")]
    main = [*(_entry(place, word, address) for place, word in places),
            _entry("/graphiql", "GraphiQL", address), _entry("/schema.graphql", "SDL", address)]  # fmt: skip
    here = fill('href="$address"', address=address)
    marked = Html(types.replace(here, f'{here} aria-current="page"'))
    return fill(PAGE, title=name, icon=ICON, style=STYLE, home=HOME, main=join(main), content=content,
                types=marked).encode()  # fmt: skip


def _entry(address: str, word: str, here: str) -> Html:
    current = Html(' aria-current="page"') if address == here else Html("")
    return fill('<li><a href="$address"$current>$word</a></li>', address=address, current=current, word=word)


def _home(contract: str) -> Html:
    """The contract, with its headings in front."""
    text = document(contract)
    contents = join(fill('<li><a href="#$anchor">$words</a></li>', anchor=anchor(words), words=words)
                    for words in headings(contract))  # fmt: skip
    first, end, rest = text.partition("</h1>")
    listed = fill('\n<nav aria-label="On this page"><ul class="contents">\n$contents\n</ul></nav>', contents=contents)
    return Html(first + end + listed + rest)


def _index(reference: Reference) -> Html:
    """Every name of the schema on one page, to be searched with the browser."""
    rows = [
        fill('<li id="$name"><a href="$types/$name"><code>$name</code></a>$members</li>', name=name, types=TYPES,
             members=_members(reference, name))
        for name in sorted(reference.types)
    ]  # fmt: skip
    rows += [fill('<li><a href="$folder/$name"><code>@$name</code></a></li>', folder=DIRECTIVES, name=name)
             for name in sorted(reference.directives)]  # fmt: skip
    told = "Every type with its fields and values. Look for a name with the search of your browser."
    return fill('<h1>Index</h1>\n<p>$told</p>\n<ul class="index">\n$rows\n</ul>', told=told, rows=join(rows))


def _members(reference: Reference, name: str) -> Html:
    links = [fill('<a href="$types/$name#$member"><code>$member</code></a>', types=TYPES, name=name, member=member)
             for member in reference.members(name)]  # fmt: skip
    return Html("<p>" + " ".join(links) + "</p>") if links else Html("")


def _all_types(reference: Reference) -> Html:
    lists = [(word, [(f"{TYPES}/{name}", name) for name in sorted(names)]) for word, names in reference.kinds().items()]
    lists.append(("Directive", [(f"{DIRECTIVES}/{name}", f"@{name}") for name in sorted(reference.directives)]))
    return join(
        fill("<h3>$word</h3>\n<ul>\n$entries\n</ul>", word=word,
             entries=join(_entry(address, name, "") for address, name in entries))
        for word, entries in lists
    )  # fmt: skip


def file(name: str) -> bytes:
    """A file beside this module."""
    return Path(__file__).with_name(name).read_bytes()
