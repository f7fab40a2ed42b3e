# SPDX-License-Identifier: EUPL-1.2
"""The reply gate and the claim columns as pure rules: every condition has a refusal of its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.conversations.rules import (
    Attempt,
    ConversationState,
    Hold,
    ReplyPurpose,
    Standing,
    check_holds,
    check_reply,
    check_text,
    quotes_private,
)
from services.kernel.errors import DomainError

NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
HOLDER, COLLEAGUE, STRANGER = UUID(int=1), UUID(int=2), UUID(int=3)
SEEN, NEWER = UUID(int=10), UUID(int=11)
RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

HELD = Hold(HOLDER, NOON + timedelta(minutes=5), fence=4)
CALM = Standing(ConversationState.OPEN, HELD, frozenset({COLLEAGUE}), SEEN, False, True, False)
GOOD = Attempt(HOLDER, 4, SEEN, ReplyPurpose.ANSWER, follow_up=False)


def code_of(attempt: Attempt, standing: Standing) -> str | None:
    try:
        check_reply(attempt, standing, now=NOON)
    except DomainError as refusal:
        return refusal.code
    return None


def test_the_holder_and_a_named_collaborator_may_answer() -> None:
    assert code_of(GOOD, CALM) is None
    assert code_of(replace(GOOD, author_id=COLLEAGUE, fence=None), CALM) is None


@pytest.mark.parametrize(
    ("attempt", "standing", "code"),
    [
        pytest.param(replace(GOOD, author_id=None), CALM, "NOT_PERMITTED", id="(a) a machine"),
        pytest.param(replace(GOOD, author_id=STRANGER), CALM, "CLAIM_IS_STALE", id="(a) somebody else"),
        pytest.param(replace(GOOD, fence=3), CALM, "CLAIM_IS_STALE", id="(a) an old fence"),
        pytest.param(replace(GOOD, fence=5), CALM, "CLAIM_IS_STALE", id="(a) a fence not given yet"),
        pytest.param(replace(GOOD, fence=None), CALM, "REQUIRED", id="(a) the holder without a fence"),
        pytest.param(replace(GOOD, author_id=STRANGER, fence=None), CALM, "REQUIRED", id="(a) a stranger without one"),
        pytest.param(replace(GOOD, author_id=COLLEAGUE), CALM, "CLAIM_IS_STALE", id="(a) a collaborator with one"),
        pytest.param(GOOD, replace(CALM, hold=replace(HELD, lease_until=NOON)), "CLAIM_IS_STALE", id="(a) lease over"),
        pytest.param(GOOD, replace(CALM, hold=Hold(None, None, 4)), "CLAIM_IS_STALE", id="(a) nobody holds it"),
        pytest.param(GOOD, replace(CALM, has_reply_on_its_way=True), "REPLY_IN_PROGRESS", id="(b) one on its way"),
        pytest.param(GOOD, replace(CALM, has_open_segment=False), "ALREADY_ANSWERED", id="(b) answered"),
        pytest.param(
            GOOD, replace(CALM, newest_citizen_message_id=NEWER), "CITIZEN_WROTE_MEANWHILE", id="(c) a newer message"
        ),
        pytest.param(replace(GOOD, last_seen_message_id=None), CALM, "CITIZEN_WROTE_MEANWHILE", id="(c) nothing seen"),
        pytest.param(GOOD, replace(CALM, formal=True), "FORMAL_NEEDS_REFERRAL", id="(g) a formal matter"),
        pytest.param(GOOD, replace(CALM, state=ConversationState.CLOSED), "INVALID_STATE", id="closed"),
    ],
)
def test_each_condition_has_its_own_refusal(attempt: Attempt, standing: Standing, code: str) -> None:
    assert code_of(attempt, standing) == code


def test_a_follow_up_adds_to_what_is_answered_but_not_to_what_is_on_its_way() -> None:
    follow_up = replace(GOOD, follow_up=True)
    assert code_of(follow_up, replace(CALM, has_open_segment=False)) is None
    assert code_of(follow_up, replace(CALM, has_reply_on_its_way=True)) == "REPLY_IN_PROGRESS"


def test_a_formal_matter_takes_a_referral_and_an_acknowledgement_only() -> None:
    formal = replace(CALM, formal=True)
    taken = {purpose for purpose in ReplyPurpose if code_of(replace(GOOD, purpose=purpose), formal) is None}
    assert taken == {ReplyPurpose.REFERRAL, ReplyPurpose.ACKNOWLEDGEMENT}


def test_whether_a_reply_passes_is_the_conjunction_of_all_conditions() -> None:
    either = (False, True)
    for fence, seen, undecided, open_wait, follow_up, formal, purpose, state in product(
        (3, 4), (SEEN, NEWER), either, either, either, either, ReplyPurpose, ConversationState
    ):
        standing = Standing(state, HELD, frozenset(), SEEN, undecided, open_wait, formal)
        passes = (
            fence == 4
            and seen == SEEN
            and not undecided
            and (open_wait or follow_up)
            and (not formal or purpose in (ReplyPurpose.REFERRAL, ReplyPurpose.ACKNOWLEDGEMENT))
            and state not in (ConversationState.CLOSED, ConversationState.REOPEN_REQUESTED)
        )
        assert (code_of(Attempt(HOLDER, fence, seen, purpose, follow_up), standing) is None) == passes


@RANDOM
@given(st.integers(-20, 20), st.integers(0, 3), st.sampled_from([HOLDER, STRANGER, None]))
def test_a_hold_counts_until_its_lease_ends_and_under_its_fence_only(
    minutes: int, fence: int, actor: UUID | None
) -> None:
    hold = Hold(HOLDER, NOON + timedelta(minutes=minutes), 2)
    passes = actor == HOLDER and fence == 2 and minutes > 0
    if passes:
        check_holds(hold, actor_id=actor, fence=fence, now=NOON)
    else:
        with pytest.raises(DomainError) as caught:
            check_holds(hold, actor_id=actor, fence=fence, now=NOON)
        assert (caught.value.code, caught.value.field) == ("CLAIM_IS_STALE", ("fence",))


SECRET = "my daughter has been ill since march and we owe the rent"


def test_a_run_of_eight_private_words_is_a_quotation() -> None:
    words = SECRET.split()
    assert quotes_private(f"Dear Ada: '{', '.join(words[2:10])}.'", [SECRET])
    assert quotes_private(f"Dear Ada {' '.join(words[2:10])} we wrote", [SECRET])
    assert not quotes_private(f"Dear Ada {' '.join(words[2:9])} we wrote", [SECRET])
    assert quotes_private(SECRET.upper(), ["nothing", SECRET])
    assert not quotes_private(SECRET, [])


@RANDOM
@given(st.lists(st.sampled_from("abc"), max_size=14), st.lists(st.sampled_from("abc"), max_size=14))
def test_a_quotation_is_found_wherever_the_run_stands(public: list[str], private: list[str]) -> None:
    runs = {tuple(private[place : place + 8]) for place in range(len(private) - 7)}
    shared = any(tuple(public[place : place + 8]) in runs for place in range(len(public) - 7))
    assert quotes_private("  ".join(public), [" ".join(private)]) == shared


def test_a_text_says_something_and_is_bounded() -> None:
    assert check_text("  yes \n") == "yes"
    assert check_text("x" * 10, length_max=10) == "x" * 10
    for text, code in (("", "REQUIRED"), (" \n\t", "REQUIRED"), ("x" * 11, "TOO_LONG")):
        with pytest.raises(DomainError) as caught:
            check_text(text, length_max=10, field="reason")
        assert (caught.value.code, caught.value.field) == (code, ("reason",))
