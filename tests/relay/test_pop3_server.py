"""The POP3 server over real sockets: locks, limits, TLS, and ends of every kind."""

import asyncio
import poplib
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import closing
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import Any

import pytest
import uvloop

from smtpcheck.facts.host import Security
from smtpcheck.net.tls import server_context
from smtpcheck.relay.maildir import Maildrop, deliver
from smtpcheck.relay.pop3_listener import Pop3Config, Pop3Limits
from smtpcheck.relay.pop3_server import Pop3Server
from smtpcheck.relay.throwaway import ThrowawayCA

PASSWORD = "correct horse"
LIMITS = Pop3Limits(failed_login_delay=0)
CLEAR = Pop3Config(login_in_clear=True, limits=LIMITS)
MESSAGES = (
    b"Subject: one\r\n\r\n.dot\r\n..\r\n.\r\nend\r\n",
    b"Subject: two\r\n\r\n" + b"0123456789abcdef\r\n" * 40_000,
    "Subject: drei\r\n\r\nGrüße\r\n".encode("latin-1"),
)
TRACE = b"Return-Path: <a@a.test>\r\nDelivered-To: alice\r\n"


def fill(mailbox: Path) -> None:
    for number, content in enumerate(MESSAGES):
        received = datetime(2026, 1, 1, 0, 0, number, tzinfo=UTC)
        deliver(
            mailbox,
            content,
            message_id=str(number),
            received=received,
            reverse_path="a@a.test",
            forward_path="alice",
        )


def left(mailbox: Path) -> list[bytes]:
    drop = Maildrop(mailbox)
    with closing(drop):
        return [b"".join(drop.chunks(stored)) for stored in drop.messages]


def accounts(mailbox: Path) -> Callable[[str, str, str], Awaitable[Path | None]]:
    async def check(user: str, password: str, address: str) -> Path | None:
        assert address == "127.0.0.1"
        known = user == "alice" and compare_digest(password, PASSWORD)
        return mailbox if known else None

    return check


Run = Callable[[Coroutine[None, None, Any]], Any]


@pytest.fixture(params=["stock", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[..., object]]:
    """Run a coroutine on one of the loops; nothing may be left to an exception handler."""
    factory = asyncio.new_event_loop if request.param == "stock" else uvloop.new_event_loop
    complaints: list[object] = []
    with asyncio.Runner(loop_factory=factory) as loop:
        loop.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        yield loop.run
    assert complaints == []


class Faults(list[BaseException]):
    """What the server reported; none is expected."""


async def serving(
    mailbox: Path,
    work: Callable[[int], Awaitable[None] | None],
    config: Pop3Config = CLEAR,
    check: Callable[[str, str, str], Awaitable[Path | None]] | None = None,
) -> Faults:
    """Run blocking `work` in a thread, or await it, against a server; its faults."""
    faults = Faults()
    async with Pop3Server(config, check or accounts(mailbox), fault=faults.append) as server:
        done = await asyncio.to_thread(work, server.port)
        if done is not None:
            await done
    return faults


def pop(port: int) -> poplib.POP3:
    return poplib.POP3("127.0.0.1", port, timeout=10)


def logged_in(client: poplib.POP3) -> poplib.POP3:
    client.user("alice")
    client.pass_(PASSWORD)
    return client


def fetched(client: poplib.POP3, number: int) -> bytes:
    message = b"".join(line + b"\r\n" for line in client.retr(number)[1])
    assert client.list()[1][number - 1] == f"{number} {len(message)}".encode()
    return message


def everything(client: poplib.POP3) -> None:
    """Poplib's whole vocabulary on a mailbox of three."""
    logged_in(client)
    assert client.stat() == (3, sum(len(TRACE + message) for message in MESSAGES))
    assert [fetched(client, number) for number in (1, 2, 3)] == [
        TRACE + message for message in MESSAGES
    ]
    assert client.top(2, 1)[1][-1] == b"0123456789abcdef"
    ids = [line.split()[1] for line in client.uidl()[1]]
    assert len(set(ids)) == 3
    client.dele(1)
    assert client.stat()[0] == 2
    client.rset()
    client.noop()
    client.dele(2)
    client.quit()


def test_poplib_in_the_clear(run: Run, tmp_path: Path) -> None:
    fill(tmp_path)
    assert run(serving(tmp_path, lambda port: everything(pop(port)))) == []
    assert left(tmp_path) == [TRACE + MESSAGES[0], TRACE + MESSAGES[2]]


def tls(ca: ThrowawayCA, security: Security, limits: Pop3Limits = LIMITS) -> Pop3Config:
    identity = ca.issue(["localhost"])
    context = server_context(identity.chain_pem, identity.key_pem)
    return Pop3Config(context=context, security=security, limits=limits)


def trusting(ca: ThrowawayCA) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca.root_pem.decode())


