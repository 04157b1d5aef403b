"""Name servers that lie, over UDP and TCP alike; a function an answer."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset

from tests.net.nameserver import Answering, nameserver

NAME = "m.test"

Overtcp = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def response(query: dns.message.Message, *records: tuple[str, str, str]) -> dns.message.Message:
    """An answer with records (owner, type, value); equal owners and types are joined."""
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.RA
    joined: dict[tuple[str, str], list[str]] = {}
    for owner, rdtype, value in records:
        joined.setdefault((owner, rdtype), []).append(value)
    for (owner, rdtype), values in joined.items():
        name = dns.name.from_text(owner)
        reply.answer.append(dns.rrset.from_text_list(name, 60, "IN", rdtype, values))
    return reply


def says(*records: tuple[str, str, str]) -> Answering:
    """The same records to every question of their type, none to the others."""

    def answer(query: dns.message.Message) -> bytes:
        asked = query.question[0].rdtype.name
        fitting = [each for each in records if each[1] in (asked, "CNAME")]
        return response(query, *fitting).to_wire(max_size=65535)

    return answer


def found(address: str = "127.0.0.1") -> Answering:
    """The truth."""
    return says((NAME, "A", address))


def about_another(query: dns.message.Message) -> bytes:
    """The right question, and an answer about another name."""
    return response(query, ("evil.test", "A", "127.0.0.1")).to_wire()


def to_another_question(query: dns.message.Message) -> bytes:
    """An answer to a question that nobody asked."""
    other = dns.message.make_query("evil.test", "A", id=query.id)
    return response(other, ("evil.test", "A", "127.0.0.1")).to_wire()


def in_a_circle(query: dns.message.Message) -> bytes:
    """Two aliases of each other."""
    names = (NAME, "CNAME", "n.test."), ("n.test", "CNAME", f"{NAME}.")
    return response(query, *names).to_wire()


def down_a_chain(query: dns.message.Message) -> bytes:
    """Five hundred aliases, and no address at their end."""
    links = [NAME, *(f"n{n}.test" for n in range(500))]
    chain = [(a, "CNAME", f"{b}.") for a, b in pairwise(links)]
    return response(query, *chain).to_wire(max_size=65535)


def cut_off(query: dns.message.Message) -> bytes:
    """TC: come again over TCP (RFC 7766 §5)."""
    reply = response(query)
    reply.flags |= dns.flags.TC
    return reply.to_wire()


def noise(query: dns.message.Message) -> bytes:
    """The right number, then octets at random."""
    return query.id.to_bytes(2) + bytes(range(256))


def half_failing(query: dns.message.Message) -> bytes:
    """An A record, and SERVFAIL for AAAA."""
    if query.question[0].rdtype.name == "A":
        return found()(query)
    reply = response(query)
    reply.set_rcode(dns.rcode.SERVFAIL)
    return reply.to_wire()


def over_tcp(answering: Answering) -> Overtcp:
    """The same answers, each after its length."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length = int.from_bytes(await reader.readexactly(2))
            answer = answering(dns.message.from_wire(await reader.readexactly(length)))
            writer.write(len(answer).to_bytes(2) + answer)
            await writer.drain()

    return serve


async def hanging(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Nothing, until the client goes away."""
    while await reader.read(2**16):
        pass


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Octets without end, none of them an answer."""
    while True:
        writer.write(b"\xff" * 2**16)
        await writer.drain()


async def breaking_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A length, half of an answer, and the end."""
    await reader.read(2)
    writer.write(b"\x02\x00" + bytes(100))


@asynccontextmanager
async def lying(udp: Answering, tcp: Overtcp | None = None) -> AsyncIterator[str]:
    """A name server as ADDRESS:PORT; without `tcp` it refuses connections."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                assert tcp is not None
                await tcp(reader, writer)
        finally:
            running.discard(task)
            writer.close()

    async with AsyncExitStack() as stack:
        while True:  # until a port is free for both
            server, _ = await stack.enter_async_context(nameserver(udp))
            address, _, port = server.rpartition(":")
            with suppress(OSError):
                listening = await asyncio.start_server(serve, address, int(port))
                break
        if tcp is None:
            listening.close()
        else:
            await stack.enter_async_context(listening)
        yield server
        for task in tuple(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def closed() -> AsyncIterator[str]:
    """A port where no name server is, which the system says at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    yield f"127.0.0.1:{port}"
