"""What every test may ask for: a CA, a free port, the program as a user runs it, a real server.

Law: a real server that is missing is a skip on a laptop and a failure where
SMTPCHECK_REQUIRE_REAL=1 is set, so that no green run hides an absent daemon.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smtpcheck.relay.throwaway import ThrowawayCA

REPOSITORY = Path(__file__).parent.parent
SBIN = ("/usr/sbin", "/sbin", "/usr/lib/postfix/sbin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the program: exit status and both streams."""

    status: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        """The report of `--format json`; fails with what was printed instead."""
        try:
            report: dict[str, Any] = json.loads(self.stdout)
        except ValueError:
            pytest.fail(f"no JSON, status {self.status}\n{self.stdout}\n{self.stderr}")
        return report


Smtpcheck = Callable[..., Run]


def need(program: str) -> str:
    """The path of `program`; without it the test is skipped, or fails where it is required."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *SBIN))
    if found := shutil.which(program, path=path):
        return found
    unavailable(f"{program} is not installed")
    raise AssertionError  # not reached


def unavailable(why: str) -> None:
    """Skip, or fail where the real servers are required."""
    if os.environ.get("SMTPCHECK_REQUIRE_REAL") == "1":
        pytest.fail(why)
    pytest.skip(why)


def need_root() -> None:
    """Postfix and Dovecot start as root only, and so does a network namespace of our own."""
    if os.geteuid() != 0:
        unavailable("needs root")


def run_smtpcheck(
    *arguments: str,
    timeout: float = 120,
    within: Sequence[str] = (),
    cwd: Path = REPOSITORY,
    **environment: str,
) -> Run:
    """Run `smtpcheck` with `arguments`, as a process of its own, without colour or terminal.

    `within` is a command to run it under, such as `nsenter …`.
    """
    done = subprocess.run(
        [*within, sys.executable, "-m", "smtpcheck", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )
    return Run(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/real --save-observations DIR` keeps what the program saw of every row."""
    parser.addoption("--save-observations", type=Path, metavar="DIR", help="keep them there")


@pytest.fixture(scope="session")
def smtpcheck() -> Smtpcheck:
    """The program as a user runs it."""
    return run_smtpcheck


@pytest.fixture(scope="session")
def ca() -> ThrowawayCA:
    """One authority for the whole run."""
    return ThrowawayCA()


@pytest.fixture(scope="session")
def ca_file(ca: ThrowawayCA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its root, for `--ca-file`."""
    return ca.write(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port of 127.0.0.1 that was free a moment ago."""
    return unused_port


def unused_port(address: str = "127.0.0.1") -> int:
    """A port of `address` that was free a moment ago."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        port: int = server.getsockname()[1]
        return port
