# SPDX-License-Identifier: EUPL-1.2
"""Figures as plain rules: the worked examples of the specification, and what holds for any numbers."""

from datetime import UTC, datetime
from fractions import Fraction
from math import inf
from random import Random
from statistics import median_low

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.workload.rules import (
    BUCKET_SECONDS,
    CensoredMedian,
    Observation,
    OutboundMix,
    buckets,
    censored_median,
    nearest_rank,
    ratio,
)

HOUR = 3_600
RANDOM = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def observations_of(seed: int) -> list[Observation]:
    chance = Random(seed)
    found: list[Observation] = []
    for _ in range(chance.randrange(12)):
        answered = chance.random() < 0.5
        closed_unanswered = not answered and chance.random() < 0.3
        found.append(Observation(inf if closed_unanswered else chance.randrange(8) * HOUR, answered))
    return found


def observations() -> st.SearchStrategy[list[Observation]]:
    return st.integers(0, 2**32).map(observations_of)


def hours(answered: list[int], still_open: list[int], unanswered: int = 0) -> list[Observation]:
    return [
        *(Observation(each * HOUR, answered=True) for each in answered),
        *(Observation(each * HOUR, answered=False) for each in still_open),
        *(Observation(inf, answered=False) for _ in range(unanswered)),
    ]


def test_twenty_two_starters_six_reshares_ten_replies_and_two_offers() -> None:
    mix = OutboundMix(starter=22, reshare=6, reply=10, proactive=2)
    assert mix.total == 40
    assert (mix.interaction_ratio, mix.megaphone_ratio) == (Fraction(30, 100), Fraction(55, 100))
    assert mix.reshare_share == Fraction(15, 100)


def test_answered_after_one_three_and_five_hours_with_two_still_open_is_a_median_of_five() -> None:
    waits = hours([1, 3, 5], [4, 10])
    assert censored_median(waits) == CensoredMedian(5 * HOUR, None)
    # The estimate itself, step by step: 4/5, then 3/4 of it, then half of that.
    assert survival(waits) == {1: Fraction(8, 10), 3: Fraction(6, 10), 5: Fraction(3, 10)}
    assert nearest_rank([1, 3, 5], Fraction(1, 2)) == 3


def survival(waits: list[Observation]) -> dict[int, Fraction]:
    left, found = Fraction(1), dict[int, Fraction]()
    for time in sorted({each.seconds for each in waits if each.answered}):
        at_risk = [each for each in waits if each.seconds >= time]
        left *= Fraction(len(at_risk) - sum(each.answered and each.seconds == time for each in at_risk), len(at_risk))
        found[int(time / HOUR)] = left
    return found


def test_forty_two_of_sixty_is_seven_tenths() -> None:
    assert ratio(42, 60) == Fraction(7, 10)


def test_friday_quarter_to_five_to_monday_ten_falls_into_the_bucket_below_seventy_two_hours() -> None:
    wall = datetime(2026, 10, 5, 10, tzinfo=UTC) - datetime(2026, 10, 2, 16, 45, tzinfo=UTC)
    assert wall.total_seconds() == 65 * HOUR + 15 * 60
    assert buckets([wall.total_seconds()]) == [0, 0, 0, 0, 0, 0, 1, 0]


def test_nothing_divided_by_nothing_has_no_value() -> None:
    assert ratio(0, 0) is None
    assert ratio(0, 3) == 0
    nothing = OutboundMix(0, 0, 0, 0)
    assert (nothing.interaction_ratio, nothing.megaphone_ratio, nothing.reshare_share) == (None, None, None)
    assert nearest_rank([], Fraction(1, 2)) is None
    assert censored_median([]) == CensoredMedian(None, None)


def test_where_half_are_never_answered_the_figure_says_how_long_it_is_at_the_least() -> None:
    assert censored_median(hours([1], [2, 9])) == CensoredMedian(None, 9 * HOUR)
    assert censored_median(hours([1], [], unanswered=3)) == CensoredMedian(None, 1 * HOUR)
    assert censored_median(hours([], [], unanswered=3)) == CensoredMedian(None, None)


def test_bounds_of_buckets_belong_to_the_lower_one() -> None:
    for place, bound in enumerate(BUCKET_SECONDS):
        assert buckets([bound])[place] == 1
        assert buckets([bound + 1])[place + 1] == 1
    assert buckets([0])[0] == 1


@RANDOM
@given(st.lists(st.integers(0, 400_000), max_size=30))
def test_every_wait_falls_into_exactly_one_bucket(seconds: list[int]) -> None:
    assert sum(buckets(seconds)) == len(seconds)


@RANDOM
@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(1, 10))
def test_the_nearest_rank_is_a_value_that_the_share_does_not_exceed(values: list[int], tenths: int) -> None:
    share = Fraction(tenths, 10)
    found = nearest_rank(values, share)
    assert found in values
    assert sum(each <= found for each in values) >= share * len(values)
    assert all(sum(each <= lower for each in values) < share * len(values) for lower in values if lower < found)
    assert nearest_rank(values, Fraction(1, 2)) == median_low(values)


@RANDOM
@given(st.lists(st.integers(0, 20), min_size=1, max_size=20))
def test_when_everybody_is_answered_the_censored_median_is_the_median(values: list[int]) -> None:
    assert censored_median(hours(values, [])) == CensoredMedian(median_low(values) * HOUR, None)


@RANDOM
@given(observations())
def test_the_median_is_the_first_time_at_which_at_most_half_still_wait(waits: list[Observation]) -> None:
    steps = survival(waits)
    reached = [time * HOUR for time, left in steps.items() if left <= Fraction(1, 2)]
    finite = [each.seconds for each in waits if each.seconds != inf]
    wanted = CensoredMedian(reached[0], None) if reached else CensoredMedian(None, max(finite, default=None))
    assert censored_median(waits) == wanted


@RANDOM
@given(observations(), st.integers(0, 7))
def test_leaving_one_question_unanswered_never_improves_the_figure(waits: list[Observation], hour: int) -> None:
    def worth(found: CensoredMedian) -> float:
        return inf if found.seconds is None else found.seconds

    answered = [*waits, Observation(hour * HOUR, answered=True)]
    given_up = [*waits, Observation(inf, answered=False)]
    assert worth(censored_median(given_up)) >= worth(censored_median(answered))


@RANDOM
@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_the_three_shares_add_to_one(starter: int, reshare: int, reply: int, proactive: int) -> None:
    mix = OutboundMix(starter, reshare, reply, proactive)
    shares = (mix.interaction_ratio, mix.megaphone_ratio, mix.reshare_share)
    if mix.total:
        assert sum(each for each in shares if each is not None) == 1
    else:
        assert shares == (None, None, None)
