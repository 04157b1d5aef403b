"""The program as a process of its own: how long it took, how much it held, what it printed."""

import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.conftest import REPOSITORY

MEASURED = """\
import os, sys, resource
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
kilobytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(sys.argv[1], "w") as file:
    file.write(f"{status} {kilobytes}")
"""
"""Between us and the program: a child begins with the peak of its parent, and ours is large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run. `peak` in KiB, `took` in seconds; on a terminal all output is in `stdout`."""

    status: int
    stdout: str
    stderr: str
    took: float
    peak: int

    @property
    def report(self) -> dict[str, Any]:
        """The report of `--format json`."""
        report: dict[str, Any] = json.loads(self.stdout)
        return report


def measured(
    *arguments: str, terminal: bool = False, timeout: float = 60, **environment: str
) -> Measured:
    """Run `smtpcheck` with `arguments`; on a pseudo-terminal of 100 columns if asked for."""
    with tempfile.NamedTemporaryFile("r") as figures:
        launcher = [sys.executable, "-I", "-S", "-c", MEASURED, figures.name]
        command = [*launcher, sys.executable, "-m", "smtpcheck", *arguments]
        began = time.monotonic()
        run = _on_terminal if terminal else _on_pipes
        stdout, stderr = run(command, timeout, environment)
        took = time.monotonic() - began
        status, peak = map(int, figures.read().split())
    return Measured(status=status, stdout=stdout, stderr=stderr, took=took, peak=peak)


def _on_pipes(
    command: list[str], timeout: float, environment: Mapping[str, str]
) -> tuple[str, str]:
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False,
        cwd=REPOSITORY, env={**os.environ, "NO_COLOR": "1", **environment},
    )  # fmt: skip
    return done.stdout.decode(), done.stderr.decode()


def _on_terminal(
    command: list[str], timeout: float, environment: Mapping[str, str]
) -> tuple[str, str]:
    colourful = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    colourful |= {"TERM": "xterm-256color", "COLUMNS": "100", **environment}
    ours, theirs = pty.openpty()
    chunks: list[bytes] = []
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=REPOSITORY, env=colourful
    ) as process:
        os.close(theirs)
        reading = threading.Thread(target=_read, args=(ours, chunks))
        reading.start()
        try:
            process.wait(timeout)
        finally:
            process.kill()
            reading.join()
            os.close(ours)
    return b"".join(chunks).decode(), ""


def _read(descriptor: int, chunks: list[bytes]) -> None:
    """Until the last who holds the terminal has closed it."""
    try:
        while data := os.read(descriptor, 2**16):
            chunks.append(data)
    except OSError:  # EIO is how Linux tells the end
        return
