"""What each POP3 command does, and when it is legal (RFC 1939 §4 to §7, RFC 2449, 2595, 5034).

Law: the table at the end is the order of commands. A handler says an answer or asks a question;
nothing here waits.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from smtpcheck.relay.exchange import Credentials
from smtpcheck.relay.happening import Login, StartTls
from smtpcheck.relay.maildir import Stored
from smtpcheck.relay.pop3_listener import Retrieve, Update
from smtpcheck.wire.pop3 import Command

if TYPE_CHECKING:
    from smtpcheck.relay.pop3_session import Pop3Session


class State(Enum):
    """RFC 1939 §3. The third, UPDATE, is the question of that name."""

    AUTHORIZATION = auto()
    TRANSACTION = auto()


Handler = Callable[["Pop3Session", Command], None]


def capa(session: "Pop3Session", _: Command) -> None:
    """RFC 2449 §5; RFC 3206 for AUTH-RESP-CODE."""
    lines = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER"]
    if session.offers_stls:
        lines.append("STLS")
    if session.may_log_in:
        lines += ["USER", " ".join(("SASL", *session.config.mechanisms))]
    session.ok("capabilities follow", [*lines, "IMPLEMENTATION smtpcheck"])


def user(session: "Pop3Session", said: Command) -> None:
    """RFC 1939 §7. Whether such a user exists is not told here."""
    if not session.may_log_in:
        return session.complain("encryption required: STLS first")
    if not said.argument:
        return session.complain("who?")
    session.named = said.argument
    return session.ok("now the password")


def pass_(session: "Pop3Session", said: Command) -> None:
    """RFC 1939 §7: blanks belong to the password."""
    name, session.named = session.named, ""
    if not name:
        return session.complain("USER first")
    password = said.argument
    return session.ask(Login(Credentials(mechanism="PASS", username=name, password=password)))


def auth(session: "Pop3Session", said: Command) -> None:
    """RFC 5034 §4."""
    if not session.may_log_in:
        return session.complain("encryption required: STLS first")
    name, *initial = said.words or ("",)
    mechanism = session.config.mechanisms.get(name.upper())
    if mechanism is None or len(initial) > (0 if mechanism.server_first else 1):
        return session.complain("mechanism or arguments not offered")
    exchange = mechanism.start()
    challenge = next(exchange)
    if not initial:
        return session.challenge(exchange, challenge)
    return session.respond(exchange, "" if initial[0] == "=" else initial[0])


def stls(session: "Pop3Session", _: Command) -> None:
    """RFC 2595 §4. Octets behind it were sent by somebody who can't have seen the +OK."""
    if not session.offers_stls:
        return session.complain("TLS is on" if session.tls else "TLS is not offered")
    if session.glued:
        return session.give_up("octets behind STLS")
    session.ok("begin TLS")
    return session.ask(StartTls())


def quit_(session: "Pop3Session", _: Command) -> None:
    """RFC 1939 §4 and §6."""
    if session.deleted:
        return session.ask(Update([session.messages[n - 1] for n in sorted(session.deleted)]))
    session.ok("bye")
    session.closed = True
    return None


def stat(session: "Pop3Session", _: Command) -> None:
    """RFC 1939 §5."""
    kept = _kept(session)
    session.ok(f"{len(kept)} {sum(stored.size for _, stored in kept)}")


def list_(session: "Pop3Session", said: Command) -> None:
    """RFC 1939 §5."""
    _scan(session, said, lambda stored: str(stored.size))


def uidl(session: "Pop3Session", said: Command) -> None:
    """RFC 1939 §7."""
    _scan(session, said, lambda stored: stored.uid)


def retr(session: "Pop3Session", said: Command) -> None:
    """RFC 1939 §5."""
    if number := _number(session, said.words, 1):
        stored = session.messages[number - 1]
        session.ask(Retrieve(stored, f"{stored.size} octets"))


def top(session: "Pop3Session", said: Command) -> None:
    """RFC 1939 §7."""
    if number := _number(session, said.words, 2):
        lines = said.words[1]
        if not _is_number(lines):
            return session.complain("how many lines?")
        session.ask(Retrieve(session.messages[number - 1], "top follows", int(lines)))
    return None


def dele(session: "Pop3Session", said: Command) -> None:
    """RFC 1939 §5."""
    if number := _number(session, said.words, 1):
        session.deleted.add(number)
        session.ok(f"message {number} will go at QUIT")


def rset(session: "Pop3Session", _: Command) -> None:
    """RFC 1939 §5."""
    session.deleted.clear()
    session.ok(f"{len(session.messages)} messages")


def noop(session: "Pop3Session", _: Command) -> None:
    """RFC 1939 §5."""
    session.ok("")


def _kept(session: "Pop3Session") -> list[tuple[int, Stored]]:
    numbered = enumerate(session.messages, 1)
    return [(n, stored) for n, stored in numbered if n not in session.deleted]


def _scan(session: "Pop3Session", said: Command, told: Callable[[Stored], str]) -> None:
    if said.words:
        if number := _number(session, said.words, 1):
            session.ok(f"{number} {told(session.messages[number - 1])}")
        return
    kept = _kept(session)
    session.ok(f"{len(kept)} messages", [f"{n} {told(stored)}" for n, stored in kept])


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= 10


def _number(session: "Pop3Session", words: tuple[str, ...], expected: int) -> int:
    """The message that the first word names, or 0 after a complaint."""
    if len(words) != expected or not _is_number(words[0]):
        session.complain("malformed arguments")
        return 0
    number = int(words[0])
    if not 1 <= number <= len(session.messages) or number in session.deleted:
        session.complain("no such message")
        return 0
    return number


TABLE: dict[State, dict[str, Handler]] = {
    State.AUTHORIZATION: {
        "CAPA": capa,
        "USER": user,
        "PASS": pass_,
        "AUTH": auth,
        "STLS": stls,
        "QUIT": quit_,
    },
    State.TRANSACTION: {
        "CAPA": capa,
        "STAT": stat,
        "LIST": list_,
        "UIDL": uidl,
        "RETR": retr,
        "TOP": top,
        "DELE": dele,
        "RSET": rset,
        "NOOP": noop,
        "QUIT": quit_,
    },
}
