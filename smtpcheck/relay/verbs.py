"""What each command does, and when it is legal (RFC 5321 §4.1.4 and the extensions).

Law: the table below is the order of commands. A handler reads its argument, then says a
reply or asks a question; what the answer changes stands in SETTLE. Nothing here waits.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from smtpcheck.facts.delivery import Envelope, ForwardPath
from smtpcheck.relay import replies
from smtpcheck.relay.auth import auth, logged_in
from smtpcheck.relay.happening import Login, Message, Recipient, Sender, StartTls, Transaction
from smtpcheck.relay.trace import protocol
from smtpcheck.wire.command import CommandError, read_chunk, read_mail, read_rcpt
from smtpcheck.wire.data import ChunkReader, DataReader
from smtpcheck.wire.reply import Reply, reply

if TYPE_CHECKING:
    from smtpcheck.relay.session import ServerSession

Handler = Callable[["ServerSession", str], None]


class State(Enum):
    """How far the conversation has come. REFUSED: the greeting was a 5yz."""

    REFUSED = auto()
    CONNECTED = auto()
    GREETED = auto()
    MAIL = auto()
    RCPT = auto()
    BDAT = auto()


def ehlo(session: "ServerSession", argument: str) -> None:
    """RFC 5321 §4.1.1.1."""
    info = session.info
    if refusal := info.listener.ehlo:
        return session.complain(refusal)
    if not argument or " " in argument:
        return session.complain(replies.ARGUMENTS)
    session.offered = replies.offered(info.listener, bool(info.tls))
    info.helo, info.extended = argument, True
    session.reset(State.GREETED)
    return session.say(replies.ehlo(info.listener, bool(info.tls)))


def helo(session: "ServerSession", argument: str) -> None:
    """RFC 5321 §4.1.1.1: no extension is in force."""
    if not argument or " " in argument:
        return session.complain(replies.ARGUMENTS)
    session.offered = frozenset()
    session.info.helo, session.info.extended = argument, False
    session.reset(State.GREETED)
    return session.say(reply(250, session.info.listener.hostname))


def starttls(session: "ServerSession", argument: str) -> None:
    """RFC 3207 §4. Octets behind it were sent by somebody who can't have seen the 220."""
    info = session.info
    if argument:
        return session.complain(replies.ARGUMENTS)
    if info.tls or not info.listener.offers_starttls:
        return session.complain(replies.OUT_OF_SEQUENCE if info.tls else replies.NOT_OFFERED)
    if info.listener.starttls:
        return session.say(info.listener.starttls)
    if session.backlog:
        return session.give_up(replies.GLUED)
    session.say(replies.TLS_READY)
    return session.ask(StartTls())


def mail(session: "ServerSession", argument: str) -> None:
    """RFC 5321 §4.1.1.2; RFC 1870 §6.1 for the size."""
    info, limits = session.info, session.limits
    if must := replies.before_mail(info):
        return session.complain(must)
    if info.messages >= limits.messages:
        return session.give_up(replies.TOO_MANY_MESSAGES)
    command = read_mail(argument, session.offered)
    if command.size > limits.message_octets:
        return session.say(replies.TOO_LARGE)
    return session.ask(Sender(Transaction(command)))


def _begun(session: "ServerSession", sender: Sender, answer: Reply) -> None:
    if answer.positive:
        session.transaction = sender.transaction
        session.state = State.MAIL
    session.say(answer)


def rcpt(session: "ServerSession", argument: str) -> None:
    """RFC 5321 §4.1.1.3. A recipient named twice gets the message once."""
    transaction = session.transaction
    assert transaction is not None
    smtputf8 = transaction.mail.smtputf8
    command = read_rcpt(argument, session.offered, smtputf8=smtputf8)
    address = command.path.address
    if address in transaction.forward_paths:
        return session.say(replies.RECIPIENT_OK)
    if len(transaction.forward_paths) >= session.limits.recipients:
        return session.say(replies.TOO_MANY_RECIPIENTS)
    path = ForwardPath(address=address, notify=command.notify, orcpt=command.orcpt)
    return session.ask(Recipient(transaction, path))


def _welcome(session: "ServerSession", recipient: Recipient, answer: Reply) -> None:
    if answer.positive:
        path = recipient.forward_path
        recipient.transaction.forward_paths[path.address] = path
        session.state = State.RCPT
    session.say(answer)


def data(session: "ServerSession", argument: str) -> None:
    """RFC 5321 §4.1.1.4."""
    if argument:
        return session.complain(replies.ARGUMENTS)
    if session.state is State.MAIL:
        return session.complain(replies.NO_RECIPIENTS)
    reader = DataReader(session.limits.message_octets)
    session.say(replies.GO_AHEAD)
    return session.read_content(reader, lambda: _whole(session, reader))


