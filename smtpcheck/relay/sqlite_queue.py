"""The queue in SQLite: one database, one thread that writes it, large contents beside it.

Law: every change is a function of the database, run by the Writer and committed with its
neighbours. Who works on what is in memory alone, so a crash frees it. Nothing reads the
whole queue: what is due is found by index, through the table of destinations.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic

from smtpcheck.facts.delivery import Envelope
from smtpcheck.relay import rows
from smtpcheck.relay.queue import (
    Action,
    BrokenError,
    Claim,
    Destination,
    Entry,
    FullError,
    LockedError,
    QueueError,
    Selection,
    Settlement,
    StaleError,
)
from smtpcheck.relay.rows import SPOOLED
from smtpcheck.relay.spool import Spool, prepared
from smtpcheck.relay.writer import Writer

MIN_FREE = 4 * 1024 * 1024
"""Octets of disk kept back, so that what is queued can still be delivered and forgotten."""

ALL_DOMAINS = "*"
"""The domain of a claim that has all of a message's recipients."""


def lock(data: Path) -> int:
    """Make the data directory ours until the descriptor closes. Raises LockedError, OSError."""
    prepared(data)
    descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LockedError(f"{data} is in use by another relay") from None
    return descriptor


class SqliteQueue:
    """A Queue in one directory."""

    def __init__(self, data: Path, *, min_free: int = MIN_FREE) -> None:
        """Raises LockedError, OSError or QueueError."""
        self._lock = lock(data)
        self._data, self._min_free = data, min_free
        try:
            self._spool = Spool(prepared(data / "spool"))
            self._orphans = list(self._spool.names())
            self._writer = Writer(data / "queue.db", rows.SCHEMA)
        except BaseException:
            os.close(self._lock)
            raise
        self._room = self._looked = 0.0
        self._claimed: set[tuple[str, str]] = set()

    async def recover(self, now: float, furthest: float) -> None:
        """After a start: drop orphaned files; what a clock that jumped put off is due now."""
        known = await self._writer.do(partial(rows.known, self._orphans))
        await asyncio.to_thread(self._spool.sweep, known, iter(self._orphans))
        await self._writer.do(partial(rows.bring_forward, now, now + furthest))

    async def accept(self, envelope: Envelope, content: bytes, *, now: float, alarm: float) -> None:
        """Keep a message, durably. Raises QueueError, and then nothing is kept."""
        self._check_space(len(content))
        spooled = len(content) > SPOOLED
        message_id = envelope.message_id
        if spooled:
            await asyncio.to_thread(self._spool.write, message_id, content)
        arrival = rows.Arrival(envelope, None if spooled else content, now, alarm)
        try:
            await self._writer.add(rows.insert, arrival, partial(rows.forget, (message_id,)))
        except QueueError:
            with suppress(QueueError):  # the undo first, then the file; or both after a restart
                await self._drop_spooled((message_id,))
            raise

    def _check_space(self, size: int) -> None:
        """Asked of the file system when a quarter of the reserve may be gone since, or a second."""
        if not self._min_free:
            return
        self._room -= 2 * size
        now = monotonic()
        if self._room < self._min_free or now > self._looked + 1:
            disk = os.statvfs(self._data)
            free = disk.f_bavail * disk.f_frsize
            self._looked = now
            self._room = min(free - 2 * size, self._min_free + max(self._min_free // 4, 2 * size))
            if free < self._min_free + 2 * size:
                raise FullError("less than the reserve is free")

    async def ready(self, now: float, limit: int) -> tuple[Destination, ...]:
        """Destinations that are due, longest due first."""
        return await self._writer.do(partial(rows.ready, now, limit))

    async def next_due(self, after: float) -> float | None:
        """When the next destination or alarm is due that isn't at `after`."""
        return await self._writer.do(partial(rows.next_due, after))

    async def claim(self, domain: str, now: float, limit: int) -> tuple[Claim, ...]:
        """At most `limit` messages with recipients that are due in `domain`."""
        return await self._take(lambda db, bad: islice(self._due_in(db, domain, now, bad), limit))

    async def claim_alarmed(self, now: float, limit: int) -> tuple[Claim, ...]:
        """Messages whose alarm has gone off, none of whose recipients are being worked on."""
        return await self._take(lambda db, bad: islice(self._alarmed(db, now, bad), limit))

    async def _take(
        self, find: Callable[[sqlite3.Connection, list[str]], Iterator[Claim]]
    ) -> tuple[Claim, ...]:
        taken: list[Claim] = []
        unreadable: list[str] = []

        def take(db: sqlite3.Connection) -> None:
            for claim in find(db, unreadable):
                self._claimed.add((claim.envelope.message_id, claim.domain))
                taken.append(claim)
            for message_id in unreadable:
                rows.hold(db, message_id)

        try:
            await self._writer.do(take)
            if unreadable:
                raise BrokenError(f"can't be read, held: {', '.join(unreadable)}")
        except QueueError:
            for claim in taken:
                await self.unclaim(claim)
            raise
        return tuple(taken)

    def _due_in(
        self, db: sqlite3.Connection, domain: str, now: float, unreadable: list[str]
    ) -> Iterator[Claim]:
        """Stops reading where its reader does. In order of due."""
        seen: set[str] = set()
        for message_id in rows.due_messages(db, domain, now):
            if message_id not in seen and not self._busy(message_id, domain, ALL_DOMAINS):
                waiting = rows.due_recipients(db, message_id, domain, now)
                yield from self._readable(db, message_id, domain, waiting, unreadable)
            seen.add(message_id)

    def _alarmed(
        self, db: sqlite3.Connection, now: float, unreadable: list[str]
    ) -> Iterator[Claim]:
        for message_id in rows.alarmed_messages(db, now):
            domains = rows.queued_domains(db, message_id)
            if not self._busy(message_id, ALL_DOMAINS, *domains):
                waiting = rows.queued_recipients(db, message_id)
                yield from self._readable(db, message_id, ALL_DOMAINS, waiting, unreadable)

    def _busy(self, message_id: str, *domains: str) -> bool:
        return any((message_id, domain) in self._claimed for domain in domains)

    def _readable(
        self,
        db: sqlite3.Connection,
        message_id: str,
        domain: str,
        waiting: list[rows.Row],
        unreadable: list[str],
    ) -> tuple[Claim, ...]:
        try:
            return (self._claim(db, message_id, domain, waiting),)
        except rows.UNREADABLE:
            unreadable.append(message_id)
            return ()

    def _claim(
        self, db: sqlite3.Connection, message_id: str, domain: str, waiting: list[rows.Row]
    ) -> Claim:
        message = rows.message(db, message_id)
        assert message is not None
        envelope = message.envelope
        return Claim(
            envelope=envelope,
            content=self._spool.path(message_id) if message.spooled else message.data or b"",
            domain=domain,
            recipients=tuple(rows.recipient(envelope, row) for row in waiting),
            received=message.received,
            warned=message.warned,
        )

    async def unclaim(self, claim: Claim) -> None:
        """Give a claim up unchanged."""
        self._claimed.discard((claim.envelope.message_id, claim.domain))

    async def settle(self, settlement: Settlement, *, now: float) -> None:
        """Record what came of a claim and give it up. Raises QueueError or StaleError."""
        for report in settlement.reports:
            if len(report.content) > SPOOLED:
                write = partial(self._spool.write, report.envelope.message_id, report.content)
                await asyncio.to_thread(write)
        try:
            finished = await self._writer.do(partial(rows.settle, settlement, now))
        except StaleError:
            await self.unclaim(settlement.claim)
            raise
        await self.unclaim(settlement.claim)
        await self._drop_spooled(finished)

    async def rest(
        self, domain: str, *, until: float = 0.0, failures: int = 0, missed: float = 0.0
    ) -> None:
        """Nobody works on `domain` now; it is due with its next recipient, or later at `until`."""
        await self._writer.do(partial(rows.rest, domain, until, failures, missed))

    async def change(self, action: Action, which: Selection, *, now: float) -> tuple[str, ...]:
        """Do something to messages at rest; the ids of those it was done to."""

        def work(db: sqlite3.Connection) -> tuple[str, ...]:
            return tuple(self._changed(db, action, which, now))

        changed = await self._writer.do(work)
        if action is Action.REMOVE:
            await self._drop_spooled(changed)
        return changed

    def _changed(
        self, db: sqlite3.Connection, action: Action, which: Selection, now: float
    ) -> Iterator[str]:
        for message_id, domain in rows.selected(db, action, which):
            if not self._busy(message_id, domain, ALL_DOMAINS):
                rows.change(db, action, message_id, domain, now)
                yield message_id

    async def _drop_spooled(self, message_ids: Collection[str]) -> None:
        """The contents of those that are finished."""
        files = [each for each in message_ids if self._spool.path(each).exists()]
        if files:
            unfinished = await self._writer.do(partial(rows.known, files))
            await asyncio.to_thread(self._spool.sweep, unfinished, iter(files))

    async def entries(
        self, which: Selection, *, limit: int, finished: bool = False
    ) -> tuple[Entry, ...]:
        """Messages, oldest first; with their attempts when asked for by id."""
        return await self._writer.do(partial(rows.entries, which, limit, finished))

    async def content(self, message_id: str) -> bytes | None:
        """The octets of an unfinished message."""
        message = await self._writer.do(lambda db: rows.message(db, message_id))
        if message is None or not message.spooled:
            return message.data if message else None
        try:
            return await asyncio.to_thread(self._spool.path(message_id).read_bytes)
        except OSError:
            return None

    async def prune(self, before: float) -> int:
        """Forget messages that were finished before; how many."""
        return await self._writer.do(partial(rows.prune, before))

    async def close(self) -> None:
        """Finish what is under way and let go."""
        await self._writer.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
