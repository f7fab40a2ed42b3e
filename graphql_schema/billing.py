# SPDX-License-Identifier: EUPL-1.2
"""What operations cost their client: the price is taken before an operation runs, and what it did not cost given back.

requested   the price: objects that the answer may hold at most, and weights (`reading/price.py`)
actual      objects that it holds, and the same weights; never more than was requested
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from graphql_schema.deprecations import Uses
from graphql_schema.errors import QueryCostExceeded
from graphql_schema.reading.deprecated import Deprecated
from graphql_schema.reading.price import Price
from services.kernel.access import Actor
from services.kernel.buckets import CAPACITY, RESTORED_A_SECOND, Buckets, Key

FAULTS = frozenset(
    {
        "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "OPERATION_RESOLUTION_FAILURE", "BAD_USER_INPUT",
        "DOCUMENT_TOO_COMPLEX", "QUERY_TOO_DEEP", "QUERY_COST_EXCEEDED", "BAD_REQUEST",
    }
)  # fmt: skip
"""Codes of what is refused for what is in it, after it was looked at: that took time, although nothing ran."""

NOT_OBJECTS = (b'{",', b'{"}', b'{"]', b'{":', b'{" ')
"""Where a text that ends with a brace ends. Keys begin with a letter or an underscore, so no object begins so."""


@dataclass(slots=True)
class Bill:
    """Of one operation. Empty until its price is known."""

    requested: int | None = None
    weights: int = 0
    """What of the price is not objects."""
    actual: int = 0
    paid: int = 0
    """What was taken from the bucket and has not been settled yet."""
    deprecated: tuple[Deprecated, ...] = ()
    """What of the operation goes away some day."""
    is_only_priced: bool = False
    """Whether the caller wants to know the price, and nothing else."""

    def set_price(self, price: Price, variables: Mapping[str, Any], most: int) -> None:
        """Write down the price. Raises QueryCostExceeded."""
        self.requested, self.weights = price.of(variables), price.weights
        if self.requested > most:
            raise QueryCostExceeded(cost=self.requested, count=most)


class Purse(Protocol):
    """What prices are taken from; see kernel/buckets.py."""

    def available(self, key: Key) -> int: ...
    async def take(self, key: Key, cost: int) -> None: ...
    def refund(self, key: Key, amount: int) -> None: ...


class Billed(Protocol):
    """A context with a bill, what it is paid from, and who counts what is deprecated."""

    @property
    def uses(self) -> Uses | None: ...
    @property
    def buckets(self) -> Purse: ...
    @property
    def actor(self) -> Actor: ...
    @property
    def bill(self) -> Bill: ...
    @property
    def query_cost_max(self) -> int: ...


def bucket_of(actor: Actor) -> Key:
    """The bucket that an actor takes from: one for each person or machine of an organization."""
    return actor.tenant_id, actor.id


def charge(buckets: Buckets, actor: Actor, code: str, cost: int) -> None:
    """Have a client pay for a refusal of what it sent. Who sends such things again and again is refused unread."""
    if code in FAULTS:
        buckets.spend(bucket_of(actor), cost)


async def pay(context: Billed) -> None:
    """Take the price from the bucket. Raises Throttled."""
    bill = context.bill
    if bill.requested:
        await context.buckets.take(bucket_of(context.actor), bill.requested)
        bill.paid = bill.requested
    if bill.deprecated and context.uses is not None:
        context.uses.note(context.actor, bill.deprecated)


def settle(context: Billed, objects: int | None) -> None:
    """Give back what an answer with so many objects did not cost; all of it when there was no answer. Once."""
    bill = context.bill
    if bill.paid:
        bill.actual = 0 if objects is None else min(bill.paid, bill.weights + objects)
        context.buckets.refund(bucket_of(context.actor), bill.paid - bill.actual)
        bill.paid = 0


def told(context: Billed) -> dict[str, Any]:
    """`extensions.cost`, as clients read it."""
    return {
        "requestedQueryCost": context.bill.requested,
        "actualQueryCost": context.bill.actual,
        "maximumQueryCost": context.query_cost_max,
        "throttleStatus": {
            "maximumAvailable": CAPACITY,
            "currentlyAvailable": context.buckets.available(bucket_of(context.actor)),
            "restoreRate": RESTORED_A_SECOND,
        },
    }


def headers(context: Billed) -> dict[str, str]:
    """RateLimit and its policy, as the IETF's draft has them: what is left, and when the bucket will be full again."""
    available = context.buckets.available(bucket_of(context.actor))
    full_in = math.ceil((CAPACITY - available) / RESTORED_A_SECOND)
    return {
        "RateLimit": f'"cost";r={available};t={full_in}',
        "RateLimit-Policy": f'"cost";q={CAPACITY};w={CAPACITY // RESTORED_A_SECOND}',
    }


def objects_in(data: Any) -> int:
    """How many objects an answer holds below its root."""
    found, pending = -1, [data]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            found += 1
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, orjson.Fragment):
            found += objects_in_json(orjson.dumps(value))
    return max(found, 0)


def objects_in_json(answer: bytes) -> int:
    """The same of JSON that we wrote, its root included: without reading its values, at the speed of memory."""
    return answer.count(b'{"') - sum(answer.count(each) for each in NOT_OBJECTS)
