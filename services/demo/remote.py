# SPDX-License-Identifier: EUPL-1.2
"""How networks name things: accounts of citizens, posts, and where they can be seen. All of it invented."""

import random
import unicodedata
from dataclasses import dataclass
from uuid import UUID

from services.demo.hours import pick
from services.demo.plans import AccountPlan, Voice
from services.social_accounts.networks.webform import SUBMISSION_VERSION
from services.social_accounts.rules import Network

RECORD_KEY_LETTERS = "234567abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Citizen:
    """Somebody as a network knows them. A form knows only what was typed into it."""

    external_id: str
    handle: str | None
    display_name: str | None
    email: str | None


def submission_id(chance: random.Random) -> str:
    """The id of one submission of a contact form."""
    return str(UUID(int=chance.getrandbits(128), version=4))


def citizen(chance: random.Random, account: AccountPlan, voice: Voice, submission: str) -> Citizen:
    """A new citizen on the network of an account; `submission` identifies them on a form."""
    given, family = pick(chance, voice.given_names), pick(chance, voice.family_names)
    name = f"{given} {family}"
    plain = _plain(f"{given}{family}")
    if account.network is Network.WEBFORM:
        leaves_name, leaves_address = chance.random() < 0.85, chance.random() < 0.7
        address = f"{_plain(given)}.{_plain(family)}@post.example" if leaves_address else None
        return Citizen(submission, None, name if leaves_name else None, address)
    if account.network is Network.FACEBOOK:
        return Citizen(str(chance.randrange(10**15, 10**16)), None, name, None)
    number = chance.randrange(10, 100)
    if account.network is Network.BLUESKY:
        handle = f"{plain}{number}.example"
        return Citizen(f"did:web:{handle}", handle, given, None)
    return Citizen(str(chance.randrange(10**17, 10**18)), f"{plain}{number}", given, None)


def post_id(chance: random.Random, account: AccountPlan, writer: str) -> str:
    """The network's id of one post or comment; `writer` is the writer's own id there."""
    if account.network is Network.WEBFORM:
        return submission_id(chance)
    if account.network is Network.BLUESKY:
        key = "".join(chance.choices(RECORD_KEY_LETTERS, k=13))
        return f"at://{writer}/app.bsky.feed.post/{key}"
    return str(chance.randrange(10**17, 10**18))


def own_id(account: AccountPlan) -> str:
    """The id of an account itself."""
    return f"did:web:{account.handle}" if account.network is Network.BLUESKY else account.handle


def version(account: AccountPlan) -> str:
    """The version of an item that was never changed; most networks give none."""
    return SUBMISSION_VERSION if account.network is Network.WEBFORM else ""


def permalink(account: AccountPlan, external_id: str) -> str | None:
    """Where a public item could be seen, if the network existed at that address."""
    if account.network is Network.WEBFORM:
        return None
    host = account.server_host or f"{account.network.value.lower()}.example"
    return f"https://{host}/{account.handle}/{external_id.rpartition('/')[2]}"


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in letters if letter.isascii() and letter.isalnum())
