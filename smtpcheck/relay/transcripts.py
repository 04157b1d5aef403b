"""What was said on the way of each message, beside the queue and without its fsyncs.

Law: nothing here delays or endangers a message: writes are not waited for, and a failing
disk costs transcripts alone. An attempt is noted when it begins, so that one which dies
leaves a row.
"""

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import time
from typing import Any

import msgspec

from smtpcheck.facts.delivery import Attempt
from smtpcheck.facts.transcript import Transcript
from smtpcheck.relay.queue import QueueError
from smtpcheck.relay.record import Record, unpacked
from smtpcheck.relay.rows import insert_many
from smtpcheck.relay.writer import Writer

SCHEMA = """
CREATE TABLE IF NOT EXISTS session (message TEXT NOT NULL, at REAL NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS session_message ON session(message);
CREATE INDEX IF NOT EXISTS session_at ON session(at);
CREATE TABLE IF NOT EXISTS attempt (
    message TEXT NOT NULL, started REAL NOT NULL, ended REAL, at REAL NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (message, started)
);
CREATE INDEX IF NOT EXISTS attempt_at ON attempt(at);
"""

_OVER = """ON CONFLICT (message, started) DO UPDATE SET ended = excluded.ended,
    data = excluded.data"""
SOON = 0.05
"""Seconds that a transcript waits for company; what a crash may cost of it."""
MAX_WAITING = 10_000
"""Rows kept while the disk is slow; the oldest are dropped."""

_encode = msgspec.json.Encoder().encode
_attempt = msgspec.json.Decoder(Attempt).decode


class Transcripts:
    """Of inbound sessions and outbound attempts, by message."""

    def __init__(self, data: Path) -> None:
        """Raises QueueError."""
        self._writer = Writer(data / "transcripts.db", SCHEMA, durable=False)
        self._sessions: list[tuple[str, float, bytes]] = []
        self._attempts: list[tuple[str, float, float | None, float, bytes]] = []
        self._writing: asyncio.Task[None] | None = None

    def session(self, message_ids: Iterable[str], record: Record) -> None:
        """How these messages came in."""
        at, packed = time(), record.packed()
        self._sessions += ((message_id, at, packed) for message_id in message_ids)
        self._soon()

    def attempt(self, message_id: str, attempt: Attempt, *, over: bool) -> None:
        """An attempt that begins, or the same when it is over."""
        slim = replace(attempt, route=replace(attempt.route, hosts=()))
        ended = attempt.ended.timestamp() if over else None
        started = attempt.started.timestamp()
        self._attempts.append((message_id, started, ended, time(), _encode(slim)))
        self._soon()

    async def sessions(self, message_id: str) -> tuple[Transcript, ...]:
        """How a message came in."""
        query = "SELECT data, at FROM session WHERE message = ? ORDER BY at"
        return tuple(unpacked(data) for data, _ in await self._rows(query, message_id))

    async def attempts(self, message_id: str) -> tuple[tuple[Attempt, bool], ...]:
        """Attempts, oldest first, each with whether it came to its end."""
        query = "SELECT data, ended FROM attempt WHERE message = ? ORDER BY started"
        rows = await self._rows(query, message_id)
        return tuple((_attempt(data), ended is not None) for data, ended in rows)

    async def _rows(self, query: str, message_id: str) -> list[tuple[bytes, float | None]]:
        await self._written()
        return await self._writer.do(lambda db: db.execute(query, (message_id,)).fetchall())

    async def prune(self, before: float) -> None:
        """Forget what was written before."""
        with suppress(QueueError):
            await self._writer.do(partial(_prune, before))

    def _soon(self) -> None:
        """Written with all that comes meanwhile: one hand-over for many."""
        for rows in (self._sessions, self._attempts):
            del rows[:-MAX_WAITING]
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._sessions or self._attempts:
            await asyncio.sleep(SOON)
            sessions, self._sessions = self._sessions, []
            attempts, self._attempts = self._attempts, []
            with suppress(QueueError):  # the queue's own storage speaks for itself
                await self._writer.do(partial(_insert, sessions, attempts))
        self._writing = None

    async def _written(self) -> None:
        if self._writing:
            await self._writing

    async def close(self) -> None:
        """Write what is under way."""
        await self._written()
        await self._writer.close()


def _insert(sessions: list[Any], attempts: list[Any], db: sqlite3.Connection) -> None:
    insert_many(db, "session (message, at, data)", sessions)
    insert_many(db, "attempt (message, started, ended, at, data)", attempts, _OVER)


def _prune(before: float, db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM session WHERE at < ?", (before,))
    db.execute("DELETE FROM attempt WHERE at < ?", (before,))
