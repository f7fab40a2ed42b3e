# SPDX-License-Identifier: EUPL-1.2
"""What the tests of deliveries start with: a town whose account publishes, and an item that waits to be sent."""

from uuid import UUID

from services.deliveries import commands
from services.deliveries.rules import Origin
from services.kernel import identifiers
from services.kernel.database import Database
from services.social_accounts.rules import Network, OutboundKind, Purpose
from tests.workers.towns import Evidence, Town, town_with_account

DID = "did:plc:" + "t" * 24
PARENT = {"root": ["at://did:plc:" + "c" * 24 + "/app.bsky.feed.post/3l6oveex3ii2l", "bafyroot"]}
CONNECTED = """
    update belfry.social_account set connection = 'CONNECTED', lifecycle = 'ACTIVE', remote_id = $2 where id = $1
"""
TARGET = {**PARENT, "parent": PARENT["root"]}


async def town_on_bluesky(database: Database, evidence: Evidence, purpose: Purpose = Purpose.SERVICE) -> Town:
    made = await town_with_account(database, Network.BLUESKY, purpose=purpose)
    connected = (
        "update belfry.social_account set connection = 'CONNECTED', lifecycle = 'ACTIVE', remote_id = $2 where id = $1"
    )
    await evidence.rows(connected, made.account_id, DID)
    return made


async def scheduled(
    town: Town, *, origin: Origin = Origin.REPLY, kind: OutboundKind = OutboundKind.REPLY, text: str = "Wij komen."
) -> UUID:
    async with town.database.unit_of_work(town.operator) as uow:
        made = await commands.schedule(
            uow,
            origin=origin,
            origin_id=identifiers.new(),
            account_id=town.account_id,
            outbound_kind=kind,
            text=text,
            reply_to=TARGET if kind is OutboundKind.REPLY else None,
            private=False,
            language="nl",
        )
        return made.id
