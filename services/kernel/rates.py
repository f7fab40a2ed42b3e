# SPDX-License-Identifier: EUPL-1.2
"""Rate limits of public doors: a count for each subject in a window that begins with its first use.

Counts live in Valkey, so that all processes share them. While Valkey is away every process counts for itself: a limit
is then kept per process, and never becomes an outage. Subjects are kept only as keyed hashes, for one window.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

KEY_PREFIX = "belfry:rate"
SUBJECT_BYTES = 16
AWAY_SECONDS = 5.0
"""How long a process counts by itself before it asks Valkey again."""

LOCAL_SUBJECTS_MAX = 10_000
"""How many subjects a process counts by itself; the one that was quiet longest is forgotten first."""

# One script, so that the count and its end are set together: a count without an end would never be lifted.
TAKE = """
local used = redis.call('INCR', KEYS[1])
if used == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
if used <= tonumber(ARGV[1]) then
  return 0
end
return math.max(redis.call('PTTL', KEYS[1]), 1)
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count_max` uses by one subject within `window_seconds` of its first use."""

    name: str
    count_max: int
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a use is allowed; when it is not, after how many whole seconds (at least 1) the next one is."""

    allowed: bool
    retry_after_seconds: int = 0


class RateCounter:
    """Counts uses. Refused uses are counted too, but do not prolong the window."""

    def __init__(
        self, valkey: redis.Redis, *, secret: bytes, monotonic_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """`secret` has 16 to 64 bytes and is the same in all processes: it keys the hashes of subjects."""
        self._script = valkey.register_script(TAKE)
        self._secret = secret
        self._seconds = monotonic_seconds
        self._local = _LocalCounts(monotonic_seconds)
        self._away_until = 0.0

    async def take(self, limit: Limit, subject: str) -> Verdict:
        """Count one use of a subject, such as an address. One round trip; never raises because Valkey is away."""
        key = f"{KEY_PREFIX}:{limit.name}:{self._hashed(subject)}"
        if self._seconds() >= self._away_until:
            try:
                return _verdict(
                    int(await self._script(keys=[key], args=[limit.count_max, limit.window_seconds * 1000]))
                )
            except (RedisError, OSError, TimeoutError) as error:
                self._away_until = self._seconds() + AWAY_SECONDS
                log.warning("rates_counted_locally", error=type(error).__name__)
        return _verdict(self._local.take(key, limit))

    def _hashed(self, subject: str) -> str:
        return blake2b(subject.encode(), key=self._secret, digest_size=SUBJECT_BYTES).hexdigest()


class _LocalCounts:
    """The counts of one process."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, key: str, limit: Limit) -> int:
        """Milliseconds to wait; 0 when the use is allowed."""
        now = self._seconds()
        ends_at, used = self._windows.pop(key, (0.0, 0))
        if ends_at <= now:
            ends_at, used = now + limit.window_seconds, 0
        self._windows[key] = (ends_at, used + 1)
        if len(self._windows) > LOCAL_SUBJECTS_MAX:
            self._windows.popitem(last=False)
        return 0 if used < limit.count_max else max(1, int((ends_at - now) * 1000))


def _verdict(wait_milliseconds: int) -> Verdict:
    return Verdict(wait_milliseconds == 0, -(-wait_milliseconds // 1000))
