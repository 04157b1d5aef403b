"""A server that behaves, step by step, so that a hostile one overrides the step at which it lies.

Law: only the standard library speaks here, so that no fault of ours is shared by both sides.
Records of the server's handshake are ours to cut, alter and repeat before they are sent.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import ClassVar

GREETING = b"220 peer.test ESMTP\r\n"
OFFERED = (b"PIPELINING", b"SIZE 52428800", b"8BITMIME", b"ENHANCEDSTATUSCODES")
LOST = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)


class Gone(Exception):  # noqa: N818 - how a session ends, not an error
    """The client has closed."""


class Peer:
    """One connection to a healthy server. `number` counts the connections, from 1."""

    context: ClassVar[ssl.SSLContext]
    implicit = False
    """TLS from the first octet."""
    logins = False
    """AUTH inside TLS, as on a port for users."""
    offered: Sequence[bytes] = (*OFFERED, b"STARTTLS")

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self.reader, self.writer, self.number = reader, writer, number
        self.tls: ssl.SSLObject | None = None
        self.inbox, self._outbox = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._text = b""

    # The steps. A behaviour overrides one.

    async def session(self) -> None:
        """All of it, up to QUIT."""
        if self.implicit:
            await self.handshake()
        await self.greet()
        while True:
            line = await self.line()
            verb = line[:8].upper()
            if verb.startswith((b"EHLO", b"HELO")):
                await self.ehlo()
            elif verb == b"STARTTLS":
                await self.starttls()
            elif verb.startswith(b"MAIL"):
                await self.mail()
            elif verb.startswith(b"QUIT"):
                return await self.quit()
            else:
                await self.send(b"502 5.5.2 not here\r\n")

    async def greet(self) -> None:
        await self.send(GREETING)

    async def ehlo(self) -> None:
        offered = [word for word in self.offered if not (self.tls and word == b"STARTTLS")]
        login = [b"AUTH PLAIN LOGIN"] if self.tls and self.logins else []
        await self.send(listing(*offered, *login))

    async def starttls(self) -> None:
        await self.send(b"220 2.0.0 go\r\n")
        await self.handshake()

    async def handshake(self) -> None:
        """As a TLS server, a flight at a time."""
        tls = self.begin()
        while not self.step(tls):
            await self.flight(self._outbox.read())
            self.inbox.write(await self.octets())
        await self.flight(self._outbox.read())
        self.tls = tls

    async def flight(self, octets: bytes) -> None:
        """What the server says at once within the handshake."""
        await self.raw(octets)

    async def mail(self) -> None:
        await self.send(b"530 5.7.0 Must issue a STARTTLS command first\r\n")

    async def quit(self) -> None:
        await self.send(b"221 2.0.0 bye\r\n")

    # What they are made of.

    def begin(self) -> ssl.SSLObject:
        """The server's side over memory; nothing is sent by it."""
        return self.context.wrap_bio(self.inbox, self._outbox, server_side=True)

    @staticmethod
    def step(tls: ssl.SSLObject) -> bool:
        """One step of the handshake, True once it is over."""
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def server_flight(self) -> bytes:
        """The first flight of a healthy server, not sent."""
        tls = self.begin()
        while not self.step(tls):
            if flight := self._outbox.read():
                return flight
            self.inbox.write(await self.octets())
        raise Gone

    async def send(self, data: bytes) -> None:
        """In TLS once the handshake is over."""
        if self.tls is not None:
            self.tls.write(data)
            data = self._outbox.read()
        await self.raw(data)

    async def raw(self, data: bytes) -> None:
        """As it is; waits until the client has taken most of it."""
        self.writer.write(data)
        await self.writer.drain()

    async def forever(self, data: bytes, every: float = 0.0) -> None:
        """Again and again, until the client goes away."""
        while True:
            await self.send(data)
            if every:
                await asyncio.sleep(every)

    async def line(self) -> bytes:
        """The client's next line, out of TLS where there is TLS."""
        while b"\n" not in self._text:
            self._text += await self.text()
        line, _, self._text = self._text.partition(b"\n")
        return line.rstrip(b"\r")

    async def text(self) -> bytes:
        """The client's next octets, out of TLS where there is TLS."""
        while self.tls is not None:
            with suppress(ssl.SSLWantReadError):
                if data := self.tls.read(2**16):
                    return data
                raise Gone
            self.inbox.write(await self.octets())
        return await self.octets()

    async def octets(self) -> bytes:
        """The client's next octets as they come."""
        data = await self.reader.read(2**16)
        if not data:
            raise Gone
        return data

    async def silence(self) -> None:
        """Read on and say nothing, until the client goes away."""
        while True:
            await self.octets()

    def reset(self) -> None:
        """RST instead of FIN."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise Gone

    def close(self) -> None:
        """FIN, after what was sent."""
        raise Gone


def listing(*words: bytes) -> bytes:
    """The reply to EHLO."""
    lines = (b"peer.test", *words)
    marks = [b"-"] * (len(lines) - 1) + [b" "]
    return b"".join(b"250" + m + w + b"\r\n" for m, w in zip(marks, lines, strict=True))


def records(flight: bytes) -> list[bytes]:
    """The TLS records of a flight, whole."""
    found = []
    while flight:
        length = 5 + int.from_bytes(flight[3:5])
        found.append(flight[:length])
        flight = flight[length:]
    return found


def messages(flight: bytes) -> list[bytes]:
    """The handshake messages of a flight in the clear, a record each."""
    stream = b"".join(record[5:] for record in records(flight))
    found = []
    while stream:
        length = 4 + int.from_bytes(stream[1:4])
        found.append(record(22, stream[:length]))
        stream = stream[length:]
    return found


def record(kind: int, content: bytes) -> bytes:
    """One TLS record, or as many as it takes."""
    chunks = [content[at : at + 2**14] for at in range(0, len(content), 2**14)] or [b""]
    return b"".join(bytes((kind, 3, 3)) + len(each).to_bytes(2) + each for each in chunks)


def alert(description: int, level: int = 2) -> bytes:
    """A fatal alert, unless told otherwise."""
    return record(21, bytes((level, description)))


def set_up(
    behaviour: type[Peer], context: ssl.SSLContext, *, implicit: bool = False, logins: bool = False
) -> type[Peer]:
    """The same behaviour with a certificate, on a port of some kind."""
    fields = {"context": context, "implicit": implicit, "logins": logins}
    return type(behaviour.__name__, (behaviour,), fields)


@asynccontextmanager
async def serving(
    behaviour: type[Peer], address: str = "127.0.0.1", port: int = 0, *, most: int = 0
) -> AsyncIterator[int]:
    """Serve `behaviour` to every connection; the port. After `most` nobody listens any more."""
    running: set[asyncio.Task[None]] = set()
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        if count == most:
            server.close()
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with suppress(*LOST, Gone, asyncio.CancelledError):  # that is how a test ends
                await behaviour(reader, writer, count).session()
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, address, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
