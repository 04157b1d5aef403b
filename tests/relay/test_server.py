"""The listening server on both loops: the dialogues again, TLS, time, limits, and the stop."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
import uvloop
from OpenSSL import SSL

from smtpcheck.facts.delivery import Envelope
from smtpcheck.facts.host import Security
from smtpcheck.net.tls import server_context
from smtpcheck.relay.acceptance import Acceptance, Answer, MemoryAcceptance
from smtpcheck.relay.connection import client_key
from smtpcheck.relay.happening import SessionInfo
from smtpcheck.relay.listener import ListenerConfig, ListenerLimits
from smtpcheck.relay.record import Record
from smtpcheck.relay.server import SmtpServer
from smtpcheck.relay.throwaway import ThrowawayCA
from smtpcheck.wire.reply import Reply, ReplyParser, reply
from tests.relay.dialogue import DIALOGUES, acceptance, hold, listener, read

NAME = "mx.example.test"
WAIT = 5.0
"""Seconds, after which a test has failed; none is ever waited for in vain."""

Main = Callable[[], Coroutine[Any, Any, None]]
Run = Callable[[Main], None]
NOOP = b"NOOP " + b"x" * 1000 + b"\r\n"
TRANSACTION = b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@example.test>\r\nDATA\r\n"


@pytest.fixture(params=["stock", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on one of the loops; nothing may be left to an exception handler."""
    factory = asyncio.new_event_loop if request.param == "stock" else uvloop.new_event_loop

    def runner(main: Main) -> None:
        complaints: list[dict[str, Any]] = []

        async def watched() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: complaints.append(context))
            await asyncio.wait_for(main(), 30)

        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(watched())
        assert complaints == []

    return runner


@pytest.fixture(scope="module")
def context(ca: ThrowawayCA) -> SSL.Context:
    """A certificate for the server."""
    identity = ca.issue([NAME])
    return server_context(identity.chain_pem, identity.key_pem)


