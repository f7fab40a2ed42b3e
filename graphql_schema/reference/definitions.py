# SPDX-License-Identifier: EUPL-1.2
"""What the SDL defines, as the reference shows it: every description, argument, value and directive that is written."""

from collections.abc import Iterable, Sequence
from typing import cast

from graphql import (
    DirectiveDefinitionNode,
    DirectiveNode,
    DocumentNode,
    EnumTypeDefinitionNode,
    EnumValueDefinitionNode,
    FieldDefinitionNode,
    InputObjectTypeDefinitionNode,
    InputValueDefinitionNode,
    InterfaceTypeDefinitionNode,
    ListTypeNode,
    ListValueNode,
    NamedTypeNode,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    TypeDefinitionNode,
    TypeNode,
    UnionTypeDefinitionNode,
    print_ast,
)

from graphql_schema.reference.words import sentences
from services.kernel.markup import Html, fill, join

TYPES, DIRECTIVES = "/docs/api/types", "/docs/api/directives"
BUILT_IN = frozenset({"ID", "String", "Int", "Float", "Boolean"})
CONTENTS_FROM = 6
QUOTE = '"'
ROOTS = ("Query", "Mutation", "Subscription")
KINDS: dict[str, str] = {
    "object_type_definition": "Object",
    "input_object_type_definition": "Input",
    "enum_type_definition": "Enum",
    "interface_type_definition": "Interface",
    "union_type_definition": "Union",
    "scalar_type_definition": "Scalar",
}

SECTION = """<section class="member" id="$name">
<h2><code>$name</code></h2>
<p class="signature"><code>$signature</code></p>
$description
$notes
$arguments
</section>"""
ITEM = """<dt id="$anchor"><code>$name</code>$type</dt>
<dd>$description
$notes</dd>"""


class Reference:
    """The definitions of one SDL, and who uses which."""

    def __init__(self, document: DocumentNode) -> None:
        definitions = document.definitions
        self.types = {each.name.value: each for each in definitions if isinstance(each, TypeDefinitionNode)}
        self.directives = {each.name.value: each for each in definitions if isinstance(each, DirectiveDefinitionNode)}
        self._uses: dict[str, list[Html]] = {}
        for name, definition in self.types.items():
            self._note_uses(name, definition)

    def kinds(self) -> dict[str, list[str]]:
        """The names of the types by their kind; the roots first."""
        found: dict[str, list[str]] = {"Root": [name for name in ROOTS if name in self.types]}
        for kind, word in KINDS.items():
            found[word] = [name for name, each in self.types.items() if each.kind == kind and name not in ROOTS]
        return {word: names for word, names in found.items() if names}

    def members(self, name: str) -> list[str]:
        """The fields or values of a type."""
        return [each.name.value for each in _members(self.types[name])]

    def type_page(self, name: str) -> Html:
        """Everything that the SDL says of one type."""
        definition = self.types[name]
        parts = [
            fill('<h1><code>$name</code></h1>\n<p class="kind">$kind</p>', name=name, kind=KINDS[definition.kind]),
            _described(definition),
            _notes(definition.directives),
            self._relatives(definition),
        ]
        if isinstance(definition, EnumTypeDefinitionNode):
            parts.append(_listed("Values", map(_value, definition.values or ())))
        elif isinstance(definition, InputObjectTypeDefinitionNode):
            parts.append(_listed("Fields", (_input(each, each.name.value) for each in definition.fields or ())))
        else:
            parts.append(_contents([each.name.value for each in _members(definition)]))
            parts.extend(_field(cast("FieldDefinitionNode", each)) for each in _members(definition))
        if uses := self._uses.get(name):
            parts.append(fill("<h2>Used by</h2>\n<ul>$uses</ul>", uses=join(uses)))
        return join(parts)

    def directive_page(self, name: str) -> Html:
        """Everything that the SDL says of one directive."""
        definition = self.directives[name]
        places = ", ".join(each.value for each in definition.locations)
        return join([
            fill('<h1><code>@$name</code></h1>\n<p class="kind">Directive on $places</p>', name=name, places=places),
            _described(definition),
            _listed("Arguments", (_input(each, each.name.value) for each in definition.arguments or ())),
        ])  # fmt: skip

    def _relatives(self, definition: TypeDefinitionNode) -> Html:
        """What it implements, and what it may turn out to be."""
        found: list[Html] = []
        if isinstance(definition, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode) and definition.interfaces:
            found.append(fill("<p>Implements $names.</p>", names=_names(definition.interfaces)))
        possible: list[NamedTypeNode] = []
        if isinstance(definition, UnionTypeDefinitionNode):
            possible = list(definition.types or ())
        elif isinstance(definition, InterfaceTypeDefinitionNode):
            possible = [
                NamedTypeNode(name=each.name)
                for each in self.types.values()
                if isinstance(each, ObjectTypeDefinitionNode)
                and definition.name.value in {interface.name.value for interface in each.interfaces or ()}
            ]
        if possible:
            found.append(fill("<p>Can be $names.</p>", names=_names(possible)))
        return join(found)

    def _note_uses(self, owner: str, definition: TypeDefinitionNode) -> None:
        if isinstance(definition, EnumTypeDefinitionNode):
            return
        for member in _members(definition):
            used = [member, *(member.arguments or ())] if isinstance(member, FieldDefinitionNode) else [member]
            for name in dict.fromkeys(_named(each.type) for each in cast("list[FieldDefinitionNode]", used)):
                place = fill('<li><a href="$types/$owner#$member"><code>$owner.$member</code></a></li>',
                             types=TYPES, owner=owner, member=member.name.value)  # fmt: skip
                self._uses.setdefault(name, []).append(place)


