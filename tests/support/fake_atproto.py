# SPDX-License-Identifier: EUPL-1.2
"""A strict fake of an AT Protocol server (repositories and application view in one), for tests on loopback.

It refuses what the protocol does not know: routes, parameters, fields of bodies and of posts. It copies the traps of
the real servers: a put on a taken key with `swapRecord: null` is refused unless it is identical, without `swapRecord`
it overwrites, `createRecord` on a taken key answers 500, a bad token answers 400. What is copied was compared with the
real peer (`test_bluesky_peer.py`); a fake proves our side of the contract only.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.fake_atproto_state import (
    FOLLOW,
    LIKE,
    POST,
    REPOST,
    URI,
    FakeNetwork,
    Stored,
    Token,
    problem_of_post,
)

START_SECONDS_MAX = 20.0
PAGE_DEFAULT, PAGE_MAX, URIS_MAX = 50, 100, 25
LIMIT_HEADERS = {"ratelimit-limit": "3000", "ratelimit-policy": "3000;w=300"}


class Refused(Exception):
    """An answer other than 200, in the protocol's own JSON."""

    def __init__(self, status: int, error: str, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.status, self.error, self.message, self.headers = status, error, message, dict(headers or {})
        super().__init__(error)


@dataclass(slots=True)
class Trouble:
    """A fault of the server itself, for the next `times` calls of a method.

    `after` lets the call act first, so that a 5xx comes after success; `alter` changes a post's text as it is stored.
    """

    method: str
    status: int = 500
    error: str = "InternalServerError"
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    alter: Callable[[str], str] | None = None
    times: int = 1


class FakeAtproto:
    """The running fake: `url`, `network` (what citizens do and what lies in the repositories), `trouble`."""

    def __init__(self, network: FakeNetwork | None = None) -> None:
        self.network = network or FakeNetwork()
        self.port = 0
        self.calls: list[tuple[str, bytes]] = []
        self._troubles: list[Trouble] = []
        self._handlers: dict[str, tuple[str, Callable[[Request, bytes], Any]]] = {
            "com.atproto.server.createSession": ("POST", self._create_session),
            "com.atproto.server.refreshSession": ("POST", self._refresh_session),
            "com.atproto.server.getSession": ("GET", self._get_session),
            "com.atproto.repo.putRecord": ("POST", self._put_record),
            "com.atproto.repo.createRecord": ("POST", self._create_record),
            "com.atproto.repo.deleteRecord": ("POST", self._delete_record),
            "com.atproto.repo.getRecord": ("GET", self._get_record),
            "com.atproto.repo.listRecords": ("GET", self._list_records),
            "app.bsky.notification.listNotifications": ("GET", self._list_notifications),
            "app.bsky.feed.getPosts": ("GET", self._get_posts),
            "app.bsky.feed.getAuthorFeed": ("GET", self._get_author_feed),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def trouble(self, *troubles: Trouble) -> None:
        self._troubles += troubles

    def reset(self) -> None:
        """Forget everything and everybody, so that one running server serves many tests."""
        self.network = FakeNetwork()
        self.calls.clear()
        self._troubles.clear()

    def called(self, method: str) -> int:
        """How often a method was called, refused calls included."""
        return sum(1 for name, _ in self.calls if name == method)

    def app(self) -> Starlette:
        """The ASGI application, for a server of the caller's own."""
        return Starlette(routes=[Route("/xrpc/{method}", self._serve, methods=["GET", "POST"])])

    @contextmanager
    def running(self) -> Iterator["FakeAtproto"]:
        """Serve on a free loopback port, in a thread of its own."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(self.app(), log_level="critical", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS_MAX
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(START_SECONDS_MAX)
            listener.close()

    async def _serve(self, request: Request) -> Response:
        method, body = request.path_params["method"], await request.body()
        self.calls.append((method, body))
        try:
            verb, handler = self._handlers.get(method, ("", None))
            if handler is None:
                raise Refused(501, "MethodNotImplemented", "Method Not Implemented")
            if verb != request.method:
                raise Refused(405, "InvalidRequest", f"expected {verb}")
            trouble = next((one for one in self._troubles if one.method == method and one.times > 0), None)
            if trouble is not None and trouble.alter is None:
                trouble.times -= 1
                if not trouble.after:
                    raise Refused(trouble.status, trouble.error, headers=trouble.headers)
            with self.network.lock:
                answer = handler(request, body)
            if trouble is not None and trouble.alter is None:
                raise Refused(trouble.status, trouble.error, headers=trouble.headers)
        except Refused as refused:
            content = orjson.dumps({"error": refused.error, "message": refused.message})
            return Response(content, refused.status, refused.headers, "application/json; charset=utf-8")
        headers = {**LIMIT_HEADERS, "ratelimit-remaining": "2990", "ratelimit-reset": str(int(time.time()) + 300)}
        return Response(orjson.dumps(answer), 200, headers, "application/json; charset=utf-8")

    # --- sessions ---

    def _create_session(self, request: Request, body: bytes) -> object:
        given = _fields(request, body, {"identifier", "password"})
        self.network.sign_ins[given["identifier"]] += 1
        person = self.network.by_identifier(given["identifier"])
        if person is None or person.password != given["password"]:
            raise Refused(401, "AuthenticationRequired", "Invalid identifier or password")
        return self._session(person.did)

    def _refresh_session(self, request: Request, body: bytes) -> object:
        if body:
            raise Refused(400, "InvalidRequest", "A request body was provided when none was expected")
        token = self._token(request, "refresh")
        token.used = True
        return self._session(token.did)

    def _get_session(self, request: Request, body: bytes) -> object:
        _parameters(request, set())
        did = self._token(request, "access").did
        return {"did": did, "handle": self.network.handle_of(did), "active": True}

    def _session(self, did: str) -> object:
        access, refresh = self.network.new_tokens(did)
        handle = self.network.handle_of(did)
        return {"accessJwt": access, "refreshJwt": refresh, "did": did, "handle": handle, "active": True}

    def _token(self, request: Request, kind: str) -> Token:
        header = request.headers.get("authorization", "")
        if not header.startswith("Bearer ") or header == "Bearer ":
            raise Refused(401, "AuthMissing", "Authentication Required")
        token = self.network.tokens.get(header.removeprefix("Bearer "))
        if token is None or token.kind != kind:
            raise Refused(400, "InvalidToken", "Token could not be verified")
        if token.expired:
            raise Refused(400, "ExpiredToken", "Token has expired")
        return token

    # --- repositories ---

    def _put_record(self, request: Request, body: bytes) -> object:
        given = _fields(
            request, body, {"repo", "collection", "rkey", "record"}, {"swapRecord", "swapCommit", "validate"}
        )
        did = self._own_repo(request, given)
        record = self._checked_record(given)
        uri = f"at://{did}/{given['collection']}/{given['rkey']}"
        current = self.network.find(uri, in_view=False)
        if current is not None and current.value == record:
            return {"uri": uri, "cid": current.cid, "validationStatus": "valid"}
        if "swapRecord" in given and given["swapRecord"] != (None if current is None else current.cid):
            raise Refused(400, "InvalidSwap", f"Record was at {current.cid if current else None}")
        return self._written(self.network.write(did, given["collection"], given["rkey"], record))

    def _create_record(self, request: Request, body: bytes) -> object:
        given = _fields(request, body, {"repo", "collection", "record"}, {"rkey", "swapCommit", "validate"})
        did = self._own_repo(request, given)
        given.setdefault("rkey", self.network.tid())
        record = self._checked_record(given)
        if self.network.find(f"at://{did}/{given['collection']}/{given['rkey']}", in_view=False) is not None:
            raise Refused(500, "InternalServerError", "Internal Server Error")
        return self._written(self.network.write(did, given["collection"], given["rkey"], record))

    def _delete_record(self, request: Request, body: bytes) -> object:
        given = _fields(request, body, {"repo", "collection", "rkey"}, {"swapRecord", "swapCommit"})
        did = self._own_repo(request, given)
        stored = self.network.find(f"at://{did}/{given['collection']}/{given['rkey']}", in_view=False)
        if stored is None:
            return {}
        self.network.delete(stored)
        return {"commit": {"cid": stored.cid, "rev": self.network.tid()}}

    def _get_record(self, request: Request, body: bytes) -> object:
        asked = _parameters(request, {"repo", "collection", "rkey"})
        if asked["repo"] not in self.network.repos:
            raise Refused(400, "InvalidRequest", f"Could not find repo: {asked['repo']}")
        stored = self.network.find(f"at://{asked['repo']}/{asked['collection']}/{asked['rkey']}", in_view=True)
        if stored is None:
            raise Refused(400, "RecordNotFound", "Could not locate record")
        return {"uri": stored.uri, "cid": stored.cid, "value": stored.value}

    def _list_records(self, request: Request, body: bytes) -> object:
        asked = _parameters(request, {"repo", "collection"}, {"limit", "cursor", "reverse"})
        found = [one for one in self.network.shown(asked["collection"]) if one.repo == asked["repo"]]
        found = [one for one in found if "cursor" not in asked or one.rkey < asked["cursor"]]
        page = found[: _limit(asked)]
        cursor = {"cursor": page[-1].rkey} if len(page) == _limit(asked) else {}
        return {"records": [{"uri": one.uri, "cid": one.cid, "value": one.value} for one in page], **cursor}

    def _own_repo(self, request: Request, given: Mapping[str, Any]) -> str:
        did = self._token(request, "access").did
        if given["repo"] not in (did, self.network.handle_of(did)):
            raise Refused(401, "AuthenticationRequired", "Authentication Required")
        return did

    def _written(self, stored: Stored) -> object:
        commit = {"cid": stored.cid, "rev": self.network.tid()}
        return {"uri": stored.uri, "cid": stored.cid, "commit": commit, "validationStatus": "valid"}

    def _checked_record(self, given: Mapping[str, Any]) -> dict[str, Any]:
        record = dict(given["record"])
        if record.get("$type") != given["collection"]:
            raise Refused(400, "InvalidRequest", "Invalid $type")
        if given["collection"] == POST:
            problem = problem_of_post(given["rkey"], record)
            if problem is not None:
                raise Refused(400, "InvalidRequest", f"Invalid {POST} record: {problem}")
            alter = next((one for one in self._troubles if one.alter is not None and one.times > 0), None)
            if alter is not None and alter.alter is not None:
                alter.times -= 1
                record["text"] = alter.alter(record["text"])
        return record

    # --- the application view ---

    def _list_notifications(self, request: Request, body: bytes) -> object:
        viewer = self._token(request, "access").did
        asked = _parameters(request, set(), {"limit", "cursor"})
        found = [(one, reason) for one in self.network.shown() if (reason := self._reason(one, viewer)) is not None]
        found = [(one, reason) for one, reason in found if "cursor" not in asked or one.sort_at < asked["cursor"]]
        page = found[: _limit(asked)]
        cursor = {"cursor": page[-1][0].sort_at} if len(page) == _limit(asked) else {}
        return {"notifications": [self._notification(one, reason) for one, reason in page], "priority": False, **cursor}

    def _reason(self, stored: Stored, viewer: str) -> str | None:
        if stored.repo == viewer:
            return None
        value = stored.value
        if stored.collection == FOLLOW:
            return "follow" if value["subject"] == viewer else None
        if stored.collection in (LIKE, REPOST):
            return stored.collection.rpartition(".")[2] if _repo_of(value["subject"]) == viewer else None
        features = [feature for facet in value.get("facets", []) for feature in facet["features"]]
        if any(feature.get("did") == viewer for feature in features):
            return "mention"
        if _repo_of(value.get("embed", {}).get("record")) == viewer:
            return "quote"
        reply = value.get("reply", {})
        return "reply" if viewer in (_repo_of(reply.get("root")), _repo_of(reply.get("parent"))) else None

    def _notification(self, stored: Stored, reason: str) -> object:
        return {
            "uri": stored.uri,
            "cid": stored.cid,
            "author": self._profile(stored.repo),
            "reason": reason,
            "record": stored.value,
            "isRead": True,
            "indexedAt": stored.sort_at,
            "labels": [],
        }

    def _get_posts(self, request: Request, body: bytes) -> object:
        self._token(request, "access")
        uris = request.query_params.getlist("uris")
        if set(request.query_params) != {"uris"} or not 0 < len(uris) <= URIS_MAX:
            raise Refused(400, "InvalidRequest", "uris must not have more than 25 elements")
        if not all(URI.fullmatch(uri) for uri in uris):
            raise Refused(400, "InvalidRequest", "uris must be valid at-uris")
        found = (self.network.find(uri, in_view=True) for uri in uris)
        return {"posts": [self._post_view(stored) for stored in found if stored is not None]}

    def _get_author_feed(self, request: Request, body: bytes) -> object:
        viewer = self._token(request, "access").did
        asked = _parameters(request, {"actor"}, {"limit", "cursor", "filter"})
        feed: list[tuple[str, object]] = []
        for one in self.network.shown():
            if one.repo == asked["actor"] and one.collection == POST:
                feed.append((one.sort_at, {"post": self._post_view(one)}))
            if one.repo == asked["actor"] and one.collection == REPOST:
                subject = self.network.find(one.value["subject"]["uri"], in_view=True)
                if subject is not None:
                    view = {**self._post_view(subject), "viewer": {"repost": one.uri} if one.repo == viewer else {}}
                    feed.append((one.sort_at, {"post": view, "reason": self._repost_reason(one)}))
        feed = [entry for entry in feed if "cursor" not in asked or entry[0] < asked["cursor"]]
        page = feed[: _limit(asked)]
        cursor = {"cursor": page[-1][0]} if len(page) == _limit(asked) else {}
        return {"feed": [item for _, item in page], **cursor}

    def _repost_reason(self, stored: Stored) -> object:
        return {
            "$type": "app.bsky.feed.defs#reasonRepost",
            "by": self._profile(stored.repo),
            "uri": stored.uri,
            "cid": stored.cid,
            "indexedAt": stored.sort_at,
        }

    def _post_view(self, stored: Stored) -> dict[str, Any]:
        about = [one for one in self.network.shown() if one.uri != stored.uri]
        counts = {
            "likeCount": sum(1 for one in about if one.collection == LIKE and _is(one.value["subject"], stored)),
            "repostCount": sum(1 for one in about if one.collection == REPOST and _is(one.value["subject"], stored)),
            "replyCount": sum(1 for one in about if _is(one.value.get("reply", {}).get("parent"), stored)),
            "quoteCount": sum(1 for one in about if _is(_embedded(one), stored)),
        }
        return {
            "uri": stored.uri,
            "cid": stored.cid,
            "author": self._profile(stored.repo),
            "record": stored.value,
            **counts,
            "indexedAt": stored.sort_at,
            "labels": [],
        }

    def _profile(self, did: str) -> dict[str, Any]:
        return {"did": did, "handle": self.network.handle_of(did), "labels": []}


def _fields(request: Request, body: bytes, needed: Set[str], optional: Set[str] = frozenset()) -> dict[str, Any]:
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        raise Refused(400, "InvalidRequest", "Wrong request encoding")
    given = orjson.loads(body)
    if not needed <= set(given) <= needed | optional:
        raise Refused(400, "InvalidRequest", f"fields: {sorted(given)}")
    return given


def _parameters(request: Request, needed: Set[str], optional: Set[str] = frozenset()) -> dict[str, str]:
    given = dict(request.query_params)
    if not needed <= set(given) <= needed | optional:
        raise Refused(400, "InvalidRequest", f"parameters: {sorted(given)}")
    return given


def _limit(asked: Mapping[str, str]) -> int:
    limit = int(asked.get("limit", PAGE_DEFAULT))
    if not 1 <= limit <= PAGE_MAX:
        raise Refused(400, "InvalidRequest", "limit")
    return limit


def _repo_of(reference: object) -> str | None:
    return str(reference["uri"]).split("/")[2] if isinstance(reference, dict) and "uri" in reference else None


def _is(reference: object, stored: Stored) -> bool:
    return isinstance(reference, dict) and reference.get("uri") == stored.uri


def _embedded(stored: Stored) -> object:
    return stored.value.get("embed", {}).get("record")
