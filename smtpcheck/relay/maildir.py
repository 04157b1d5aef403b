"""Maildir: a message is there whole or not at all, and once (https://cr.yp.to/proto/maildir.html).

Law: written and synced in tmp/, renamed into new/, the directory synced, and only then told.
A file's name follows from message and recipient, so a delivery repeated after a crash finds
the first: in new/, in cur/, or, picked up since, as an empty mark in tmp/.
All of it blocks: call it from a thread.
"""

import errno
import fcntl
import heapq
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b, sha256
from itertools import chain
from pathlib import Path

from smtpcheck.facts.delivery import Outcome, RecipientOutcome
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.wire.pop3 import crlf
from smtpcheck.wire.reply import Reply, reply

CHUNK = 256 * 1024
MAX_MESSAGES = 100_000
"""Of one maildrop, oldest first; the others wait until these are gone."""
STALE = 36 * 3600.0
"""Seconds after which a file in tmp/ is nobody's any more, by Maildir's custom."""
GONE = ",gone"
"""Ends the name of the mark that a message picked up leaves in tmp/."""

Content = bytes | Path
"""A message, or the spool file that holds it; CRLF line ends."""


class Files:
    """What delivery asks of the file system; a test's subclass fails or dies at any of these."""

    def make(self, mailbox: Path) -> None:
        """The three directories, durably; new/ last, as its presence says that all are there."""
        made = [each for each in (mailbox, *mailbox.parents) if not each.exists()]
        for directory in reversed(made):
            directory.mkdir(mode=0o700, exist_ok=True)
        for part in ("tmp", "cur", "new"):
            (mailbox / part).mkdir(mode=0o700, exist_ok=True)
        self.sync(mailbox)
        for directory in made or [mailbox]:
            self.sync(directory.parent)

    def exists(self, path: Path) -> bool:
        """Whether `path` is there."""
        return path.exists()

    def names(self, directory: Path) -> list[str]:
        """What `directory` holds."""
        return os.listdir(directory)

    def write(self, path: Path, chunks: Iterable[bytes]) -> None:
        """A new file, synced. What a dead delivery left under that name is replaced."""
        path.unlink(missing_ok=True)
        with open(path, "xb", opener=_private) as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Atomically."""
        old.rename(new)

    def sync(self, directory: Path) -> None:
        """Names in `directory` are durable from here on."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def unlink(self, path: Path) -> None:
        """Away with it, if it is there."""
        path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


FILES = Files()


def deliver(
    mailbox: Path,
    content: Content,
    *,
    message_id: str,
    received: datetime,
    reverse_path: str,
    forward_path: str,
    again: bool = True,
    files: Files = FILES,
) -> RecipientOutcome:
    """Deliver once; always returns an outcome: delivered, or deferred with the reason.

    `message_id` is the queue's. `again` is False where this delivery can't have been tried
    before, which spares a look through the mailbox.
    """
    prefix = _prefix(reverse_path, forward_path)
    base = _base(message_id, forward_path, received)
    try:
        name = f"{base},W={len(prefix) + _octets_in_crlf(content)}"
        if not files.exists(mailbox / "new"):
            files.make(mailbox)
        if not (again and _seen(mailbox, base, name, files)):
            _put(mailbox, name, chain([prefix], _ended(content)), files)
        files.sync(mailbox / "new")
    except OSError as error:
        return _deferred(forward_path, error)
    said = reply(250, "2.0.0 delivered to mailbox")
    return RecipientOutcome(address=forward_path, outcome=Outcome.DELIVERED, reply=said)


def _put(mailbox: Path, name: str, chunks: Iterable[bytes], files: Files) -> None:
    temporary = mailbox / "tmp" / name
    try:
        files.write(temporary, chunks)
        files.rename(temporary, mailbox / "new" / name)
    except OSError:
        files.unlink(temporary)
        raise


def _seen(mailbox: Path, base: str, name: str, files: Files) -> bool:
    if files.exists(mailbox / "new" / name) or files.exists(mailbox / "tmp" / (base + GONE)):
        return True
    # A reader put flags behind the name: in cur/, and in new/, too, where it is Dovecot.
    flagged = (each for part in ("new", "cur") for each in files.names(mailbox / part))
    return any(each.startswith(base) for each in flagged)


def _base(message_id: str, forward_path: str, received: datetime) -> str:
    digest = blake2b(f"{message_id}\0{forward_path}".encode(), digest_size=16).hexdigest()
    return f"{int(received.timestamp())}.{digest}.smtpcheck"


def _prefix(reverse_path: str, forward_path: str) -> bytes:
    lines = f"Return-Path: <{_line(reverse_path)}>\r\nDelivered-To: {_line(forward_path)}\r\n"
    return lines.encode("utf-8", "replace")


def _line(text: str) -> str:
    return "".join(c for c in text if c.isprintable())


