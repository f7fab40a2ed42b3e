# SPDX-License-Identifier: EUPL-1.2
"""Accounts on networks as clients see them. What opens an account is never shown."""

from datetime import date, datetime

from graphql_schema.nodes import Node
from graphql_schema.reading.mapping import column, readable, to_one, typed, vocabulary
from graphql_schema.scalars import Email, Url
from graphql_schema.tenancy.types import Department
from services.kernel.access import Permission
from services.social_accounts import models, queries
from services.social_accounts.rules import Connection as ConnectionState
from services.social_accounts.rules import Lifecycle, Network, OutboundKind, Purpose

A = models.SocialAccount

vocabulary(
    Network,
    "Where an account lives. Belfry connects to BLUESKY and WEBFORM; others can be registered. Values are added.",
    BLUESKY="Bluesky, or another server of the AT protocol.",
    WEBFORM="The organization's own contact form, served by Belfry.",
    MASTODON="Mastodon, or another server that speaks its interface.",
    FACEBOOK="A Facebook page.",
    INSTAGRAM="Instagram.",
    THREADS="Threads.",
    WHATSAPP="WhatsApp Business.",
    X="X.",
    LINKEDIN="A LinkedIn page.",
    YOUTUBE="A YouTube channel.",
    TIKTOK="TikTok.",
    EMAIL="A mailbox.",
    MATRIX="Matrix.",
    OTHER="A network without a word of its own yet.",
)
vocabulary(
    Purpose,
    "What an account is for.",
    name="AccountPurpose",
    SERVICE="Answering citizens.",
    NEWS="Telling news.",
    CRISIS_ONLY="Silent, except in a crisis.",
    CAMPAIGN="One campaign, for a time.",
    PERSONAL_OFFICIAL="A person in office, in that office.",
)
vocabulary(
    ConnectionState,
    "Whether Belfry reads and publishes through an account.",
    name="AccountConnectionState",
    UNMANAGED="Only registered: Belfry neither reads nor publishes.",
    CONNECTED="Belfry reads and publishes.",
    EXPIRING="Works, but the credential ends soon.",
    REVOKED="The network no longer accepts the credential.",
)
vocabulary(
    Lifecycle,
    "Where an account stands between the wish for it and its end.",
    name="AccountLifecycle",
    REQUESTED="Wished for, not decided.",
    ACTIVE="In use.",
    CLOSING="Being wound up: open work is moved elsewhere.",
    CLOSED="Ended; its history stays.",
)
vocabulary(
    OutboundKind,
    "How something published is counted; each item once.",
    STARTER="Said unasked: the megaphone.",
    RESHARE="Passed on without own words.",
    REPLY="An answer to a citizen, by a person.",
    PROACTIVE="Offered to a citizen who had not addressed the organization.",
)


@readable(
    A,
    tag="SA",
    visible=queries.SOCIAL_ACCOUNT_IS_VISIBLE,
    permission=Permission.SOCIAL_ACCOUNT_READ,
    filter_by=(A.network, A.owner_department_id),
    order_by=(A.created_at,),
)
class SocialAccount(Node):
    """One account on one network, connected or only registered."""

    network: Network = column(A.network, "Where it lives.")
    handle: str = column(A.handle, "Its name on the network, without @.")
    server_host: str = column(A.server_host, "The server it lives on; empty where a network has one.")
    display_name: str | None = column(A.display_name, "The name that the network shows, once Belfry has seen it.")
    owner_department: Department = to_one(A.owner_department_id, "The department that answers for it.")
    deputy_email: Email | None = column(typed(Email, A.deputy_email), "Who to write to when its owner is away.")
    purpose: Purpose = column(A.purpose, "What it is for.")
    audiences: list[str] = column(A.audiences, "Whom it speaks to, in the organization's own words.")
    connection: ConnectionState = column(A.connection, "Whether Belfry reads and publishes through it.")
    lifecycle: Lifecycle = column(A.lifecycle, "Where it stands between the wish for it and its end.")
    experiment_until: date | None = column(A.experiment_until, "The last day of its trial, when it is one.")
    review_on: date | None = column(A.review_on, "The day on which its owner must say whether it goes on.")
    crisis_posting_open: bool = column(A.crisis_posting_open, "Whether a CRISIS_ONLY account may speak now.")
    server_url: Url | None = column(typed(Url, A.server_url), "The address of its server, when it is connected.")
    connected_at: datetime | None = column(A.connected_at, "When Belfry was last connected to it.")
    polled_at: datetime | None = column(A.polled_at, "When Belfry last asked it for news.")
    created_at: datetime = column(A.created_at, "When it was registered.")
    version: int = column(A.version, "Rises with every change; send it back as expectedVersion.")
