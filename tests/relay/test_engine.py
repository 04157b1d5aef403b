"""The whole relay: received, routed past a dead host, retried, bounced once, picked up; closed."""

import asyncio
import email
import poplib
import smtplib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import Message
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from smtpcheck.blame import BadInputError
from smtpcheck.limits import Limits
from smtpcheck.relay.config import Config, Listen, PortRole
from smtpcheck.relay.control import ask
from smtpcheck.relay.engine import Engine
from smtpcheck.relay.queue import Selection
from smtpcheck.relay.rates import RateLimits
from smtpcheck.relay.schedule import Schedule
from tests.net.nameserver import from_zone, nameserver
from tests.relay.next_hop import ESMTP, NextHopServer, next_hop

LIMITS = Limits(connect=5, greeting=5, reply=5, handshake=5, quit=1, run=60)
QUICK = Schedule(delays=(0.2, 0.2), greylisted=(0.1, 0.1), warning=60, lifetime=120, jitter=0)
HOME = Config(
    hostname="home.test",
    listen=(Listen(role=PortRole.MX), Listen(role=PortRole.SUBMISSION), Listen(role=PortRole.POP3)),
    users={"alice": "wonder"},
    local_domains=frozenset({"home.test"}),
    schedule=QUICK,
    auth_in_clear=True,
)
TEXT = "Subject: hello\r\n\r\n.dot\r\nend\r\n"


def unexpected(error: BaseException) -> None:
    raise error


@asynccontextmanager
async def engine(
    config: Config = HOME, zone: Mapping[Any, Sequence[str]] | None = None
) -> AsyncIterator[Engine]:
    faults: list[BaseException] = []
    async with nameserver(from_zone(zone or {})) as (resolver, _):
        config = replace(config, resolver=resolver)
        async with Engine(config, limits=LIMITS, fault=faults.append) as running:
            yield running
    assert faults == []


async def send(running: Engine, *to: str, sender: str = "alice@home.test", text: str = TEXT) -> Any:
    """Submitted by a mainstream client; who was refused."""

    def work() -> Any:
        with smtplib.SMTP("127.0.0.1", running.port(PortRole.SUBMISSION), timeout=10) as client:
            client.login("alice", "wonder")
            return client.sendmail(sender, list(to), text)

    return await asyncio.to_thread(work)


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """What it comes to; the engine rings no bell outside."""
    deadline = time.monotonic() + 15
    while not (found := await condition()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    return found


async def settled(running: Engine) -> bool:
    return not await running.queue.entries(Selection(), limit=1)


def mailbox(running: Engine, domain: str, name: str) -> list[Message]:
    paths = sorted((running.data / "mail" / domain / name).glob("new/*"))
    return [email.message_from_bytes(path.read_bytes()) for path in paths]


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_submitted_and_picked_up() -> None:
    async def main() -> None:
        async with engine() as running:
            assert await send(running, "alice@home.test") == {}
            await until(lambda: settled(running))

            def pick_up() -> list[bytes]:
                client = poplib.POP3("127.0.0.1", running.port(PortRole.POP3), timeout=10)
                client.user("alice")
                client.pass_("wonder")
                lines = client.retr(1)[1]
                client.quit()
                return lines

            lines = await asyncio.to_thread(pick_up)
            assert lines[0] == b"Return-Path: <alice@home.test>"
            assert lines[-2:] == [b".dot", b"end"]

    asyncio.run(main())


def test_past_a_dead_primary_retried_and_delivered() -> None:
    """The primary refuses connections, the backup greylists once, then takes it."""

    async def main() -> None:
        answers: dict[str, str | list[str]] = {"RCPT": ["450 4.2.1 come back", "250 ok"]}
        async with next_hop(NextHopServer(answers, ehlo=ESMTP)) as backup:
            zone = {
                ("away.test", "MX"): ("10 primary.away.test.", "20 backup.away.test."),
                ("primary.away.test", "A"): ("127.0.0.2",),  # nobody listens on this port there
                ("backup.away.test", "A"): ("127.0.0.1",),
            }
            async with engine(replace(HOME, mx_port=backup.port), zone) as running:
                await send(running, "bob@away.test")
                await until(lambda: settled(running))
                (entry,) = await running.queue.entries(Selection(), limit=9, finished=True)
                shown = await ask(running.data, {"do": "show", "id": entry.envelope.message_id})
        assert shown is not None
        attempts = shown["result"]["attempts"]
        hosts = [attempt["host"]["name"].partition(".")[0] for attempt in attempts]
        assert hosts == ["primary", "backup"] * 2
        assert [a["outcomes"][0]["outcome"] for a in attempts[:3]] == ["deferred"] * 3
        assert attempts[3]["outcomes"][0]["outcome"] == "delivered"
        assert all(attempt["finished"] and attempt["transcript"] for attempt in attempts)
        content = backup.contents[-1]  # the one before it went to nobody
        assert content.startswith(b"Received: from ")
        assert content.endswith(b"\r\n\r\n..dot\r\nend\r\n")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("to", "status"), [("bob@nowhere.test", "5.1.2"), ("bob@null.test", "5.1.10")]
)
def test_a_dead_address_is_returned_once(to: str, status: str) -> None:
    async def main() -> None:
        async with engine(zone={("null.test", "MX"): ("0 .",)}) as running:
            await send(running, to, "alice@home.test")
            await until(lambda: settled(running))
            mails = mailbox(running, "home.test", "alice")
            (bounce,) = [m for m in mails if m.get_content_type() == "multipart/report"]
            assert len(mails) == 2
        assert bounce["Return-Path"] == "<>"
        parts = list(bounce.walk())
        fields = next(p for p in parts if p.get_content_maintype() == "message").get_payload()
        assert fields[1]["Final-Recipient"] == f"rfc822;{to}"  # type: ignore[index]
        assert fields[1]["Status"] == status  # type: ignore[index]

    asyncio.run(main())


