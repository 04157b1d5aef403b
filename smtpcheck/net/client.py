"""One SMTP dialogue with one server, as a client: every reply a fact, every wait bounded.

Law: our own parser on the tapped octets is the authority. A dialogue gathers what it sees as
it goes, so that whatever ends it, `step()` tells all up to there; inside its `async with`
block a failure ends the block and nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.facts.smtp import Ehlo, Ending, Exchange
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.transcript import Layer
from smtpcheck.limits import Limits
from smtpcheck.net.budget import Clock, Gate
from smtpcheck.net.channel import Channel, Overrun
from smtpcheck.net.failures import Stop, failure
from smtpcheck.net.tap import Tap
from smtpcheck.net.tls import ClientTls, TlsError
from smtpcheck.wire.extension import extensions
from smtpcheck.wire.reply import Quirk, Reply, ReplyParser

T = TypeVar("T")


class Dialogue:
    """A connection and what was seen on it. Use as `async with`, then ask for `step()`."""

    def __init__(
        self,
        host: MailHost,
        *,
        probe: Probe = Probe.DIALOGUE,
        limits: Limits,
        clock: Clock,
        tls: ClientTls,
        gate: Gate,
        ehlo: str = "",
        sni: str = "",
        source: str = "",
        turn: bool = True,
    ) -> None:
        self.host, self.probe, self.limits = host, probe, limits
        self.failure: Failure | None = None
        self.stage = Stage.CONNECT
        self._clock, self._tls, self._gate = clock, tls, gate
        self._name, self._sni, self._source, self._turn = ehlo, sni, source, turn
        self._channel = Channel(limits.inbound_octets)
        self._tap = Tap(limits.transcript_octets)
        self._parser = ReplyParser(limits.reply_octets)
        self._replies: list[Reply] = []
        self._seen: dict[str, Any] = {}
        self._began = clock.now()
        self._silent_since = 0.0
        self._admitted = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        self._make_room()
        if isinstance(error, Stop):
            self.failure = error.failure
            self._tap.remark(str(error.failure))
            self._channel.abort()
        elif error is not None:
            self._channel.abort()
        else:
            self._channel.close()
        self._seen["took"] = self._clock.now() - self._began
        return isinstance(error, Stop)

    def step(self, **facts: Any) -> Step:
        """All that was seen; `facts` are fields of Step that the caller knows better."""
        seen = {"took": self._clock.now() - self._began, **self._seen, **facts}
        return Step(
            probe=self.probe,
            host=self.host,
            began=round(self._began, 6),
            failure=self.failure,
            transcript=self._tap.transcript(),
            **{**seen, "took": round(seen["took"], 6)},
        )

    def stop(self, kind: Kind, detail: str = "", stage: Stage | None = None) -> Stop:
        """What to raise so that this dialogue ends here."""
        return Stop(Failure(stage=stage or self.stage, kind=kind, detail=detail))

    # The connection.

    async def connect(self) -> None:
        """Open the TCP connection to the address of the host, when it is our turn."""
        self.stage = Stage.CONNECT
        if not self._gate.allows(self.host):
            raise self.stop(Kind.NOT_TRIED, "as many connections as politeness allows were made")
        if self._turn:
            await self._within(self._gate.enter(), self._clock.left())
            self._admitted = True
        self._began = self._clock.now()
        loop = asyncio.get_running_loop()
        opening = loop.create_connection(
            lambda: self._channel,
            self.host.address,
            self.host.port,
            local_addr=(self._source, 0) if self._source else None,
        )
        began = self._clock.now()
        try:
            transport, _ = await self._within(opening, self.limits.connect)
        except Stop as stop:
            if stop.failure.kind is not Kind.RESET:
                raise
            # An RST in answer to our SYN reads "refused": this one came after the handshake.
            self._seen["connected"] = round(self._clock.now() - began, 6)
            first = Stage.TLS if self.host.security is Security.IMPLICIT else Stage.GREETING
            raise self.stop(Kind.RESET, stop.failure.detail, first) from None
        self._seen["connected"] = round(self._clock.now() - began, 6)
        self._tap.peer = str(self.host)
        local = str((transport.get_extra_info("sockname") or ("",))[0]).partition("%")[0]
        self._tap.local = local
        self._name = self._name or (f"[IPv6:{local}]" if ":" in local else f"[{local}]")
        self._tap.remark(f"connected to {self.host}")
        self._silent_since = self._clock.now()

    async def heard(self, seconds: float) -> bool:
        """Whether a greeting arrives within `seconds`; it stays for `greeting` to read."""
        self.stage = Stage.GREETING
        try:
            await self._fill(seconds)
        except Stop as stop:
            if stop.failure.kind is not Kind.TIMED_OUT:
                raise
        return bool(self._replies or self._parser.leftover)

    async def start_tls(self) -> None:
        """Handshake now; the session is a fact even when nobody should trust it."""
        before, self.stage = self.stage, Stage.TLS
        early = self._channel.take()
        if early and before is Stage.CONNECT:
            self._not_tls(early)
        engine = self._tls.engine(self._sni)
        began = self._clock.now()
        try:
            await self._within(self._channel.handshake(engine), self.limits.handshake)
        except Stop as stop:
            opening = self._channel.opening
            if stop.failure.kind is not Kind.NO_ROUTE and _clear_text(opening):
                self._not_tls(opening)
            raise
        took = round(self._clock.now() - began, 6)
        session = engine.session(self._sni, self._tls.trust, self.limits.certificates, took)
        self._seen["tls"] = session
        self._parser = ReplyParser(self.limits.reply_octets)
        self._replies.clear()
        self._tap.layer = Layer.TLS
        self._silent_since = self._clock.now()
        self._tap.remark(f"TLS: {session.version}, {session.cipher} {session.group}".rstrip())

    def _not_tls(self, octets: bytes) -> None:
        self._seen["first_octets"] = octets
        self._tap.received(octets)
        raise self.stop(Kind.NOT_TLS, "clear text where a TLS record was due")

    async def raw(self, data: bytes, note: str) -> None:
        """Send octets that are no command; the tap keeps the note alone."""
        self._tap.sent(b"", note=note)
        self._channel.write(data)

    async def octets(self, seconds: float) -> bytes:
        """What comes next, unparsed; b"" at the end of the stream."""
        return await self._within(self._channel.read(), seconds)

    def remark(self, note: str) -> None:
        """Leave a word in the transcript."""
        self._tap.remark(note)

    # The conversation.

    async def greeting(self) -> Exchange:
        """The opening of the server (RFC 5321 §3.1). A refusal ends the dialogue politely."""
        self.stage = Stage.GREETING
        reply = await self._reply(self.limits.greeting)
        greeting = self._exchange("", reply, self._silent_since)
        self._seen["greeting"] = greeting
        if not reply.positive:
            await self.quit()
            raise self._turned_down(reply, Stage.GREETING)
        return greeting

    async def ehlo(self) -> Ehlo:
        """EHLO; when it is refused HELO, and LHLO to know an LMTP server (RFC 2033 §5)."""
        self.stage = Stage.EHLO
        refused: list[Exchange] = []
        for verb in ("EHLO", "HELO", "LHLO"):
            try:
                exchange = await self.command(f"{verb} {self._name}")
            except Stop:
                if refused:
                    self._keep_ehlo(Ehlo(verb="", exchange=refused[0], refused=tuple(refused)))
                raise
            said = Ehlo(verb=verb, exchange=exchange, refused=tuple(refused))
            if exchange.reply.positive:
                offered = () if verb == "HELO" else extensions(exchange.reply)
                said = Ehlo(
                    verb=verb, exchange=exchange, extensions=offered, refused=tuple(refused)
                )
                return self._keep_ehlo(said)
            refused.append(exchange)
            if not exchange.reply.permanent:
                break
        self._keep_ehlo(Ehlo(verb="", exchange=refused[0], refused=tuple(refused)))
        await self.quit()
        raise self._turned_down(refused[0].reply, Stage.EHLO)

    def _keep_ehlo(self, ehlo: Ehlo) -> Ehlo:
        self._seen["ehlo_tls" if "tls" in self._seen else "ehlo"] = ehlo
        return ehlo

    async def starttls(self) -> Exchange:
        """STARTTLS up to its reply (RFC 3207 §4); anything but 220 ends the dialogue politely."""
        self.stage = Stage.STARTTLS
        exchange = await self.command("STARTTLS")
        self._seen["starttls"] = exchange
        glued = b"".join(reply.raw for reply in self._replies) + self._parser.leftover
        self._seen["after_starttls"] = glued + self._channel.take()
        if exchange.reply.code != 220:
            await self.quit()
            raise self._turned_down(exchange.reply, Stage.STARTTLS)
        return exchange

    async def command(
        self, line: str, *, secret: bool = False, shown: str | None = None
    ) -> Exchange:
        """Send one command and await its reply. A secret one is kept as `shown`."""
        self._surplus()
        data = line.encode("utf-8", "surrogateescape") + b"\r\n"
        self._tap.sent(data, secret=secret, note=shown or "" if secret else "")
        began = self._clock.now()
        self._channel.write(data)
        reply = await self._reply(self.limits.reply)
        return self._exchange(shown or "" if secret else line, reply, began)

    async def pipelined(self, lines: Sequence[str]) -> AsyncIterator[Exchange]:
        """Send all commands in one write (RFC 2920) and yield their exchanges as replies come.

        When the connection ends midway, the exchanges yielded before that stand.
        """
        self._surplus()
        data = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")
        self._tap.sent(data)
        began = self._clock.now()
        self._channel.write(data)
        for line in lines:
            yield self._exchange(line, await self._reply(self.limits.reply), began)

    async def content(
        self, chunks: Iterable[bytes], seconds: float, *, command: str = ""
    ) -> Exchange:
        """Send the octets of a message, framed by the caller, and await the reply to its end.

        `command` goes before them and has no reply of its own (BDAT, RFC 3030 §2).
        `seconds` bound the wait for the reply (RFC 5321 §4.5.3.2.6 asks ten minutes of a queue).
        """
        self.stage = Stage.DATA
        size, began = 0, self._clock.now()
        if command:
            self._tap.sent(line := f"{command}\r\n".encode())
            self._channel.write(line)
        for chunk in chunks:
            size += len(chunk)
            self._channel.write(chunk)
            await self._within(self._channel.drain(), seconds)
        self._tap.sent(b"", note=f"message of {size} octets")
        return self._exchange(command, await self._reply(seconds), began)

    async def mail(self, reverse_path: str) -> Exchange:
        """MAIL with no parameters."""
        self.stage = Stage.MAIL
        exchange = await self.command(f"MAIL FROM:<{reverse_path}>")
        self._seen["mail"] = exchange
        return exchange

    async def mail_and_quit(self, reverse_path: str) -> Exchange:
        """MAIL and QUIT in one write, for a server that offers PIPELINING (RFC 2920 §3.1)."""
        self.stage = Stage.MAIL
        replies = self.pipelined((f"MAIL FROM:<{reverse_path}>", "QUIT"))
        self._seen["mail"] = exchange = await anext(replies)
        await self._parting(anext(replies))
        return exchange

    async def quit(self) -> None:
        """QUIT and see how the server lets go; never ends in a failure of its own."""
        await self._parting(self._quit())

    async def _quit(self) -> Exchange:
        self._surplus()
        self._tap.sent(b"QUIT\r\n")
        began = self._clock.now()
        self._channel.write(b"QUIT\r\n")
        self._make_room()
        return self._exchange("QUIT", await self._reply(self.limits.quit), began)

    async def _parting(self, farewell: Awaitable[Exchange]) -> None:
        self.stage = Stage.QUIT
        exchange: Exchange | None = None
        try:
            exchange = await farewell
        except Stop as stop:
            self._tap.remark(str(stop.failure))
        self._seen["ending"] = Ending(quit=exchange, closed_by_server=self._channel.ended)

    def _make_room(self) -> None:
        """Let the next one in: our QUIT arrives before it, so the server sees no more of us."""
        if self._admitted:
            self._admitted = False
            self._gate.leave()

    # Waiting, with a bound on everything.

    def _turned_down(self, reply: Reply, stage: Stage) -> Stop:
        throttled = reply.code == 421 or (reply.transient and stage is not Stage.STARTTLS)
        return self.stop(Kind.THROTTLED if throttled else Kind.REJECTED, str(reply), stage)

    def _surplus(self) -> None:
        """Replies that nobody asked for must not answer the next command."""
        if arrived := self._channel.take():
            self._heed(arrived)
        for reply in self._replies:
            if reply.code == 421:
                raise self.stop(Kind.THROTTLED, str(reply))
            self._tap.remark(f"unasked: {reply}")
        self._replies.clear()

    def _exchange(self, line: str, reply: Reply, began: float) -> Exchange:
        took = round(self._clock.now() - began, 6)
        return Exchange(command=line, reply=reply, took=took, event=self._tap.last)

    async def _reply(self, seconds: float) -> Reply:
        if not self._replies:
            await self._fill(seconds)
        reply = self._replies.pop(0)
        if Quirk.OVERLONG in reply.quirks:
            raise self.stop(Kind.OVERLONG, f"more than {self.limits.reply_octets} octets of reply")
        return reply

    async def _fill(self, seconds: float) -> None:
        async def whole_reply() -> None:
            while not self._replies:
                data = await self._channel.read()
                if not data:
                    self._ended()
                self._heed(data)

        await self._within(whole_reply(), seconds)

    def _ended(self) -> None:
        if (last := self._parser.end()) is not None:
            self._replies.append(last)
        else:
            raise self.stop(Kind.CLOSED, "the server closed the connection")

    def _heed(self, data: bytes) -> None:
        if data:
            self._tap.received(data)
            self._replies += self._parser.feed(data)

    async def _within(self, work: Awaitable[T], seconds: float) -> T:
        left = self._clock.left()
        try:
            return await asyncio.wait_for(work, min(seconds, left))
        except TimeoutError as error:
            if getattr(error, "errno", None) is None and left <= seconds:
                raise self.stop(Kind.OUT_OF_TIME, "the time of the whole run was spent") from None
            raise Stop(failure(self.stage, error)) from None
        except EOFError:
            raise self.stop(Kind.CLOSED, "the server closed the connection") from None
        except Overrun:
            raise self.stop(Kind.OVERLONG, "more octets than the budget allows") from None
        except (OSError, TlsError) as error:
            raise Stop(failure(self.stage, error)) from None


def _clear_text(octets: bytes) -> bool:
    return bool(octets) and not (octets[0] in (20, 21, 22, 23) and octets[1:2] in (b"\x03", b""))
