"""What was said on the way of each message, beside the queue and without its fsyncs.

Law: nothing here delays or endangers a message: writes are not waited for, and a failing
disk costs transcripts alone. An attempt is noted when it begins, so that one which dies
leaves a row.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from time import time

import msgspec

from smtpcheck.facts.delivery import Attempt
from smtpcheck.facts.transcript import Transcript
from smtpcheck.relay.queue import QueueError
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

_encode = msgspec.json.Encoder().encode
_transcript = msgspec.json.Decoder(Transcript).decode
_attempt = msgspec.json.Decoder(Attempt).decode


class Transcripts:
    """Of inbound sessions and outbound attempts, by message."""

    def __init__(self, data: Path) -> None:
        """Raises QueueError."""
        self._writer = Writer(data / "transcripts.db", SCHEMA, durable=False)
        self._writing: set[asyncio.Task[None]] = set()

    def session(self, message_ids: Iterable[str], transcript: Transcript) -> None:
        """How these messages came in."""
        rows = [(message_id, time(), _encode(transcript)) for message_id in message_ids]
        self._later(lambda db: db.executemany("INSERT INTO session VALUES (?, ?, ?)", rows))

    def attempt(self, message_id: str, attempt: Attempt, *, over: bool) -> None:
        """An attempt that begins, or the same when it is over."""
        slim = replace(attempt, route=replace(attempt.route, hosts=()))
        ended = attempt.ended.timestamp() if over else None
        row = (message_id, attempt.started.timestamp(), ended, time(), _encode(slim))
        query = "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?)"
        self._later(lambda db: db.execute(query, row))

    async def sessions(self, message_id: str) -> tuple[Transcript, ...]:
        """How a message came in."""
        query = "SELECT data, at FROM session WHERE message = ? ORDER BY at"
        return tuple(_transcript(data) for data, _ in await self._rows(query, message_id))

    async def attempts(self, message_id: str) -> tuple[tuple[Attempt, bool], ...]:
        """Attempts, oldest first, each with whether it came to its end."""
        query = "SELECT data, ended FROM attempt WHERE message = ? ORDER BY started"
        rows = await self._rows(query, message_id)
        return tuple((_attempt(data), ended is not None) for data, ended in rows)

    async def _rows(self, query: str, message_id: str) -> list[tuple[bytes, float | None]]:
        await self._written()
        return await self._writer.do(lambda db: db.execute(query, (message_id,)).fetchall())

    def prune(self, before: float) -> None:
        """Forget what was written before."""
        self._later(lambda db: db.execute("DELETE FROM session WHERE at < ?", (before,)))
        self._later(lambda db: db.execute("DELETE FROM attempt WHERE at < ?", (before,)))

    def _later(self, work: Callable[[sqlite3.Connection], object]) -> None:
        task = asyncio.get_running_loop().create_task(self._write(work))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        try:
            await self._writer.do(work)
        except QueueError:
            return  # the queue's own storage speaks for itself

    async def _written(self) -> None:
        if self._writing:
            await asyncio.wait(self._writing)

    async def close(self) -> None:
        """Write what is under way."""
        await self._written()
        await self._writer.close()
