# SPDX-License-Identifier: EUPL-1.2
"""Bluesky, by the AT Protocol: polls an account and publishes posts and replies.

    bluesky_xrpc.py      one call and its errors          bluesky_streams.py   what came in since last time
    bluesky_records.py   the bytes of a post (pure)       bluesky_parse.py     raw event to facts (pure)

A post is written with `putRecord`, our own record key and `swapRecord: null`. Never with `createRecord`: on a used
key that answers 500, which looks as if repeating could help. The guarded call may be repeated: the same bytes on the
same key are the same post, other content is refused. One thing it does not survive: after the post was *deleted*, a
repeat publishes it again, so a repeat belongs to the verification of an unknown outcome and to nothing else.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson

from services.social_accounts.networks.bluesky_capabilities import (
    BACKFILL,
    BLUESKY,
    KNOWN_ITEMS,
    NOTIFICATIONS,
    OWN_POSTS,
)
from services.social_accounts.networks.bluesky_parse import parse
from services.social_accounts.networks.bluesky_records import address_of, prepared_post, problems_of
from services.social_accounts.networks.bluesky_streams import (
    fetch_backfill,
    fetch_known,
    fetch_notifications,
    fetch_own_posts,
    posts_in,
    read_posts,
)
from services.social_accounts.networks.bluesky_xrpc import (
    ACCESS,
    KEY,
    REFRESH,
    Json,
    access_token,
    mutate,
    query,
    refresh_token,
    session,
)
from services.social_accounts.networks.errors import (
    AuthExpired,
    AuthRevoked,
    ContractBroken,
    OutcomeUnknown,
    Rejected,
    TargetGone,
)
from services.social_accounts.networks.interface import (
    Account,
    AccountGrant,
    Capabilities,
    ConnectInput,
    Draft,
    Health,
    HealthFinding,
    Inbound,
    KnownItem,
    NotFound,
    Page,
    Prepared,
    Problem,
    RawEvent,
    Reach,
    Sample,
    Sent,
)

POSTS_PER_READ = 25
FIGURES = {"like": "likeCount", "repost": "repostCount", "reply": "replyCount", "quote": "quoteCount"}


class BlueskyConnector:
    """Everything Belfry does with Bluesky."""

    key = KEY

    def capabilities(self, account: Account | None = None) -> Capabilities:
        """The same for every account: the network has no plans, and servers share one protocol."""
        return BLUESKY

    async def finish_auth(self, given: ConnectInput, reach: Reach) -> AccountGrant:
        """Sign in with a handle (or DID) and an app password, which is not kept: its tokens are."""
        identifier = given.identifier.strip().removeprefix("@")
        body = orjson.dumps({"identifier": identifier, "password": given.secret})
        reply = await session(given.base_url, "com.atproto.server.createSession", body, reach)
        return _grant(given.base_url, reply.data)

    async def refresh(self, account: Account, reach: Reach) -> AccountGrant:
        """Trade the refresh token for new ones; one that is expired or unknown is AuthRevoked."""
        token = refresh_token(account)
        try:
            reply = await session(account.base_url, "com.atproto.server.refreshSession", b"", reach, token=token)
        except AuthExpired as error:
            raise AuthRevoked(KEY, error.code) from error
        grant = _grant(account.base_url, reply.data)
        if grant.remote_id != account.remote_id:
            raise ContractBroken(KEY, "OTHER_ACCOUNT")
        return grant

    async def check(self, account: Account, reach: Reach) -> Health:
        """Whether the token still opens this account; a changed handle is a finding."""
        reply = await query(account.base_url, "com.atproto.server.getSession", (), reach, token=access_token(account))
        if reply.data.get("did") != account.remote_id:
            raise AuthRevoked(KEY, "OTHER_ACCOUNT")
        handle = reply.data.get("handle")
        if handle != account.handle:
            return Health((HealthFinding("HANDLE_CHANGED", str(handle)),))
        return Health()

    async def fetch(
        self,
        account: Account,
        stream: str,
        cursor: str | None,
        limit: int,
        reach: Reach,
        *,
        known: Sequence[KnownItem] = (),
    ) -> Page:
        """One page of a stream of the capability table; `known` only for the stream of known items."""
        if stream == NOTIFICATIONS:
            return await fetch_notifications(account, cursor, limit, reach)
        if stream == OWN_POSTS:
            return await fetch_own_posts(account, cursor, limit, reach)
        if stream == BACKFILL:
            return await fetch_backfill(account, cursor, limit, reach)
        if stream == KNOWN_ITEMS and len(known) <= POSTS_PER_READ:
            return await fetch_known(account, known, reach)
        raise ValueError(f"no such stream, or too many known items: {stream}")

    def parse(self, raw: RawEvent) -> list[Inbound]:
        """The facts of one event."""
        return parse(raw)

    def prepare(self, draft: Draft, account: Account) -> Prepared | list[Problem]:
        """The exact request, or everything that is wrong with the draft."""
        return problems_of(draft) or prepared_post(draft, account)

    async def send(self, prepared: Prepared, account: Account, reach: Reach) -> Sent:
        """One guarded `putRecord` of the stored bytes.

        A repeat of an accepted call succeeds with the same version. Other content on the key is ContractBroken.
        """
        reply = await mutate(account, "com.atproto.repo.putRecord", prepared.body, reach)
        version = reply.data.get("cid")
        if reply.data.get("uri") != prepared.remote_id or not isinstance(version, str) or prepared.remote_id is None:
            # It said yes, but not to what we asked: only a look can tell what is there.
            raise OutcomeUnknown(KEY, "ANSWER_UNREADABLE")
        return Sent(prepared.remote_id, version, _permalink(prepared.remote_id), reach.clock(), reply.quotas)

    async def find_sent(self, prepared: Prepared, account: Account, since: datetime, reach: Reach) -> Sent | NotFound:
        """Look at the chosen key in the account's own repository, which shows a write at once.

        Raises ContractBroken when other content lies there.
        """
        address = address_of(prepared.remote_id)
        if address is None:
            raise ContractBroken(KEY, "PREPARED_UNREADABLE")
        params = [("repo", address.repo), ("collection", address.collection), ("rkey", address.rkey)]
        try:
            reply = await query(account.base_url, "com.atproto.repo.getRecord", params, reach)
        except TargetGone:
            return NotFound(exact=True)
        version = reply.data.get("cid")
        if reply.data.get("value") != orjson.loads(prepared.body)["record"] or not isinstance(version, str):
            raise ContractBroken(KEY, "OTHER_CONTENT")
        return Sent(address.uri, version, address.permalink, prepared.created_at, reply.quotas)

    async def delete(self, remote_id: str, account: Account, reach: Reach) -> None:
        """Delete an own record; deleting it again is accepted too. A stored send of it must not be repeated after."""
        address = address_of(remote_id)
        if address is None or address.repo != account.remote_id:
            raise Rejected(KEY, "NOT_OWN_ITEM", (Problem("NOT_OWN_ITEM", field="remote_id"),))
        body = {"repo": address.repo, "collection": address.collection, "rkey": address.rkey}
        await mutate(account, "com.atproto.repo.deleteRecord", orjson.dumps(body), reach)

    async def metrics(self, account: Account, remote_ids: Sequence[str], reach: Reach) -> list[Sample]:
        """Likes, reposts, replies and quotes of each post, 25 posts a request. Reach is not known to this network."""
        samples: list[Sample] = []
        for start in range(0, len(remote_ids), POSTS_PER_READ):
            reply = await read_posts(account, remote_ids[start : start + POSTS_PER_READ], reach)
            now = reach.clock()
            for post in posts_in(reply):
                figures = ((name, post.get(field)) for name, field in FIGURES.items())
                samples += [
                    Sample(str(post.get("uri")), name, value, now) for name, value in figures if isinstance(value, int)
                ]
        return samples


def _grant(base_url: str, data: Json) -> AccountGrant:
    access, refresh, did, handle = (data.get(name) for name in ("accessJwt", "refreshJwt", "did", "handle"))
    if not (isinstance(access, str) and isinstance(refresh, str) and isinstance(did, str) and isinstance(handle, str)):
        raise ContractBroken(KEY, "SESSION_UNREADABLE")
    return AccountGrant(
        remote_id=did,
        handle=handle,
        display_name=None,
        base_url=base_url.rstrip("/"),
        credentials={ACCESS: access, REFRESH: refresh},
        expires_at=_expiry(access),
    )


def _expiry(token: str) -> datetime | None:
    """When a token says it ends. Not verified: it only tells us when to renew, the server decides."""
    try:
        middle = token.split(".")[1]
        seconds = orjson.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))["exp"]
        return datetime.fromtimestamp(seconds, UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, OSError, binascii.Error):
        return None


def _permalink(remote_id: str) -> str | None:
    address = address_of(remote_id)
    return None if address is None else address.permalink
