"""When a message is tried again, when its sender is warned, and when it is given up.

Law: pure; the clock and chance are given. Age alone never gives a message up: the tries that
belong to that age must have been made, so that a clock that jumps, or a relay that was off,
costs nobody a message. Times are seconds since the epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, repeat

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All in seconds. The last of `delays` repeats; `jitter` is a share, both ways."""

    delays: tuple[float, ...] = (30 * MINUTE, 1 * HOUR, 2 * HOUR, 4 * HOUR)
    greylisted: tuple[float, float] = (1 * MINUTE, 5 * MINUTE)
    """Shortest and longest delay after a 4yz at RCPT (RFC 6647 §4.5), doubling on the way."""
    jitter: float = 0.1
    warning: float = 4 * HOUR
    lifetime: float = 5 * DAY

    def delay(self, tries: int, *, greylisted: bool, chance: Callable[[], float]) -> float:
        """Until the next try, after `tries` (1 and up) that failed. `chance` is 0 to below 1.

        Greylisting is believed for the first tries alone: a refusal that stays is no greylist.
        """
        base = self.delays[min(tries, len(self.delays)) - 1]
        shortest, longest = self.greylisted
        quick = shortest * 2 ** min(tries - 1, 30)
        if greylisted and quick <= longest:
            base = min(base, quick)
        return base * (1 + self.jitter * (2 * chance() - 1))

    def furthest(self) -> float:
        """No try is ever due later than this from now."""
        return max(*self.delays, *self.greylisted) * (1 + self.jitter)

    def expires(self, *, received: float, tries: int, now: float) -> bool:
        """Whether to give up: the lifetime is over and half of its tries were made."""
        return now >= received + self.lifetime and tries >= self.tries_due() // 2

    def tries_due(self) -> int:
        """How many tries fit in a lifetime when none is missed."""
        elapsed, tries = 0.0, 1
        for delay in chain(self.delays, repeat(self.delays[-1])):
            elapsed += delay
            if elapsed > self.lifetime:
                return tries
            tries += 1
        raise AssertionError("delays never end")


SECONDS = Schedule(delays=(1, 2, 4), greylisted=(0.5, 1), warning=10, lifetime=30)
"""The test profile: the same shape, over in half a minute."""
