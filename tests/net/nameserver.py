"""A name server on loopback that answers from a table, or as badly as it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.message
import dns.rcode
import dns.rdatatype

from smtpcheck.net.zone import Records
from smtpcheck.net.zone import answer as zone_answer

Answering = Callable[[dns.message.Message], bytes]


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(dns.rdatatype.to_text(query.question[0].rdtype))
        if answer := self._answering(query):
            self._transport.sendto(answer, addr)  # type: ignore[attr-defined]


@asynccontextmanager
async def nameserver(answering: Answering) -> AsyncIterator[tuple[str, list[str]]]:
    """The server as ADDRESS:PORT, and the list of the types it was asked for."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Protocol(answering), local_addr=("127.0.0.1", 0)
    )
    address, port = transport.get_extra_info("sockname")
    try:
        yield f"{address}:{port}", protocol.asked
    finally:
        transport.close()


def from_zone(zone: Records) -> Answering:
    """Answers from a table (name, type) → values; NXDOMAIN for names that are not in it."""
    return lambda query: zone_answer(query, zone)


def with_rcode(rcode: dns.rcode.Rcode) -> Answering:
    """The same refusal to every question."""

    def answer(query: dns.message.Message) -> bytes:
        reply = dns.message.make_response(query)
        reply.set_rcode(rcode)
        return reply.to_wire()

    return answer


def dead(_: dns.message.Message) -> bytes:
    """No answer at all."""
    return b""


def cut_short(query: dns.message.Message) -> bytes:
    """An answer that ends in its header."""
    return dns.message.make_response(query).to_wire()[:8]
