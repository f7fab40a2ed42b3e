# SPDX-License-Identifier: EUPL-1.2
"""How figures are defined, in plain Python: the oracle that every SQL form of them is tested against.

Definition version 1 is frozen: a change makes version 2 and never recomputes version 1. A figure whose denominator is
zero has no value; it is not zero. Percentiles are nearest rank. Seconds are seconds of wall time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from math import ceil, inf

from services.kernel.errors import BadUserInput

DEFINITION_VERSION = 1
PERIOD_DAYS = 28
"""How far a figure looks back when no period is asked for."""

BUCKET_SECONDS = (15 * 60, 3_600, 2 * 3_600, 4 * 3_600, 8 * 3_600, 24 * 3_600, 72 * 3_600)
"""The upper bounds of the first seven buckets of a response-time histogram; the eighth has none."""

SERIES_POINTS_MAX = 100
"""What a series is priced as, and what it has at the most."""

VIEWER_N_MIN = 5
"""Somebody who is a VIEWER only sees no figure over fewer items than this."""


class Granularity(StrEnum):
    """How long one point of a series is."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


_DAYS_AT_LEAST = {Granularity.DAY: 1, Granularity.WEEK: 7, Granularity.MONTH: 28}


def check_series(*, since: datetime | None, until: datetime | None, granularity: Granularity, now: datetime) -> None:
    """Refuse a period of more points than a series may have. Raises BadUserInput."""
    end = until or now
    # The period is cut at both ends, and a day of 23 hours makes room for one more.
    longest = timedelta(days=(SERIES_POINTS_MAX - 2) * _DAYS_AT_LEAST[granularity])
    if since is not None and end - since > longest:
        raise BadUserInput("A series has at most {count} points.", count=SERIES_POINTS_MAX)


@dataclass(frozen=True, slots=True)
class Observation:
    """One wait: how long so far or in the end, and whether an answer ended it. `inf`: closed without an answer."""

    seconds: float
    answered: bool


@dataclass(frozen=True, slots=True)
class CensoredMedian:
    """The median wait with unanswered ones counted. Where it is not reached, how long it is at the least."""

    seconds: float | None
    at_least_seconds: float | None


def nearest_rank(values: Sequence[float], share: Fraction) -> float | None:
    """The smallest value that at least this share of all values does not exceed; None of no values."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def censored_median(observations: Iterable[Observation]) -> CensoredMedian:
    """Kaplan and Meier's estimate: the first instant at which at most half are still waiting.

    At equal times answers come before those who are merely still waiting.
    """
    known = list(observations)
    survival = Fraction(1)
    for time in sorted({each.seconds for each in known if each.answered}):
        at_risk = sum(1 for each in known if each.seconds >= time)
        answered = sum(1 for each in known if each.answered and each.seconds == time)
        survival *= 1 - Fraction(answered, at_risk)
        if survival <= Fraction(1, 2):
            return CensoredMedian(time, None)
    finite = [each.seconds for each in known if each.seconds != inf]
    return CensoredMedian(None, max(finite, default=None))


def buckets(seconds: Iterable[float]) -> list[int]:
    """How many waits fall into each of the eight buckets."""
    counts = [0] * (len(BUCKET_SECONDS) + 1)
    for each in seconds:
        counts[next((place for place, bound in enumerate(BUCKET_SECONDS) if each <= bound), len(BUCKET_SECONDS))] += 1
    return counts


def ratio(numerator: int, denominator: int) -> Fraction | None:
    """Their quotient; None, never zero, when there is nothing to divide by."""
    return Fraction(numerator, denominator) if denominator else None


@dataclass(frozen=True, slots=True)
class OutboundMix:
    """What was said, each item counted once: on its own account, passed on, in answer, or offered unasked."""

    starter: int
    reshare: int
    reply: int
    proactive: int

    @property
    def total(self) -> int:
        return self.starter + self.reshare + self.reply + self.proactive

    @property
    def interaction_ratio(self) -> Fraction | None:
        return ratio(self.reply + self.proactive, self.total)

    @property
    def megaphone_ratio(self) -> Fraction | None:
        return ratio(self.starter, self.total)

    @property
    def reshare_share(self) -> Fraction | None:
        return ratio(self.reshare, self.total)
