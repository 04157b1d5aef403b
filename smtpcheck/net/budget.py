"""How long a run may take and how many connections it may make: our manners towards a peer."""

import asyncio
from collections import Counter

from smtpcheck.facts.host import MailHost
from smtpcheck.limits import Limits


class Clock:
    """How long the whole run may still take."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._end = self._began + seconds

    def now(self) -> float:
        """Seconds since the run began."""
        return self._loop.time() - self._began

    def left(self) -> float:
        """Seconds until the run must end, 0 when it is over."""
        return max(0.0, self._end - self._loop.time())


class Gate:
    """So many connections at once in the whole run, and so many in all to one address and port."""

    def __init__(self, limits: Limits) -> None:
        self._at_once = asyncio.Semaphore(limits.connections)
        self._in_all = limits.connections_per_port
        self._made: Counter[tuple[str, int]] = Counter()

    def allows(self, host: MailHost) -> bool:
        """Whether one more may be made to `host`; if so it is counted."""
        key = (host.address, host.port)
        if self._made[key] >= self._in_all:
            return False
        self._made[key] += 1
        return True

    async def enter(self) -> None:
        """Wait for a turn."""
        await self._at_once.acquire()

    def leave(self) -> None:
        """Let the next one in."""
        self._at_once.release()
