"""Lies told in clear text: a class a behaviour. What each is called is its docstring."""

from tests.hostile.peer import GREETING, OFFERED, Peer, listing

TITLE = b"\x1b]0;owned\x07"
LINK = b"\x1b]8;;http://evil.test\x1b\\click\x1b]8;;\x1b\\"
ESCAPES = b"\x1b[2J\x1b[31m" + TITLE + LINK + b"\x9b31m\x1bP+q544e\x1b\\\x08\x08"
MARKUP = b"[red]x[/red] [link=http://evil.test]y[/link] [/] :warning: [bold"
FLOOD = b"x" * 1000


class Healthy(Peer):
    """no lie at all"""


class EndlessGreeting(Peer):
    """a greeting of lines without end"""

    async def greet(self) -> None:
        await self.forever(b"220-peer.test\r\n" * 100)


class EndlessGreetingLine(Peer):
    """a greeting of one line without end"""

    async def greet(self) -> None:
        await self.send(b"220 ")
        await self.forever(FLOOD)


class EndlessReplies(Peer):
    """whole replies without end, instead of one greeting"""

    async def greet(self) -> None:
        await self.forever(GREETING * 100)


class EndlessEhlo(Peer):
    """extensions without end"""

    async def ehlo(self) -> None:
        await self.forever(b"250-SIZE 1000\r\n" * 100)


class EndlessEhloInTls(Peer):
    """extensions without end, inside TLS"""

    async def ehlo(self) -> None:
        await (self.forever(b"250-SIZE 1000\r\n" * 100) if self.tls else super().ehlo())


class Drip(Peer):
    """one octet at a time, of a greeting that never ends"""

    async def greet(self) -> None:
        await self.send(b"220-")
        await self.forever(b"x", every=0.2)


class DripLines(Peer):
    """a line at a time, of a reply to EHLO that never ends"""

    async def ehlo(self) -> None:
        await self.forever(b"250-PIPELINING\r\n", every=0.2)


class DripInTls(Peer):
    """one octet at a time inside TLS"""

    async def ehlo(self) -> None:
        await (self.forever(b"2", every=0.2) if self.tls else super().ehlo())


class MegabyteGreeting(Peer):
    """a greeting of one line of 1 MB"""

    async def greet(self) -> None:
        await self.send(b"220 peer.test " + FLOOD * 1000 + b"\r\n")


class MegabyteEhlo(Peer):
    """a reply to EHLO of one line of 1 MB"""

    async def ehlo(self) -> None:
        await self.send(b"250-peer.test\r\n250 SIZE " + b"9" * 1_000_000 + b"\r\n")


class LongKeyword(Peer):
    """an extension of 60,000 octets, just short of what we read"""

    async def ehlo(self) -> None:
        await self.send(listing(*self.offered, b"X" * 60_000))


class ManyKeywords(Peer):
    """six thousand extensions"""

    async def ehlo(self) -> None:
        await self.send(listing(*self.offered, *(b"X%d" % n for n in range(6000))))


class NoLineEnd(Peer):
    """a greeting without its line end, then silence"""

    async def greet(self) -> None:
        await self.send(b"220 peer.test ESMTP")
        await self.silence()


class NoLineEndThenGone(Peer):
    """a greeting without its line end, then the end of the stream"""

    async def greet(self) -> None:
        await self.send(b"220 peer.test ESMTP")
        self.close()


class BareLf(Peer):
    """LF without CR"""

    async def send(self, data: bytes) -> None:
        await super().send(data.replace(b"\r\n", b"\n"))


class Nuls(Peer):
    """NULs and octets beyond ASCII"""

    async def greet(self) -> None:
        await self.send(b"220 peer.test \0\0\xff\xfe \xc3\x28 ESMTP\0\r\n")

    async def ehlo(self) -> None:
        await self.send(listing(*self.offered, b"X\0\xff \x80"))


class Binary(Peer):
    """random octets where a greeting is due"""

    async def greet(self) -> None:
        await self.send(bytes(range(256)) * 8)
        await self.silence()


