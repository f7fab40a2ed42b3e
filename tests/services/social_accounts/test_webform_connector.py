# SPDX-License-Identifier: EUPL-1.2
"""The contact form as a network: nothing to call, nothing that could be lost."""

from datetime import UTC, datetime
from uuid import uuid4

import orjson
import pytest

from services.kernel.clock import utc_now
from services.kernel.outbound import OutboundClient
from services.social_accounts.networks import NETWORKS, connector_for
from services.social_accounts.networks.errors import ContractBroken
from services.social_accounts.networks.interface import (
    Account,
    Channel,
    Connector,
    Draft,
    InboundKind,
    ItemRef,
    Prepared,
    Publish,
    RawEvent,
    Reach,
    ReplyTarget,
    Sent,
)
from services.social_accounts.networks.webform import TEXT_MAX, WebformConnector

FORM = WebformConnector()
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ACCOUNT = Account("f1", "", "molendam", "molendam")
TARGET = ReplyTarget(ItemRef("thread-1", "1"), ItemRef("message-2", "1"))


def submission(message: str = "thread-1", **fields: object) -> RawEvent:
    body = {"name": "Noor Bakker", "email": "noor@example.test", "text": "De lamp is stuk.", "language": "nl"}
    body |= {"reference": "M-1", "thread": "thread-1"}
    return RawEvent("f1", "submission", message, "1", NOW, orjson.dumps({**body, **fields}))


def test_the_registry_offers_both_networks_and_each_answers_the_whole_protocol() -> None:
    assert set(NETWORKS) == {"BLUESKY", "WEBFORM"}
    assert isinstance(connector_for("WEBFORM"), WebformConnector)
    for connector in NETWORKS.values():
        assert all(hasattr(connector, name) for name in vars(Connector) if not name.startswith("_"))
        capabilities = connector.capabilities()
        assert set(capabilities.text_limits) == set(capabilities.publish)


def test_a_submission_is_a_message_of_its_own_thread_and_its_own_author() -> None:
    [fact] = FORM.parse(submission())
    assert (fact.kind, fact.channel, fact.text) == (InboundKind.MESSAGE, Channel.FORM, "De lamp is stuk.")
    assert (fact.root_id, fact.parent_id, fact.languages) == ("thread-1", None, ("nl",))
    assert fact.author is not None
    assert (fact.author.remote_id, fact.author.display_name) == ("thread-1", "Noor Bakker")
    assert fact.author.email == "noor@example.test"


def test_a_follow_up_belongs_to_the_first_submission_and_the_same_author() -> None:
    [fact] = FORM.parse(submission("message-2", name=None, email=""))
    assert (fact.remote_id, fact.root_id, fact.parent_id) == ("message-2", "thread-1", "thread-1")
    assert fact.author is not None
    assert (fact.author.remote_id, fact.author.display_name, fact.author.email) == ("thread-1", None, None)
    assert fact.reply_target == TARGET


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"text": 7, "thread": "t"}', b'{"text": "x", "thread": ""}'])
def test_a_body_that_is_not_a_submission_breaks_the_contract(body: bytes) -> None:
    with pytest.raises(ContractBroken):
        FORM.parse(RawEvent("f1", "submission", "m", "1", NOW, body))


def test_a_letter_the_database_cannot_hold_is_replaced() -> None:
    [fact] = FORM.parse(submission(text="a\x00b", name="\x00"))
    assert fact.text == "a\ufffdb"


@pytest.mark.parametrize(
    ("text", "target", "codes"),
    [
        ("x" * TEXT_MAX, TARGET, []),
        ("x" * (TEXT_MAX + 1), TARGET, ["TEXT_TOO_LONG"]),
        ("  ", TARGET, ["TEXT_EMPTY"]),
        ("half\ud83d", TARGET, ["TEXT_UNUSABLE"]),
        ("x", None, ["REPLY_TARGET_MISSING"]),
    ],
)
def test_what_is_wrong_with_an_answer_is_told(text: str, target: ReplyTarget | None, codes: list[str]) -> None:
    made = FORM.prepare(Draft(uuid4(), Publish.DIRECT, text, NOW, target), ACCOUNT)
    assert ([] if isinstance(made, Prepared) else [problem.code for problem in made]) == codes


async def test_an_answer_is_delivered_at_once_under_its_delivery_s_own_id() -> None:
    delivery = uuid4()
    made = FORM.prepare(Draft(delivery, Publish.DIRECT, "Hij is gemaakt.", NOW, TARGET), ACCOUNT)
    assert isinstance(made, Prepared)
    assert Prepared.from_bytes(made.to_bytes()) == made
    async with OutboundClient() as outbound:
        reach = Reach(outbound, utc_now)
        sent, found = await FORM.send(made, ACCOUNT, reach), await FORM.find_sent(made, ACCOUNT, NOW, reach)
    assert isinstance(found, Sent)
    assert sent.remote_id == found.remote_id == str(delivery)
