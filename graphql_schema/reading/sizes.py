# SPDX-License-Identifier: EUPL-1.2
"""What the schema says about the cost of its fields, in the words of IBM's cost directives.

An object costs 1, a scalar nothing. A list costs its items as often as it may have them. These directives say what else
there is to know; `price.py` adds up, and whoever reads the printed schema can do the same.
"""

import strawberry
from strawberry.schema_directive import Location

from graphql_schema.connections import PAGE_SIZE


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION], name="cost", description="What a field costs by itself, without its content."
)
class Cost:
    """The weight of a field. An object without this directive weighs 1, a scalar nothing."""

    weight: str = strawberry.directive_field(name="weight")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="listSize",
    description="How many items a list may have: the larger of its slicing arguments, else the assumed size.",
)
class ListSize:
    """`slicing_arguments` are numbers, or lists whose length counts; `sized_fields` stand below and are as long."""

    # In the order of the sorted print.
    assumed_size: int | None = strawberry.directive_field(name="assumedSize", default=strawberry.UNSET)
    require_one_slicing_argument: bool | None = strawberry.directive_field(
        name="requireOneSlicingArgument", default=strawberry.UNSET
    )
    sized_fields: list[str] | None = strawberry.directive_field(name="sizedFields", default=strawberry.UNSET)
    slicing_arguments: list[str] | None = strawberry.directive_field(name="slicingArguments", default=strawberry.UNSET)


ASSUMED_SIZE = PAGE_SIZE
"""Of a list that says nothing about its size."""

SERIES_SIZE = 100
"""Of a figure told period by period."""
PAGE = ListSize(
    assumed_size=PAGE_SIZE,
    slicing_arguments=["first", "last"],
    sized_fields=["edges", "nodes"],
    require_one_slicing_argument=False,
)
MUTATION = Cost(weight="10")
FIGURE = Cost(weight="100")
"""A figure reads everything that it counts: as much work as a hundred rows of a page, or more."""
