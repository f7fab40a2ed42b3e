# SPDX-License-Identifier: EUPL-1.2
"""Calls that need a signed-in account: an expired token is renewed once, then the call is tried once more."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.social_accounts.networks.errors import AuthExpired
from services.social_accounts.networks.interface import Account, AccountGrant, Connector, Reach

T = TypeVar("T")

Keep = Callable[[AccountGrant], Awaitable[Account]]
"""Stores renewed credentials and gives the account with whatever is stored now."""


async def signed_in(
    connector: Connector, account: Account, reach: Reach, keep: Keep, call: Callable[[Account], Awaitable[T]]
) -> T:
    """The call's answer. AuthExpired gets its one retry; AuthRevoked and all else pass through."""
    try:
        return await call(account)
    except AuthExpired:
        account = await keep(await connector.refresh(account, reach))
        return await call(account)
