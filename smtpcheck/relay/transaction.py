"""MAIL, RCPT, and DATA or BDAT to a next host (RFC 5321 §3.3, RFC 2920, RFC 3030, RFC 3461).

Law: each recipient leaves with the reply that decided it, or the failure where none came.
Once the last octet of the content was handed over, silence means unknown: a duplicate is
then possible, a loss is not.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from smtpcheck.facts.delivery import ForwardPath, Outcome, RecipientOutcome
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.net.client import Dialogue
from smtpcheck.net.failures import Stop
from smtpcheck.relay.downgrade import Mail
from smtpcheck.wire.data import stuffed
from smtpcheck.wire.reply import Reply

END_OF_DATA = 600.0
"""Seconds for the reply to the end of the content (RFC 5321 §4.5.3.2.6)."""
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Transacted:
    """What came of one transaction. `again`: refused for number alone, to be sent right after."""

    outcomes: tuple[RecipientOutcome, ...]
    again: tuple[ForwardPath, ...] = ()
    stale: bool = False
    """The connection had died before MAIL was answered: nothing of this happened."""


def refused(mail: Mail, answer: Reply) -> Transacted:
    """Our own refusal, for everybody; no host said it."""
    outcomes = (
        RecipientOutcome(address=path.address, outcome=Outcome.FAILED, reply=answer)
        for path in mail.forward_paths
    )
    return Transacted(outcomes=tuple(outcomes))


class Transaction:
    """One, in as few round trips as the host allows. Afterwards `stop` tells what ended it."""

    def __init__(
        self, dialogue: Dialogue, offers: frozenset[str], mail: Mail, end_of_data: float
    ) -> None:
        self.stop: Stop | None = None
        self.unfinished = False
        """Whether the host still has a MAIL that no content followed."""
        self._dialogue, self._offers, self._mail = dialogue, offers, mail
        self._end_of_data = end_of_data
        self._outcomes: dict[str, RecipientOutcome] = {}
        self._accepted: list[ForwardPath] = []
        self._again: list[ForwardPath] = []
        self._begun = self._go_ahead = self._all_sent = False

    async def run(self, *, reset: bool = False) -> Transacted:
        """Do it; `reset` clears away what the last one left."""
        try:
            self._dialogue.stage = Stage.MAIL
            if reset:
                await self._dialogue.command("RSET")
            ready = await self._envelope()
            self.unfinished = not ready
            if ready:
                await self._content()
        except Stop as stop:
            self.stop = stop
            outcome = Outcome.UNKNOWN if self._all_sent else Outcome.DEFERRED
            self._again.clear()
            for path in self._open_paths():
                self._settle(path, outcome, failure=stop.failure)
        gone = self.stop is not None and self.stop.failure.kind in _GONE
        return Transacted(
            outcomes=tuple(self._outcomes.values()),
            again=tuple(self._again),
            stale=gone and not self._begun,
        )

    async def _envelope(self) -> bool:
        """Up to the reply to DATA; whether content is due."""
        lines = [self._mail_line(), *map(self._rcpt_line, self._mail.forward_paths)]
        if not self._chunking:
            lines.append("DATA")
        if "PIPELINING" in self._offers:
            numbers = iter(range(len(lines)))
            async for exchange in self._dialogue.pipelined(lines):
                number = next(numbers)
                self._heed(number, exchange.reply)
                self._dialogue.stage = self._stage(number + 1)
        else:
            await self._one_by_one(lines)
        if self._accepted:
            return self._chunking or self._go_ahead
        if self._go_ahead:  # to nobody: RFC 2920 §3.1 has it ended at once
            await self._dialogue.content([b".\r\n"], self._end_of_data)
        return False

    async def _one_by_one(self, lines: list[str]) -> None:
        for number, line in enumerate(lines):
            self._dialogue.stage = self._stage(number)
            refused = number > 0 and not self._open_paths() and not self._again
            if not refused and (line != "DATA" or self._accepted):
                self._heed(number, (await self._dialogue.command(line)).reply)

    @property
    def _chunking(self) -> bool:
        return "CHUNKING" in self._offers

    def _stage(self, number: int) -> Stage:
        """Of the line with that number."""
        if number == 0:
            return Stage.MAIL
        return Stage.RCPT if number <= len(self._mail.forward_paths) else Stage.DATA

    def _heed(self, number: int, answer: Reply) -> None:
        """The reply to the line with that number."""
        paths = self._mail.forward_paths
        if number == 0:
            self._begun = True
            if not answer.positive:
                self._settle_all(answer)
        elif number <= len(paths):
            self._heed_recipient(paths[number - 1], answer)
        else:
            self._go_ahead = answer.code == 354
            if not self._go_ahead:
                self._settle_all(answer)

    def _heed_recipient(self, path: ForwardPath, answer: Reply) -> None:
        if path.address in self._outcomes:
            return  # MAIL was refused; this is but an echo
        if answer.positive:
            self._accepted.append(path)
        elif answer.code in (452, 552) and self._accepted:  # RFC 5321 §4.5.3.1.10
            self._again.append(path)
        else:
            self._settle(path, outcome_of(answer), answer)

    async def _content(self) -> None:
        content, command = self._mail.content, ""
        if self._chunking:
            command = f"BDAT {len(content)} LAST"
        else:
            content = stuffed(content)
        pieces = self._pieces(content)
        said = await self._dialogue.content(pieces, self._end_of_data, command=command)
        self._settle_all(said.reply)

    def _pieces(self, octets: bytes) -> Iterator[bytes]:
        for start in range(0, len(octets), _PIECE):
            self._all_sent = start + _PIECE >= len(octets)
            yield octets[start : start + _PIECE]

    def _open_paths(self) -> list[ForwardPath]:
        """Those that nothing was said about, or that were accepted and not yet more."""
        again = {path.address for path in self._again}
        paths = self._mail.forward_paths
        return [p for p in paths if p.address not in self._outcomes and p.address not in again]

    def _settle_all(self, answer: Reply) -> None:
        for path in self._open_paths():
            self._settle(path, outcome_of(answer), answer)

    def _settle(
        self,
        path: ForwardPath,
        outcome: Outcome,
        answer: Reply | None = None,
        failure: Failure | None = None,
    ) -> None:
        self._outcomes[path.address] = RecipientOutcome(
            address=path.address,
            outcome=outcome,
            reply=answer,
            failure=failure or self._failure(outcome, answer),
            host=self._dialogue.host.name,
            dsn_passed="DSN" in self._offers,
        )

    def _failure(self, outcome: Outcome, answer: Reply | None) -> Failure | None:
        """At which command it was refused: 4yz at RCPT may be greylisting."""
        if outcome is Outcome.DELIVERED or answer is None:
            return None
        kind = Kind.REJECTED if answer.permanent else Kind.THROTTLED
        return Failure(stage=self._dialogue.stage, kind=kind, detail=str(answer))

    def _mail_line(self) -> str:
        """With what the message needs and the host offers."""
        envelope, offers = self._mail.envelope, self._offers
        words = [f"MAIL FROM:<{envelope.reverse_path}>"]
        if "SIZE" in offers:
            words.append(f"SIZE={len(self._mail.content)}")
        if "8BITMIME" in offers and not self._mail.content.isascii():
            words.append("BODY=8BITMIME")
        if self._mail.needs_smtputf8:
            words.append("SMTPUTF8")
        if envelope.requiretls:
            words.append("REQUIRETLS")
        if "DSN" in offers:
            words += [f"RET={envelope.ret}"] * bool(envelope.ret)
            words += [f"ENVID={envelope.envid}"] * bool(envelope.envid)
        return " ".join(words)

    def _rcpt_line(self, path: ForwardPath) -> str:
        line = f"RCPT TO:<{path.address}>"
        if "DSN" in self._offers:
            if path.notify:
                line += f" NOTIFY={','.join(path.notify)}"
            if path.orcpt:
                line += f" ORCPT={path.orcpt}"
        return line


def outcome_of(answer: Reply) -> Outcome:
    """What a reply decides; one that is no reply decides nothing, and is asked for again."""
    if answer.permanent:
        return Outcome.FAILED
    return Outcome.DELIVERED if 200 <= answer.code < 300 else Outcome.DEFERRED


_GONE = frozenset({Kind.CLOSED, Kind.RESET, Kind.THROTTLED})
"""How a connection ends that its host no longer wanted to keep."""
