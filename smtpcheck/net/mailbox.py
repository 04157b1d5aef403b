"""Picking mail up over POP3 (RFC 1939): what lies in a mailbox, with the whole dialogue.

Law: nothing is deleted but what the caller names; passwords never reach the transcript.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.facts.transcript import Layer, Transcript
from smtpcheck.limits import DEFAULT, Limits
from smtpcheck.net.channel import Channel, Overrun
from smtpcheck.net.failures import Stop, failure
from smtpcheck.net.tap import Tap
from smtpcheck.net.tls import ClientTls, TlsError
from smtpcheck.wire.pop3 import Block, ResponseParser, Status

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PickUp:
    """What was found. `messages` are contents with CRLF line ends, in the server's order."""

    messages: tuple[bytes, ...] = ()
    failure: Failure | None = None
    transcript: Transcript


class Pop3:
    """One POP3 session as a client; `host.security` NONE stays in clear text."""

    def __init__(self, host: MailHost, tls: ClientTls, limits: Limits = DEFAULT) -> None:
        self._host, self._tls, self._limits = host, tls, limits
        self._channel = Channel(limits.inbound_octets)
        self._tap = Tap(limits.transcript_octets)
        self._parser = ResponseParser(limits.inbound_octets)
        self._stage = Stage.CONNECT

    async def pick_up(self, user: str, password: str, *, delete: bool = False) -> PickUp:
        """Every message; deleted on the server only with `delete`. Never raises for the peer."""
        messages: list[bytes] = []
        stopped: Failure | None = None
        try:
            await self._open()
            await self._log_in(user, password)
            for number in range(1, await self._count() + 1):
                messages.append(await self._block(f"RETR {number}"))
                if delete:
                    await self._say(f"DELE {number}")
            await self._say("QUIT")
        except Stop as stop:
            stopped = stop.failure
            self._tap.remark(str(stopped))
        finally:
            self._channel.close()
        return PickUp(messages=tuple(messages), failure=stopped, transcript=self._tap.transcript())

    async def _open(self) -> None:
        host = self._host
        loop = asyncio.get_running_loop()
        opening = loop.create_connection(lambda: self._channel, host.address, host.port)
        await self._within(opening, self._limits.connect)
        self._tap.peer = str(host)
        self._tap.remark(f"connected to {host}")
        if host.security is Security.IMPLICIT:
            await self._shake_hands()
        self._stage = Stage.GREETING
        self._accepted(await self._status())
        if host.security is Security.STARTTLS:
            await self._say("STLS")
            await self._shake_hands()

    async def _shake_hands(self) -> None:
        self._stage = Stage.TLS
        engine = self._tls.engine(self._host.name)
        await self._within(self._channel.handshake(engine), self._limits.handshake)
        self._parser = ResponseParser(self._limits.inbound_octets)
        self._tap.layer = Layer.TLS
        self._tap.remark(f"TLS: {engine.version()}")

    async def _log_in(self, user: str, password: str) -> None:
        self._stage = Stage.AUTH
        await self._say(f"USER {user}")
        await self._say(f"PASS {password}", shown="PASS ‹a secret›")

    async def _count(self) -> int:
        self._stage = Stage.DATA
        counted = (await self._say("STAT")).text.split()
        if not counted or not counted[0].isdecimal():
            raise self._stop(Kind.REJECTED, "STAT without a number")
        return min(int(counted[0]), 1000)

    async def _say(self, line: str, shown: str = "") -> Status:
        self._tap.sent(f"{shown or line}\r\n".encode())
        self._channel.write(f"{line}\r\n".encode())
        return self._accepted(await self._status())

    def _accepted(self, status: Status) -> Status:
        if not status.ok:
            raise self._stop(Kind.REJECTED, str(status))
        return status

    async def _status(self) -> Status:
        while (status := self._parser.status()) is None:
            await self._more()
        return status

    async def _block(self, line: str) -> bytes:
        await self._say(line)
        block: Block | None
        while (block := self._parser.block()) is None:
            await self._more()
        return block.content

    async def _more(self) -> None:
        data = await self._within(self._channel.read(), self._limits.reply)
        if not data:
            raise self._stop(Kind.CLOSED, "the server closed the connection")
        self._tap.received(data)
        self._parser.feed(data)

    def _stop(self, kind: Kind, detail: str) -> Stop:
        return Stop(Failure(stage=self._stage, kind=kind, detail=detail))

    async def _within(self, work: Awaitable[T], seconds: float) -> T:
        try:
            return await asyncio.wait_for(work, seconds)
        except EOFError:
            raise self._stop(Kind.CLOSED, "the server closed the connection") from None
        except Overrun:
            raise self._stop(Kind.OVERLONG, "more octets than the budget allows") from None
        except (OSError, TlsError) as error:
            raise Stop(failure(self._stage, error)) from None
