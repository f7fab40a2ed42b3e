# SPDX-License-Identifier: EUPL-1.2
"""A citizen on the real peer, who speaks the protocol directly: what our connector sees must not come from it."""

import base64
import hashlib
import hmac
from typing import Any

import orjson

from services.kernel.clock import utc_now
from services.kernel.outbound import Answer, OutboundClient
from services.social_accounts.networks.interface import ItemRef
from tests.support.peers.atproto_peer import Peer

POST = "app.bsky.feed.post"


class Citizen:
    """Somebody with an account on the peer, who speaks the protocol directly and not through the connector."""

    def __init__(self, peer: Peer, name: str, outbound: OutboundClient) -> None:
        self.account, self._peer, self._outbound, self._token = peer.accounts[name], peer, outbound, ""

    async def call(self, method: str, body: dict[str, Any] | None, **params: str) -> Answer:
        url, content = f"{self._peer.pds_url}/xrpc/{method}", b"" if body is None else orjson.dumps(body)
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        headers |= {"content-type": "application/json"} if body is not None else {}
        verb = "GET" if body is None else "POST"
        return await self._outbound.request(verb, url, headers=headers, params=list(params.items()), content=content)

    async def sign_in(self) -> "Citizen":
        given = {"identifier": self.account.handle, "password": self.account.password}
        self._token = orjson.loads((await self.call("com.atproto.server.createSession", given)).body)["accessJwt"]
        return self

    async def write(self, collection: str, record: dict[str, Any]) -> ItemRef:
        now = utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        whole = {"$type": collection, "createdAt": now, **record}
        body = {"repo": self.account.did, "collection": collection, "record": whole}
        answer = await self.call("com.atproto.repo.createRecord", body)
        assert answer.status == 200, answer.body
        made = orjson.loads(answer.body)
        return ItemRef(made["uri"], made["cid"])

    async def mention(self, peer: Peer, text: str) -> ItemRef:
        town = peer.accounts["town"]
        label = f"@{town.handle}"
        feature = {"$type": "app.bsky.richtext.facet#mention", "did": town.did}
        facet = {"index": {"byteStart": 0, "byteEnd": len(label)}, "features": [feature]}
        return await self.write(POST, {"text": f"{label} {text}", "facets": [facet]})

    async def overwrite(self, item: ItemRef, text: str) -> ItemRef:
        repo, collection, rkey = item.remote_id.removeprefix("at://").split("/")
        address = {"repo": repo, "collection": collection, "rkey": rkey}
        old = orjson.loads((await self.call("com.atproto.repo.getRecord", None, **address)).body)
        body = {**address, "record": {**old["value"], "text": text}}
        return ItemRef(item.remote_id, orjson.loads((await self.call("com.atproto.repo.putRecord", body)).body)["cid"])

    async def delete(self, item: ItemRef) -> None:
        repo, collection, rkey = item.remote_id.removeprefix("at://").split("/")
        answer = await self.call(
            "com.atproto.repo.deleteRecord", {"repo": repo, "collection": collection, "rkey": rkey}
        )
        assert answer.status == 200


def expired_token(peer: Peer, token: str) -> str:
    """The same access token as it would be hours later, signed with the peer's own secret."""
    head, middle, _ = token.split(".")
    claims = orjson.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    past = {**claims, "iat": claims["iat"] - 10_000, "exp": claims["iat"] - 1_000}
    signed = f"{head}.{_encoded(orjson.dumps(past))}"
    return f"{signed}.{_encoded(hmac.digest(peer.token_secret.encode(), signed.encode(), hashlib.sha256))}"


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")
