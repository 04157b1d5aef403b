"""One thread that owns one SQLite database and commits all that waits at once.

Law: whoever asks gets an answer only after the commit that holds its work. No timer: a batch
forms while the last one syncs. A work that fails undoes itself alone; storage that fails
fails the whole batch, and the database is opened anew by the next.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from smtpcheck.relay.queue import BrokenError, FullError, QueueError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Bulk = Callable[[sqlite3.Connection, Sequence[Any]], None]

MAX_BATCH = 500
"""Works in one commit."""

CHECKPOINT_PAGES = 4000
"""Of the write-ahead log before it is copied into the database: 16 MiB."""

_PRAGMAS = (
    "locking_mode=EXCLUSIVE",  # and so no shared-memory file, which a full disk turns into SIGBUS
    "journal_mode=WAL",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
    "journal_size_limit=67108864",
    "cache_size=-32768",
    "secure_delete=OFF",  # Debian compiles it in
    "foreign_keys=OFF",
)


@dataclass(slots=True)
class _Job:
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    undo: Work[None] | None = None
    work: Work[Any] | None = None
    bulk: Bulk | None = None
    item: Any = None
    outcome: Any = None
    error: Exception | None = None


class Writer:
    """Works on one database in a thread of its own, from construction to `close`."""

    def __init__(self, path: Path, schema: str, *, durable: bool = True) -> None:
        """Raises QueueError when the database can't be opened or made."""
        self._path, self._schema, self._durable = path, schema, durable
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._doubtful: list[Work[None]] = []
        self._stopping = False
        try:
            self._db: sqlite3.Connection | None = self._opened()
        except sqlite3.Error as error:
            raise BrokenError(f"{path}: {error}") from None
        self._thread = threading.Thread(target=self._run, name=f"writer of {path.name}")
        self._thread.start()

    async def do(self, work: Work[T], undo: Work[None] | None = None) -> T:
        """The result of `work`, once it is committed. Raises what it raised, or QueueError.

        `undo` takes back a work of which a failed commit doesn't tell whether it was kept.
        """
        return await self._put(work=work, undo=undo)  # type: ignore[no-any-return]

    async def add(self, bulk: Bulk, item: Any, undo: Work[None]) -> None:
        """As `do`, for work that is done for many at once: `bulk` gets all that wait for it.

        The fewer calls into SQLite, the less its thread and the event loop get in each
        other's way.
        """
        await self._put(bulk=bulk, item=item, undo=undo)

    async def _put(self, **work: Any) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._stopping:
            raise BrokenError("the queue is closed")
        self._jobs.put(_Job(future, loop, **work))
        return await future

    async def close(self) -> None:
        """Finish what is under way."""
        if not self._stopping:
            self._stopping = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                db.execute(f"PRAGMA {pragma}").fetchall()
            db.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'OFF'}")
            db.executescript(self._schema)
            # What a failed sync left in the log is only in memory; copied, it is on disk or not.
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            while self._doubtful:
                self._doubtful[-1](db)
                self._doubtful.pop()
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                db.close()
            raise
        return db

    def _run(self) -> None:
        going = True
        while going:
            batch: list[_Job] = []
            job = self._jobs.get()
            while job is not None and len(batch) < MAX_BATCH:
                batch.append(job)
                try:
                    job = self._jobs.get_nowait()
                except Empty:
                    break
            else:
                going = job is not None
                if job is not None:
                    batch.append(job)
            if batch:
                self._commit(batch)
                _answer(batch)
        with suppress(sqlite3.Error):
            if self._db is not None:
                self._db.close()

    def _commit(self, batch: list[_Job]) -> None:
        try:
            if self._db is None:
                self._db = self._opened()
            self._db.execute("BEGIN IMMEDIATE")
            for bulk in dict.fromkeys(job.bulk for job in batch if job.bulk):
                _perform_bulk(self._db, bulk, [job for job in batch if job.bulk is bulk])
            for job in batch:
                if job.work is not None:
                    _perform(self._db, job, job.work)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            failure = self._failed(error, batch)
            for job in batch:
                job.error = failure

    def _failed(self, error: sqlite3.Error, batch: list[_Job]) -> QueueError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        detail = f"{self._path.name}: {error}"
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
                if code == sqlite3.SQLITE_FULL:
                    return FullError(detail)
            if code == sqlite3.SQLITE_FULL and not self._db.in_transaction:
                return FullError(detail)
            self._doubtful += [job.undo for job in batch if job.undo is not None]
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        return FullError(detail) if code == sqlite3.SQLITE_FULL else BrokenError(detail)


def _perform(db: sqlite3.Connection, job: _Job, work: Work[Any]) -> None:
    """Do one work; an error of its own takes back its own changes."""
    db.execute("SAVEPOINT work")
    try:
        job.outcome = work(db)
    except Exception as error:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            raise
        db.execute("ROLLBACK TO work")
        job.error = error
    db.execute("RELEASE work")


def _perform_bulk(db: sqlite3.Connection, bulk: Bulk, jobs: list[_Job]) -> None:
    """Do all at once; where one is at fault, each alone."""
    db.execute("SAVEPOINT bulk")
    try:
        bulk(db, [job.item for job in jobs])
    except Exception as error:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            raise
        db.execute("ROLLBACK TO bulk")
        for job in jobs:
            _perform(db, job, partial(_alone, bulk, job.item))
    db.execute("RELEASE bulk")


def _alone(bulk: Bulk, item: Any, db: sqlite3.Connection) -> None:
    bulk(db, [item])


def _answer(batch: list[_Job]) -> None:
    for loop in {job.loop for job in batch}:
        done = [job for job in batch if job.loop is loop]
        with suppress(RuntimeError):  # nobody waits in a loop that is closed
            loop.call_soon_threadsafe(_resolve, done)


def _resolve(done: list[_Job]) -> None:
    for job in done:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.outcome)
