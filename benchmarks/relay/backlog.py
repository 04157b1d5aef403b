"""A queue with 100,000 messages for a dead domain: the start, the memory, the rate of accepting.

`python -m benchmarks.relay.backlog [MESSAGES]`, from the repository.
"""

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.relay.accept import load, relay
from smtpcheck.facts.delivery import Envelope, ForwardPath
from smtpcheck.relay.sqlite_queue import SqliteQueue
from smtpcheck.relay.trace import new_message_id

CONTENT = b"Subject: x\r\n\r\n" + b"x" * 76 + b"\r\n"
ACCEPTED = 2000


async def fill(data: Path, messages: int) -> None:
    """As if they had been accepted an hour ago."""
    queue = SqliteQueue(data)
    now = time.time() - 3600

    async def some(count: int) -> None:
        for _ in range(count):
            envelope = Envelope(
                message_id=new_message_id(),
                reverse_path="a@sender.test",
                forward_paths=(ForwardPath(address="b@dead.test"),),
                received=datetime.now(UTC),
            )
            await queue.accept(envelope, CONTENT, now=now, alarm=now + 4 * 3600)

    await asyncio.gather(*(some(messages // 50) for _ in range(50)))
    await queue.close()


def resident(pid: int) -> float:
    """MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def measured(data: Path) -> tuple[float, float, float]:
    """Seconds to the readiness line, messages accepted a second, MiB afterwards."""
    began = time.perf_counter()
    with relay("uvloop", "--smarthost", "127.0.0.1:1", data=data) as (port, pid):
        started = time.perf_counter() - began
        load(port, ACCEPTED // 4)
        rate = load(port, ACCEPTED)
        return started, rate, resident(pid)


def main(messages: int) -> None:
    with tempfile.TemporaryDirectory(prefix="smtpcheck-bench-") as folder:
        empty, full = Path(folder) / "empty", Path(folder) / "full"
        asyncio.run(fill(full, messages))
        for name, data in (("empty", empty), (f"{messages} waiting", full)):
            started, rate, memory = measured(data)
            print(f"{name:16} ready in {started:.2f} s, {rate:.0f} messages/s, {memory:.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
