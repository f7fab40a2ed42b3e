# SPDX-License-Identifier: EUPL-1.2
"""Webhooks: what is told to whom, signed how, tried when, and given up when. Real endpoints on loopback."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import orjson
import pytest

from services.identity import commands as identity
from services.integrations import commands, queries, rules
from services.integrations.commands import FOLLOW
from services.integrations.handlers import webhooks as telling
from services.kernel.access import Role, Scope
from services.kernel.errors import BelfryError
from services.kernel.events import EVENTS
from services.kernel.identifiers import global_id
from tests.support.servers import Servers
from tests.support.webhook_receiver import Behavior, Receiver, receiving
from tests.workers.hooks import READS, HookTown, hook_town
from tests.workers.stage import Stage, open_stage
from workers.subscriptions import HEARD, JOBS

pytestmark = pytest.mark.xdist_group("webhooks")  # one installation, one process

NOT_FAILING = "update belfry.webhook_endpoint set failing_since = now() where id = $1"
ATTEMPTS = "select number from belfry.webhook_attempt where webhook_delivery_id = $1 order by number"


@pytest.fixture(scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture(scope="module")
async def stage(servers: Servers, receiver: Receiver) -> AsyncIterator[Stage]:
    async with open_stage(servers, also_allowed=frozenset({receiver.host})) as opened:
        yield opened


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is over when it would wait, so that a test says when time passes."""
    monkeypatch.setattr(telling, "PATIENCE", timedelta(0))


@pytest.fixture
async def town(stage: Stage, receiver: Receiver) -> HookTown:
    return await hook_town(stage, receiver)


async def test_an_endpoint_is_told_in_order_of_what_its_client_may_see(town: HookTown) -> None:
    await town.street.open("ROADS")  # before it was set up: never told
    endpoint_id, place = await town.endpoint("all", await town.client(*READS))
    secret = await town.street.topic(confidential=True)
    shown = await town.street.open("ROADS")
    await town.street.open("DESK", secret)
    await town.street.say(shown)
    await town.follow()
    await town.deliver(endpoint_id)
    bodies = [orjson.loads(each.body) for each in place.attempts]
    assert [each["type"] for each in bodies] == [
        "conversation.opened",
        "conversation.routed",
        "conversation.message_received",
    ]
    assert {each["data"]["id"] for each in bodies} == {global_id("CV", shown)}
    assert all(each["data"]["version"] == 1 for each in bodies)
    assert all(len(each.body) < 20_000 for each in place.attempts)
    assert len(place.taken) == 3
    assert (place.unverified, place.again) == (0, 0)
    assert [each["state"] for each in await town.log(endpoint_id)] == ["DELIVERED"] * 3


async def test_a_client_without_the_scope_is_told_nothing_and_one_that_was_revoked_no_more(town: HookTown) -> None:
    blind, sighted = await town.client(Scope.METRICS_READ), await town.client(*READS)
    nothing, _ = await town.endpoint("blind", blind)
    some, _ = await town.endpoint("sighted", sighted)
    await town.street.open("ROADS")
    await town.follow()
    assert (len(await town.log(nothing)), len(await town.log(some))) == (0, 2)
    async with town.runtime.database.unit_of_work(town.admin) as uow:
        await identity.revoke_client(uow, api_client_id=sighted)
    await town.street.open("ROADS")
    await town.follow()
    assert len(await town.log(some)) == 2


async def test_a_client_is_told_of_its_own_exports_and_of_what_it_uses_that_goes_away(town: HookTown) -> None:
    scopes = (Scope.CONVERSATIONS_READ, Scope.EXPORTS_READ)
    own = await town.client(*scopes)
    endpoints = [(await town.endpoint(each.hex, each))[0] for each in (own, await town.client(*scopes))]
    export_id = await town.take_out(own, *scopes)
    async with town.runtime.database.unit_of_work(town.organization.system) as uow:
        await identity.count_deprecated(uow, uses={(own, "Type.field"): 2, (None, "Type.field"): 1})
    await town.follow()
    told, nothing = [await town.log(each) for each in endpoints]
    *exports, use = [(each["event_type"], orjson.loads(each["payload"])["data"]) for each in told]
    assert [(kind, data["id"]) for kind, data in exports] == [
        (f"export.{each}", global_id("EX", export_id)) for each in ("requested", "started", "ready")
    ]
    assert (use[0], use[1]["version"], nothing) == ("deprecated_use.noted", None, [])


