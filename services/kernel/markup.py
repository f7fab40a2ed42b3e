# SPDX-License-Identifier: EUPL-1.2
"""HTML from small templates: whatever is not markup already is escaped, so that nobody's words become elements."""

from collections.abc import Iterable
from html import escape
from string import Template


class Html(str):
    """Markup that stands as it is. Everything else is a text."""

    __slots__ = ()


def fill(template: str, /, **values: str | Html) -> Html:
    """The template with each `$name` filled in, escaped unless it is markup. Attributes stand in double quotes."""
    return Html(Template(template).substitute({name: _escaped(value) for name, value in values.items()}))


def join(parts: Iterable[Html]) -> Html:
    """Markup after markup."""
    return Html("\n".join(parts))


def _escaped(value: str | Html) -> str:
    return value if isinstance(value, Html) else escape(value, quote=True)
