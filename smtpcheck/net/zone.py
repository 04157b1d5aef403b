"""A name server on loopback that knows a handful of records and nothing else."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = Mapping[tuple[str, str], Sequence[str]]
"""(name without final dot, type) → values in presentation form."""

TTL = 1


class Zone(asyncio.DatagramProtocol):
    """Answers over UDP while the `async with` block lasts; `server` is ADDRESS:PORT."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.server = ""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        address, port = self._transport.get_extra_info("sockname")
        self.server = f"{address}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a question; what is none stays unanswered."""
        try:
            query = dns.message.from_wire(data)
            self._transport.sendto(answer(query, self._records), addr)
        except (dns.exception.DNSException, IndexError):
            return


def answer(query: dns.message.Message, records: Records) -> bytes:
    """What a server that knows `records` says; NXDOMAIN for names that are not in them."""
    question = query.question[0]
    name = question.name.to_text(omit_final_dot=True).lower()
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA | dns.flags.RA
    found = records.get((name, dns.rdatatype.to_text(question.rdtype)), ())
    if not any(known == name for known, _ in records):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    elif found:
        values = dns.rrset.from_text_list(question.name, TTL, "IN", question.rdtype, found)
        reply.answer.append(values)
    return reply.to_wire()
