"""Files the user names: written whole or not at all, and known to be writable beforehand."""

import os
import tempfile
from pathlib import Path

from smtpcheck.blame import BadInputError


def check_writable(path: str, option: str) -> None:
    """Raise BadInputError now rather than after the work."""
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise BadInputError(f"{option} {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK) or (Path(path).exists() and not os.access(path, os.W_OK)):
        raise BadInputError(f"{option} {path}: not allowed to write there")


def write(path: str, data: bytes) -> None:
    """Replace the file in one step; devices and pipes are written to as they are."""
    place = Path(path)
    if place.exists() and not place.is_file():
        place.write_bytes(data)
        return
    mode = place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(dir=place.absolute().parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        Path(temporary).replace(place.resolve())
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def read(path: str) -> bytes:
    """A file's octets, or standard input for "-". Raises BadInputError."""
    import sys

    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
