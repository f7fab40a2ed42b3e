# SPDX-License-Identifier: EUPL-1.2
"""What holds for mutations, read off the schema's text: names, inputs, payloads, user errors, versions, keys."""

import re
from collections.abc import Iterator

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)

from tests.support.sdl_rules import Rule, implements_node, outputs
from tests.support.sdl_rules_lists import shape

USER_ERROR = {"code": "UserErrorCode!", "message": "String!", "field": "[String!]"}
REPEATED_WITH_A_KEY = re.compile(r"(Create|Register|Send|Publish|Reply|Resolve|Add|Request|Test|Replay)$")
"""Verbs that make, send or publish something: a repetition without a key could act twice."""
ONE_OF_TWO_PEOPLE = re.compile(r"^(conversation(Close|Reopen|Categorize|HandOver)|case|draft|approval)")
"""Acts that two people do to one row at once: they must say which version they saw."""
MEETS_NOBODY = {
    "conversationClaim": "takes what nobody holds, and gives the fence",
    "conversationTakeOver": "takes from whoever holds, and gives the fence",
    "exportLinkIssue": "changes nothing of it",
    "deliveryResolve": "only an unconfirmed delivery, and only once",
    "socialAccountConnect": "a secret replaces the one before",
    "apiClientRevoke": "ends it for good, whatever it was",
    "apiKeyRevoke": "ends it for good",
    "webhookDeliveryReplay": "sends it once more, whatever became of it",
    "webhookEndpointDelete": "forgets it, whatever it was",
    "webhookEndpointSecretRotate": "the secret before signs on",
    "webhookEndpointTest": "changes nothing of it",
}
"""Acts on a row that need no version, and why."""


def mutations(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLInputObjectType | None, GraphQLObjectType | None]]:
    """The name of each, its input and its payload, if it has them."""
    for name, field in schema.mutation_type.fields.items() if schema.mutation_type else ():
        one = field.args.get("input")
        asked = None if one is None else get_named_type(one.type)
        answer = get_named_type(field.type)
        yield (
            name,
            asked if isinstance(asked, GraphQLInputObjectType) else None,
            answer if isinstance(answer, GraphQLObjectType) else None,
        )


def names_begin_with_a_noun(schema: GraphQLSchema) -> Iterator[str]:
    nouns = [each.name[0].lower() + each.name[1:] for each in outputs(schema) if implements_node(each)]
    for name, _, payload in mutations(schema):
        fits = [noun for noun in nouns if re.match(rf"{noun}s?[A-Z]", name)]
        acts_on = payload is not None and [each for each in payload.fields if re.match(rf"{each}[A-Z]", name)]
        if not fits and not acts_on:
            yield f"Mutation.{name}"


def one_input_and_an_own_payload(schema: GraphQLSchema) -> Iterator[str]:
    for name, _, _ in mutations(schema):
        assert schema.mutation_type is not None
        field, own = schema.mutation_type.fields[name], name[0].upper() + name[1:]
        arguments = {each: str(one.type) for each, one in field.args.items()}
        if arguments != {"input": f"{own}Input!"} or str(field.type) != f"{own}Payload!":
            yield f"Mutation.{name}"


def payloads_carry_user_errors(schema: GraphQLSchema) -> Iterator[str]:
    for name, _, payload in mutations(schema):
        own = f"{name[0].upper()}{name[1:]}UserError"
        found = None if payload is None else payload.fields.get("userErrors")
        error = schema.type_map.get(own)
        is_one = isinstance(error, GraphQLObjectType) and any(each.name == "UserError" for each in error.interfaces)
        if found is None or str(found.type) != f"[{own}!]!" or not is_one:
            yield f"{own.removesuffix('UserError')}Payload"


def user_errors_have_one_shape(schema: GraphQLSchema) -> Iterator[str]:
    interface = schema.type_map.get("UserError")
    if not isinstance(interface, GraphQLInterfaceType) or shape(interface) != USER_ERROR:
        yield "UserError"
    if not isinstance(schema.type_map.get("UserErrorCode"), GraphQLEnumType):
        yield "UserErrorCode"
    for kind in outputs(schema):
        if kind.name.endswith("UserError") and kind is not interface and shape(kind) != USER_ERROR:
            yield kind.name


def payloads_may_hold_nothing(schema: GraphQLSchema) -> Iterator[str]:
    for _, _, payload in mutations(schema):
        for name, field in payload.fields.items() if payload is not None else ():
            is_one_row = implements_node(get_named_type(field.type)) and "[" not in str(field.type)
            if is_one_row and isinstance(field.type, GraphQLNonNull):
                yield f"{payload.name}.{name}" if payload is not None else name


def what_sends_takes_a_key(schema: GraphQLSchema) -> Iterator[str]:
    for name, asked, _ in mutations(schema):
        key = None if asked is None else asked.fields.get("idempotencyKey")
        if REPEATED_WITH_A_KEY.search(name) and key is None:
            yield f"Mutation.{name}"
        if key is not None and get_named_type(key.type).name != "ID":
            yield f"Mutation.{name}"


def changes_name_what_they_saw(schema: GraphQLSchema) -> Iterator[str]:
    for name, asked, _ in mutations(schema):
        found = {} if asked is None else shape(asked)
        seen, fence = found.get("expectedVersion"), found.get("fence")
        must = ONE_OF_TWO_PEOPLE.match(name) and not name.endswith("Create")
        is_number = {seen, fence} <= {None, "Int", "Int!"}
        is_blind = seen is None and fence is None and name not in MEETS_NOBODY and _acts_on_a_row(name, found)
        if not is_number or is_blind or (must and seen != "Int!"):
            yield f"Mutation.{name}"


def _acts_on_a_row(name: str, found: dict[str, str]) -> bool:
    """Whether an input names a row by the noun with which the mutation's own name begins."""
    return any(each.endswith("Id") and re.match(rf"{each[:-2]}[A-Z]", name) for each in (*found, "id"))


def what_is_changed_has_a_version(schema: GraphQLSchema) -> Iterator[str]:
    for _, asked, payload in mutations(schema):
        if asked is None or payload is None or "expectedVersion" not in asked.fields:
            continue
        rows = [get_named_type(field.type) for field in payload.fields.values()]
        nodes = [each for each in rows if isinstance(each, GraphQLObjectType) and implements_node(each)]
        yield from (each.name for each in nodes[:1] if shape(each).get("version") != "Int!")


RULES: dict[str, Rule] = {
    "a mutation is named noun, then verb": names_begin_with_a_noun,
    "a mutation takes one input and has a payload of its own": one_input_and_an_own_payload,
    "a payload carries user errors of its own": payloads_carry_user_errors,
    "user errors have one shape": user_errors_have_one_shape,
    "a row in a payload may be null": payloads_may_hold_nothing,
    "what makes or sends takes an idempotency key": what_sends_takes_a_key,
    "a change names the version or the fence": changes_name_what_they_saw,
    "what is changed by version has one": what_is_changed_has_a_version,
}
