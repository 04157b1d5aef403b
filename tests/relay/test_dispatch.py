"""What the dispatcher makes of bad destinations, bad rows and bad storage; time is a number."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from smtpcheck.facts.delivery import Attempt, Because, Outcome, RecipientOutcome, Route
from smtpcheck.relay.agent import reached
from smtpcheck.relay.assess import Office
from smtpcheck.relay.dispatch import Dispatcher
from smtpcheck.relay.queue import Action, Claim, Selection
from smtpcheck.relay.schedule import SECONDS, Schedule
from smtpcheck.relay.sqlite_queue import SqliteQueue
from smtpcheck.relay.trace import new_message_id
from tests.relay.acceptor import envelope


def came(claim: Claim, outcome: Outcome) -> tuple[Attempt, ...]:
    outcomes = tuple(RecipientOutcome(address=r.address, outcome=outcome) for r in claim.recipients)
    began = datetime.now(UTC)
    route = Route(domain=claim.domain, because=Because.MX)
    return (Attempt(route=route, started=began, ended=began, outcomes=outcomes),)


@dataclass
class World:
    """A queue and its dispatcher; hosts at `dead` are not reached. `now` is the clock."""

    queue: SqliteQueue
    schedule: Schedule
    now: float = 1000.0
    tried: list[str] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)

    async def deliver(self, claim: Claim) -> tuple[Attempt, ...]:
        self.tried.append(claim.domain)
        await asyncio.sleep(0)
        dead = claim.domain == "dead.test"
        return came(claim, Outcome.DEFERRED if dead else Outcome.DELIVERED)

    async def work(self) -> None:
        """Do what is due."""
        office = Office(
            hostname="us.test",
            postmaster="p@us.test",
            schedule=self.schedule,
            chance=lambda: 0.5,
        )
        dispatcher = Dispatcher(
            self.queue,
            office,
            self.deliver,
            reached=reached,
            local=lambda _: False,
            now=lambda: self.now,
            fault=self.faults.append,
        )
        await asyncio.wait_for(dispatcher.run(until_idle=True), 20)

    async def accept(self, *addresses: str) -> str:
        message_id = new_message_id()
        alarm = self.now + self.schedule.warning
        await self.queue.accept(envelope(message_id, *addresses), b"x", now=self.now, alarm=alarm)
        return message_id


@asynccontextmanager
async def world(data: Path, schedule: Schedule = SECONDS) -> AsyncIterator[World]:
    queue = SqliteQueue(data)
    yield World(queue, schedule)
    await queue.close()


def test_a_backlog_for_a_dead_destination_expires(tmp_path: Path) -> None:
    """One message a visit is tried, and yet all thirty are over soon after their lifetime."""

    async def main() -> None:
        async with world(tmp_path) as here:
            for _ in range(30):
                await here.accept("a@dead.test")
            for _ in range(45):
                await here.work()
                here.now += 1
            left = await here.queue.entries(Selection(domain="dead.test"), limit=99)
            assert left == ()
            assert here.tried.count("dead.test") < 60
            assert here.faults == []

    asyncio.run(main())


def test_a_clock_that_jumps_expires_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            for _ in range(9):
                await here.accept("a@dead.test")
            await here.work()
            here.now += 1e6
            await here.work()
            assert len(await here.queue.entries(Selection(), limit=99)) == 9

    asyncio.run(main())


def test_a_visit_is_one_failure_however_many_messages_it_had(tmp_path: Path) -> None:
    """Five at once to a dead host: due again in 30 minutes, not in 2 hours."""

    async def main() -> None:
        async with world(tmp_path, Schedule(jitter=0)) as here:
            for _ in range(5):
                await here.accept("a@dead.test")
            await here.work()
            (found,) = await here.queue.ready(1e12, 9)
            assert (found.failures, found.due) == (1, 1000 + 30 * 60)

    asyncio.run(main())


def test_an_unreadable_message_is_held_and_harms_no_other(tmp_path: Path) -> None:
    """Told once; the others are delivered; it is listed, and can be removed."""

    async def main() -> None:
        async with world(tmp_path) as here:
            due = await here.accept("a@one.test")
            alarmed = await here.accept("a@two.test")
        with sqlite3.connect(tmp_path / "queue.db") as db:
            db.execute("UPDATE message SET envelope = x'7b7d'")
            db.execute("UPDATE message SET alarm = 1 WHERE id = ?", (alarmed,))
        db.close()
        async with world(tmp_path) as here:
            await here.accept("a@one.test")
            for _ in range(3):  # each fault is a pause
                await here.work()
                here.now += 2
            assert here.tried == ["one.test"]
            assert sorted(str(fault)[-20:] for fault in here.faults) == sorted([due, alarmed])
            listed = await here.queue.entries(Selection(), limit=9)
            assert [each.envelope.message_id for each in listed] == sorted([due, alarmed])
            for each in (due, alarmed):
                await here.queue.change(Action.REMOVE, Selection(message_id=each), now=here.now)
            assert await here.queue.entries(Selection(), limit=9) == ()

    asyncio.run(main())
