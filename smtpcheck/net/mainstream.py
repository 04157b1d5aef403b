"""A message handed over as a mainstream client does it: aiosmtplib, tapped.

Law: its own wits decide what is sent and what counts as a reply; ours only listen. That is
the point: what this client makes of a server, so will the programs people use. What it can't
do (see tests/net/test_aiosmtplib_contract.py) is done by `client` instead.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from smtpcheck.facts.delivery import Attempt, Because, Envelope, Outcome, RecipientOutcome, Route
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.facts.transcript import Layer
from smtpcheck.limits import DEFAULT, Limits
from smtpcheck.net.failures import failure
from smtpcheck.net.tap import Tap
from smtpcheck.wire.reply import Reply, reply


class TappedProtocol(SMTPProtocol):
    """aiosmtplib's protocol with our tap on everything that passes in plain sight."""

    def __init__(self, tap: Tap) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.tap = tap
        self.secret = ""
        """What to keep instead of the next writes."""

    def data_received(self, data: bytes) -> None:
        """What the server said, as it arrived."""
        self.tap.received(data)
        super().data_received(data)

    def write(self, data: bytes) -> None:
        """What the client says, but for secrets."""
        self.tap.sent(data, secret=bool(self.secret), note=self.secret)
        super().write(data)


class _Refused(Exception):  # noqa: N818 - the server's answer, not an error of ours
    def __init__(self, answer: Reply) -> None:
        self.reply = answer


class Submission:
    """One submission: STARTTLS or implicit TLS, AUTH PLAIN, one message, QUIT."""

    def __init__(self, host: MailHost, context: ssl.SSLContext, limits: Limits = DEFAULT) -> None:
        self._host, self._context, self._limits = host, context, limits
        self._tap = Tap(limits.transcript_octets)
        self._stage = Stage.CONNECT
        self._tls = ""

    async def submit(
        self, envelope: Envelope, content: bytes, *, user: str, password: str, ehlo: str
    ) -> Attempt:
        """Hand the message over; whatever happens, an Attempt tells."""
        started = datetime.now(UTC)
        outcomes: tuple[RecipientOutcome, ...] = ()
        stopped: Failure | None = None
        try:
            outcomes = await self._dialogue(envelope, content, user, password, ehlo)
        except _Refused as refused:
            stopped = Failure(stage=self._stage, kind=Kind.REJECTED, detail=str(refused.reply))
        except aiosmtplib.SMTPTimeoutError as error:
            stopped = Failure(stage=self._stage, kind=Kind.TIMED_OUT, detail=str(error))
        except aiosmtplib.SMTPException as error:
            stopped = Failure(stage=self._stage, kind=Kind.CLOSED, detail=str(error))
        except OSError as error:
            stopped = failure(self._stage, error)
        return Attempt(
            route=Route(domain="", hosts=(self._host,), because=Because.SMARTHOST),
            host=self._host,
            started=started,
            ended=datetime.now(UTC),
            outcomes=outcomes,
            failure=stopped,
            tls=self._tls,
            transcript=self._tap.transcript(),
        )

    async def _dialogue(
        self, envelope: Envelope, content: bytes, user: str, password: str, ehlo: str
    ) -> tuple[RecipientOutcome, ...]:
        protocol = await self._connect()
        try:
            await self._say(Stage.GREETING, protocol.read_response)
            await self._command(protocol, Stage.EHLO, "EHLO", ehlo)
            if self._host.security is Security.STARTTLS:
                await self._start_tls(protocol)
                await self._command(protocol, Stage.EHLO, "EHLO", ehlo)
            await self._authenticate(protocol, user, password)
            outcomes = await self._transaction(protocol, envelope, content)
            await self._command(protocol, Stage.QUIT, "QUIT")
            return outcomes
        finally:
            if protocol.transport is not None:
                protocol.transport.close()

    async def _connect(self) -> TappedProtocol:
        implicit = self._host.security is Security.IMPLICIT
        _, protocol = await asyncio.wait_for(
            asyncio.get_running_loop().create_connection(
                lambda: TappedProtocol(self._tap),
                self._host.address,
                self._host.port,
                ssl=self._context if implicit else None,
                server_hostname=self._host.name if implicit else None,
            ),
            self._limits.connect,
        )
        self._tap.peer = str(self._host)
        self._secured(protocol)
        return protocol

    async def _start_tls(self, protocol: TappedProtocol) -> None:
        self._stage = Stage.STARTTLS
        limit = self._limits.handshake
        await protocol.start_tls(self._context, server_hostname=self._host.name, timeout=limit)
        self._secured(protocol)

    def _secured(self, protocol: TappedProtocol) -> None:
        assert protocol.transport is not None
        spoken = protocol.transport.get_extra_info("cipher")
        if spoken:
            self._tls = str(spoken[1])
            self._tap.layer = Layer.TLS
            self._tap.remark(f"TLS: {spoken[1]}, {spoken[0]}")

    async def _authenticate(self, protocol: TappedProtocol, user: str, password: str) -> None:
        response = b64encode(f"\0{user}\0{password}".encode()).decode()
        protocol.secret = f"AUTH PLAIN ‹{len(response)} bytes›"
        try:
            await self._command(protocol, Stage.AUTH, "AUTH", "PLAIN", response)
        finally:
            protocol.secret = ""

    async def _transaction(
        self, protocol: TappedProtocol, envelope: Envelope, content: bytes
    ) -> tuple[RecipientOutcome, ...]:
        await self._command(protocol, Stage.MAIL, f"MAIL FROM:<{envelope.reverse_path}>")
        outcomes: list[RecipientOutcome] = []
        for each in envelope.forward_paths:
            try:
                await self._command(protocol, Stage.RCPT, f"RCPT TO:<{each.address}>")
            except _Refused as refused:
                outcomes.append(self._outcome(each.address, refused.reply))
        refused_ones = {outcome.address for outcome in outcomes}
        taken = [p.address for p in envelope.forward_paths if p.address not in refused_ones]
        if taken:
            answer = await self._data(protocol, content)
            outcomes += [self._outcome(address, answer) for address in taken]
        return tuple(outcomes)

    async def _data(self, protocol: TappedProtocol, content: bytes) -> Reply:
        self._stage = Stage.DATA
        limit = self._limits.reply
        try:
            answered = await protocol.execute_data_command(content, timeout=limit)
        except aiosmtplib.SMTPDataError as error:
            return reply(error.code, error.message)
        return reply(answered.code, answered.message)

    def _outcome(self, address: str, answer: Reply) -> RecipientOutcome:
        outcome = Outcome.DELIVERED if answer.positive else Outcome.DEFERRED
        if answer.permanent:
            outcome = Outcome.FAILED
        return RecipientOutcome(
            address=address, outcome=outcome, reply=answer, host=str(self._host)
        )

    async def _command(self, protocol: TappedProtocol, stage: Stage, *words: str) -> Reply:
        arguments = [word.encode() for word in words]

        async def say(timeout: float) -> Any:  # noqa: ASYNC109 - aiosmtplib's own shape
            return await protocol.execute_command(*arguments, timeout=timeout)

        return await self._say(stage, say)

    async def _say(self, stage: Stage, say: Callable[..., Awaitable[Any]]) -> Reply:
        self._stage = stage
        answered = await say(timeout=self._limits.reply)
        answer = reply(answered.code, *answered.message.split("\n"))
        if not answer.positive:
            raise _Refused(answer)
        return answer