def _chunks(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _ended(content: Content) -> Iterator[bytes]:
    """As it came, with a CRLF behind a last line that has none (BDAT allows that)."""
    last = b"\n"
    for chunk in _chunks(content):
        yield chunk
        last = chunk[-1:] or last
    if last != b"\n":
        yield b"\r\n"


def _octets_in_crlf(content: Content) -> int:
    return sum(map(len, crlf(_chunks(content))))


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CONFIGURATION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP})


def _deferred(forward_path: str, error: OSError) -> RecipientOutcome:
    return RecipientOutcome(
        address=forward_path,
        outcome=Outcome.DEFERRED,
        reply=storage_reply(error),
        failure=Failure(stage=Stage.DATA, kind=Kind.LOCAL, detail=error.strerror or "I/O error"),
    )


def storage_reply(error: OSError) -> Reply:
    """What a file operation that failed is in SMTP: always transient (RFC 3463 §3.4)."""
    if error.errno in _FULL:
        return reply(452, "4.3.1 insufficient system storage")
    if error.errno in _CONFIGURATION:
        return reply(451, "4.3.5 mailbox storage is not configured correctly")
    return reply(451, "4.3.0 mailbox storage failed")


class InUseError(Exception):
    """Another session holds the maildrop (RFC 2449 §8.1.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One message of a maildrop. `size` in octets as transmitted; `uid` as UIDL tells it."""

    path: Path
    uid: str
    size: int


class Maildrop:
    """What one POP3 session sees: locked, and as it was at the start. Close it in the end."""

    def __init__(self, mailbox: Path, files: Files = FILES) -> None:
        """Raises InUseError, or OSError when the mailbox can't be read."""
        self._mailbox = mailbox
        self._files = files
        if not files.exists(mailbox / "new"):
            files.make(mailbox)
        self._lock = os.open(mailbox, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sweep()
            self.messages = _messages(mailbox)
        except BlockingIOError:
            self.close()
            raise InUseError(str(mailbox)) from None
        except OSError:
            self.close()
            raise

    def chunks(self, stored: Stored) -> Iterator[bytes]:
        """The message as CRLF text. Raises OSError, also when it is no longer there."""
        return crlf(_chunks(self._found(stored)))

    def delete(self, stored: Sequence[Stored]) -> int:
        """Delete them, durably; how many could not be."""
        failures = 0
        for each in stored:
            try:
                self._forget(self._found(each))
            except FileNotFoundError:
                continue
            except OSError:
                failures += 1
        try:
            for part in ("tmp", "new", "cur") if stored else ():
                self._files.sync(self._mailbox / part)
        except OSError:
            return len(stored)
        return failures

    def close(self) -> None:
        """Release the lock; harmless when done twice."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def _forget(self, path: Path) -> None:
        mark = self._mailbox / "tmp" / (path.name.partition(":")[0].partition(",")[0] + GONE)
        self._files.rename(path, mark)
        os.truncate(mark, 0)
        os.utime(mark)

    def _found(self, stored: Stored) -> Path:
        """Where it is now: another program may have moved or flagged it meanwhile."""
        if self._files.exists(stored.path):
            return stored.path
        base = stored.path.name.partition(":")[0]
        for part in ("new", "cur"):
            for name in self._files.names(self._mailbox / part):
                if name.partition(":")[0] == base:
                    return self._mailbox / part / name
        raise FileNotFoundError(errno.ENOENT, "no longer there", stored.path.name)

    def _sweep(self) -> None:
        before = time.time() - STALE
        with os.scandir(self._mailbox / "tmp") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        self._files.unlink(Path(entry.path))


def _messages(mailbox: Path) -> tuple[Stored, ...]:
    found = heapq.nsmallest(MAX_MESSAGES, _entries(mailbox), key=lambda path: _age(path.name))
    return tuple(
        Stored(path=path, uid=_uid(path.name), size=size)
        for path in found
        if (size := _size(path)) is not None
    )


def _entries(mailbox: Path) -> Iterator[Path]:
    for part in ("new", "cur"):
        with os.scandir(mailbox / part) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                    yield Path(entry.path)


def _age(name: str) -> tuple[int, str]:
    seconds = name.partition(".")[0]
    return (int(seconds) if seconds.isdecimal() and len(seconds) < 16 else 0, name)


def _uid(name: str) -> str:
    """One to 70 printable octets (RFC 1939 §7), the same wherever the file moves."""
    base = name.partition(":")[0].partition(",")[0]
    if len(base) <= 70 and all("!" <= character <= "~" for character in base):
        return base
    return sha256(os.fsencode(base)).hexdigest()


def _size(path: Path) -> int | None:
    """Octets as CRLF text: told by the name (`W=`, Dovecot's custom too) or counted; None: gone."""
    for field in path.name.partition(":")[0].split(",")[1:]:
        if field.startswith("W=") and field[2:].isdecimal() and len(field) < 20:
            return int(field[2:])
    try:
        return _octets_in_crlf(path)
    except FileNotFoundError:
        return None