async def test_only_the_types_that_were_asked_for_are_told(town: HookTown) -> None:
    endpoint_id, _ = await town.endpoint("few", await town.client(*READS), Behavior.TAKES, "conversation.routed")
    await town.street.open("ROADS")
    await town.follow()
    assert [each["event_type"] for each in await town.log(endpoint_id)] == ["conversation.routed"]


async def test_what_is_followed_twice_or_by_two_is_told_once(town: HookTown) -> None:
    endpoint_id, _ = await town.endpoint("once", await town.client(*READS))
    await town.street.open("ROADS")
    before = (await town.row(endpoint_id))["position"]
    await town.follow()
    assert (await town.row(endpoint_id))["position"] > before
    sql = "update belfry.webhook_endpoint set position = $2 where id = $1"
    await town.stage.evidence.rows(sql, endpoint_id, before)
    await town.follow()
    assert len(await town.log(endpoint_id)) == 2


async def test_more_facts_than_one_round_takes_are_all_told(town: HookTown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "FACTS_MAX", 3)
    monkeypatch.setattr(telling, "ROUNDS_MAX", 2)
    endpoint_id, _ = await town.endpoint("many", await town.client(*READS))
    conversation_id = await town.street.open("ROADS")
    for _ in range(8):
        await town.street.say(conversation_id)
    await town.follow()
    assert len(await town.log(endpoint_id)) == 6
    await town.stage.work(FOLLOW, town.organization.id)
    assert len(await town.log(endpoint_id)) == 10


async def test_two_secrets_sign_while_one_takes_over(town: HookTown) -> None:
    endpoint_id, place = await town.endpoint("rotating", await town.client(*READS))
    old = place.secrets[0]
    await town.rotate(endpoint_id, place)
    new = place.secrets[1]
    for known in ([old], [new], [old, new]):
        place.secrets = known
        async with town.runtime.database.unit_of_work(town.admin) as uow:
            await commands.send_test(uow, endpoint_id=endpoint_id)
        await town.deliver(endpoint_id)
        assert place.attempts[-1].headers["webhook-signature"].count("v1,") == 2
    assert (len(place.taken), place.unverified) == (3, 0)
    await town.rotate(endpoint_id, place)
    newest = place.secrets.pop()
    place.secrets = [old]
    async with town.runtime.database.unit_of_work(town.admin) as uow:
        await commands.send_test(uow, endpoint_id=endpoint_id)
    await town.deliver(endpoint_id)
    assert place.unverified == 1
    place.secrets = [newest]
    await town.pass_time("1 day")
    expired = (
        "update belfry.webhook_secret set expires_at = now() where webhook_endpoint_id = $1 and expires_at is not null"
    )
    await town.stage.evidence.rows(expired, endpoint_id)
    await town.deliver(endpoint_id)
    assert place.attempts[-1].headers["webhook-signature"].count("v1,") == 1
    assert len(place.taken) == 4


async def test_secrets_are_sealed_and_stand_nowhere(town: HookTown) -> None:
    _, place = await town.endpoint("sealed", await town.client(*READS))
    secret = place.secrets[0].removeprefix(rules.SECRET_PREFIX)
    for table in ("webhook_secret", "webhook_endpoint", "outbox", "audit_event", "job"):
        for row in await town.stage.evidence.rows(f"select t::text from belfry.{table} t"):
            assert secret not in row[0]
            assert secret.encode().hex() not in row[0]


