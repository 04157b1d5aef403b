"""Hand-off to a local mail store over LMTP: one reply for each recipient (RFC 2033 §4.2).

Law: as for SMTP, and what was said of one recipient holds for no other. Nothing here retries
in clear or elsewhere: the store is ours, on a socket file or on an address of this network.
"""

import asyncio

from smtpcheck.facts.failure import Stage
from smtpcheck.facts.smtp import Ehlo
from smtpcheck.net.client import Dialogue
from smtpcheck.relay.downgrade import Mail, fitted
from smtpcheck.relay.hop import Hop
from smtpcheck.relay.transaction import Transacted, Transaction, outcome_of, refused
from smtpcheck.wire.data import stuffed
from smtpcheck.wire.extension import extensions
from smtpcheck.wire.reply import Reply


class LmtpDialogue(Dialogue):
    """A dialogue that opens with LHLO. The host's address may be the path of a socket file."""

    async def connect(self) -> None:
        """Open the connection."""
        if not self.host.address.startswith("/"):
            return await super().connect()
        self.stage = Stage.CONNECT
        await self._within(self._gate.enter(), self._clock.left())
        self._admitted = True
        opening = asyncio.get_running_loop().create_unix_connection(
            lambda: self._channel, self.host.address
        )
        await self._within(opening, self.limits.connect)
        self._name = self._name or "localhost"
        self._tap.remark(f"connected to {self.host.address}")
        return None

    async def ehlo(self) -> Ehlo:
        """LHLO, and nothing else when it is refused (RFC 2033 §4.1)."""
        self.stage = Stage.EHLO
        exchange = await self.command(f"LHLO {self._name}")
        offered = extensions(exchange.reply)
        said = self._keep_ehlo(Ehlo(verb="LHLO", exchange=exchange, extensions=offered))
        if not exchange.reply.positive:
            await self.quit()
            raise self._turned_down(exchange.reply, Stage.EHLO)
        return said

    async def next_reply(self, seconds: float) -> Reply:
        """One more reply to what was said last."""
        return await self._reply(seconds)


class LmtpTransaction(Transaction):
    """Replies to the content come in the order of the recipients that were accepted."""

    _dialogue: LmtpDialogue

    @property
    def _chunking(self) -> bool:
        return False

    async def _content(self) -> None:
        dialogue, patience = self._dialogue, self._end_of_data
        first, *others = self._accepted
        said = await dialogue.content(self._pieces(stuffed(self._mail.content)), patience)
        self._settle(first, outcome_of(said.reply), said.reply)
        for path in others:
            answer = await dialogue.next_reply(patience)
            self._settle(path, outcome_of(answer), answer)


class LmtpHop(Hop):
    """A NextHop over an LmtpDialogue."""

    _dialogue: LmtpDialogue

    def _heed(self, ehlo: Ehlo) -> None:
        self.offers = frozenset(extension.keyword for extension in ehlo.extensions)

    async def transact(self, mail: Mail) -> Transacted:
        """One transaction; never raises for what the peer does."""
        fit = fitted(mail, self.offers)
        if isinstance(fit, Reply):
            return refused(mail, fit)
        self.transactions += 1
        transaction = LmtpTransaction(self._dialogue, self.offers, fit, self._end_of_data)
        done = await transaction.run(reset=self._unfinished)
        self._unfinished = transaction.unfinished
        if transaction.stop:
            await self._end(transaction.stop)
        return done
