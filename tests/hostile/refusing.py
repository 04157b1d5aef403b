"""Servers that let some of us in and turn the others away: a class a manner."""

import asyncio
from typing import ClassVar

from tests.hostile.handshakes import Tls12
from tests.hostile.peer import Peer


class Rationed(Peer):
    """`allowed` connections, and for those that follow what `refuse` does"""

    allowed = 1

    async def session(self) -> None:
        if self.number > self.allowed:
            await self.refuse()
        else:
            await super().session()

    async def refuse(self) -> None:
        await self.send(b"421 4.7.0 too many connections from you\r\n")


class Busy(Rationed):
    """450 to those that follow"""

    async def refuse(self) -> None:
        await self.send(b"450 4.3.2 rate limit, come back later\r\n")
        await self.octets()


class LateRefusal(Rationed):
    """a greeting for those that follow, and 421 to their EHLO"""

    async def refuse(self) -> None:
        await self.greet()
        await self.line()
        await self.send(b"421 4.7.0 slow down\r\n")


class Banning(Rationed):
    """RST for those that follow"""

    async def refuse(self) -> None:
        self.reset()


class Closing(Rationed):
    """the end of the stream for those that follow"""

    async def refuse(self) -> None:
        self.close()


class CuttingOff(Rationed):
    """those that follow are cut off as soon as they speak"""

    async def refuse(self) -> None:
        if not self.implicit:
            await self.greet()
        await self.octets()
        self.reset()


class Tarpit(Rationed):
    """silence for those that follow"""

    async def refuse(self) -> None:
        await self.silence()


class TwoAtOnce(Peer):
    """two at once, and RST for a third; who comes one at a time is served"""

    present: ClassVar[int] = 0

    async def session(self) -> None:
        kind = type(self)
        if kind.present >= 2:
            self.reset()
        kind.present += 1
        try:
            await super().session()
            with_grace = 0.02  # so that who comes side by side meets
            await asyncio.sleep(with_grace)
        finally:
            kind.present -= 1


class OldBanning(Banning, Tls12):
    """TLS 1.2 at most, and RST for those that follow"""


class OldCuttingOff(CuttingOff, Tls12):
    """TLS 1.2 at most, and those that follow are cut off as soon as they speak"""


def rationed(manner: type[Rationed], allowed: int) -> type[Peer]:
    """`manner` after so many connections."""
    return type(manner.__name__, (manner,), {"allowed": allowed})