class Client:
    """A blocking client, for a thread of its own."""

    def __init__(self, server: SmtpServer, ca: ThrowawayCA, source: str = "127.0.0.1") -> None:
        self.socket: socket.socket = socket.create_connection(
            ("127.0.0.1", server.port), WAIT, source_address=(source, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ca = ca
        self._parser = ReplyParser()
        self._replies: list[Reply] = []

    def send(self, data: bytes) -> None:
        """All of it."""
        self.socket.sendall(data)

    def received(self) -> bytes:
        """What is there, at least one octet; b"" at the end."""
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def handshake(self) -> None:
        """Verified TLS."""
        trust = ssl.create_default_context(cadata=self._ca.root_pem.decode())
        self.socket = trust.wrap_socket(self.socket, server_hostname=NAME)

    def closed(self) -> bool:
        """Whether the end comes next."""
        return not self._replies and self.received() == b""

    def reply(self) -> str:
        """The next reply, "" when the end came first."""
        while not self._replies:
            data = self.received()
            if not data:
                return ""
            self._replies.extend(self._parser.feed(data))
        return str(self._replies.pop(0))

    def says(self, data: bytes) -> str:
        """The reply to `data`."""
        self.send(data)
        return self.reply()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class Rig:
    """A server on the running loop, and clients in threads."""

    def __init__(
        self, ca: ThrowawayCA, config: ListenerConfig, taker: Acceptance | None = None
    ) -> None:
        self.taker = taker or acceptance()
        self.faults: list[BaseException] = []
        self.records: list[Record] = []
        self.server = SmtpServer(
            config, self.taker, fault=self.faults.append, observe=self._observe
        )
        self._ca = ca

    def _observe(self, _: SessionInfo) -> Record:
        self.records.append(Record())
        return self.records[-1]

    async def talk(self, speak: Callable[[Client], None], source: str = "127.0.0.1") -> None:
        """One client's conversation, which is closed at its end."""

        def thread() -> None:
            with Client(self.server, self._ca, source) as client:
                speak(client)

        await asyncio.to_thread(thread)

    async def __aenter__(self) -> "Rig":
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()
        assert self.server._connections == set()
        assert self.server._per_client == {}
        assert self.server.inflight == set()


def memory(rig: Rig) -> MemoryAcceptance:
    """The rig's acceptance, when it is the one that keeps messages."""
    assert isinstance(rig.taker, MemoryAcceptance)
    return rig.taker


async def until(true: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    end = monotonic() + WAIT
    while not true():
        assert monotonic() < end
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogues_go_as_written_over_a_socket(
    run: Run, ca: ThrowawayCA, context: SSL.Context, path: Any
) -> None:
    dialogue = read(path)

    async def main() -> None:
        async with Rig(ca, listener(dialogue.settings, context)) as rig:
            await rig.talk(lambda client: hold(dialogue, client, memory(rig).messages))
            assert rig.faults == []

    run(main)


# TLS


def greeted(client: Client) -> None:
    """As far as EHLO."""
    assert client.reply().startswith("220 ")
    assert client.says(b"EHLO a\r\n").startswith("250 ")


GLUED = [
    ("a command", b"NOOP\r\n"),
    ("a transaction", TRANSACTION),
    ("EHLO", b"EHLO evil\r\n"),
    ("an empty line", b"\r\n"),
    ("one octet", b"\0"),
    ("part of a command", b"NO"),
    ("a ClientHello", b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03"),
]


@pytest.mark.parametrize("glued", [row[1] for row in GLUED], ids=[row[0] for row in GLUED])
def test_octets_glued_to_starttls_end_the_connection(
    run: Run, ca: ThrowawayCA, context: SSL.Context, glued: bytes
) -> None:
    def speak(client: Client) -> None:
        greeted(client)
        assert client.says(b"STARTTLS\r\n" + glued).startswith("421 4.7.0 ")
        assert client.closed()

    async def main() -> None:
        async with Rig(ca, ListenerConfig(context=context)) as rig:
            await rig.talk(speak)

    run(main)


@pytest.mark.parametrize("before", [b"NOOP\r\n", b"EHLO evil\r\nMAIL FROM:<a@b.test>\r\n", b"\0"])
def test_clear_text_behind_the_220_never_counts(
    run: Run, ca: ThrowawayCA, context: SSL.Context, before: bytes
) -> None:
    def speak(client: Client) -> None:
        greeted(client)
        assert client.says(b"STARTTLS\r\n").startswith("220 ")
        client.send(before)
        with pytest.raises((ssl.SSLError, OSError)):
            client.handshake()

    async def main() -> None:
        async with Rig(ca, ListenerConfig(context=context)) as rig:
            await rig.talk(speak)
            await until(lambda: not rig.server._connections)
            (record,) = rig.records
            said = [event.data for event in record.transcript().events]
            assert not any(b"evil" in data for data in said)
            assert any("TLS: " in event.note for event in record.transcript().events)

    run(main)


def test_a_transaction_before_starttls_is_forgotten(
    run: Run, ca: ThrowawayCA, context: SSL.Context
) -> None:
    config = ListenerConfig(context=context, auth=True, auth_in_clear=True)
    plain = b"AUTH PLAIN AHVzZXJAZXhhbXBsZS50ZXN0AHNlY3JldA==\r\n"

    def speak(client: Client) -> None:
        greeted(client)
        assert client.says(plain).startswith("235 ")
        assert client.says(b"STARTTLS\r\n").startswith("220 ")
        client.handshake()
        assert client.says(b"RCPT TO:<c@example.test>\r\n").startswith("503 ")
        assert client.says(b"EHLO a\r\n").startswith("250 ")
        assert client.says(b"MAIL FROM:<a@b.test>\r\n").startswith("250 ")
        assert client.says(b"RCPT TO:<c@elsewhere.test>\r\n").startswith("550 5.7.1 ")

    async def main() -> None:
        async with Rig(ca, config) as rig:
            await rig.talk(speak)

    run(main)


def test_implicit_tls_carries_a_large_message(
    run: Run, ca: ThrowawayCA, context: SSL.Context
) -> None:
    config = ListenerConfig(context=context, security=Security.IMPLICIT)
    content = b"".join(b"%d\r\n.%d\r\n" % (n, n) for n in range(200_000))

    def speak(client: Client) -> None:
        client.handshake()
        greeted(client)
        assert client.says(b"MAIL FROM:<a@b.test>\r\n").startswith("250 ")
        assert client.says(b"RCPT TO:<c@example.test>\r\n").startswith("250 ")
        assert client.says(b"DATA\r\n").startswith("354 ")
        assert client.says(content.replace(b"\r\n.", b"\r\n..") + b".\r\n").startswith("250 ")
        assert client.says(b"QUIT\r\n").startswith("221 ")
        assert client.closed()

    async def main() -> None:
        async with Rig(ca, config) as rig:
            await rig.talk(speak)
            ((envelope, received),) = memory(rig).messages
            assert received == content
            assert envelope.protocol == "ESMTPS"

    run(main)


@pytest.mark.parametrize("said", [b"EHLO a\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 5000])
def test_what_is_no_handshake_ends_an_implicit_tls_connection(
    run: Run, ca: ThrowawayCA, context: SSL.Context, said: bytes
) -> None:
    def speak(client: Client) -> None:
        client.send(said)
        received = b"".join(iter(client.received, b""))
        assert b"220" not in received

    async def main() -> None:
        async with Rig(ca, ListenerConfig(context=context, security=Security.IMPLICIT)) as rig:
            await rig.talk(speak)

    run(main)


def test_close_notify_behind_the_last_command_ends_the_session(
    run: Run, ca: ThrowawayCA, context: SSL.Context
) -> None:
    def speak(client: Client) -> None:
        client.handshake()
        greeted(client)
        assert isinstance(client.socket, ssl.SSLSocket)
        client.send(b"NOOP\r\n")
        with contextlib.suppress(ssl.SSLError, OSError):  # the reply stands before theirs
            client.socket.unwrap()

    async def main() -> None:
        async with Rig(ca, ListenerConfig(context=context, security=Security.IMPLICIT)) as rig:
            await rig.talk(speak)
            await until(lambda: not rig.server._connections)

    run(main)


def test_the_end_of_the_stream_within_a_handshake_ends_it(
    run: Run, ca: ThrowawayCA, context: SSL.Context
) -> None:
    def speak(client: Client) -> None:
        greeted(client)
        assert client.says(b"STARTTLS\r\n").startswith("220 ")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.closed()

    async def main() -> None:
        async with Rig(ca, ListenerConfig(context=context)) as rig:
            await rig.talk(speak)

    run(main)


def test_implicit_tls_needs_a_certificate() -> None:
    with pytest.raises(ValueError, match="certificate"):
        ListenerConfig(security=Security.IMPLICIT)


# Time


@pytest.mark.parametrize(
    ("limits", "said", "words"),
    [
        (ListenerLimits(idle=0.1), b"EHLO a\r\n", "421 4.4.2 Waited"),
        (ListenerLimits(data=0.1), TRANSACTION + b"hi", "421 4.4.2 Waited"),
        (ListenerLimits(session=0.1), b"NOOP\r\n", "421 4.4.2 Session"),
    ],
    ids=["idle", "data", "session"],
)
def test_what_takes_too_long_is_ended_with_421(
    run: Run, ca: ThrowawayCA, limits: ListenerLimits, said: bytes, words: str
) -> None:
    def speak(client: Client) -> None:
        client.send(said)
        last = ""
        while answer := client.reply():
            last = answer
        assert last.startswith(words)

    async def main() -> None:
        async with Rig(ca, ListenerConfig(limits=limits)) as rig:
            await rig.talk(speak)

    run(main)


def test_a_handshake_that_takes_too_long_is_ended(
    run: Run, ca: ThrowawayCA, context: SSL.Context
) -> None:
    limits = ListenerLimits(handshake=0.1)
    config = ListenerConfig(context=context, security=Security.IMPLICIT, limits=limits)

    def speak(client: Client) -> None:
        client.send(b"\x16\x03\x01")
        assert client.closed()

    async def main() -> None:
        async with Rig(ca, config) as rig:
            await rig.talk(speak)

    run(main)


def test_a_client_that_never_closes_is_cut_off(run: Run, ca: ThrowawayCA) -> None:
    limits = ListenerLimits(idle=0.1, linger=0.1)

    async def main() -> None:
        gone = threading.Event()

        def speak(client: Client) -> None:
            while client.reply():
                pass
            assert gone.wait(WAIT)

        async with Rig(ca, ListenerConfig(limits=limits)) as rig:
            talk = asyncio.create_task(rig.talk(speak))
            await until(lambda: len(rig.server._connections) == 1)
            await until(lambda: not rig.server._connections)
            gone.set()
            await talk

    run(main)


def test_last_words_are_not_lost_in_a_reset(run: Run, ca: ThrowawayCA) -> None:
    """What the client still sends is read and dropped; closing on it would reset."""

    def speak(client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\n" + b"x" * 8_000_000)
        received = b"".join(iter(lambda: client.socket.recv(65536), b""))
        assert received.endswith(b"500 5.5.2 This is SMTP\r\n")

    async def main() -> None:
        async with Rig(ca, ListenerConfig()) as rig:
            await rig.talk(speak)

    run(main)


def test_the_greeting_can_be_late_and_early_commands_wait_for_it(run: Run, ca: ThrowawayCA) -> None:
    def speak(client: Client) -> None:
        began = monotonic()
        assert client.says(b"EHLO a\r\nQUIT\r\n").startswith("220 ")
        assert monotonic() - began >= 0.1
        assert client.reply().startswith("250 ")
        assert client.reply().startswith("221 ")

    async def main() -> None:
        async with Rig(ca, ListenerConfig(greeting_delay=0.1)) as rig:
            await rig.talk(speak)

    run(main)


# Limits


def test_one_connection_too_many_is_told_421(run: Run, ca: ThrowawayCA) -> None:
    limits = ListenerLimits(connections=2, connections_per_client=1)

    async def main() -> None:
        async with Rig(ca, ListenerConfig(limits=limits)) as rig:
            one, other, third, same = (Client(rig.server, ca, f"127.0.0.{n}") for n in (1, 2, 3, 1))

            async def first_words(client: Client) -> str:
                return (await asyncio.to_thread(client.reply))[:9]

            assert await first_words(one) == "220 local"
            assert await first_words(other) == "220 local"
            assert await first_words(third) == "421 4.7.0"
            assert await first_words(same) == "421 4.7.0"
            for client in (other, third, same):
                client.socket.close()
            await until(lambda: len(rig.server._connections) == 1)
            with Client(rig.server, ca, "127.0.0.1") as again:
                assert await first_words(again) == "421 4.7.0"
            with Client(rig.server, ca, "127.0.0.2") as again:
                assert await first_words(again) == "220 local"
            one.socket.close()

    run(main)


def test_too_much_content_at_once_ends_the_one_who_brings_it(run: Run, ca: ThrowawayCA) -> None:
    config = ListenerConfig(limits=ListenerLimits(content_octets=300_000))

    async def main() -> None:
        async with Rig(ca, config) as rig:
            with Client(rig.server, ca) as first, Client(rig.server, ca) as second:
                await asyncio.to_thread(first.send, TRANSACTION + b"x" * 200_000)
                await until(lambda: rig.server.held >= 200_000)
                await asyncio.to_thread(second.send, TRANSACTION + b"x" * 150_000)
                assert (await heard(second))[-1] == "421 4.3.1"
                second.socket.close()
                await until(lambda: rig.server.held < 250_000)
                first.send(b"\r\n.\r\nQUIT\r\n")
                assert (await heard(first))[-2:] == ["250 2.0.0", "221 2.0.0"]
            await until(lambda: rig.server.held == 0)

    run(main)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_whom_a_limit_counts(address: str, key: str) -> None:
    assert client_key(address) == key


# The seam


class Deferred(MemoryAcceptance):
    """Accepts when told to."""

    def __init__(self) -> None:
        super().__init__(domains=["example.test"])
        self.decided: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()

    def accept(self, info: SessionInfo, envelope: Envelope, content: bytes) -> Answer:
        super().accept(info, envelope, content)
        self.asked.set()
        return self.decided

    def disconnected(self, _: SessionInfo) -> None:
        self.gone.set()


def test_the_reply_waits_for_the_promise_and_the_client_for_the_reply(
    run: Run, ca: ThrowawayCA
) -> None:
    """While it waits, what the client sends is bounded, and nothing of it is lost."""
    limits = ListenerLimits(idle_commands=10**6, backlog_octets=1024)
    sent = 0

    def speak(client: Client) -> None:
        nonlocal sent
        client.send(TRANSACTION + b"hi\r\n.\r\n")
        client.socket.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while sent < 64 * 1024 * 1024:
                sent += client.socket.send(NOOP * 10)
        client.socket.settimeout(WAIT)

    def listen(client: Client) -> None:
        codes = [client.reply()[:3] for _ in range(5 + 1)]
        assert codes == ["220", "250", "250", "250", "354", "250"]
        answered = [client.reply() for _ in range(sent // len(NOOP))]
        assert set(answered) == {"250 2.0.0 Ok"}

    async def main() -> None:
        taker = Deferred()
        async with Rig(ca, ListenerConfig(limits=limits), taker) as rig:
            with Client(rig.server, ca) as client:
                await asyncio.to_thread(speak, client)
                (connection,) = rig.server._connections
                assert sent < 64 * 1024 * 1024
                assert 1024 < connection.session.backlog <= 1024 + 64 * 1024
                taker.decided.set_result(reply(250, "2.0.0 kept"))
                await asyncio.to_thread(listen, client)

    run(main)


def test_a_promise_that_takes_too_long_is_given_up(run: Run, ca: ThrowawayCA) -> None:
    async def main() -> None:
        taker = Deferred()
        async with Rig(ca, ListenerConfig(limits=ListenerLimits(answer=0.1)), taker) as rig:
            with Client(rig.server, ca) as client:
                await asyncio.to_thread(client.send, TRANSACTION + b"hi\r\n.\r\n")
                assert (await heard(client))[-1] == "421 4.3.0"
            taker.decided.set_result(reply(250, "2.0.0 kept"))

    run(main)


def test_a_client_that_leaves_cancels_no_promise(run: Run, ca: ThrowawayCA) -> None:
    async def main() -> None:
        taker = Deferred()
        async with Rig(ca, ListenerConfig(), taker) as rig:
            with Client(rig.server, ca) as client:
                await asyncio.to_thread(client.send, TRANSACTION + b"hi\r\n.\r\n")
                await taker.asked.wait()
                client.socket.setsockopt(  # close with a reset
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
            await taker.gone.wait()
            assert not taker.decided.cancelled()
            taker.decided.set_result(reply(250, "2.0.0 kept"))
            await until(lambda: not rig.server.inflight)
            assert rig.faults == []

    run(main)


class Broken(MemoryAcceptance):
    """Raises at once, later, or is cancelled."""

    def sender(self, *_: object) -> Answer:
        raise ValueError("no room for you")

    def recipient(self, *_: object) -> Answer:
        async def later() -> Reply:
            raise KeyError("c@example.test")

        return later()

    def accept(self, *_: object) -> Answer:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        future.cancel()
        return future


@pytest.mark.parametrize(
    ("method", "said", "before", "faults"),
    [
        ("sender", b"EHLO a\r\nMAIL FROM:<a@b.test>\r\n", 2, [ValueError]),
        ("recipient", TRANSACTION.removesuffix(b"DATA\r\n"), 3, [KeyError]),
        ("accept", TRANSACTION + b"hi\r\n.\r\n", 5, []),
    ],
    ids=["at once", "later", "cancelled"],
)
def test_a_fault_of_ours_is_451_and_no_traceback(
    run: Run,
    ca: ThrowawayCA,
    method: str,
    said: bytes,
    before: int,
    faults: list[type[Exception]],
) -> None:
    def speak(client: Client) -> None:
        client.send(said)
        for _ in range(before):
            assert client.reply()[0] in "23"
        answer = client.reply()
        assert answer.startswith("451 4.3.0 ")
        assert "room" not in answer
        assert client.says(b"NOOP\r\n").startswith("250 ")

    async def main() -> None:
        taker = MemoryAcceptance()
        setattr(taker, method, getattr(Broken(), method))
        async with Rig(ca, ListenerConfig(), taker) as rig:
            await rig.talk(speak)
            assert [type(fault) for fault in rig.faults] == faults

    run(main)


def test_the_acceptance_can_refuse_a_connection(run: Run, ca: ThrowawayCA) -> None:
    class Closed(MemoryAcceptance):
        def connected(self, info: SessionInfo) -> Reply | None:
            return reply(421, f"4.7.0 not you, {info.address}")

    def speak(client: Client) -> None:
        assert client.reply() == "421 4.7.0 not you, 127.0.0.1"
        assert client.closed()

    async def main() -> None:
        async with Rig(ca, ListenerConfig(), Closed()) as rig:
            await rig.talk(speak)

    run(main)


# The stop


async def heard(client: Client) -> list[str]:
    """All replies to the end, to their enhanced status."""
    words = await asyncio.to_thread(lambda: list(iter(client.reply, "")))
    return [" ".join(each.split()[:2]) for each in words]


def test_a_stop_says_421_to_the_idle_and_takes_nobody_new(run: Run, ca: ThrowawayCA) -> None:
    async def main() -> None:
        async with Rig(ca, ListenerConfig()) as rig:
            with Client(rig.server, ca) as client:
                await until(lambda: len(rig.server._connections) == 1)
                port = rig.server.port
                stopping = asyncio.create_task(rig.server.stop())
                assert await heard(client) == ["220 localhost", "421 4.3.2"]
                client.socket.close()
                await stopping
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), WAIT)

    run(main)


def test_a_stop_waits_for_the_promise(run: Run, ca: ThrowawayCA) -> None:
    async def main() -> None:
        taker = Deferred()
        async with Rig(ca, ListenerConfig(), taker) as rig:
            with Client(rig.server, ca) as client:
                client.send(TRANSACTION + b"hi\r\n.\r\nNOOP\r\n")
                await taker.asked.wait()
                stopping = asyncio.create_task(rig.server.stop())
                await until(lambda: rig.server._stopping)
                taker.decided.set_result(reply(250, "2.0.0 kept"))
                assert (await heard(client))[-3:] == ["354 End", "250 2.0.0", "421 4.3.2"]
                client.socket.close()
                await stopping

    run(main)


@pytest.mark.parametrize(
    ("rest", "grace", "last"),
    [(b"you\r\n.\r\n", WAIT, ["250 2.0.0", "421 4.3.2"]), (b"", 0.1, ["354 End", "421 4.3.2"])],
    ids=["that goes on", "that stalls"],
)
def test_a_stop_waits_a_while_for_content(
    run: Run, ca: ThrowawayCA, rest: bytes, grace: float, last: list[str]
) -> None:
    async def main() -> None:
        async with Rig(ca, ListenerConfig()) as rig:
            with Client(rig.server, ca) as client:
                client.send(TRANSACTION + b"hi\r\n")
                await until(lambda: any(c.session.reading_content for c in rig.server._connections))
                stopping = asyncio.create_task(rig.server.stop(grace))
                await until(lambda: rig.server._stopping)
                client.send(rest)
                assert (await heard(client))[-2:] == last
                client.socket.close()
                await stopping

    run(main)


def test_ipv6(run: Run, ca: ThrowawayCA) -> None:
    async def main() -> None:
        async with Rig(ca, ListenerConfig(address="::1")) as rig:
            reader, writer = await asyncio.open_connection("::1", rig.server.port)
            writer.write(TRANSACTION + b"hi\r\n.\r\nQUIT\r\n")
            assert (await reader.read()).endswith(b"221 2.0.0 Bye\r\n")
            writer.close()
            assert [envelope.peer for envelope, _ in memory(rig).messages] == ["::1"]

    run(main)


def test_an_address_that_is_taken_is_an_oserror(run: Run, ca: ThrowawayCA) -> None:
    async def main() -> None:
        async with Rig(ca, ListenerConfig()) as rig:
            again = replace(rig.server.listener, port=rig.server.port)
            with pytest.raises(OSError, match="in use"):
                await SmtpServer(again, MemoryAcceptance()).start()

    run(main)
