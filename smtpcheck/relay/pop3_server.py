"""A POP3 port: who is let in, what a mailbox holds, and a stop that deletes nothing.

Law: a maildrop is opened after the password and closed whatever happens; file work is done in
threads; a client that neither speaks nor reads is cut off. No peer can make it raise.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from smtpcheck.facts.host import Security
from smtpcheck.net.channel import Channel, Overrun
from smtpcheck.net.tls import TlsError, server_engine
from smtpcheck.relay.connection import client_key
from smtpcheck.relay.happening import Login, Observer, StartTls
from smtpcheck.relay.maildir import CHUNK, InUseError, Maildrop
from smtpcheck.relay.pop3_listener import Pop3Config, Question, Retrieve, Update
from smtpcheck.relay.pop3_session import FAULT, IN_USE, WRONG, Pop3Session
from smtpcheck.wire.pop3 import stuffed, top

Check = Callable[[str, str, str], Awaitable[Path | None]]
"""User, password, client's address: the mailbox, or None where the two don't match.

It compares in constant time. What it raises is answered [SYS/TEMP].
"""

T = TypeVar("T")

_GONE = (OSError, EOFError, TlsError, Overrun, TimeoutError)


def _silent(_: BaseException) -> None:
    """Nobody asked."""


class Pop3Server:
    """One listener with its connections. `async with` starts and stops it.

    `observe` is asked for an observer at each connection, by the client's address. `fault`
    hears of exceptions that `check` or a mailbox let out.
    """

    def __init__(
        self,
        config: Pop3Config,
        check: Check,
        *,
        observe: Callable[[str], Observer | None] | None = None,
        fault: Callable[[BaseException], None] = _silent,
    ) -> None:
        self.config, self.check, self.fault = config, check, fault
        self._observe = observe
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._per_client: Counter[str] = Counter()

    async def start(self) -> None:
        """Listen. Raises OSError when the address can't be had."""
        loop, config = asyncio.get_running_loop(), self.config
        self._server = await loop.create_server(
            lambda: _Client(self, config.limits.inbound_octets), config.address, config.port
        )

    @property
    def port(self) -> int:
        """The port that was taken."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Take nobody new and end all sessions; only a QUIT already given is carried out."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def welcome(self, client: "_Client", address: str) -> None:
        """Serve it, or hang up where there is no room for anybody or for this client."""
        limits, key = self.config.limits, client_key(address)
        if (
            len(self._tasks) >= limits.connections
            or self._per_client[key] >= limits.connections_per_client
        ):
            if self.config.security is not Security.IMPLICIT:
                client.write(b"-ERR [SYS/TEMP] too many connections\r\n")
            client.close_soon(limits.linger)
            return
        self._per_client[key] += 1
        task = asyncio.get_running_loop().create_task(self._serve(client, address, key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: "_Client", address: str, key: str) -> None:
        observer = self._observe(address) if self._observe else None
        conversation = _Conversation(self, client, address, observer)
        try:
            async with asyncio.timeout(self.config.limits.session):
                await conversation.run()
            client.close_soon(self.config.limits.linger)
        except _GONE:
            client.abort()
        except asyncio.CancelledError:
            conversation.last_words()
            client.close_soon(self.config.limits.linger)
        except Exception as error:  # a bug of ours: this client's session is all it costs
            self.fault(error)
            client.abort()
        finally:
            conversation.release()
            self._per_client[key] -= 1
            if not self._per_client[key]:
                del self._per_client[key]


class _Client(Channel):
    """A channel that reports to the server."""

    def __init__(self, server: Pop3Server, budget: int) -> None:
        super().__init__(budget)
        self._home = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername") or ("", 0)
        self._home.welcome(self, peer[0])

    def close_soon(self, linger: float) -> None:
        """Once the client has taken what was written, or after `linger` seconds."""
        self.close()
        asyncio.get_running_loop().call_later(linger, self.abort)


class _Conversation:
    """Drives one session over one channel."""

    def __init__(
        self, server: Pop3Server, channel: Channel, address: str, observer: Observer | None
    ) -> None:
        self._server, self._channel, self._address = server, channel, address
        self._limits = server.config.limits
        self._session = Pop3Session(server.config, observer)
        self._maildrop: Maildrop | None = None

    async def run(self) -> None:
        """To the end of the session, or of the client's patience, or of ours."""
        session = self._session
        if self._server.config.security is Security.IMPLICIT:
            await self._start_tls()
        session.open()
        while not session.closed:
            question = session.advance()
            if question is None or isinstance(question, StartTls):
                await self._flush()
            if question is not None:
                await self._settle(question)
            elif session.starved and not session.closed and not await self._listen():
                return
        await self._flush()

    def last_words(self) -> None:
        """The relay stops: say so if it can be heard."""
        self._session.give_up("shutting down", FAULT)
        self._channel.write(self._session.pending())

    def release(self) -> None:
        """Let go of the mailbox."""
        if self._maildrop:
            self._maildrop.close()

    async def _listen(self) -> bool:
        """Hear more; False at the end of the stream."""
        patience = self._limits.idle if self._session.user else self._limits.login
        try:
            async with asyncio.timeout(patience):
                data = await self._channel.read()
        except TimeoutError:
            self._session.give_up("waited too long for you")
            return True
        self._session.receive(data)
        return bool(data)

    async def _flush(self) -> None:
        await self._send(self._session.pending())

    async def _send(self, data: bytes) -> None:
        if data:
            self._channel.write(data)
            async with asyncio.timeout(self._limits.write):
                await self._channel.drain()

    async def _settle(self, question: Question) -> None:
        match question:
            case Login():
                await self._log_in(question)
            case StartTls():
                await self._start_tls()
            case Retrieve():
                await self._retrieve(question)
            case Update():
                await _finished(self._update(question))

    async def _start_tls(self) -> None:
        context = self._server.config.context
        assert context is not None
        early, engine = self._channel.take(), server_engine(context)
        if early and self._server.config.security is not Security.IMPLICIT:
            raise EOFError  # said in the clear behind STLS
        engine.feed(early)  # a quick client's hello, here before we were
        async with asyncio.timeout(self._limits.handshake):
            await self._channel.handshake(engine)
        cipher = engine.connection.get_cipher_name() or ""
        self._session.secured(f"{engine.version()} {cipher}".strip())

    async def _log_in(self, question: Login) -> None:
        session, credentials = self._session, question.credentials
        try:
            mailbox = None
            if not credentials.authorization:
                mailbox = await self._server.check(
                    credentials.username, credentials.password, self._address
                )
            if mailbox is None:
                await asyncio.sleep(self._limits.failed_login_delay)
                return session.refuse(WRONG, "user or password is wrong")
            maildrop = await _finished(self._open(mailbox))
        except InUseError:
            return session.refuse(IN_USE, "another session has this mailbox open")
        except Exception as error:
            self._server.fault(error)
            return session.refuse(FAULT, "mailbox can't be opened, try again later")
        return session.admit(credentials.username, maildrop.messages)

    async def _open(self, mailbox: Path) -> Maildrop:
        self._maildrop = await asyncio.to_thread(Maildrop, mailbox)
        return self._maildrop

    async def _retrieve(self, question: Retrieve) -> None:
        assert self._maildrop is not None
        try:
            block, piece = await asyncio.to_thread(_begin, self._maildrop, question)
        except OSError as error:
            self._server.fault(error)
            return self._session.refuse(FAULT, "message can't be read")
        self._session.sending()
        piece, octets = self._session.pending() + piece, 0
        while piece:
            octets += len(piece)
            await self._send(piece)
            piece = await asyncio.to_thread(_piece, block)
        return self._session.sent(octets)

    async def _update(self, question: Update) -> None:
        assert self._maildrop is not None
        failures = await asyncio.to_thread(self._maildrop.delete, question.deleted)
        self._session.updated(failures)
        with suppress(*_GONE):
            await self._flush()


async def _finished(work: Coroutine[None, None, T]) -> T:
    """Through to its end, even if we are to stop meanwhile: a thread can't be called back."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _begin(maildrop: Maildrop, question: Retrieve) -> tuple[Iterator[bytes], bytes]:
    chunks = maildrop.chunks(question.stored)
    block = stuffed(chunks if question.lines is None else top(chunks, question.lines))
    return block, _piece(block)


def _piece(block: Iterator[bytes]) -> bytes:
    """As much as one trip to the disk is worth; b"" at the end."""
    pieces, octets = [], 0
    for piece in block:
        pieces.append(piece)
        octets += len(piece)
        if octets >= CHUNK:
            break
    return b"".join(pieces)
