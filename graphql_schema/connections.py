# SPDX-License-Identifier: EUPL-1.2
"""The shapes of a list that grows: connection, edge and page information. What is in them comes from `reading/`."""

from typing import Generic, TypeVar

import strawberry

PAGE_SIZE = 20
PAGE_SIZE_MAX = 100
TOTAL_COUNT_MAX = 10_000

Item = TypeVar("Item")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Forward pages know what follows, backward pages what precedes; the other side is told by the cursors sent."""

    has_next_page: bool = strawberry.field(
        description="Whether more follows. With `last`: whether `before` was sent, since something stood there."
    )
    has_previous_page: bool = strawberry.field(
        description="Whether something precedes. With `first`: whether `after` was sent, since something stood there."
    )
    start_cursor: str | None = strawberry.field(description="The cursor of the first item; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last item; null on an empty page.")


@strawberry.type(description="One item of a list, with its place.")
class Edge(Generic[Item]):
    """One item and its cursor."""

    cursor: str = strawberry.field(description="The item's place, for `after` and `before` of the same list.")
    node: Item = strawberry.field(description="The item.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[Item]):
    """One page. `edges` and `nodes` hold the same items."""

    edges: list[Edge[Item]] = strawberry.field(description="The items with their cursors.")
    nodes: list[Item] = strawberry.field(description="The items.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")
    total_count: int | None = strawberry.field(
        description=f"How many items the whole list has, counted up to {TOTAL_COUNT_MAX}. Computed only when selected."
    )
    is_total_count_exact: bool | None = strawberry.field(
        description=f"False when the list has more than {TOTAL_COUNT_MAX} items, so that `totalCount` is only a bound."
    )
