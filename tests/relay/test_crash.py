"""A relay killed with -9 again and again while it receives and delivers: nothing is lost.

Every message that was answered 250 is in the mailbox in the end, once, with its octets.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

from smtpcheck.relay.control import ask
from tests.relay.next_hop import ESMTP, NextHopServer, next_hop

REPOSITORY = Path(__file__).parents[2]
KILLS = int(os.environ.get("SMTPCHECK_KILLS", "20"))
SENDERS = 8
LINES = 40


def content(token: str) -> bytes:
    return f"Subject: {token}\r\n\r\n".encode() + f"{token}\r\n".encode() * LINES


@asynccontextmanager
async def relay(
    data: Path, loop: str, *more: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    options = ["--listen", "127.0.0.1:0:mx", "--hostname", "home.test", "--format", "json"]
    options += ["--mailbox", "inbox@home.test", "--network", "127.0.0.0/8", "--loop", loop]
    options += more
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "smtpcheck", "relay", "--data", str(data), *options,
        cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        ready = json.loads(await process.stdout.readline())
        yield process, ready["ports"][0]["port"]
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


class Senders:
    """Send message after message on connections that die with the relay."""

    def __init__(self, to: str = "inbox@home.test") -> None:
        self.to = to
        self.kept: set[str] = set()
        self._numbers = count()
        self.progress = asyncio.Event()

    async def send(self, port: int) -> None:
        with suppress(OSError, EOFError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await self._talk(reader, writer)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n")
        while True:
            token = f"token{next(self._numbers)}x"
            script = f"HELO s.test\nMAIL FROM:<inbox@home.test>\nRCPT TO:<{self.to}>\nDATA\n"
            writer.write(script.replace("\n", "\r\n").encode())
            for expected in (b"250", b"250", b"250", b"354"):
                assert (await reader.readuntil(b"\r\n")).startswith(expected)
            writer.write(content(token) + b".\r\n")
            answer = await reader.readuntil(b"\r\n")
            assert answer.startswith(b"250 2.0.0"), answer
            self.kept.add(token)
            self.progress.set()


async def life(data: Path, senders: Senders, more: int, loop: str, *options: str) -> None:
    """Serve until so many more were promised, then die in the middle of it."""
    async with relay(data, loop, *options) as (process, port):
        wanted = len(senders.kept) + more
        tasks = [asyncio.create_task(senders.send(port)) for _ in range(SENDERS)]
        while len(senders.kept) < wanted:
            senders.progress.clear()
            await asyncio.wait_for(senders.progress.wait(), 30)
        process.send_signal(signal.SIGKILL)
        await asyncio.gather(*tasks)


async def drained(data: Path, *options: str) -> None:
    async with relay(data, "asyncio", *options):
        for _ in range(600):
            answer = await ask(data, {"do": "list", "limit": 1})
            if answer is not None and answer["result"] == []:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"the queue is not empty: {answer}")


def subjects(mails: list[bytes]) -> list[str]:
    """The token of each, or of the message that it returns."""
    return [mail.rpartition(b"Subject: ")[2].partition(b"\r\n")[0].decode() for mail in mails]


def test_what_was_answered_250_survives_kill_9(tmp_path: Path) -> None:
    async def main() -> set[str]:
        senders = Senders()
        for kill in range(KILLS):
            await life(tmp_path, senders, 1 + kill * 7 % 60, ("asyncio", "uvloop")[kill % 2])
        await drained(tmp_path)
        return senders.kept

    kept = asyncio.run(main())
    assert len(kept) >= KILLS
    mails = [path.read_bytes() for path in (tmp_path / "mail/home.test/inbox/new").iterdir()]
    found = subjects(mails)
    assert kept - set(found) == set()
    assert len(found) == len(set(found))
    whole = [mail.endswith(content(token)) for mail, token in zip(mails, found, strict=True)]
    assert all(whole)
    assert list((tmp_path / "mail/home.test/inbox/tmp").iterdir()) == []


def test_a_refused_message_is_returned_exactly_once(tmp_path: Path) -> None:
    """The next host refuses everybody; we die between its reply, our commit and the bounce."""

    async def main() -> set[str]:
        senders = Senders("gone@away.test")
        async with next_hop(NextHopServer({"RCPT": "550 5.1.1 who"}, ehlo=ESMTP)) as server:
            smarthost = ("--smarthost", f"127.0.0.1:{server.port}")
            for kill in range(max(2, KILLS // 3)):
                await life(tmp_path, senders, 1 + kill * 11 % 40, "asyncio", *smarthost)
            await drained(tmp_path, *smarthost)
        return senders.kept

    kept = asyncio.run(main())
    mails = [path.read_bytes() for path in (tmp_path / "mail/home.test/inbox/new").iterdir()]
    assert all(b"Undelivered mail returned to sender" in mail for mail in mails)
    found = subjects(mails)
    assert kept - set(found) == set()
    assert len(found) == len(set(found))
