"""Durable accept: smtp-source (50 sessions, 4 KiB) against us and against Postfix, in one run.

`python -m benchmarks.relay.accept [MESSAGES] [ROUNDS]`, as root, from the repository. The
three take turns, so that a slow moment of the machine hits all; medians are compared. Each
message comes on a connection of its own. Both keep all mail: Postfix in its hold queue, we
for a next hop that refuses connections.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import need
from tests.real.postfix import postfix
from tests.real.rig import Listener

SESSIONS, OCTETS = 50, 4096


def load(port: int, messages: int, address: str = "127.0.0.1") -> float:
    """Messages a second."""
    command = [need("smtp-source"), "-s", str(SESSIONS), "-l", str(OCTETS), "-m", str(messages)]
    command += ["-f", "a@sender.test", "-t", "b@dead.test", f"{address}:{port}"]
    began = time.perf_counter()
    subprocess.run(command, check=True, timeout=600)  # noqa: S603
    return messages / (time.perf_counter() - began)


@contextlib.contextmanager
def relay(loop: str, *options: str, data: Path | None = None) -> Iterator[tuple[int, int]]:
    """Port and process id of a relay of ours."""
    with tempfile.TemporaryDirectory(prefix="smtpcheck-bench-") as own:
        command = [sys.executable, "-m", "smtpcheck", "relay", "--data", str(data or own)]
        command += ["--listen", "127.0.0.1:0:mx", "--network", "127.0.0.0/8", "--loop", loop]
        command += ["--format", "json", *(options or ("--smarthost", "127.0.0.1:1"))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            assert process.stdout is not None
            try:
                ready = json.loads(process.stdout.readline())
                yield ready["ports"][0]["port"], process.pid
            finally:
                process.terminate()
                process.wait(60)


@contextlib.contextmanager
def their_relay() -> Iterator[tuple[str, int]]:
    """Address and port of a Postfix that takes all mail and holds it."""
    listener = Listener(address="127.25.9.1", port=2525)
    settings = {
        "mynetworks": "127.0.0.0/8",
        "smtpd_relay_restrictions": "permit_mynetworks,reject",
        "smtpd_client_restrictions": "check_client_access static:HOLD",
        "smtpd_client_connection_count_limit": "0",
        "smtpd_tls_security_level": "none",
    }
    with postfix(listener, settings=settings):
        yield listener.address, listener.port


def main(messages: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {"asyncio": [], "uvloop": [], "postfix": []}
    with (
        relay("asyncio") as (ours, _),
        relay("uvloop") as (fast, _),
        their_relay() as (address, port),
    ):
        for warm in (True, *(False for _ in range(rounds))):
            count = messages // 5 if warm else messages
            measured = {
                "asyncio": load(ours, count),
                "postfix": load(port, count, address),
                "uvloop": load(fast, count),
            }
            for name, rate in measured.items():
                if not warm:
                    rates[name].append(rate)
    medians = {name: statistics.median(each) for name, each in rates.items()}
    for name, each in rates.items():
        shown = ", ".join(f"{rate:.0f}" for rate in each)
        ratio = medians[name] / medians["postfix"]
        print(f"{name:8} {medians[name]:6.0f} messages/s, {ratio:.2f} of Postfix   ({shown})")


if __name__ == "__main__":
    numbers = [int(each) for each in sys.argv[1:3]]
    main(*(numbers + [5000, 3][len(numbers) :]))
