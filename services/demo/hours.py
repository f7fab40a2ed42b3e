# SPDX-License-Identifier: EUPL-1.2
"""When the demo's colleagues work and its citizens write. Local hours of an organization, instants in UTC."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

QUARTER = timedelta(minutes=15)
DAYS_AHEAD_MAX = 400
PERIODS_KEPT = 64
OUTSIDE_SHARE = 0.3
"""How many of all exchanges begin outside opening hours."""


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """The same hours on each working day. `days` counts from Monday, 0."""

    zone: ZoneInfo
    opens: int = 9
    closes: int = 17
    days: frozenset[int] = frozenset(range(5))

    def is_open(self, instant: datetime) -> bool:
        """Whether somebody works at this instant."""
        local = instant.astimezone(self.zone)
        return local.weekday() in self.days and self.opens <= local.hour < self.closes

    def after(self, start: datetime, minutes: float) -> datetime:
        """The instant, to the second, at which this many minutes of working time have passed since `start`."""
        left = timedelta(seconds=round(minutes * 60))
        day = start.astimezone(self.zone).date()
        for _ in range(DAYS_AHEAD_MAX):
            if day.weekday() in self.days:
                opens = datetime(day.year, day.month, day.day, self.opens, tzinfo=self.zone).astimezone(UTC)
                closes = datetime(day.year, day.month, day.day, self.closes, tzinfo=self.zone).astimezone(UTC)
                begins = max(start, opens)
                if begins + left < closes:
                    return begins + left
                left -= max(closes - begins, timedelta())
            day += timedelta(days=1)
        raise ValueError("There is no such working time.")


def quarter_before(instant: datetime) -> datetime:
    """The last full quarter of an hour; zones are whole quarters apart, so that it is one on every local clock."""
    return instant.replace(minute=instant.minute // 15 * 15, second=0, microsecond=0)


def moments(
    chance: random.Random, hours: WorkingHours, since: datetime, until: datetime, count: int, *, outside: float
) -> list[datetime]:
    """Instants in order at which citizens write, `outside` of them when nobody works. Both ends are full quarters."""
    inside, others, weights = _quarters(hours, since, until)
    outside_count = round(count * outside) if inside else count
    drawn = chance.choices(others, weights, k=outside_count) if outside_count else []
    if count > outside_count:
        drawn += chance.choices(inside, k=count - outside_count)
    return sorted(each + timedelta(seconds=chance.randrange(QUARTER // timedelta(seconds=1))) for each in drawn)


@lru_cache(maxsize=PERIODS_KEPT)
def _quarters(
    hours: WorkingHours, since: datetime, until: datetime
) -> tuple[list[datetime], list[datetime], list[float]]:
    quarters = [since + place * QUARTER for place in range((until - since) // QUARTER)]
    inside = [each for each in quarters if hours.is_open(each)]
    others = [each for each in quarters if not hours.is_open(each)]
    return inside, others, [_weight(each.astimezone(hours.zone)) for each in others]


def _weight(local: datetime) -> float:
    """How likely somebody writes at this hour outside working hours: evenings and weekends, hardly at night."""
    if local.hour < 7:
        return 0.05
    if local.hour < 9:
        return 0.6
    return 0.7 if local.weekday() >= 5 else 1.0


def pick(chance: random.Random, items: Sequence[str]) -> str:
    """One of several texts."""
    return items[chance.randrange(len(items))]