@pytest.mark.parametrize(
    ("behavior", "status"), [(Behavior.FAILS, 500), (Behavior.REDIRECTS, 302), (Behavior.THROTTLES, 429)]
)
async def test_what_is_not_taken_is_tried_again_by_the_table(
    town: HookTown, receiver: Receiver, behavior: Behavior, status: int
) -> None:
    endpoint_id, place = await town.endpoint(behavior, await town.client(*READS), behavior)
    async with town.runtime.database.unit_of_work(town.admin) as uow:
        await commands.send_test(uow, endpoint_id=endpoint_id)
    strays = receiver.strays
    waits: list[timedelta] = []
    row: Any = None
    for number in range(1, len(rules.RETRIES) + 2):
        await town.deliver(endpoint_id)
        [row] = await town.log(endpoint_id)
        if row["state"] != "WAITING":
            break
        assert (row["attempts"], row["status"]) == (number, status)
        waits.append(row["due_at"] - await town.stage.evidence.one("select now()"))
        await town.pass_time("30 hours")
        # Days of failure would disable it; here only the table counts.
        await town.stage.evidence.rows(NOT_FAILING, endpoint_id)
    assert receiver.strays == strays
    if behavior is Behavior.THROTTLES:
        assert (row["state"], len(waits), len(place.taken)) == ("DELIVERED", 1, 1)
        return
    assert (row["state"], len(place.attempts), row["attempts"]) == ("FAILED", 10, 10)
    for wait, wanted in zip(waits, rules.RETRIES, strict=True):
        assert wanted * 0.85 - timedelta(seconds=30) <= wait <= wanted * 1.1
    assert {each.message for each in place.attempts} == {place.attempts[0].message}
    log = await town.stage.evidence.rows(ATTEMPTS, row["id"])
    assert [each["number"] for each in log] == list(range(1, 11))


async def test_an_endpoint_that_is_gone_is_disabled_at_once_and_says_so(town: HookTown) -> None:
    endpoint_id, place = await town.endpoint("gone", await town.client(*READS), Behavior.IS_GONE)
    await town.street.open("ROADS")
    await town.follow()
    await town.deliver(endpoint_id)
    row = await town.row(endpoint_id)
    assert (row["state"], row["disabled_reason"], len(place.attempts)) == ("DISABLED", "GONE", 1)
    sql = "select count(*) from belfry.outbox where tenant_id = $1 and kind = 'webhook_endpoint.disabled'"
    assert await town.stage.evidence.one(sql, town.organization.id) == 1
    await town.street.open("ROADS")
    await town.follow()
    await town.deliver(endpoint_id)
    assert (len(place.attempts), len(await town.log(endpoint_id))) == (1, 2)


async def test_five_days_of_failure_disable_an_endpoint_and_its_owner_may_enable_it(town: HookTown) -> None:
    endpoint_id, place = await town.endpoint("failing", await town.client(*READS), Behavior.FAILS)
    await town.street.open("ROADS")
    await town.follow()
    await town.deliver(endpoint_id)
    assert (await town.row(endpoint_id))["state"] == "ENABLED"
    await town.pass_time("119 hours")
    await town.deliver(endpoint_id)
    assert (await town.row(endpoint_id))["state"] == "ENABLED"
    await town.pass_time("2 hours")
    await town.deliver(endpoint_id)
    row = await town.row(endpoint_id)
    assert (row["state"], row["disabled_reason"], row["version"]) == ("DISABLED", "FAILING", 2)
    await town.street.open("ROADS")  # while it was disabled: never told
    place.behavior = Behavior.TAKES
    async with town.runtime.database.unit_of_work(town.admin) as uow:
        await commands.update_endpoint(
            uow, endpoint_id=endpoint_id, expected_version=2, changes={"enabled": True}, allowed=frozenset()
        )
    await town.pass_time("30 hours")
    await town.deliver(endpoint_id)
    await town.follow()
    assert len(place.taken) == len(await town.log(endpoint_id)) == 2
    row = await town.row(endpoint_id)
    assert (row["state"], row["disabled_reason"], row["failing_since"], row["failures"]) == ("ENABLED", None, None, 0)


