"""A server on loopback that says exactly what a test tells it to, and nothing else."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Behaviour = Callable[[Reader, Writer], Awaitable[None]]

EHLO = b"250-peer.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"


@asynccontextmanager
async def peer(
    behaviour: Behaviour, address: str = "127.0.0.1", *, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve `behaviour` to every connection, in TLS from the start with a `context`; the port."""

    running: set[asyncio.Task[None]] = set()

    async def serve(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await behaviour(reader, writer)
        finally:
            running.discard(task)
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, address, 0, limit=2**20, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def says(*replies: bytes, greeting: bytes = b"220 peer.test ESMTP\r\n") -> Behaviour:
    """The greeting, then a reply a line received; then silence until the client goes away."""

    async def behave(reader: Reader, writer: Writer) -> None:
        writer.write(greeting)
        for reply in replies:
            await reader.readline()
            writer.write(reply)
        await reader.read()

    return behave


def then_closes(*replies: bytes, greeting: bytes = b"220 peer.test ESMTP\r\n") -> Behaviour:
    """As `says`, and then the connection is closed."""

    async def behave(reader: Reader, writer: Writer) -> None:
        writer.write(greeting)
        for reply in replies:
            await reader.readline()
            writer.write(reply)
        await writer.drain()

    return behave


async def silence(reader: Reader, _: Writer) -> None:
    """Nothing at all, until the client goes away."""
    await reader.read()


async def reset(_: Reader, writer: Writer) -> None:
    """RST instead of a greeting."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