class Escapes(Peer):
    """commands for the terminal, in every reply"""

    async def greet(self) -> None:
        await self.send(b"220 " + ESCAPES + b" ESMTP Postfix/3.7.11\r\n")

    async def ehlo(self) -> None:
        await self.send(listing(*OFFERED, b"AUTH " + ESCAPES, b"SIZE " + TITLE, ESCAPES))


class EscapesInRefusal(Peer):
    """commands for the terminal, in a refusal"""

    async def greet(self) -> None:
        await self.send(b"554-" + ESCAPES + b"\r\n554 5.7.1 " + ESCAPES + b"\r\n")


class Markup(Peer):
    """markup that a careless console would obey"""

    async def greet(self) -> None:
        await self.send(b"220 " + MARKUP + b"\r\n")

    async def ehlo(self) -> None:
        await self.send(listing(*OFFERED, b"AUTH " + MARKUP, MARKUP))


class MixedCodes(Peer):
    """two codes in one reply"""

    async def ehlo(self) -> None:
        await self.send(b"250-peer.test\r\n550-STARTTLS\r\n250 SIZE 1000\r\n")


class MixedToRefusal(Peer):
    """a reply that begins with 250 and ends in 550"""

    async def ehlo(self) -> None:
        await self.send(b"250-peer.test\r\n250-STARTTLS\r\n550 no\r\n")


class Unsolicited(Peer):
    """a reply too many after each"""

    async def send(self, data: bytes) -> None:
        await super().send(data + b"250 2.0.0 and one for nothing\r\n" if not self.tls else data)

    async def starttls(self) -> None:
        await super().send(b"220 2.0.0 go\r\n")
        await self.handshake()


class ForbiddenCodes(Peer):
    """codes that SMTP does not have"""

    async def greet(self) -> None:
        await self.send(b"999 peer.test\r\n")


class Http(Peer):
    """another protocol: HTTP"""

    async def greet(self) -> None:
        await self.octets()
        await self.send(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n")
        self.close()


class Echo(Peer):
    """our own words back"""

    async def session(self) -> None:
        await self.greet()
        while True:
            await self.send(await self.octets())


class Farewell(Peer):
    """421 instead of an answer to EHLO"""

    async def ehlo(self) -> None:
        await self.send(b"421 4.3.2 shutting down\r\n")
        self.close()


class Deaf(Peer):
    """no QUIT: the connection stays, and nothing is said"""

    async def quit(self) -> None:
        await self.silence()


class NoStarttlsNow(Peer):
    """454 to STARTTLS, although it is offered"""

    async def starttls(self) -> None:
        await self.send(b"454 4.7.0 TLS not available due to local problem\r\n")


class SometimesTls(Peer):
    """STARTTLS to the first who comes, and to nobody after"""

    async def session(self) -> None:
        if self.number > 1:
            self.offered = OFFERED
        await super().session()

    async def starttls(self) -> None:
        await (super().starttls() if self.number == 1 else self.send(b"502 5.5.2 what?\r\n"))


class LateTls(Peer):
    """STARTTLS to all but the first"""

    async def session(self) -> None:
        if self.number == 1:
            self.offered = OFFERED
        await super().session()


class Moody(Peer):
    """another mood on each connection: well, silent, rude, gone, garbled"""

    async def greet(self) -> None:
        mood = self.number % 5
        if mood == 2:
            await self.silence()
        elif mood == 3:
            await self.send(b"554 5.7.1 not you\r\n")
        elif mood == 4:
            self.reset()
        elif mood == 0:
            await self.send(b"\x16\x03\xff\r\n")
        else:
            await super().greet()


def parting(step: str, *, rst: bool, in_tls: bool = False) -> type[Peer]:
    """A server that goes away at `step`, in place of what it would have said."""

    class Parting(Peer):
        async def _part(self) -> None:
            if bool(self.tls) is not in_tls:
                await getattr(super(), step)()
            elif rst:
                self.reset()
            else:
                self.close()

    setattr(Parting, step, Parting._part)
    return Parting
