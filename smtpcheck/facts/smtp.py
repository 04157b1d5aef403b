"""The parts of an SMTP dialogue: each a reply with the time it took."""

from dataclasses import dataclass

from smtpcheck.wire.extension import Extension
from smtpcheck.wire.reply import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A command and its reply. `command` has no CRLF and no secret; `took` in seconds.

    For the greeting, `command` is empty and `took` counts from the open connection.
    `event` is the index in the transcript of the event that brought the reply.
    """

    command: str = ""
    reply: Reply
    took: float = 0.0
    event: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ehlo:
    """What the server says it can do. `verb` is EHLO, or HELO or LHLO when EHLO was refused.

    `refused` holds the exchanges that were turned down before this one.
    """

    verb: str
    exchange: Exchange
    extensions: tuple[Extension, ...] = ()
    refused: tuple[Exchange, ...] = ()

    def offers(self, keyword: str) -> bool:
        """Whether `keyword` is among the extensions."""
        return any(extension.keyword == keyword for extension in self.extensions)

    def parameters(self, keyword: str) -> tuple[str, ...]:
        """All parameters of all lines with `keyword`, upper-cased, without repeats."""
        found = (p.upper() for e in self.extensions if e.keyword == keyword for p in e.parameters)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the session ended: QUIT's reply if one came, and whether the server closed by itself."""

    quit: Exchange | None = None
    closed_by_server: bool = False