def test_poplib_over_implicit_tls(run: Run, tmp_path: Path, ca: ThrowawayCA) -> None:
    def work(port: int) -> None:
        everything(poplib.POP3_SSL("localhost", port, context=trusting(ca), timeout=10))

    fill(tmp_path)
    assert run(serving(tmp_path, work, tls(ca, Security.IMPLICIT))) == []
    assert len(left(tmp_path)) == 2


def test_a_client_hello_that_came_first_is_tls(run: Run, tmp_path: Path, ca: ThrowawayCA) -> None:
    """It arrived with the connection, before the server looked; uvloop hands it over at once."""

    async def work(port: int) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = trusting(ca).wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(outgoing.read())  # the loop is blocked: the server has not run yet
            client.setblocking(False)
            answer = await asyncio.get_running_loop().sock_recv(client, 3)
        assert answer == b"\x16\x03\x03"

    run(serving(tmp_path, work, tls(ca, Security.IMPLICIT)))


def test_poplib_over_stls(run: Run, tmp_path: Path, ca: ThrowawayCA) -> None:
    def work(port: int) -> None:
        client = poplib.POP3("localhost", port, timeout=10)
        assert "STLS" in client.capa()
        with pytest.raises(poplib.error_proto, match="STLS first"):
            client.user("alice")
        client.stls(trusting(ca))
        assert "STLS" not in client.capa()
        everything(client)

    fill(tmp_path)
    assert run(serving(tmp_path, work, tls(ca, Security.STARTTLS))) == []
    assert len(left(tmp_path)) == 2


def test_a_wrong_password_is_refused_and_counted(run: Run, tmp_path: Path) -> None:
    async def work(port: int) -> None:
        answered = await conversation(port, b"USER alice\r\nPASS wrong\r\n" * 4)
        assert answered.count(b"-ERR [AUTH] user or password is wrong\r\n") == 3
        assert answered.endswith(b"-ERR too many failed logins\r\n")

    assert run(serving(tmp_path, lambda port: work(port))) == []


def test_whoever_guesses_waits(run: Run, tmp_path: Path) -> None:
    async def work(port: int) -> None:
        before = asyncio.get_running_loop().time()
        await conversation(port, b"USER alice\r\nPASS wrong\r\nQUIT\r\n")
        assert asyncio.get_running_loop().time() - before >= 0.2

    config = Pop3Config(login_in_clear=True, limits=Pop3Limits(failed_login_delay=0.2))
    assert run(serving(tmp_path, lambda port: work(port), config)) == []


def test_a_mailbox_is_for_one_session_at_a_time_and_free_after_it(run: Run, tmp_path: Path) -> None:
    def work(port: int) -> None:
        first, second = pop(port), pop(port)
        logged_in(first).dele(1)
        with pytest.raises(poplib.error_proto, match=r"\[IN-USE\]"):
            logged_in(second)
        first.quit()
        assert logged_in(second).stat()[0] == 2
        second.quit()

    fill(tmp_path)
    assert run(serving(tmp_path, work)) == []


def test_a_lost_connection_deletes_nothing_and_frees_the_mailbox(run: Run, tmp_path: Path) -> None:
    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"USER alice\r\nPASS {PASSWORD}\r\nDELE 1\r\n".encode())
        for _ in range(4):
            assert (await reader.readline()).startswith(b"+OK")
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    fill(tmp_path)
    assert run(serving(tmp_path, lambda port: work(port))) == []
    assert len(left(tmp_path)) == 3


