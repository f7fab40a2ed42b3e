# SPDX-License-Identifier: EUPL-1.2
"""What is asked in the bench of reads, as documents and as the very statements that answer them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import OperationDefinitionNode, parse
from graphql.execution import get_variable_values

from graphql_schema.reading.plan import plan
from graphql_schema.reading.requests import requests_of
from graphql_schema.reading.sql import write
from graphql_schema.schema import ApiSchema
from services.kernel.access import Actor

INBOX = """query Inbox {
  conversations(first: 50, filter: {state: {in: [NEW, OPEN]}}) {
    pageInfo { hasNextPage endCursor }
    nodes {
      id version reference state priority language channelKind openedAt lastMessageAt nextContactDueAt
      department { id name } category { name formal } contact { displayName handle }
      lastMessage { text direction occurredAt } claim { leaseUntil holder { name } }
    }
  }
}"""
CONVERSATION = """query Conversation($id: ID!) {
  node(id: $id) { ... on Conversation {
    id version state priority reference openedAt department { name } category { name } contact { displayName }
    messages(first: 100) { pageInfo { hasNextPage endCursor } nodes {
      id text direction visibility occurredAt editedAt authorKind author { name } delivery { state } } }
  } }
}"""
SERIES = """query Series($since: DateTime!, $until: DateTime!) {
  responseTimeSeries(since: $since, until: $until, granularity: WEEK, timeZone: "Europe/Amsterdam") {
    since until n medianWallSeconds p90WallSeconds answeredShare answeredShareNumerator answeredShareDenominator
  }
}"""


@dataclass(frozen=True)
class Question:
    """One operation with its variables."""

    name: str
    about: str
    document: str
    variables: Mapping[str, Any]

    @property
    def body(self) -> bytes:
        """What is posted."""
        return orjson.dumps({"query": self.document, "variables": self.variables})

    def statement(self, schema: ApiSchema, asking: "Asking") -> tuple[str, list[Any]]:
        """The text and the values of the statement that answers it."""
        document = parse(self.document)
        (operation,) = (each for each in document.definitions if isinstance(each, OperationDefinitionNode))
        variables = get_variable_values(schema.core, operation.variable_definitions or (), dict(self.variables))
        if isinstance(variables, list):
            raise variables[0]
        planned = plan(schema.core, document, operation, variables)
        requests = requests_of(planned, variables, asking)
        statement = write(planned, requests)
        return statement.text, statement.values(asking.actor, requests)


@dataclass(frozen=True)
class Asking:
    """Who asks, as far as arguments depend on it."""

    actor: Actor
    cursor_key: bytes = b"a key of a bench that protects nothing"


def script(text: str, types: Sequence[str], values: Sequence[Any]) -> tuple[str, list[str]]:
    """The statement as a script of pgbench, with its variables as options.

    pgbench numbers every use of a variable anew, so that each needs its type.
    """
    options = [f"--define=p{number}={_literal(value)}" for number, value in enumerate(values, 1)]

    def place(found: re.Match[str]) -> str:
        number = int(found[1])
        written = "null" if values[number - 1] is None else f":p{number}"
        return f"{written}::{types[number - 1]}"

    # It takes whatever stands behind a colon for a variable, within quotes too.
    text = re.sub(r":(MI|SS)\b", r"' || ':' || '\1", re.sub(r"\$(\d+)", place, text))
    return " ".join(text.split()) + ";\n", options


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return "{" + ",".join(_literal(each) for each in value) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)
