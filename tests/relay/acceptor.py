"""A program that fills a queue and tells what it was promised, to be killed and cut off.

`python -m tests.relay.acceptor DIRECTORY SENDERS COUNT` prints `kept ID` once `accept` has
returned, `refused ID CODE STATUS` when it raised.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from smtpcheck.facts.delivery import Envelope, ForwardPath
from smtpcheck.relay.queue import QueueError
from smtpcheck.relay.rows import SPOOLED
from smtpcheck.relay.sqlite_queue import SqliteQueue
from smtpcheck.relay.trace import new_message_id


def body(message_id: str) -> bytes:
    """Derived from the id, so that whoever finds the message knows what it must hold."""
    line = sha256(message_id.encode()).hexdigest().encode() + b"\r\n"
    return line * (SPOOLED // len(line) + 9 if line.startswith(b"0") else 60)


def envelope(message_id: str, *addresses: str) -> Envelope:
    """To `addresses`, or to two recipients in two domains."""
    to = addresses or ("b@one.test", "c@two.test")
    return Envelope(
        message_id=message_id,
        reverse_path="a@sender.test",
        forward_paths=tuple(ForwardPath(address=address) for address in to),
        received=datetime.now(UTC),
    )


async def _fill(queue: SqliteQueue, count: int) -> None:
    for _ in range(count):
        message_id = new_message_id()
        now = time.time()
        try:
            await queue.accept(envelope(message_id), body(message_id), now=now, alarm=now + 60)
        except QueueError as error:
            print("refused", message_id, error.reply, flush=True)
        else:
            print("kept", message_id, flush=True)


async def main(directory: Path, senders: int, count: int) -> None:
    queue = SqliteQueue(directory, min_free=0)
    print("ready", flush=True)
    await asyncio.gather(*(_fill(queue, count) for _ in range(senders)))
    await queue.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
