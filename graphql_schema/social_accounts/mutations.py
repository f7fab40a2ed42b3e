# SPDX-License-Identifier: EUPL-1.2
"""Acts on accounts: enter them into the register, and connect them."""

from uuid import UUID

import strawberry

from graphql_schema.mutation import (
    Act,
    Errand,
    errand,
    given,
    id_of,
    idempotency_key,
    mutation,
    mutation_input,
    mutation_payload,
)
from graphql_schema.reading.mapping import read_back
from graphql_schema.social_accounts.types import SocialAccount
from graphql_schema.tenancy.types import Department
from services.kernel.access import Permission
from services.social_accounts import commands, handlers
from services.social_accounts.rules import HANDLE_LENGTH_MAX, SECRET_LENGTH_MAX, URL_LENGTH_MAX, Network, Purpose


@mutation_input
class SocialAccountRegisterInput:
    """An account to be entered into the register."""

    network: Network = given("Where it lives.")
    handle: str = given("Its name there, with or without @.", length_max=HANDLE_LENGTH_MAX + 1)
    department_id: UUID = id_of(Department, "The department that answers for it.")
    purpose: Purpose = given("What it is for.")
    idempotency_key: str | None = idempotency_key()


@mutation_payload
class SocialAccountRegisterPayload:
    """What a registration answers."""

    social_account: SocialAccount | None = read_back("The account in the register.")


@mutation_input
class SocialAccountConnectInput:
    """How to sign in to an account. The secret is sealed at once and never shown again."""

    social_account_id: UUID = id_of(SocialAccount, "The registered account.")
    server_url: str = given("The account's server, such as https://bsky.social.", length_max=URL_LENGTH_MAX)
    identifier: str = given("What the network knows the account by.", length_max=HANDLE_LENGTH_MAX + 1)
    secret: str = given("An app password; never the account's own.", length_max=SECRET_LENGTH_MAX)


@mutation_payload
class SocialAccountConnectPayload:
    """What a connection answers."""

    social_account: SocialAccount | None = read_back("The connected account; its messages arrive from now on.")


@strawberry.type
class SocialAccountMutations:
    """Acts on accounts."""

    @mutation(
        "Enter an account into the register, whether or not Belfry can connect to its network.",
        permission=Permission.SOCIAL_ACCOUNT_REGISTER,
    )
    async def social_account_register(
        self, act: Act, input: SocialAccountRegisterInput
    ) -> SocialAccountRegisterPayload:
        account = await commands.register(
            act.uow,
            network=input.network,
            handle=input.handle,
            department_id=input.department_id,
            purpose=input.purpose,
        )
        return SocialAccountRegisterPayload(social_account=SocialAccount.of(account.id))

    @errand(
        "Sign an account in. The network is asked at once: a wrong secret is told immediately.",
        permission=Permission.SOCIAL_ACCOUNT_CONNECT,
    )
    async def social_account_connect(
        self, errand: Errand, input: SocialAccountConnectInput
    ) -> SocialAccountConnectPayload:
        account_id = await handlers.connect(
            errand.runtime,
            errand.actor,
            account_id=input.social_account_id,
            server_url=input.server_url,
            identifier=input.identifier,
            secret=input.secret,
        )
        return SocialAccountConnectPayload(social_account=SocialAccount.of(account_id))
