# SPDX-License-Identifier: EUPL-1.2
"""What of a document goes away some day.

A deprecation says `Use x. Removed after YYYY-MM-DD.`; `tests/support/releases.py` holds changes of the schema to it.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from graphql import DocumentNode, GraphQLSchema, TypeInfo, TypeInfoVisitor, get_named_type, is_input_object_type, visit
from graphql.language import Visitor

REASON = re.compile(r"Removed after (\d{4}-\d{2}-\d{2})\.$")


@dataclass(frozen=True, slots=True)
class Deprecated:
    """A field, argument or value, `Type.field` or `Type.field.argument`, and its last day."""

    name: str
    removed_after: date | None


def deprecated_in(schema: GraphQLSchema, document: DocumentNode) -> tuple[Deprecated, ...]:
    """What a valid document names that is deprecated, in alphabetical order; values of variables are not looked at."""
    info, found, fields = TypeInfo(schema), dict[str, str](), list[str]()

    class Names(Visitor):
        def enter_field(self, node: Any, *_: Any) -> None:
            fields.append(node.name.value)
            parent, field = info.get_parent_type(), info.get_field_def()
            if parent is not None and field is not None and field.deprecation_reason is not None:
                found[f"{parent.name}.{fields[-1]}"] = field.deprecation_reason

        def leave_field(self, *_: Any) -> None:
            fields.pop()

        def enter_argument(self, node: Any, *_: Any) -> None:
            argument, parent = info.get_argument(), info.get_parent_type()
            if argument is not None and argument.deprecation_reason is not None and parent is not None:
                found[f"{parent.name}.{fields[-1]}.{node.name.value}"] = argument.deprecation_reason

        def enter_object_field(self, node: Any, *_: Any) -> None:
            parent = get_named_type(info.get_parent_input_type())
            field = parent.fields.get(node.name.value) if is_input_object_type(parent) else None
            if field is not None and field.deprecation_reason is not None and parent is not None:
                found[f"{parent.name}.{node.name.value}"] = field.deprecation_reason

        def enter_enum_value(self, node: Any, *_: Any) -> None:
            value, kind = info.get_enum_value(), get_named_type(info.get_input_type())
            if value is not None and value.deprecation_reason is not None and kind is not None:
                found[f"{kind.name}.{node.value}"] = value.deprecation_reason

    visit(document, TypeInfoVisitor(info, Names()))
    return tuple(Deprecated(name, _removed_after(reason)) for name, reason in sorted(found.items()))


def _removed_after(reason: str) -> date | None:
    match = REASON.search(reason)
    return date.fromisoformat(match[1]) if match else None