async def test_a_success_ends_the_count_of_days(town: HookTown) -> None:
    endpoint_id, place = await town.endpoint("recovers", await town.client(*READS), Behavior.FAILS)
    await town.street.open("ROADS")
    await town.follow()
    await town.deliver(endpoint_id)
    assert (await town.row(endpoint_id))["failures"] == 1
    place.behavior = Behavior.TAKES
    await town.pass_time("4 days")
    await town.deliver(endpoint_id)
    row = await town.row(endpoint_id)
    assert (row["failing_since"], row["failures"], len(place.taken)) == (None, 0, 2)


async def test_one_failure_leaves_the_rest_waiting_and_an_endpoint_alone(town: HookTown) -> None:
    endpoint_id, place = await town.endpoint("slow", await town.client(*READS), Behavior.FAILS)
    for _ in range(5):
        await town.street.open("ROADS")
    await town.follow()
    await town.deliver(endpoint_id)
    assert len(place.attempts) == 1
    sql = "select due_at > now() + interval '2 seconds' from belfry.job where subject_id = $1"
    assert await town.stage.evidence.one(sql, endpoint_id)
    place.behavior = Behavior.TAKES
    await town.pass_time("1 minute")
    await town.deliver(endpoint_id)
    assert len(place.taken) == 10


async def test_a_replay_sends_the_same_bytes_under_the_same_id(town: HookTown) -> None:
    endpoint_id, place = await town.endpoint("replayed", await town.client(*READS))
    await town.street.open("ROADS")
    await town.follow()
    await town.deliver(endpoint_id)
    first = place.attempts[0]
    delivery = (await town.log(endpoint_id))[0]
    async with town.runtime.database.unit_of_work(town.admin) as uow:
        await commands.replay(uow, delivery_id=delivery["id"])
    await town.deliver(endpoint_id)
    again = place.attempts[-1]
    assert (again.message, again.body) == (first.message, first.body)
    assert place.again == 1


async def test_nothing_of_an_answer_is_kept_but_its_status(town: HookTown) -> None:
    for behavior in (Behavior.TAKES, Behavior.FAILS, Behavior.IS_GONE):
        endpoint_id, place = await town.endpoint(f"told-{behavior}", await town.client(*READS), behavior)
        async with town.runtime.database.unit_of_work(town.admin) as uow:
            await commands.send_test(uow, endpoint_id=endpoint_id)
        await town.deliver(endpoint_id)
        assert len(place.attempts) == 1
    for table in ("webhook_delivery", "webhook_attempt", "webhook_endpoint"):
        for row in await town.stage.evidence.rows(f"select to_jsonb(t)::text from belfry.{table} t"):
            assert "secret" not in row[0]


async def test_old_entries_of_the_log_and_spent_secrets_are_forgotten(town: HookTown) -> None:
    endpoint_id, place = await town.endpoint("old", await town.client(*READS))
    await town.rotate(endpoint_id, place)
    await town.street.open("ROADS")
    await town.follow()
    await town.deliver(endpoint_id)
    await town.street.open("ROADS")
    await town.follow()
    sql = "update belfry.webhook_delivery set created_at = created_at - interval '31 days' where tenant_id = $1"
    await town.stage.evidence.rows(sql, town.organization.id)
    sql = "update belfry.webhook_secret set expires_at = now() - interval '1 second' where expires_at is not null"
    await town.stage.evidence.rows(sql)
    await town.stage.work(commands.FORGET, town.organization.id)
    assert [each["state"] for each in await town.log(endpoint_id)] == ["WAITING", "WAITING"]
    sql = "select count(*) from belfry.webhook_secret where webhook_endpoint_id = $1"
    assert await town.stage.evidence.one(sql, endpoint_id) == 1


