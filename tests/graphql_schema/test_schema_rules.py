# SPDX-License-Identifier: EUPL-1.2
"""Every rule of the contract that can be read off the schema's text, and planted violations that it must find."""

from collections.abc import Callable

import pytest
from graphql import build_schema

from graphql_schema.schema import SDL_FILE
from tests.support import sdl_rules, sdl_rules_lists, sdl_rules_mutations
from tests.support.sdl_rules import Finding, findings

RULES = {**sdl_rules.RULES, **sdl_rules_lists.RULES, **sdl_rules_mutations.RULES}
SDL = SDL_FILE.read_text(encoding="utf-8")

CLOSING, CATEGORY, QUERY, MUTATION = (
    "type Closing implements Node",
    "type Category implements",
    "type Query",
    "type Mut",
)
CONNECTION, FILTER, COMPARISON = "type ClosingConnection", "input CategoryFilter", "input IdFilter"
CLOSE, CLOSE_PAYLOAD, CLOSE_ERROR = (
    "input ConversationCloseInput", "type ConversationClosePayload", "type ConversationCloseUserError"
)  # fmt: skip
END = "interface Node"
"""Behind this, whole types are added."""

PLANTED: list[tuple[str, str, str, str, str]] = [
    # the rule, where it is broken, the head of the place to look in, what is there, what is there instead
    ("ids are ID", "Closing.id", CLOSING, "id: ID!", "id: String!"),
    ("ids are ID", "Closing.id", CLOSING, "id: ID!", "id: ID"),
    ("ids are ID", "Closing.personId", CLOSING, "text: String!", "personId: String"),
    ("ids are ID", "Query.node.id", QUERY, "id: ID!", "id: String!"),
    ("ids are ID", "ConversationCloseInput.conversationId", CLOSE, "conversationId: ID!", "conversationId: String!"),
    ("no id is a number", "Closing.personId", CLOSING, "text: String!", "personId: Int"),
    ("no id is a number", "ConversationCloseInput.rowID", CLOSE, "text: String!", "rowID: Int"),
    ("what has an id is a Node", "Closing", CLOSING, "Closing implements Node", "Closing"),
    ("node and nodes find by id", "Node", "interface Node", "id: ID!", "id: ID"),
    ("node and nodes find by id", "Query.node", QUERY, "): Node\n", "): Node!\n"),
    ("node and nodes find by id", "Query.nodes", QUERY, "): [Node]!", "): [Node!]!"),
    # types, names, descriptions
    ("instants are DateTime and end in At", "Closing.closedAt", CLOSING, "closedAt: DateTime!", "closedAt: String!"),
    ("instants are DateTime and end in At", "Closing.closed", CLOSING, "closedAt: DateTime!", "closed: DateTime!"),
    ("instants are DateTime and end in At", "CategoryFilter.parent", FILTER, "parentId: IdFilter",
     "parent: DateTimeFilter"),
    ("a name that says URL, e-mail, locale or zone has that scalar", "Category.eServiceUrl", CATEGORY,
     "eServiceUrl: URL", "eServiceUrl: String"),
    ("a name that says URL, e-mail, locale or zone has that scalar", "Closing.locales", CLOSING, "text: String!",
     "locales: [String!]!"),
    ("scalars are ours and have specifiedBy", "JSON", END, "}\n",
     '}\n"""Anything."""\nscalar JSON @specifiedBy(url: "https://www.rfc-editor.org/rfc/rfc8259")\n'),
    ("scalars are ours and have specifiedBy", "Email", "scalar Email", " @specifiedBy", " #"),
    ("enum values are in CONSTANT_CASE", "ChannelKind.Direct", "enum ChannelKind", "DIRECT", "Direct"),
    ("enum values are in CONSTANT_CASE", "ChannelKind.FORM_", "enum ChannelKind", "FORM", "FORM_"),
    ("types are in PascalCase, all else in camelCase", "Closing.the_text", CLOSING, "text: String!", "the_text: Int"),
    ("types are in PascalCase, all else in camelCase", "Query.node.Id", QUERY, "id: ID!", "Id: ID!"),
    ("types are in PascalCase, all else in camelCase", "my_thing", END, "}\n",
     '}\n"""A."""\nenum my_thing {\n  """B."""\n  C\n}\n'),
    ("everything has a description", "Closing", '"""One closing of', '"""One closing of a conversation;',
     '"""" """ #'),
    ("everything has a description", "Closing.outcome", CLOSING, '"""Why."""', ""),
    ("everything has a description", "Closing.outcome", CLOSING, '"""Why."""', '"""why"""'),
    ("everything has a description", "Query.node.id", "  node(", '"""', '"""" """ #'),
    ("everything has a description", "ConversationCloseInput.outcome", CLOSE, '"""Why it ends."""', ""),
    ("everything has a description", "ChannelKind.MAIL", "enum ChannelKind", '"""E-mail."""', ""),
    ("everything has a description", "@cost", "", '"""What a field costs by itself, without its content."""', ""),
    ("no default is null", "Query.node.id", QUERY, "id: ID!", "id: ID = null"),
    ("no default is null", "ConversationCloseInput.text", CLOSE, "text: String!", "text: String = null"),
    ("lists and their items are not null", "ClosingConnection.nodes", CONNECTION, "[Closing!]!", "[Closing]!"),
    ("lists and their items are not null", "ClosingConnection.nodes", CONNECTION, "[Closing!]!", "[Closing!]"),
    ("lists and their items are not null", "CategoryFilter.and", FILTER, "[CategoryFilter!]", "[CategoryFilter]"),
    ("id, createdAt and version are not null", "Category.version", CATEGORY, "version: Int!", "version: Int"),
    ("id, createdAt and version are not null", "Category.createdAt", CATEGORY, "DateTime!", "DateTime"),
    ("translations are lists of LocalizedText", "Category.nameNl", CATEGORY, "name: String!", "nameNl: String!"),
    ("translations are lists of LocalizedText", "Category.names", CATEGORY, "name: String!",
     "names: LocalizedText!\n}\ntype LocalizedText {\n locale: Locale!\n text: String!\n}\ntype Rest {"),
    ("translations are lists of LocalizedText", "LocalizedText", CATEGORY, "name: String!",
     "names: [LocalizedText!]!\n}\ntype LocalizedText {\n nl: String\n}\ntype Rest {"),
    ("a deprecation says what to use and until when", "Closing.text", CLOSING, "text: String!",
     'text: String! @deprecated(reason: "Old.")'),
    ("a deprecation says what to use and until when", "ChannelKind.FORM", "enum ChannelKind", "FORM",
     'FORM @deprecated(reason: "Use MAIL.")'),
    ("fewer than 300 types", "*", END, "}\n",
     "}\n" + "".join(f'"""T."""\nenum T{n} {{\n A\n}}\n' for n in range(200))),
    # lists
    ("connections have one shape", "ClosingConnection", CONNECTION, "totalCount: Int", "totalCount: Int!"),
    ("connections have one shape", "ClosingConnection", CONNECTION, "isTotalCountExact: Boolean", "more: Boolean"),
    ("connections have one shape", "ClosingEdge", "type ClosingEdge", "cursor: String!", "cursor: ID!"),
    ("connections have one shape", "PageInfo", "type PageInfo", "hasNextPage: Boolean!", "hasNextPage: Boolean"),
    ("lists are paged by first, last, after and before", "Category.departments", CATEGORY, "first: Int", "page: Int"),
    ("lists are paged by first, last, after and before", "Category.departments", CATEGORY, "after: String",
     'after: String = ""'),
    ("lists are paged by first, last, after and before", "Category.departments", CATEGORY, "first: Int",
     'first: Int\n  """A."""\n  offset: Int'),
    ("lists are paged by first, last, after and before", "Category.departments", CATEGORY,
     "): CategoryDepartmentConnection!", "): CategoryDepartmentConnection"),
    ("what grows is a connection", "Closing.others", CLOSING, "text: String!", "others: [Closing!]!"),
    ("what grows is a connection", "Closing.others", CLOSING, "text: String!", "others: [ClosingEdge!]!"),
    ("a list says its order", "Category.departments", CATEGORY, " Without orderBy:", ""),
    ("orders are a field and a direction", "Conversation.closings", "input ClosingOrder", "field: ClosingOrderField!",
     "field: ClosingOrderField"),
    ("orders are a field and a direction", "Query.categories", QUERY, "orderBy: [CategoryOrder!]",
     "orderBy: CategoryOrder"),
    ("orders are a field and a direction", "OrderDirection", "enum OrderDirection", "DESC", "DOWN"),
    ("a list is filtered by the filter of its items", "Query.categories", QUERY, "filter: CategoryFilter",
     "filter: ContactFilter"),
    ("a list is filtered by the filter of its items", "Query.conversations", QUERY, "query: String", "query: ID"),
    ("filters are trees of filters", "CategoryFilter", FILTER, "and: [CategoryFilter!]", "and: CategoryFilter"),
    ("filters are trees of filters", "CategoryFilter", FILTER, "not: CategoryFilter", "neither: CategoryFilter"),
    ("filters are trees of filters", "CategoryFilter.parentId", FILTER, "parentId: IdFilter", "parentId: ID"),
    ("filters are trees of filters", "CategoryFilter.parentId", FILTER, "parentId: IdFilter", "parentId: IdFilter!"),
    ("comparisons have the same words", "IdFilter", COMPARISON, "isNull: Boolean", "none: Boolean"),
    ("comparisons have the same words", "IdFilter", COMPARISON, "in: [ID!]", "in: ID"),
    ("comparisons have the same words", "IdFilter", COMPARISON, "neq: ID", "neq: String"),
    ("comparisons have the same words", "IdFilter", COMPARISON, "eq: ID", "eq: ID!"),
    ("comparisons have the same words", "IdFilter", COMPARISON, "eq: ID", "eq: ID\n  like: ID"),
    ("a series names granularity and zone", "Query.responseTimeSeries", "responseTimeSeries(", "granularity:", "by:"),
    ("a series names granularity and zone", "Query.responseTimeSeries", "responseTimeSeries(", "timeZone:", "zoned:"),
    # what everything costs
    ("prices are whole numbers", "Query.responseTime", "  responseTime(", '@cost(weight: "100")',
     '@cost(weight: "1e2")'),
    ("prices are whole numbers", "@cost", "directive @cost", "weight: String!", "weight: Int!"),
    ("every mutation costs at least 10", "Mutation.conversationClaim", "  conversationClaim(", ' @cost(weight: "10")',
     ""),
    ("every mutation costs at least 10", "Mutation.conversationClaim", "  conversationClaim(", "10", "1"),
    ("every list has a size", "Category.departments", CATEGORY, "@listSize(assumedSize: 20,", "@listSize("),
    ("every list has a size", "Category.departments", CATEGORY, '["first", "last"]', '["first"]'),
    ("every list has a size", "ConversationClosePayload.userErrors", CLOSE_PAYLOAD, " @listSize(assumedSize: 1)", ""),
    ("a size names arguments and fields that there are", "Query.nodes", "  nodes(", '["ids"]', '["id"]'),
    ("a size names arguments and fields that there are", "Category.departments", CATEGORY, '"edges"', '"items"'),
    # mutations
    ("a mutation is named noun, then verb", "Mutation.closeConversation", MUTATION, "conversationClose(",
     "closeConversation("),
    ("a mutation takes one input and has a payload of its own", "Mutation.conversationClose", "  conversationClose(",
     "input: ConversationCloseInput!", "input: ConversationCloseInput"),
    ("a mutation takes one input and has a payload of its own", "Mutation.conversationClose", "  conversationClose(",
     "input: ConversationCloseInput!", 'id: ID!\n    """I."""\n    input: ConversationCloseInput!'),
    ("a mutation takes one input and has a payload of its own", "Mutation.conversationClose", "  conversationClose(",
     "ConversationClosePayload!", "ConversationReopenPayload!"),
    ("a payload carries user errors of its own", "ConversationClosePayload", CLOSE_PAYLOAD,
     "[ConversationCloseUserError!]!", "[ConversationCloseUserError!]"),
    ("a payload carries user errors of its own", "ConversationClosePayload", CLOSE_ERROR, "Error implements UserError",
     "Error"),
    ("user errors have one shape", "UserError", "interface UserError", "field: [String!]", "field: String"),
    ("user errors have one shape", "ConversationCloseUserError", CLOSE_ERROR, "code: UserErrorCode!", "code: String!"),
    ("a row in a payload may be null", "ConversationClosePayload.conversation", CLOSE_PAYLOAD,
     "conversation: Conversation", "conversation: Conversation!"),
    ("what makes or sends takes an idempotency key", "Mutation.conversationReply", "input ConversationReplyInput",
     "idempotencyKey", "key"),
    ("what makes or sends takes an idempotency key", "Mutation.conversationReply", "input ConversationReplyInput",
     "idempotencyKey: ID", "idempotencyKey: String"),
    ("a change names the version or the fence", "Mutation.conversationClose", CLOSE, "expectedVersion: Int!",
     "expectedVersion: Int"),
    ("a change names the version or the fence", "Mutation.conversationRelease", "input ConversationReleaseInput",
     "fence: Int!", "gate: Int!"),
    ("a change names the version or the fence", "Mutation.conversationRelease", "input ConversationReleaseInput",
     "fence: Int!", "fence: String!"),
    ("what is changed by version has one", "Conversation", "type Conversation implements", "version: Int!",
     "edition: Int!"),
]  # fmt: skip


def planted(head: str, old: str, new: str) -> str:
    """The text of the schema with one place behind a head changed."""
    start = SDL.index(head)
    place = SDL.index(old, start)
    return SDL[:place] + new + SDL[place + len(old) :]


def test_the_schema_keeps_every_rule(tell: Callable[[str], None]) -> None:
    schema = build_schema(SDL)
    assert findings(schema, RULES) == []
    tell(f"{len(RULES)} rules over {len(schema.type_map)} types, 0 findings; {len(PLANTED)} planted violations found")


@pytest.mark.parametrize(
    ("rule", "where", "head", "old", "new"), PLANTED, ids=[f"{rule}: {where}" for rule, where, *_ in PLANTED]
)
def test_a_planted_violation_is_found(rule: str, where: str, head: str, old: str, new: str) -> None:
    found = findings(build_schema(planted(head, old, new), assume_valid=True), {rule: RULES[rule]})
    assert found
    assert where == "*" or Finding(rule, where) in found, found


def test_every_rule_has_a_planted_violation() -> None:
    assert {rule for rule, *_ in PLANTED} == RULES.keys()