def _listed(heading: str, items: Iterable[Html]) -> Html:
    return fill('<h2>$heading</h2>\n<dl class="items">$items</dl>', heading=heading, items=join(items))


Member = FieldDefinitionNode | InputValueDefinitionNode | EnumValueDefinitionNode


def _members(definition: TypeDefinitionNode) -> Sequence[Member]:
    if isinstance(definition, EnumTypeDefinitionNode):
        return definition.values or ()
    if isinstance(definition, UnionTypeDefinitionNode | ScalarTypeDefinitionNode):
        return ()
    fields = cast("ObjectTypeDefinitionNode", definition).fields
    return cast("Sequence[Member]", fields or ())


def _contents(names: Sequence[str]) -> Html:
    """The fields of a long page, in front of it."""
    if len(names) < CONTENTS_FROM:
        return Html("")
    links = join(fill('<li><a href="#$name"><code>$name</code></a></li>', name=name) for name in names)
    return fill('<nav aria-label="Fields"><ul class="contents">\n$links\n</ul></nav>', links=links)


def _field(field: FieldDefinitionNode) -> Html:
    arguments = Html("")
    if field.arguments:
        items = join(_input(each, f"{field.name.value}.{each.name.value}") for each in field.arguments)
        arguments = fill('<h3>Arguments</h3>\n<dl class="items">$items</dl>', items=items)
    return fill(
        SECTION,
        name=field.name.value,
        signature=_written(field.type),
        notes=_notes(field.directives),
        description=_described(field),
        arguments=arguments,
    )


def _input(field: InputValueDefinitionNode, anchor: str) -> Html:
    default = fill(" = $value", value=print_ast(field.default_value)) if field.default_value else Html("")
    kind = fill(": <code>$type$default</code>", type=_written(field.type), default=default)
    return fill(ITEM, anchor=anchor, name=field.name.value, type=kind, notes=_notes(field.directives),
                description=_described(field))  # fmt: skip


def _value(value: EnumValueDefinitionNode) -> Html:
    return fill(ITEM, anchor=value.name.value, name=value.name.value, type=Html(""), notes=_notes(value.directives),
                description=_described(value))  # fmt: skip


def _described(definition: Member | TypeDefinitionNode | DirectiveDefinitionNode) -> Html:
    return sentences(definition.description.value) if definition.description else Html("")


def _notes(directives: Iterable[DirectiveNode] | None) -> Html:
    """The directives as they are written in the SDL: what it costs, whether it is going away, where it is specified."""
    return join(fill('<p class="note"><code>$written</code>$meaning</p>', written=_applied(each),
                     meaning=_meaning(each)) for each in directives or ())  # fmt: skip


def _applied(directive: DirectiveNode) -> Html:
    name, text = directive.name.value, print_ast(directive)
    if name not in ("cost", "listSize"):  # GraphQL's own have no page here
        return fill("$text", text=text)
    return fill('<a href="$folder/$name">@$name</a>$rest', folder=DIRECTIVES, name=name,
                rest=text.removeprefix(f"@{name}"))  # fmt: skip


def _meaning(directive: DirectiveNode) -> Html:
    given = {each.name.value: each.value for each in directive.arguments or ()}
    if directive.name.value == "cost":
        return fill(" It costs $weight instead of 1.", weight=print_ast(given["weight"]).strip(QUOTE))
    if directive.name.value == "listSize":
        said: list[str] = []
        if isinstance(names := given.get("slicingArguments"), ListValueNode):
            said.append(f"as many items as {' or '.join(print_ast(each).strip(QUOTE) for each in names.values)} says")
        if assumed := given.get("assumedSize"):
            said.append(f"{print_ast(assumed)} items")
        return fill(" It is priced for $how.", how=", else ".join(said))
    return Html("")


def _written(node: TypeNode) -> Html:
    """A type reference with its name linked."""
    if isinstance(node, NonNullTypeNode):
        return fill("$inner!", inner=_written(node.type))
    if isinstance(node, ListTypeNode):
        return fill("[$inner]", inner=_written(node.type))
    return _link(cast("NamedTypeNode", node).name.value)


def _names(nodes: Iterable[NamedTypeNode]) -> Html:
    return Html(", ".join(fill("<code>$link</code>", link=_link(each.name.value)) for each in nodes))


def _link(name: str) -> Html:
    if name in BUILT_IN:
        return fill("$name", name=name)
    return fill('<a href="$types/$name">$name</a>', types=TYPES, name=name)


def _named(node: TypeNode) -> str:
    while isinstance(node, NonNullTypeNode | ListTypeNode):
        node = node.type
    return cast("NamedTypeNode", node).name.value