async def conversation(port: int, said: bytes, *, end: bool = True) -> bytes:
    """All that is answered until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    if end:
        writer.write_eof()
    async with asyncio.timeout(10):
        answered = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answered


def test_commands_may_all_come_at_once(run: Run, tmp_path: Path) -> None:
    """PIPELINING, RFC 2449 §6.6; the long message waits for nobody but the reader."""

    async def work(port: int) -> None:
        commands = f"USER alice\r\nPASS {PASSWORD}\r\nRETR 2\r\nRETR 1\r\nDELE 2\r\nQUIT\r\n"
        answered = await conversation(port, commands.encode())
        assert answered.count(b"0123456789abcdef\r\n") == 40_000
        assert b"\r\n..dot\r\n...\r\n..\r\nend\r\n.\r\n+OK" in answered
        assert answered.endswith(b"+OK bye\r\n")

    fill(tmp_path)
    assert run(serving(tmp_path, lambda port: work(port))) == []
    assert len(left(tmp_path)) == 2


def test_silence_ends_the_session_without_deleting(run: Run, tmp_path: Path) -> None:
    async def work(port: int) -> None:
        commands = f"USER alice\r\nPASS {PASSWORD}\r\nDELE 1\r\n"
        answered = await conversation(port, commands.encode(), end=False)
        assert answered.endswith(b"-ERR waited too long for you\r\n")
        stranger = await conversation(port, b"", end=False)
        assert stranger.endswith(b"-ERR waited too long for you\r\n")

    fill(tmp_path)
    limits = Pop3Limits(idle=0.2, login=0.1)
    config = Pop3Config(login_in_clear=True, limits=limits)
    assert run(serving(tmp_path, lambda port: work(port), config)) == []
    assert len(left(tmp_path)) == 3


def test_a_client_that_does_not_read_is_cut_off(run: Run, tmp_path: Path) -> None:
    log_in = f"USER alice\r\nPASS {PASSWORD}\r\n".encode()

    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(log_in)
        while await reader.readline() != b"+OK logged in\r\n":
            pass
        writer.write(b"RETR 2\r\n" * 50)
        assert b"[IN-USE]" in await conversation(port, log_in + b"QUIT\r\n")
        async with asyncio.timeout(10):
            while b"[IN-USE]" in await conversation(port, log_in + b"QUIT\r\n"):
                pass
        writer.transport.abort()

    fill(tmp_path)
    config = Pop3Config(login_in_clear=True, limits=Pop3Limits(write=0.3))
    assert run(serving(tmp_path, lambda port: work(port), config)) == []


def test_a_handshake_that_never_comes_is_not_waited_for(
    run: Run, tmp_path: Path, ca: ThrowawayCA
) -> None:
    async def work(port: int) -> None:
        assert await conversation(port, b"", end=False) == b""

    config = tls(ca, Security.IMPLICIT, Pop3Limits(handshake=0.1))
    assert run(serving(tmp_path, lambda port: work(port), config)) == []


@pytest.mark.parametrize("said", [b"USER alice\r\n", b"\x16\x03\x01\x00\x02\x01\x00", b"\0" * 99])
def test_what_is_no_handshake_gets_no_answer_in_the_clear(
    run: Run, tmp_path: Path, ca: ThrowawayCA, said: bytes
) -> None:
    async def work(port: int) -> None:
        assert b"OK" not in await conversation(port, said)

    assert run(serving(tmp_path, lambda port: work(port), tls(ca, Security.IMPLICIT))) == []


def test_there_is_room_for_so_many_and_no_more(run: Run, tmp_path: Path) -> None:
    async def work(port: int) -> None:
        _, first = await asyncio.open_connection("127.0.0.1", port)
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readline() == b"+OK POP3 server ready\r\n"
        refusal = b"-ERR [SYS/TEMP] too many connections\r\n"
        assert await conversation(port, b"", end=False) == refusal
        second.write(b"QUIT\r\n")
        assert await reader.read() == b"+OK bye\r\n"
        assert await conversation(port, b"QUIT\r\n") != refusal
        first.close()
        second.close()

    limits = Pop3Limits(connections_per_client=2)
    config = Pop3Config(login_in_clear=True, limits=limits)
    assert run(serving(tmp_path, lambda port: work(port), config)) == []


def test_a_broken_mailbox_is_a_fault_of_ours_and_no_end(run: Run, tmp_path: Path) -> None:
    def work(port: int) -> None:
        client = pop(port)
        client.user("alice")
        with pytest.raises(poplib.error_proto, match=r"\[SYS/TEMP\]"):
            client.pass_(PASSWORD)
        client.quit()

    (tmp_path / "box").touch()
    faults = run(serving(tmp_path / "box", work))
    assert [type(fault) for fault in faults] == [NotADirectoryError]


def test_accounts_that_raise_are_a_fault_of_ours_and_no_end(run: Run, tmp_path: Path) -> None:
    async def check(*_: str) -> Path | None:
        raise RuntimeError("database gone")

    def work(port: int) -> None:
        client = pop(port)
        client.user("alice")
        with pytest.raises(poplib.error_proto, match=r"\[SYS/TEMP\]"):
            client.pass_(PASSWORD)
        client.quit()

    faults = run(serving(tmp_path, work, check=check))
    assert [str(fault) for fault in faults] == ["database gone"]


def test_a_message_that_vanished_is_told(run: Run, tmp_path: Path) -> None:
    def work(port: int) -> None:
        client = logged_in(pop(port))
        for path in (tmp_path / "new").iterdir():
            path.unlink()
        with pytest.raises(poplib.error_proto, match=r"\[SYS/TEMP\]"):
            client.retr(1)
        client.noop()
        client.quit()

    fill(tmp_path)
    faults = run(serving(tmp_path, work))
    assert [type(fault) for fault in faults] == [FileNotFoundError]


def test_a_stop_tells_whoever_is_there_and_deletes_nothing(run: Run, tmp_path: Path) -> None:
    async def main() -> bytes:
        server = Pop3Server(CLEAR, accounts(tmp_path))
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"USER alice\r\nPASS {PASSWORD}\r\nDELE 1\r\n".encode())
        for _ in range(4):
            await reader.readline()
        await server.stop()
        last = await reader.read()
        writer.close()
        await writer.wait_closed()
        return last

    fill(tmp_path)
    assert run(main()) == b"-ERR [SYS/TEMP] shutting down\r\n"
    assert len(left(tmp_path)) == 3
