"""Brings what is due to those who deliver it: one lane a destination, none in another's way.

Law: a destination that answers gets more at once, one that doesn't gets less and then a rest,
for all its mail; others don't notice. What a delivery came to is settled, or tried to be
until the storage takes it. Nothing is polled: the queue says when to look again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from smtpcheck.facts.delivery import Attempt
from smtpcheck.relay.assess import Office
from smtpcheck.relay.deliver import last_outcomes
from smtpcheck.relay.queue import Claim, Queue, QueueError, Settlement, StaleError, domain_of

MAX_LANES = 500
"""Destinations worked on at once."""
MAX_ALARMS = 1000
"""Hundreds of messages warned about or given up before anything else is looked at."""
INITIAL = 5
"""Connections at once to a destination of which nothing is known."""
LOOK = 60.0
"""Seconds after which the queue is looked at in any case."""
AGAIN = 1.0
"""Seconds before storage that failed is tried again, or a lane that found all its mail taken."""

Deliver = Callable[[Claim], Awaitable[tuple[Attempt, ...]]]


@dataclass(slots=True)
class _Lane:
    """The work for one destination."""

    domain: str
    failures: int
    width: float
    missed: int = 0  # in a row, in this visit
    more: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: deque[Claim] = field(default_factory=deque)
    running: set[asyncio.Task[None]] = field(default_factory=set)
    down: bool = False

    def over(self, task: asyncio.Task[None]) -> None:
        """One delivery is: there is room for another."""
        self.running.discard(task)
        self.more.set()


class Dispatcher:
    """Runs from `run` to `stop`. `fault` hears of what should not have been raised."""

    def __init__(
        self,
        queue: Queue,
        office: Office,
        deliver: Deliver,
        *,
        reached: Callable[[tuple[Attempt, ...]], bool],
        local: Callable[[str], bool],
        now: Callable[[], float],
        concurrency: int = 20,
        connections: int = 200,
        over: Callable[[str, Attempt], None] = lambda *_: None,
        fault: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._queue, self._office, self._deliver = queue, office, deliver
        self._reached, self._local, self._now = reached, local, now
        self._concurrency, self._slots = concurrency, asyncio.Semaphore(connections)
        self._bounces = asyncio.Semaphore(max(1, connections // 2))  # strangers choose where to
        self._over, self._fault = over, fault
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._resting: dict[str, float] = {}  # destinations that don't answer, until when
        self._wake = asyncio.Event()
        self._stopping = False

    def accepted(self, domain: str) -> None:
        """Mail for `domain` has come."""
        lane = self._lanes.get(domain)
        if lane is not None:
            lane.more.set()
        elif self._resting.get(domain, 0.0) <= self._now():
            self._open(domain, 0)

    def wake(self) -> None:
        """Something in the queue was changed from outside."""
        self._resting.clear()
        self._wake.set()

    async def run(self, *, until_idle: bool = False) -> None:
        """Work until stopped, or until nothing is due."""
        while not self._stopping:
            self._wake.clear()
            try:
                pause = await self._look()
            except Exception as error:  # whatever it is, there is other mail
                self._fault(error)
                pause = AGAIN
            if until_idle and not self._lanes and pause > 0:
                return
            try:
                await asyncio.wait_for(self._wake.wait(), min(max(pause, 0.01), LOOK))
            except TimeoutError:
                continue

    async def _look(self) -> float:
        """Open lanes for all that is due; seconds until there may be more."""
        now = self._now()
        for _ in range(MAX_ALARMS):
            alarmed = await self._queue.claim_alarmed(now, 100)
            if not alarmed:
                break
            await asyncio.gather(*(self._alarm(claim, now) for claim in alarmed))
        self._resting = {domain: end for domain, end in self._resting.items() if end > now}
        for destination in await self._queue.ready(now, MAX_LANES + len(self._lanes)):
            if destination.domain not in self._resting:
                self._open(destination.domain, destination.failures)
        due = await self._queue.next_due(now)
        rested = min(self._resting.values(), default=now + LOOK)
        return rested - now if due is None else min(due, rested) - now

    async def _alarm(self, claim: Claim, now: float) -> None:
        try:
            settlement = self._office.after_alarm(claim, now)
        except Exception as error:  # a bug of ours: this one is looked at later
            self._fault(error)
            later = now + self._office.schedule.furthest()
            settlement = Settlement(claim=claim, changes=(), alarm=later)
        await self._settle(settlement)

    def _open(self, domain: str, failures: int) -> None:
        if domain in self._lanes or len(self._lanes) >= MAX_LANES or self._stopping:
            return
        self._resting.pop(domain, None)
        width = self._concurrency if self._local(domain) else 1 if failures else INITIAL
        lane = self._lanes[domain] = _Lane(domain, failures, min(width, self._concurrency))
        task = asyncio.get_running_loop().create_task(self._work(lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, lane: _Lane) -> None:
        until = 0.0
        try:
            while True:
                lane.more.clear()
                await self._fill(lane)
                if not lane.running:
                    break
                await lane.more.wait()
            for claim in lane.waiting:
                await self._queue.unclaim(claim)
            until = self._until(lane)
            missed = self._now() if lane.down else 0.0
            await self._queue.rest(lane.domain, until=until, failures=lane.failures, missed=missed)
        except Exception as error:
            self._fault(error)
            until = self._now() + AGAIN
        finally:
            del self._lanes[lane.domain]
            if until:
                self._resting[lane.domain] = until
            if lane.more.is_set() and not until:
                self._open(lane.domain, 0)
            self._wake.set()

    def _until(self, lane: _Lane) -> float:
        if not lane.down:
            lane.failures = 0
            return 0.0
        lane.failures += 1  # one, however many messages were tried in this visit
        office = self._office
        return self._now() + office.schedule.delay(
            lane.failures, greylisted=False, chance=office.chance
        )

    async def _fill(self, lane: _Lane) -> None:
        """Start as many deliveries as the lane is wide."""
        while not lane.down and not self._stopping and len(lane.running) < int(lane.width):
            if not lane.waiting:
                limit = 2 * int(lane.width)
                lane.waiting += await self._queue.claim(lane.domain, self._now(), limit)
            if not lane.waiting:
                return
            work = self._one(lane, lane.waiting.popleft())
            task = asyncio.get_running_loop().create_task(work)
            lane.running.add(task)
            task.add_done_callback(lane.over)

    async def _one(self, lane: _Lane, claim: Claim) -> None:
        try:
            bounce = not claim.envelope.reverse_path
            async with (
                self._bounces if bounce else nullcontext(),
                nullcontext() if self._local(lane.domain) else self._slots,
            ):
                attempts = await self._deliver(claim)
            self._learn(lane, self._reached(attempts))
            message_id = claim.envelope.message_id
            for attempt in attempts:
                self._over(message_id, attempt)
            outcomes = last_outcomes(attempts)
            local = self._local(lane.domain)
            settlement = self._office.after_walk(
                claim, outcomes, attempts, self._now(), local=local
            )
            await self._settle(settlement)
        except Exception as error:  # a bug of ours costs this message a delay, not the relay
            self._fault(error)
            lane.down = True
            await self._queue.unclaim(claim)

    def _learn(self, lane: _Lane, reached: bool) -> None:
        """Additive increase, multiplicative decrease; at less than one the lane is closed."""
        if reached:
            lane.failures = lane.missed = 0
            lane.width = min(lane.width + 1, self._concurrency)
        else:
            lane.missed += 1
            lane.width /= 2
            lane.down = lane.width < 1 or lane.missed >= INITIAL

    async def _settle(self, settlement: Settlement) -> None:
        while True:
            try:
                await self._queue.settle(settlement, now=self._now())
                break
            except StaleError:
                return
            except QueueError as error:
                self._fault(error)
                await asyncio.sleep(AGAIN)
        for report in settlement.reports:
            for path in report.envelope.forward_paths:
                self.accepted(domain_of(path.address))

    async def stop(self, grace: float = 30.0) -> None:
        """Start nothing new, finish transactions under way; after `grace` seconds break off."""
        self._stopping = True
        self._wake.set()
        for lane in self._lanes.values():
            lane.more.set()
        working = {*self._tasks, *(task for lane in self._lanes.values() for task in lane.running)}
        if working:
            _, late = await asyncio.wait(working, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
