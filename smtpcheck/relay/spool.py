"""Large contents as files, one a message, named by its id.

Law: a file and its name are synced before the row that needs it is committed, and removed
after the commit that ended the need; whatever a crash leaves in between belongs to no row.
All of it blocks: call it from a thread.
"""

import errno
import os
import re
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path

from smtpcheck.relay.queue import BrokenError, FullError, QueueError

_ID = re.compile(r"[0-9A-F]{20}")


class Spool:
    """A directory of message files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, message_id: str) -> Path:
        """Where the content of `message_id` is or would be."""
        return self._directory / message_id

    def write(self, message_id: str, content: bytes) -> None:
        """Keep it, durably. Raises QueueError, and then nothing is kept."""
        path = self.path(message_id)
        try:
            with open(path, "xb", opener=_private) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            sync_directory(self._directory)
        except OSError as error:
            self.remove(message_id)
            raise storage_error(error) from None

    def remove(self, message_id: str) -> None:
        """Drop it if it is there; one that can't be dropped is an orphan for the next start."""
        with suppress(OSError):
            self.path(message_id).unlink()

    def names(self) -> Iterator[str]:
        """The ids that have a file; what isn't named like one is not ours to touch."""
        with suppress(OSError):
            yield from filter(_ID.fullmatch, os.listdir(self._directory))

    def sweep(self, known: Container[str], names: Iterator[str]) -> None:
        """Drop those of `names` that nobody knows."""
        for name in names:
            if name not in known:
                self.remove(name)


def prepared(directory: Path) -> Path:
    """`directory` as a durable directory of our own. Raises OSError."""
    if not directory.is_dir():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(directory.parent)
    return directory


def sync_directory(directory: Path) -> None:
    """Names in `directory` are durable from here on."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(error: OSError) -> QueueError:
    """What a failed file operation means to whoever waits for the promise."""
    detail = error.strerror or "I/O error"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return FullError(detail)
    return BrokenError(detail)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
