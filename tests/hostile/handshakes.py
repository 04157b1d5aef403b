"""Lies told in the handshake: a class a behaviour. What each is called is its docstring."""

import asyncio
import ssl

from tests.hostile.clear import ESCAPES
from tests.hostile.peer import Peer, alert, messages, record, records

HANDSHAKE_FAILURE = 40
CHANGE_CIPHER_SPEC = record(20, b"\x01")
HELLO_REQUEST = record(22, bytes(4))


class Tls12(Peer):
    """Up to TLS 1.2 the handshake is in the clear, so that one can lie at each step of it."""

    def begin(self) -> ssl.SSLObject:
        context = type(self).context
        highest, context.maximum_version = context.maximum_version, ssl.TLSVersion.TLSv1_2
        try:
            return super().begin()
        finally:
            context.maximum_version = highest


class SilentAfter220(Peer):
    """220 to STARTTLS, then silence"""

    async def handshake(self) -> None:
        await self.silence()


class ClearAfter220(Peer):
    """220 to STARTTLS, then clear text"""

    async def handshake(self) -> None:
        await self.octets()
        await self.send(b"500 5.5.1 what was that? " + ESCAPES + b"\r\n")
        await self.silence()


class Glued(Peer):
    """a reply glued to the 220, which must not answer a command inside TLS"""

    async def starttls(self) -> None:
        await self.send(b"220 2.0.0 go\r\n250-evil.test\r\n250 AUTH LOGIN\r\n")
        await self.handshake()


class GluedBeforeHello(Peer):
    """clear text between the 220 and the handshake"""

    async def starttls(self) -> None:
        await self.send(b"220 2.0.0 go\r\n")
        await asyncio.sleep(0.05)
        await self.send(b"250 evil.test\r\n")
        await self.handshake()


class GarbageHello(Peer):
    """a record that says ServerHello and holds noise"""

    async def handshake(self) -> None:
        await self.octets()
        await self.raw(record(22, b"\x02\x00\x00\x30" + bytes(range(48))))
        await self.silence()


class GarbageRecords(Peer):
    """noise in records of no type that TLS knows"""

    async def handshake(self) -> None:
        await self.octets()
        await self.raw(b"\x99\x03\x03\xff\xff" + bytes(range(256)) * 20)
        await self.silence()


class UnknownCipher(Tls12):
    """a ServerHello that chooses a cipher which nobody offered"""

    async def handshake(self) -> None:
        hello = bytearray(messages(await self.server_flight())[0])
        after = 5 + 4 + 2 + 32
        at = after + 1 + hello[after]
        hello[at : at + 2] = b"\x13\x37"
        await self.raw(bytes(hello))
        await self.silence()


class EndlessHello(Peer):
    """a handshake message that is announced as 16 MB and trickles"""

    async def handshake(self) -> None:
        await self.octets()
        await self.raw(record(22, b"\x02\xff\xff\xff" + bytes(100)))
        while True:
            await self.raw(record(22, bytes(100)))
            await asyncio.sleep(0.1)


class EndlessHandshake(Tls12):
    """handshake records without end, as fast as they are taken"""

    async def handshake(self) -> None:
        await self.raw(messages(await self.server_flight())[0])
        while True:
            await self.raw(HELLO_REQUEST * 1000)


class EndlessHandshakeSlowly(Tls12):
    """handshake records without end, a few in a second"""

    async def handshake(self) -> None:
        await self.raw(messages(await self.server_flight())[0])
        while True:
            await self.raw(HELLO_REQUEST)
            await asyncio.sleep(0.2)


class EndlessWarnings(Peer):
    """warnings without end, instead of a ServerHello"""

    async def handshake(self) -> None:
        await self.octets()
        while True:
            await self.raw(alert(112, level=1) * 100)


class EndlessChangeCipherSpec(Peer):
    """ChangeCipherSpec without end"""

    async def handshake(self) -> None:
        await self.raw(records(await self.server_flight())[0])
        while True:
            await self.raw(CHANGE_CIPHER_SPEC * 1000)


class SixteenMegabytes(Tls12):
    """a certificate message of 16 MB"""

    async def handshake(self) -> None:
        await self.raw(messages(await self.server_flight())[0])
        await self.raw(record(22, b"\x0b\xff\xff\xff\xff\xff\xfc\xff\xff\xf9" + bytes(2**13)))
        while True:
            await self.raw(record(22, bytes(2**14)))


class GarbageInTls(Peer):
    """a broken record where the reply to EHLO is due"""

    async def ehlo(self) -> None:
        if not self.tls:
            await super().ehlo()
        else:
            await self.raw(record(23, bytes(64)))
            await self.silence()


class ClearInTls(Peer):
    """clear text where the reply to EHLO is due inside TLS"""

    async def ehlo(self) -> None:
        if not self.tls:
            await super().ehlo()
        else:
            await self.raw(b"250 peer.test\r\n")
            await self.silence()


class ClearAfterAlert(Peer):
    """an alert that closes TLS, then on in clear text"""

    async def ehlo(self) -> None:
        if not self.tls:
            await super().ehlo()
        else:
            await self.raw(alert(0, level=1) + b"250 peer.test\r\n")
            await self.silence()


def alert_after(sent: int) -> type[Peer]:
    """A fatal alert after so many messages of the server's first flight."""

    class AlertAfter(Tls12):
        async def handshake(self) -> None:
            flight = messages(await self.server_flight())
            await self.raw(b"".join(flight[:sent]) + alert(HANDSHAKE_FAILURE))
            await self.silence()

    return AlertAfter


class AlertAtFinished(Tls12):
    """a fatal alert instead of Finished"""

    async def handshake(self) -> None:
        await self.raw(await self.server_flight())
        await self.octets()
        await self.raw(alert(HANDSHAKE_FAILURE))
        await self.silence()


class AlertAfterFinished(Peer):
    """a fatal alert, encrypted, where the greeting or the reply to EHLO is due"""

    async def handshake(self) -> None:
        await super().handshake()
        await self.raw(alert(HANDSHAKE_FAILURE))
        await self.silence()


def torn(*, rst: bool, within: bool) -> type[Peer]:
    """Away in the handshake: at the ClientHello, or `within` the server's flight."""

    class Torn(Tls12):
        async def handshake(self) -> None:
            flight = await self.server_flight()
            if within:
                await self.raw(flight[: len(flight) // 2])
                await asyncio.sleep(0.05)  # so that it is read before an RST throws it away
            self.reset() if rst else self.close()

    return Torn
