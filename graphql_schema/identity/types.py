# SPDX-License-Identifier: EUPL-1.2
"""Who is asking, as clients see it."""

from datetime import date, datetime

import strawberry

from graphql_schema.connections import Connection
from graphql_schema.nodes import Node
from graphql_schema.reading.mapping import column, connection, named, read_back, readable, to_one, vocabulary
from graphql_schema.tenancy.types import Organization, Person
from services.identity import models
from services.identity.queries import DEPRECATED_USE_IS_VISIBLE
from services.kernel.access import Permission, Role
from services.tenancy.queries import TENANT_WIDE

A, K, D, U = models.ApiClient, models.ApiKey, models.ClientDocument, models.DeprecatedUse

vocabulary(
    Role,
    "What a person is in an organization. Rights of several roles add up.",
    ADMIN="Sets the organization up: people, departments, credentials. Sees no citizen content.",
    MANAGER="Answers for departments: reads their public conversations and figures.",
    COORDINATOR="Runs the desk of the whole organization: sees everything, takes over, resolves.",
    OPERATOR="Answers citizens for own departments.",
    EXPERT="Helps with single conversations when asked to.",
    VIEWER="Reads figures without personal data.",
)


@strawberry.type(
    description="How much the caller may ask for. Every operation takes its cost from a bucket, which fills again."
)
class RateLimit:
    """The caller's bucket. The same figures come with every answer, in `extensions.cost`."""

    maximum_query_cost: int = strawberry.field(description="What one operation may cost at most.")
    maximum_available: int = strawberry.field(description="What a full bucket holds.")
    currently_available: int = strawberry.field(description="What is left, this operation taken into account.")
    restore_rate: int = strawberry.field(description="What comes back every second.")


@strawberry.type(description="Who is asking, and what this caller may do.")
class Viewer:
    """The caller. Made by hand, because it is the credential and not a row."""

    person: Person | None = read_back("The colleague who is asking; null for a machine.")
    organization: Organization | None = read_back("The organization that the credential belongs to.")
    roles: list[Role] = strawberry.field(description="The roles held anywhere in the organization, alphabetically.")
    permissions: list[str] = strawberry.field(
        description="Every act that is open to the caller somewhere, `area:act`, alphabetically. Values are added."
    )
    scopes: list[str] = strawberry.field(
        description="What a machine was allowed, alphabetically; empty for a person, who has roles."
    )


@readable(
    A,
    tag="AC",
    visible=TENANT_WIDE,
    permission=Permission.INTEGRATION_MANAGE,
    filter_by=(A.revoked_at,),
    order_by=(A.created_at,),
)
class ApiClient(Node):
    """A machine of the organization's, or one that works for it. It is known by its keys."""

    name: str = column(A.name, "What colleagues call it.")
    scopes: list[str] = column(A.scopes, "What it may do, alphabetically, `conversations:read`.")
    documents_required: bool = column(
        A.documents_required, "Whether it may only send documents that were registered before."
    )
    keys: Connection["ApiKey"] = connection(
        K.api_client_id, "Its keys, the newest first; several live while one takes over.", newest_first=K.created_at
    )
    documents: Connection["ClientDocument"] = connection(
        D.api_client_id, "The documents that it may send by their ids, the newest first.", newest_first=D.created_at
    )
    revoked_at: datetime | None = column(A.revoked_at, "When it was ended for good; null while it may ask.")
    created_at: datetime = column(A.created_at, "When it was made known.")
    version: int = column(A.version, "Rises with every change; send it back as expectedVersion.")


@readable(K, tag="AK", visible=TENANT_WIDE, permission=Permission.INTEGRATION_MANAGE, order_by=(K.created_at,))
class ApiKey(Node):
    """One key of a machine. The key itself was shown once; `belfry_…_` begins with this row's id in hexadecimal."""

    client: ApiClient = to_one(K.api_client_id, "The machine that it opens the way to.")
    expires_at: datetime = column(K.expires_at, "When it ends by itself.")
    revoked_at: datetime | None = column(K.revoked_at, "When somebody ended it.")
    last_used_on: date | None = column(K.last_used_on, "The last day (UTC) on which it was used; null for never.")
    created_at: datetime = column(K.created_at, "When it was issued.")


@readable(
    D,
    tag="DO",
    visible=TENANT_WIDE,
    permission=Permission.INTEGRATION_MANAGE,
    filter_by=(named(D.document_id, "digest"),),
    order_by=(D.created_at,),
)
class ClientDocument(Node):
    """A document that a machine may send by its id."""

    client: ApiClient = to_one(D.api_client_id, "The machine that may send it.")
    digest: str = column(
        D.document_id, "What requests name it by, as documentId: `sha256:` and the digest of the text."
    )
    name: str | None = column(D.name, "The name of its operation.")
    text: str = column(D.text, "The document.")
    created_at: datetime = column(D.created_at, "When it was registered.")


@readable(
    U,
    tag="DU",
    visible=DEPRECATED_USE_IS_VISIBLE,
    permission=Permission.DIRECTORY_READ,
    filter_by=(U.api_client_id, U.used_on),
    order_by=(U.created_at,),
)
class DeprecatedUse(Node):
    """How often something that goes away was used on one day. Ask its users to move before the day it is removed."""

    client: ApiClient | None = to_one(
        U.api_client_id, "The machine, to be read with integrations:manage; null for people together."
    )
    name: str = column(U.name, "The field, argument or value, `Type.field`; the schema says until when it is there.")
    used_on: date = column(U.used_on, "The day (UTC).")
    times: int = column(U.times, "In how many operations it was named.")
    created_at: datetime = column(U.created_at, "When it was first counted on that day.")
