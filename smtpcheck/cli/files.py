"""Files the user names: written whole or not at all, and known to be writable beforehand."""

import os
import sys
import tempfile
from pathlib import Path

from smtpcheck.blame import BadInputError


def check_writable(path: str, option: str) -> None:
    """Raise BadInputError now rather than after the work."""
    if path in ("", "-"):
        raise BadInputError(f"{option} {path!r}: give the name of a file")
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise BadInputError(f"{option} {path}: there is no folder {folder}")
    taken = Path(path).exists()
    if Path(path).is_dir():
        raise BadInputError(f"{option} {path}: it is a folder")
    if not os.access(path if taken else folder, os.W_OK):
        raise BadInputError(f"{option} {path}: not allowed to write there")


def write(path: str, data: bytes) -> None:
    """Replace the file in one step; devices and pipes are written to. Raises BadInputError."""
    place = Path(path)
    try:
        if path.startswith(("/dev/", "/proc/")) or (place.exists() and not place.is_file()):
            place.write_bytes(data)
        else:
            _replace(place.resolve(), data)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None


def _replace(place: Path, data: bytes) -> None:
    mode = place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        Path(temporary).replace(place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def read(path: str, limit: int) -> bytes:
    """A file's octets, or standard input for "-"; at most one more than `limit`.

    Raises BadInputError.
    """
    try:
        if path == "-":
            return sys.stdin.buffer.read(limit + 1) if sys.stdin else b""
        with Path(path).open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
