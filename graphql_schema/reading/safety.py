# SPDX-License-Identifier: EUPL-1.2
"""Whether the planner reads the organization's setting only after the statement has bound it.

Row security is closed before that: a table read too early gives no rows, which is a wrong answer and not a leak. The
order is the executor's and no documented promise, so it is asked for every statement, by EXPLAIN.
"""

from collections.abc import Iterator, Mapping
from typing import Any

SETTING, BINDING = "current_setting('app.tenant_id'", "set_config("
JOINS = frozenset({"Nested Loop"})

Node = Mapping[str, Any]


def reads_too_early(explained: Node) -> list[str]:
    """The nodes that read the setting outside the inner side of the join with `bound`; none when it is safe.

    `explained` is the plan of EXPLAIN (FORMAT JSON, VERBOSE).
    """
    inner = {id(node) for join in _walk(explained) if _joins_bound(join) for node in _walk(_child(join, "Inner"))}
    return [str(node["Node Type"]) for node in _walk(explained) if id(node) not in inner and _reads(node)]


def _joins_bound(node: Node) -> bool:
    outer = _child(node, "Outer")
    return node["Node Type"] in JOINS and outer.get("CTE Name") == "bound"


def _child(node: Node, relationship: str) -> Node:
    return next((each for each in node.get("Plans", ()) if each.get("Parent Relationship") == relationship), {})


def _reads(node: Node) -> bool:
    own = [value for name, value in node.items() if name != "Plans"]
    return any(SETTING in str(each) for each in own)


def _walk(node: Node) -> Iterator[Node]:
    if node:
        yield node
    for each in node.get("Plans", ()):
        yield from _walk(each)
