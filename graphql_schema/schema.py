# SPDX-License-Identifier: EUPL-1.2
"""The one schema: assembled from the domains, printed to `schema.graphql`, and the only way in which errors leave.

python -m graphql_schema.schema        writes graphql_schema/schema.graphql
"""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from copy import copy
from pathlib import Path
from typing import Any

import strawberry
from graphql import GraphQLError, GraphQLSchema, lexicographic_sort_schema
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.utils.aio import aclosing

from graphql_schema.assignments.mutations import AssignmentMutations
from graphql_schema.connections import PAGE_SIZE_MAX
from graphql_schema.conversations.mutations import ConversationMutations
from graphql_schema.conversations.queries import ConversationQueries
from graphql_schema.conversations.subscriptions import ConversationSubscriptions
from graphql_schema.deliveries.mutations import DeliveryMutations
from graphql_schema.deliveries.queries import DeliveryQueries
from graphql_schema.errors import Wording, presented
from graphql_schema.identity.mutations import IdentityMutations
from graphql_schema.identity.queries import IdentityQueries
from graphql_schema.integrations.mutations import IntegrationMutations
from graphql_schema.integrations.queries import IntegrationQueries
from graphql_schema.integrations.subscriptions import IntegrationSubscriptions
from graphql_schema.mutation import check_mutations
from graphql_schema.reading.annotations import core_schema
from graphql_schema.reading.checks import check_schema
from graphql_schema.reading.operations import Operations
from graphql_schema.reading.resolvers import default_resolver
from graphql_schema.reading.roots import NodeQueries
from graphql_schema.scalars import SCALAR_MAP
from graphql_schema.social_accounts.mutations import SocialAccountMutations
from graphql_schema.social_accounts.queries import SocialAccountQueries
from graphql_schema.stages import ClosedStages, Stages
from graphql_schema.tenancy.queries import TenancyQueries
from graphql_schema.workload.queries import WorkloadQueries

SDL_FILE = Path(__file__).with_name("schema.graphql")
UNKNOWN_REQUEST = Wording("00000000-0000-0000-0000-000000000000")


@strawberry.type(description="Everything that can be read.")
class Query(
    NodeQueries,
    IdentityQueries,
    TenancyQueries,
    SocialAccountQueries,
    ConversationQueries,
    DeliveryQueries,
    WorkloadQueries,
    IntegrationQueries,
):
    """The root of reads, assembled from the domains."""


@strawberry.type(description="Every act. Those of one document run one after another, each in its own transaction.")
class Mutation(
    AssignmentMutations,
    ConversationMutations,
    DeliveryMutations,
    IdentityMutations,
    IntegrationMutations,
    SocialAccountMutations,
):
    """The mutations of all domains."""


@strawberry.type(description="Everything that can be followed as it happens.")
class Subscription(ConversationSubscriptions, IntegrationSubscriptions):
    """The root of live events, assembled from the domains."""


class ApiSchema(strawberry.Schema):
    """A Strawberry schema whose results carry presented errors only, whatever executes and transports them."""

    operations: Operations
    """What is kept of earlier requests; set by build_schema."""

    @property
    def core(self) -> GraphQLSchema:
        """The schema of graphql-core beneath this one."""
        return core_schema(self)

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Strawberry would log every error here, refusals and citizens' words included; `presented` logs defects."""

    def as_str(self) -> str:
        """The printed schema, sorted.

        Only the print is: with Strawberry's sort_schema the sorted copy would also execute, and its enums have lost
        their Python classes (test_schema shows it).
        """
        printed = copy(self)
        printed._schema = lexicographic_sort_schema(self.core)  # noqa: SLF001  there is no public way to print a sorted one
        return print_schema(printed)

    async def execute(self, *arguments: Any, **options: Any) -> ExecutionResult:
        result = await super().execute(*arguments, **options)
        return _present(result, _context(arguments, options))

    async def stream(self, *arguments: Any, **options: Any) -> AsyncGenerator[Any, None]:
        return _presenting(await super().stream(*arguments, **options), _context(arguments, options))


def build_schema(
    query: type,
    mutation: type | None = None,
    subscription: type | None = None,
    *,
    types: Iterable[type] = (),
    introspection: bool = True,
    sampled_share: float = 0,
) -> ApiSchema:
    """A schema with Belfry's stages and conventions. Fails when a declaration is wrong."""
    if mutation is not None:
        check_mutations(mutation)
    schema = ApiSchema(
        query=query,
        mutation=mutation,
        subscription=subscription,
        types=types,
        extensions=[Stages if introspection else ClosedStages],
        config=StrawberryConfig(
            disable_field_suggestions=True,
            relay_max_results=PAGE_SIZE_MAX,
            default_resolver=default_resolver,
            scalar_map=SCALAR_MAP,
        ),
    )
    check_schema(schema)
    schema.operations = Operations(schema.core, sampled_share)
    return schema


def api_schema(**options: Any) -> ApiSchema:
    """Belfry's schema, of all domains. `options` are those of build_schema."""
    return build_schema(Query, Mutation, Subscription, **options)


def main() -> int:
    """Write the printed schema beside this file, and say where."""
    SDL_FILE.write_text(f"{api_schema().as_str().strip()}\n", encoding="utf-8")
    sys.stdout.write(f"{SDL_FILE.name} is written.\n")
    return 0


def _context(arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return options.get("context_value", arguments[2] if len(arguments) > 2 else None)


def _present(result: Any, context: Any) -> Any:
    errors = getattr(result, "errors", None)
    if errors:
        result.errors = presented(errors, getattr(context, "wording", UNKNOWN_REQUEST))
    return result


async def _presenting(results: AsyncIterator[Any], context: Any) -> AsyncGenerator[Any, None]:
    async with aclosing(results):
        async for result in results:
            yield _present(result, context)


if __name__ == "__main__":
    sys.exit(main())
