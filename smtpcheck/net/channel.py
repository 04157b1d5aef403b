"""A stream with a budget and TLS of our own on top of it: one side of one TCP connection.

Law: octets are counted before they are kept, and kept only while somebody wants them; what
arrives before the handshake stays on this side of it. Both sides of a connection use it.
"""

import asyncio
import os
import socket
from contextlib import suppress
from typing import cast

from smtpcheck.net.tls import Engine, TlsError

HIGH_WATER = 256 * 1024
"""Unread octets beyond which the peer is made to wait."""

CHUNK = 64 * 1024

OPENING = 512
"""Kept of what answers a handshake, to tell clear text from a broken record."""


class Overrun(Exception):  # noqa: N818 - the peer's doing, a fact more than an error
    """The peer sent more than its budget."""


class Channel(asyncio.Protocol):
    """Reads and writes octets. Errors of the connection are raised by the next read."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._inbox = bytearray()
        self._engine: Engine | None = None
        self._secured = False
        self._transport: asyncio.Transport | None = None
        self._wake = asyncio.Event()
        self._error: BaseException | None = None
        self._ended = False
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self.opening = b""
        """The first octets that came as an answer to our handshake; clear text, if it was none."""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._budget -= len(data)
        if self._budget < 0:
            self._fail(Overrun())
            self.abort()
            return
        if self._engine is None:
            self._inbox += data
        else:
            self._through_tls(self._engine, data)
        self._hold()
        self._wake.set()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake.set()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self._last_words()
            self._fail(error)
        self._ended = True
        self._wake.set()
        self._writable.set()

    def _last_words(self) -> None:
        """Read what arrived before the reset that our write ran into: often it says why.

        asyncio gives up at the failed write. OpenSMTPD that misses a client's certificate sends its
        alert, closes, and meets our EHLO with the reset.
        """
        known = self._transport.get_extra_info("socket") if self._transport else None
        with suppress(OSError):
            if known is not None and known.fileno() >= 0:
                with socket.socket(fileno=os.dup(known.fileno())) as left:
                    while self._budget >= 0 and (data := left.recv(CHUNK, socket.MSG_DONTWAIT)):
                        self.data_received(data)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What a dialogue calls.

    @property
    def ended(self) -> bool:
        """Whether the peer has closed its side."""
        return self._ended

    async def read(self) -> bytes:
        """What has arrived, at least one octet; b"" at the end of the stream."""
        while not self._inbox:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._wake.clear()
            await self._wake.wait()
        data = bytes(self._inbox)
        self._inbox.clear()
        self._hold()
        return data

    def take(self) -> bytes:
        """What has arrived and was not read yet, without waiting."""
        data = bytes(self._inbox)
        self._inbox.clear()
        self._hold()
        return data

    def write(self, data: bytes) -> None:
        """Send; in TLS once the handshake is over."""
        if self._engine is not None and self._secured:
            self._engine.write(data)
            data = self._engine.pending()
            self._heed(self._engine)
        self._send(data)

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was written."""
        await self._writable.wait()

    async def handshake(self, engine: Engine) -> None:
        """TLS from here on. Raises TlsError, and EOFError when the peer closed within it."""
        self.take()
        self._engine = engine
        try:
            while not engine.handshake():
                self._send(engine.pending())
                await self._arrival()
            self._secured = True
        finally:
            self._send(engine.pending())
        self._decrypt(engine)

    def close(self) -> None:
        """Say goodbye and close; what was written is still sent."""
        if self._engine is not None and self._secured:
            self._engine.close()
            self._send(self._engine.pending())
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def _arrival(self) -> None:
        if self._error is not None:
            raise self._error
        if self._ended:
            raise EOFError
        self._wake.clear()
        await self._wake.wait()

    def _through_tls(self, engine: Engine, data: bytes) -> None:
        engine.feed(data)
        if self._secured:
            self._decrypt(engine)
        else:
            self.opening = (self.opening + data)[:OPENING]

    def _decrypt(self, engine: Engine) -> None:
        with suppress(TlsError):  # it is on the engine as well
            self._inbox += engine.read()
        self._send(engine.pending())
        self._heed(engine)

    def _heed(self, engine: Engine) -> None:
        if engine.broken:
            self._fail(engine.broken)
        self._ended = self._ended or engine.closed

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error

    def _hold(self) -> None:
        transport, full = self._transport, len(self._inbox) > HIGH_WATER
        if transport is None or transport.is_closing() or full == self._paused:
            return
        self._paused = full
        (transport.pause_reading if full else transport.resume_reading)()