def bdat(session: "ServerSession", argument: str) -> None:
    """RFC 3030 §2: legal or not, its octets follow, and are never read as commands."""
    try:
        chunk = read_chunk(argument)
    except CommandError as error:
        return session.give_up(error.reply)
    if session.state not in (State.RCPT, State.BDAT) or "CHUNKING" not in session.offered:
        swallow = ChunkReader(limit=0)
        swallow.expect(chunk.size)
        return session.read_content(swallow, lambda: session.complain(replies.OUT_OF_SEQUENCE))
    if session.chunks is None:
        session.chunks = ChunkReader(session.limits.message_octets)
    reader = session.chunks
    reader.expect(chunk.size)
    session.state = State.BDAT
    if chunk.last:
        return session.read_content(reader, lambda: _whole(session, reader))
    return session.read_content(reader, lambda: _chunk_read(session, reader, chunk.size))


def _chunk_read(session: "ServerSession", reader: ChunkReader, size: int) -> None:
    if reader.overflowed:
        session.reset(State.GREETED)
        return session.say(replies.TOO_LARGE)
    return session.say(reply(250, f"2.0.0 {size} octets received"))


def _whole(session: "ServerSession", reader: DataReader | ChunkReader) -> None:
    if flaw := reader.flaw:
        session.reset(State.GREETED)
        return session.say(replies.FLAWED[flaw])
    content = reader.content
    return session.ask(Message(_envelope(session, content), content))


def _envelope(session: "ServerSession", content: bytes) -> Envelope:
    info, transaction = session.info, session.transaction
    assert transaction is not None
    command = transaction.mail
    return Envelope(
        message_id=session.new_id(),
        reverse_path=transaction.reverse_path,
        forward_paths=tuple(transaction.forward_paths.values()),
        eight_bit=not content.isascii(),
        smtputf8=command.smtputf8,
        requiretls=command.requiretls,
        ret=command.ret,
        envid=command.envid,
        size=len(content),
        received=session.now(),
        peer=info.address,
        helo=info.helo,
        authenticated=info.authenticated,
        protocol=protocol(
            extended=info.extended,
            utf8=command.smtputf8,
            secured=bool(info.tls),
            authenticated=bool(info.authenticated),
        ),
    )


def _accepted(session: "ServerSession", _: Message, answer: Reply) -> None:
    if answer.positive:
        session.count_message()
    session.reset(State.GREETED)
    session.say(answer)


def rset(session: "ServerSession", argument: str) -> None:
    """RFC 5321 §4.1.1.5."""
    if argument:
        return session.complain(replies.ARGUMENTS)
    session.reset(State.CONNECTED if session.state is State.CONNECTED else State.GREETED)
    return session.say(replies.OK)


def noop(session: "ServerSession", _: str) -> None:
    """RFC 5321 §4.1.1.9."""
    session.say(replies.OK)


def vrfy(session: "ServerSession", argument: str) -> None:
    """RFC 5321 §3.5.3: 252 tells nobody who lives here."""
    if not argument:
        return session.complain(replies.ARGUMENTS)
    return session.say(replies.CANNOT_VERIFY)


def expn(session: "ServerSession", _: str) -> None:
    """RFC 5321 §3.5.2: may be withheld."""
    session.complain(replies.NOT_OFFERED)


def help_(session: "ServerSession", _: str) -> None:
    """RFC 5321 §4.1.1.8."""
    session.say(replies.HELP)


def quit_(session: "ServerSession", argument: str) -> None:
    """RFC 5321 §4.1.1.10."""
    if argument:
        return session.complain(replies.ARGUMENTS)
    session.said_quit = True
    return session.give_up(replies.BYE)


def foreign(session: "ServerSession", _: str) -> None:
    """A browser that was sent here to talk SMTP unknowingly: its body must not be heard."""
    session.give_up(replies.NOT_SMTP)


_FOREIGN: dict[str, Handler] = dict.fromkeys(("CONNECT", "GET", "HEAD", "POST", "PUT"), foreign)
_ALWAYS: dict[str, Handler] = {
    **_FOREIGN,
    "BDAT": bdat,
    "EHLO": ehlo,
    "EXPN": expn,
    "HELO": helo,
    "HELP": help_,
    "NOOP": noop,
    "QUIT": quit_,
    "RSET": rset,
    "VRFY": vrfy,
}
TABLE: dict[State, dict[str, Handler]] = {
    State.REFUSED: {**_FOREIGN, "BDAT": bdat, "QUIT": quit_},
    State.CONNECTED: _ALWAYS,
    State.GREETED: {**_ALWAYS, "AUTH": auth, "MAIL": mail, "STARTTLS": starttls},
    State.MAIL: {**_ALWAYS, "DATA": data, "RCPT": rcpt},
    State.RCPT: {**_ALWAYS, "DATA": data, "RCPT": rcpt},
    State.BDAT: _ALWAYS,
}
IDLE_VERBS = frozenset({"EHLO", "EXPN", "HELO", "HELP", "NOOP", "RSET", "VRFY"})
"""What gets no mail anywhere, however often it is said."""
VERBS = frozenset(verb for row in TABLE.values() for verb in row)

SETTLE: dict[type, Callable[["ServerSession", Any, Reply], None]] = {
    Login: logged_in,
    Message: _accepted,
    Recipient: _welcome,
    Sender: _begun,
}
