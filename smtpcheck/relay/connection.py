"""One client's connection: octets between the socket, TLS and the session.

Law: this protocol owns the buffers, so what came before a handshake never counts after it,
and no ClientHello is swallowed, on any loop. One write for all replies at hand. While an
answer is awaited, the client may send a little more, and then is made to wait.
"""

import asyncio
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, cast

from smtpcheck.facts.host import Security
from smtpcheck.net.tls import Engine, TlsError, server_engine
from smtpcheck.relay import replies
from smtpcheck.relay.happening import (
    Happening,
    Login,
    Message,
    Recipient,
    Sender,
    SessionInfo,
    StartTls,
)
from smtpcheck.relay.session import ServerSession
from smtpcheck.wire.reply import Reply

if TYPE_CHECKING:
    from smtpcheck.relay.acceptance import Answer
    from smtpcheck.relay.server import SmtpServer


def client_key(address: str) -> str:
    """Whom a limit counts: an IPv4 address or an IPv6 /64, which is one customer."""
    if ":" not in address:
        return address
    parsed = ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped) if mapped else str(ip_network(f"{parsed}/64", strict=False))


class Connection(asyncio.BufferedProtocol):
    """Made by the server for each client."""

    def __init__(self, server: "SmtpServer") -> None:
        self._server = server
        self._limits = server.listener.limits
        self._loop = server.loop
        self._transport: asyncio.Transport | None = None
        self._engine: Engine | None = None
        self._secured = False
        self.greeted = False
        self._early = bytearray()  # said before the greeting
        self._paused = self._choked = False
        self._ended = self._closing = False
        self._born = self._heard = self._loop.time()
        self._close_by = 0.0
        self._half_closed = False
        self._held = 0
        self._greeting: asyncio.TimerHandle | None = None
        self.key = ""
        self.counted = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("", 0)
        self.key = client_key(peer[0])
        listener = self._server.listener
        self.info = SessionInfo(listener=listener, address=peer[0], port=peer[1])
        self.session = ServerSession(self.info)
        implicit = listener.security is Security.IMPLICIT
        if not self._server.admit(self):
            if not implicit:
                self._transport.write(replies.BUSY.raw)
            self._hang_up()
        elif implicit:
            self._begin_tls()
        else:
            self._greet_soon()

    def get_buffer(self, _: int) -> memoryview:
        return self._server.buffer

    def buffer_updated(self, octets: int) -> None:
        data = bytes(self._server.buffer[:octets])
        self._heard = self._loop.time()
        if self._closing:
            return
        try:
            if self._engine is None:
                self._hear(data)
            else:
                self._through_tls(self._engine, data)
            self._weigh()
        except Exception as error:
            self._fail(error)

    def eof_received(self) -> bool:
        self._ended = True
        return self.session.waiting and not self._handshaking and not self._closing

    def connection_lost(self, _: Exception | None) -> None:
        self._closing = self._ended = True
        if self._greeting is not None:
            self._greeting.cancel()
        self._server.held -= self._held
        self._server.forget(self)

    def pause_writing(self) -> None:
        self._choked = True
        self._hold()

    def resume_writing(self) -> None:
        self._choked = False
        self._hold()

    # What the server calls.

    def check(self, now: float) -> None:
        """End what has taken too long."""
        if self._closing:
            if now >= self._close_by:
                self._abort()
        elif self.session.waiting and not self._handshaking:
            if now - self._heard > self._limits.answer:
                self.give_up(replies.TOO_SLOW)
        elif now - self._heard > self._patience():
            self.give_up(replies.TIMED_OUT)
        elif now - self._born > self._limits.session:
            self.give_up(replies.SESSION_TOO_LONG)

    def stop(self) -> None:
        """Finish the reply in flight, then say 421 and close."""
        if not self.greeted or self._handshaking:
            self.give_up(replies.SHUTTING_DOWN)
        elif not self._closing:
            self.session.stop()
            self._flush()

    def give_up(self, last_words: Reply) -> None:
        """Say so where it can be read, and close."""
        if self._closing:
            return
        if self._handshaking:
            self._hang_up()
        else:
            self.session.give_up(last_words)
            self._flush()

    # Conversation.

    def _greet_soon(self) -> None:
        delay = self._server.listener.greeting_delay
        if delay:
            self._greeting = self._loop.call_later(delay, self._greet)
        else:
            self._greet()

    def _greet(self) -> None:
        self.greeted = True
        refusal = None
        try:
            refusal = self._server.acceptance.connected(self.info)
        except Exception as error:
            self._server.fault(error)
            refusal = replies.LOCAL_FAULT
        self.session.open(refusal)
        self._flush()
        if self._early:
            early, self._early = bytes(self._early), bytearray()
            self._hear(early)

    def _hear(self, data: bytes) -> None:
        if not self.greeted:
            self._early += data
            self._hold()
        elif self.session.waiting:
            self.session.receive(data)
            self._hold()
        else:
            self._drive(self.session.receive(data))

    def _drive(self, question: Happening | None) -> None:
        while question is not None:
            if isinstance(question, StartTls):
                self._flush()
                self._begin_tls()
                return
            answer = self._ask(question)
            if not isinstance(answer, Reply):
                self._flush()
                self._hold()
                future = asyncio.ensure_future(answer)
                self._server.inflight.add(future)
                future.add_done_callback(self._settled)
                return
            question = self.session.answer(answer)
        self._flush()

    def _ask(self, question: Happening) -> "Answer":
        acceptance, info = self._server.acceptance, self.info
        try:
            match question:
                case Recipient():
                    return acceptance.recipient(info, question.transaction, question.forward_path)
                case Message():
                    return acceptance.accept(info, question.envelope, question.content)
                case Sender():
                    return acceptance.sender(info, question.transaction)
                case Login():
                    return acceptance.authenticate(info, question.credentials)
                case StartTls():
                    raise AssertionError
        except Exception as error:
            self._server.fault(error)
            return replies.LOCAL_FAULT

    def _settled(self, future: "asyncio.Future[Reply]") -> None:
        self._server.inflight.discard(future)
        try:
            answer = future.result()
        except asyncio.CancelledError:
            answer = replies.LOCAL_FAULT
        except Exception as error:
            self._server.fault(error)
            answer = replies.LOCAL_FAULT
        self._heard = self._loop.time()
        if self._closing:
            return
        try:
            self._drive(self.session.answer(answer))
            self._weigh()
            self._hold()
        except Exception as error:
            self._fail(error)

    # TLS.

    @property
    def _handshaking(self) -> bool:
        return self._engine is not None and not self._secured

    def _begin_tls(self) -> None:
        context = self._server.listener.context
        assert context is not None
        self._engine = server_engine(context)

    def _through_tls(self, engine: Engine, data: bytes) -> None:
        try:
            engine.feed(data)
            if not self._secured and not self._shake_hands(engine):
                return
            plaintext = engine.read()
        except TlsError as error:
            self._write_raw(engine.pending())  # the alert
            self.session.remark(f"TLS: {error}")
            self._hang_up()
            return
        if plaintext and not self._closing:
            self._hear(plaintext)
        self._write_raw(engine.pending())
        if engine.closed:
            self._ended = True
            self._flush()

    def _shake_hands(self, engine: Engine) -> bool:
        done = engine.handshake()
        self._write_raw(engine.pending())
        if done:
            self._secured = True
            cipher = engine.connection.get_cipher_name() or ""
            self.session.secured(f"{engine.version()} {cipher}".strip())
            if self.greeted:
                self._flush()
            else:
                self._greet_soon()
        return done

    # Octets out, and the end.

    def _flush(self) -> None:
        data = self.session.pending()
        if data:
            if self._engine is not None and self._secured:
                self._engine.write(data)
                data = self._engine.pending()
            self._write_raw(data)
        if self.session.closed or (self._ended and not self.session.waiting):
            self._hang_up()

    def _write_raw(self, data: bytes) -> None:
        transport = self._transport
        if data and transport is not None and not transport.is_closing() and not self._half_closed:
            transport.write(data)

    def _hang_up(self) -> None:
        """Close. Unless the client is done, read on a while: unread octets would reset the
        connection, and our last words with it."""
        transport = self._transport
        if self._closing or transport is None:
            return
        self._closing = True
        if self._engine is not None and self._secured:
            self._engine.close()
            self._write_raw(self._engine.pending())
        self._close_by = self._loop.time() + self._limits.linger
        if self._ended or self.session.said_quit or not transport.can_write_eof():
            transport.close()
            return
        self._half_closed = True
        with suppress(OSError, RuntimeError):
            transport.write_eof()
        self._hold()

    def _fail(self, error: Exception) -> None:
        """A fault of ours costs this client its connection, and no more."""
        self._server.fault(error)
        self._hang_up()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _patience(self) -> float:
        if self._handshaking:
            return self._limits.handshake
        return self._limits.data if self.session.reading_content else self._limits.idle

    def _weigh(self) -> None:
        """Count the content kept here; too much in all ends whoever made it too much."""
        held = self.session.held
        if held == self._held:
            return
        self._server.held += held - self._held
        more, self._held = held > self._held, held
        if more and self._server.held > self._limits.content_octets:
            self.give_up(replies.FULL)

    def _hold(self) -> None:
        """Make the client wait while too much of its is unread, or too much of ours."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        unread = self.session.backlog if self.session.waiting else len(self._early)
        full = not self._closing and (self._choked or unread > self._limits.backlog_octets)
        if full != self._paused:
            self._paused = full
            (transport.pause_reading if full else transport.resume_reading)()
