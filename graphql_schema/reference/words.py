# SPDX-License-Identifier: EUPL-1.2
"""Markdown as HTML: the descriptions of the schema, and the page that says how the API behaves."""

import re
from collections.abc import Sequence
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from services.kernel.markup import Html

NOT_IN_ANCHORS = re.compile(r"[^a-z0-9]+")


class _Renderer(RendererHTML):
    """Tables can be scrolled by themselves, also with a keyboard: a phone is narrower than they are."""

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        env["tables"] = env.get("tables", 0) + 1
        return f'<div class="wide" role="region" aria-label="Table {env["tables"]}" tabindex="0">\n<table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table>\n</div>\n"


# HTML in a text stays text.
_markdown = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")


def sentences(text: str) -> Html:
    """A description, as paragraphs."""
    return Html(_markdown.render(text))


def document(text: str) -> Html:
    """A whole page of Markdown. Each heading can be linked to, under the anchor that its words make."""
    tokens = _markdown.parse(text)
    for opening, words in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", anchor(words.content))
        if opening.type == "fence":
            opening.attrSet("tabindex", "0")
    return Html(_markdown.renderer.render(tokens, _markdown.options, {}))


def title(text: str) -> str:
    """The words of the first heading."""
    return next(line.removeprefix("# ").strip() for line in text.splitlines() if line.startswith("# "))


def headings(text: str) -> list[str]:
    """The words of the headings of the second level, in their order."""
    return [line.removeprefix("## ").strip() for line in text.splitlines() if line.startswith("## ")]


def anchor(words: str) -> str:
    """`4. Languages` is linked to as `4-languages`."""
    return NOT_IN_ANCHORS.sub("-", words.lower()).strip("-")