async def test_a_deleted_endpoint_is_gone_with_all_that_is_its_own(town: HookTown) -> None:
    endpoint_id, _ = await town.endpoint("deleted", await town.client(*READS))
    await town.street.open("ROADS")
    await town.follow()
    await town.deliver(endpoint_id)
    async with town.runtime.database.unit_of_work(town.admin) as uow:
        await commands.delete_endpoint(uow, endpoint_id=endpoint_id)
    await town.follow()
    for table in ("webhook_endpoint", "webhook_secret", "webhook_delivery", "webhook_attempt"):
        sql = f"select count(*) from belfry.{table} where tenant_id = $1"
        assert await town.stage.evidence.one(sql, town.organization.id) == 0
    sql = "select count(*) from belfry.job where tenant_id = $1 and kind = $2"
    assert await town.stage.evidence.one(sql, town.organization.id, FOLLOW) == 0


async def test_every_refusal_leaves_no_trace(town: HookTown) -> None:
    client_id = await town.client(*READS)
    endpoint_id, _ = await town.endpoint("kept", client_id)
    sql = "select count(*) from belfry.audit_event where tenant_id = $1"
    before = await town.stage.evidence.one(sql, town.organization.id)

    async def create(role: Role = Role.ADMIN, **changes: Any) -> None:
        given: dict[str, Any] = {
            "api_client_id": client_id,
            "url": "https://hooks.example.com/x",
            "description": "",
            "event_types": [],
        }
        async with town.runtime.database.unit_of_work(town.organization.actor(role)) as uow:
            await commands.create_endpoint(uow, town.runtime.vault, allowed=frozenset(), **(given | changes))

    async def change(**changes: Any) -> None:
        async with town.runtime.database.unit_of_work(town.admin) as uow:
            await commands.update_endpoint(
                uow, endpoint_id=endpoint_id, expected_version=changes.pop("expected", None),
                changes=cast("commands.EndpointChanges", changes), allowed=frozenset(),
            )  # fmt: skip

    urls = (
        "http://hooks.example.com", "https://hooks.example.com:8443", "https://127.1", "https://user@example.com",
        "ftp://example.com", "https://localhost", "x", "https://hooks.example.com\n", "file:///etc/passwd",
    )  # fmt: skip
    attempts = [
        (create(Role.COORDINATOR), "FORBIDDEN"),
        (create(url=" "), "REQUIRED"),
        (create(event_types=["conversation.exploded"]), "INVALID"),
        (create(api_client_id=endpoint_id), "API_CLIENT_IS_UNKNOWN"),
        (change(expected=9, description="x"), "CONFLICT"),
        (change(event_types=["x"]), "INVALID"),
        *((create(url=url), "INVALID") for url in urls if url.strip() == url),
        *((change(url=url), "INVALID") for url in urls if url.strip() == url),
    ]
    for attempt, code in attempts:
        with pytest.raises(BelfryError) as caught:
            await attempt
        assert caught.value.code == code
    assert await town.stage.evidence.one(sql, town.organization.id) == before
    await change(enabled=False)
    for attempt in (commands.send_test, commands.replay):
        with pytest.raises(BelfryError) as caught:
            async with town.runtime.database.unit_of_work(town.admin) as uow:
                if attempt is commands.send_test:
                    await commands.send_test(uow, endpoint_id=endpoint_id)
                else:
                    await commands.replay(uow, delivery_id=endpoint_id)
        assert caught.value.code in ("ENDPOINT_IS_DISABLED", "NOT_FOUND")


def test_every_type_is_a_fact_that_somebody_records_and_no_handler_is_needed() -> None:
    assert set(queries.EVENT_TYPES) <= set(EVENTS)
    assert {each.partition(".")[0] for each in queries.EVENT_TYPES} <= set(rules.SUBJECT_TAGS)
    assert {commands.FOLLOW, commands.DELIVER, commands.FORGET} <= set(JOBS)
    assert "webhook_endpoint.tested" not in HEARD
