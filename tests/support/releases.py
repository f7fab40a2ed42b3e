# SPDX-License-Identifier: EUPL-1.2
"""What may change in the schema between two releases, and what must be said about it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from graphql import (
    ConstDirectiveNode,
    DocumentNode,
    EnumTypeDefinitionNode,
    FieldDefinitionNode,
    InputObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    IntValueNode,
    ObjectTypeDefinitionNode,
    StringValueNode,
    parse,
)

NOTICE = timedelta(days=180)
REASON = re.compile(r"^Use .+\. Removed after (\d{4}-\d{2}-\d{2})\.$")
REMOVALS = frozenset(
    {
        "FIELD_REMOVED",
        "FIELD_DEPRECATION_REMOVED",
        "FIELD_ARGUMENT_REMOVED",
        "ENUM_VALUE_REMOVED",
        "INPUT_FIELD_REMOVED",
    }
)
NUMBERS = {"cost": ("weight",), "listSize": ("assumedSize",)}

Change = Mapping[str, Any]
"""`level` (BREAKING, DANGEROUS, NON_BREAKING), `type`, `path` and `message`, as graphql-inspector tells them."""


def problems(changes: Sequence[Change], before: str, after: str, changelog: str, today: date) -> list[str]:
    """Why a schema may not follow another one; empty when it may."""
    old, new = _members(parse(before)), _members(parse(after))
    announced = {path: _removed_after(found) for path, found in _deprecations(old).items()}
    return [
        *_breaks(changes, announced, today),
        *(f"{each['path']}: needs a line in CHANGELOG-api.md: {each['message']}" for each in changes
          if each["level"] == "DANGEROUS" and f"`{each['path']}`" not in changelog),
        *_notices(old, new, today),
        *_dearer(old, new),
    ]  # fmt: skip


def _breaks(changes: Sequence[Change], announced: Mapping[str, date | None], today: date) -> Iterator[str]:
    for each in changes:
        if each["level"] == "BREAKING":
            ends = announced.get(each["path"])
            if each["type"] not in REMOVALS or ends is None or ends >= today:
                yield f"{each['path']}: breaks clients: {each['message']}"


def _notices(old: Mapping[str, Any], new: Mapping[str, Any], today: date) -> Iterator[str]:
    before = _deprecations(old)
    for path, reason in _deprecations(new).items():
        ends = _removed_after(reason)
        if ends is None:
            yield f"{path}: a deprecation says `Use x. Removed after YYYY-MM-DD.`"
        elif reason != before.get(path) and ends < today + NOTICE:
            yield f"{path}: a deprecation is announced {NOTICE.days} days ahead"


def _dearer(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for path in old.keys() & new.keys():
        before, after = (dict(_numbers(each)) for each in (old[path], new[path]))
        for name, value in after.items():
            # A list that said nothing was taken for 20 items, a field for 1.
            if value > before.get(name, 20 if name == "assumedSize" else 1):
                yield f"{path}: costs more than in the last release ({name} {value})"


def _members(document: DocumentNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in document.definitions:
        if isinstance(kind, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode | InputObjectTypeDefinitionNode):
            for member in kind.fields or ():
                found[f"{kind.name.value}.{member.name.value}"] = member
                if isinstance(member, FieldDefinitionNode):
                    for each in member.arguments or ():
                        found[f"{kind.name.value}.{member.name.value}.{each.name.value}"] = each
        elif isinstance(kind, EnumTypeDefinitionNode):
            found |= {f"{kind.name.value}.{each.name.value}": each for each in kind.values or ()}
    return found


def _deprecations(members: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, member in members.items():
        for each in _directives(member, "deprecated"):
            reasons = [given.value.value for given in each.arguments or () if isinstance(given.value, StringValueNode)]
            found[path] = reasons[0] if reasons else ""
    return found


def _removed_after(reason: str) -> date | None:
    match = REASON.match(reason)
    return date.fromisoformat(match[1]) if match else None


def _numbers(member: Any) -> Iterator[tuple[str, int]]:
    for name, arguments in NUMBERS.items():
        for each in _directives(member, name):
            for given in each.arguments or ():
                if given.name.value in arguments and isinstance(given.value, IntValueNode | StringValueNode):
                    yield given.name.value, int(given.value.value)


def _directives(member: Any, name: str) -> Iterator[ConstDirectiveNode]:
    return (each for each in member.directives or () if each.name.value == name)