def test_a_bounce_that_bounces_goes_to_the_postmaster_once() -> None:
    async def main() -> None:
        async with engine() as running:
            await send(running, "bob@nowhere.test", sender="eve@nowhere.test")
            await until(lambda: settled(running))
            (told,) = mailbox(running, "home.test", "postmaster")
            assert told["Subject"] == "Undelivered bounce"
            assert mailbox(running, "home.test", "alice") == []

    asyncio.run(main())


def test_what_waits_too_long_is_warned_about_and_then_returned() -> None:
    """With a lifetime of 0.6 s and a warning after 0.2: one of each, in that order."""
    schedule = replace(QUICK, warning=0.2, lifetime=0.6)
    port = closed_port()

    async def main() -> None:
        zone = {("away.test", "A"): ("127.0.0.1",)}
        async with engine(replace(HOME, schedule=schedule, mx_port=port), zone) as running:
            await send(running, "bob@away.test")
            await until(lambda: settled(running))
            subjects = [m["Subject"] for m in mailbox(running, "home.test", "alice")]
        assert sorted(subjects) == ["Mail is delayed", "Undelivered mail returned to sender"]

    asyncio.run(main())


def refused(port: int, *to: str, sender: str = "x@out.test") -> list[int]:
    """The codes that RCPT is answered with, from a stranger on the MX port."""
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.ehlo("out.test")
        client.docmd(f"MAIL FROM:<{sender}>")
        return [client.docmd(f"RCPT TO:{each}")[0] for each in to]


TRICKS = (
    "<bob@away.test>",
    "<bob%away.test@home.test>",
    "<bob%away.test>",
    "<away.test!bob@home.test>",
    "<@home.test:bob@away.test>",
    "<@home.test,@other.test:bob@away.test>",
    '<"bob@away.test"@home.test>',
    '<"bob@away.test">',
    "<bob@away.test@home.test>",
    "<bob@[127.0.0.1]>",
    "<bob@away.test.>",
    "<bob@home.test.away.test>",
    '<"bob%away.test"@home.test>',
    "<bob@home.test%away.test>",
    "<@away.test@home.test>",
    "<alice@home.test@away.test>",
    "bob@away.test",
    "<bob(comment)@away.test>",
    "<bob@away.test,alice@home.test>",
    "<home.test!bob%away.test@[127.0.0.1]>",
)


def test_closed_to_strangers_whatever_they_write() -> None:
    async def main() -> None:
        async with engine() as running:
            port = running.port(PortRole.MX)
            codes = await asyncio.to_thread(refused, port, *TRICKS)
            assert all(500 <= code < 600 for code in codes), list(zip(TRICKS, codes, strict=True))
            good = ("<alice@home.test>", "<postmaster>", "<Postmaster@home.test>")
            assert await asyncio.to_thread(refused, port, *good) == [250] * 3
        listed = replace(HOME, networks=(ip_network("127.0.0.0/8"),))
        async with engine(listed) as running:
            port = running.port(PortRole.MX)
            assert await asyncio.to_thread(refused, port, "<bob@away.test>") == [250]

    asyncio.run(main())


