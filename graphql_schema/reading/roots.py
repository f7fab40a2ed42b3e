# SPDX-License-Identifier: EUPL-1.2
"""The root fields that serve every type with an id."""

import strawberry

from graphql_schema.nodes import Node
from graphql_schema.reading.mapping import node, nodes


@strawberry.type
class NodeQueries:
    """Any row by its global id."""

    node: Node | None = node("The row with this global id; null for what is unknown or not yours to see.")
    nodes: list[Node | None] = nodes("The rows with these global ids, in the order asked; null where nothing is found.")
