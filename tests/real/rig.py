"""What every rig shares: a directory that the daemon's user can enter, a process that surely ends.

Law: a rig is ready when its last listener takes a connection, never after a while; when its
block ends, by whatever way, no process and no file of it is left. If it does not start, the
error carries the daemon's log.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smtpcheck.relay.throwaway import Identity

NAME = "mail.test"
"""What the servers call themselves, and what a healthy certificate names."""

START = 20.0
STOP = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One address and port of a daemon, with the settings that differ there from its main file."""

    address: str
    port: int
    identity: Identity | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def loopback(number: int) -> str:
    """An address of this run's own, so that two runs on one machine don't meet.

    The rows of the table have the numbers below 250, other tests take what is free above.
    """
    return f"127.{os.getpid() % 200 + 20}.{number // 250}.{number % 250 + 1}"


class StartError(Exception):
    """The daemon ended or stayed silent; what it logged."""


def next_in(maildir: Path, within: float, log: Callable[[], str]) -> Path:
    """The oldest new message, as soon as there is one; `log` tells why there was none."""
    new = maildir / "new"
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if new.is_dir() and (found := sorted(new.iterdir())):
            return found[0]
        time.sleep(0.02)  # a Maildir has no bell
    raise TimeoutError(f"no mail came\n{log()}")


@contextlib.contextmanager
def open_directory() -> Iterator[Path]:
    """A directory for a daemon that gives up root: short (socket paths) and enterable by all."""
    path = Path(tempfile.mkdtemp(prefix="rig-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def daemon(
    command: Sequence[str], awaited: tuple[str, int], log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` in a session of its own until the block ends; begin once `awaited` listens."""
    if _answers(awaited):
        raise StartError(f"{awaited} is taken, perhaps by what an earlier run left behind")
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        with outlived_by_none(process):
            if not _listens(process, awaited):
                output.seek(0)
                logged = log.read_text() if log and log.exists() else ""
                raise StartError(f"{command[0]}: {output.read().decode()}{logged}")
            yield process


@contextlib.contextmanager
def outlived_by_none(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End `process` and its session with the block, or when we are killed within it."""
    # Of us, the shell sees only the pipe close. (A death signal would be lost: Postfix and
    # Dovecot change their user, which clears it.)
    script = 'cat; kill -s KILL -- "-$1"'
    try:
        with subprocess.Popen(
            ["sh", "-c", script, "sh", str(process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ):
            try:
                yield
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP)
    finally:
        process.wait()


def _listens(process: subprocess.Popen[bytes], awaited: tuple[str, int]) -> bool:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if _answers(awaited):
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            return False
    return False


def _answers(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
        return True
    return False
