"""How much one client may do in a while: connections, messages, recipients, failed logins.

Law: a bucket per client and kind that refills steadily; no more buckets than a bound, and a
full bucket is forgotten. The clock is given.
"""

from collections import OrderedDict
from dataclasses import dataclass

MAX_BUCKETS = 10_000
"""Clients remembered; the longest unseen is forgotten first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """Per client and minute; 0 is no limit. Short bursts of as many at once are fine."""

    connections: int = 600
    messages: int = 1200
    recipients: int = 6000
    failed_logins: int = 10


class Rate:
    """One limit for all clients."""

    def __init__(self, per_minute: int) -> None:
        self._capacity = float(per_minute)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, client: str, now: float) -> bool:
        """Whether one more is within the limit; it is not counted."""
        return not self._capacity or self._level(client, now) >= 1

    def count(self, client: str, now: float, many: int = 1) -> None:
        """It happened."""
        if self._capacity:
            self._buckets[client] = (self._level(client, now) - many, now)
            self._buckets.move_to_end(client)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)

    def take(self, client: str, now: float) -> bool:
        """Count one more if it is within the limit."""
        allowed = self.allows(client, now)
        if allowed:
            self.count(client, now)
        return allowed

    def _level(self, client: str, now: float) -> float:
        level, since = self._buckets.get(client, (self._capacity, now))
        return min(self._capacity, level + max(0.0, now - since) * self._capacity / 60)