def test_rates_are_limited_for_strangers() -> None:
    rates = RateLimits(connections=2, messages=0, recipients=3, failed_logins=1)

    async def main() -> None:
        async with engine(replace(HOME, rates=rates)) as running:
            port = running.port(PortRole.MX)
            to = ("<alice@home.test>", *(f"<nobody{n}@home.test>" for n in range(4)))
            codes = await asyncio.to_thread(refused, port, *to)
            assert codes == [250, 550, 550, 452, 452]
            await asyncio.to_thread(refused, port)
            with pytest.raises(smtplib.SMTPConnectError) as thrown:
                await asyncio.to_thread(refused, port)
            assert thrown.value.smtp_code == 421

    asyncio.run(main())


def test_a_loop_ends() -> None:
    """A message that has been everywhere, and an MX that is ourselves."""
    around = "Received: from a by b; x\r\n" * 51

    async def main() -> None:
        async with engine() as running:
            with pytest.raises(smtplib.SMTPDataError) as thrown:
                await send(running, "alice@home.test", text=around + TEXT)
            assert thrown.value.smtp_code == 554
            zone = {("away.test", "MX"): ("10 home.test.",)}
        async with engine(zone=zone) as running:
            await send(running, "bob@away.test")
            await until(lambda: settled(running))
            (bounce,) = mailbox(running, "home.test", "alice")
            assert "554 5.4.6" in bounce.as_string()

    asyncio.run(main())


def test_a_restart_takes_up_what_waits(tmp_path: Path) -> None:
    async def main() -> None:
        config = replace(HOME, data=tmp_path)
        zone = {("away.test", "A"): ("127.0.0.1",)}
        async with engine(replace(config, mx_port=closed_port()), zone) as running:
            await send(running, "bob@away.test")
        server = NextHopServer(ehlo=ESMTP)
        async with (
            next_hop(server),
            engine(replace(config, mx_port=server.port), zone) as running,
        ):
            await until(lambda: settled(running))
        assert len(server.contents) == 1

    asyncio.run(main())


def test_what_is_not_ours_in_the_spool_is_left_alone_and_messages_without_queue_are_not_lost(
    tmp_path: Path,
) -> None:
    """`--data /var` must not sweep /var/spool; a lost queue.db must not empty the spool."""
    (tmp_path / "spool").mkdir()
    notes = tmp_path / "spool" / "notes.txt"
    notes.write_text("mine")

    async def main() -> None:
        async with engine(replace(HOME, data=tmp_path)):
            pass

    asyncio.run(main())
    assert notes.read_text() == "mine"
    kept = tmp_path / "spool" / "0660F62FA6B0C4D57D7A"
    kept.write_text("a message")
    for name in ("queue.db", "queue.db-wal", "queue.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(BadInputError, match=r"no queue\.db"):
        asyncio.run(main())
    assert kept.read_text() == "a message"


def test_a_dead_domain_delays_nobody_else_and_a_stop_does_not_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that accepts connections and is silent, with a hundred messages waiting for it."""
    monkeypatch.setattr("smtpcheck.relay.engine.GRACE", 0.2)

    async def main() -> float:
        server = NextHopServer(ehlo=ESMTP)
        async with next_hop(server):
            silent = await asyncio.start_server(hold, "127.0.0.2", server.port)
            zone = {
                ("silent.test", "A"): ("127.0.0.2",),
                **{(f"d{n}.test", "A"): ("127.0.0.1",) for n in range(5)},
            }
            async with engine(replace(HOME, mx_port=server.port), zone) as running:
                await send(running, *(f"u{n}@silent.test" for n in range(100)))
                for _ in range(20):
                    await send(running, "x@silent.test")
                began = time.monotonic()
                for _ in range(4):
                    await send(running, *(f"good@d{n}.test" for n in range(5)))
                await until(lambda: arrived(server, 20))
                took = time.monotonic() - began
                left = await running.queue.entries(Selection(), limit=99)
                assert len(left) == 21
            silent.close()
        return took

    async def arrived(server: NextHopServer, count: int) -> bool:
        return len(server.contents) >= count

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    assert asyncio.run(main()) < 4  # less than the silent one is waited for
