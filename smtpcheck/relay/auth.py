"""AUTH within the conversation: base64, `*`, and how often (RFC 4954 §4).

Law: what a client responds is read here, decoded once, and given to the exchange; nothing
of it is kept or told.
"""

import binascii
from typing import TYPE_CHECKING

from smtpcheck.relay import replies
from smtpcheck.relay.exchange import Credentials, Exchange, ExchangeError
from smtpcheck.relay.happening import Login
from smtpcheck.wire.reply import Reply, reply

if TYPE_CHECKING:
    from smtpcheck.relay.session import ServerSession


def auth(session: "ServerSession", argument: str) -> None:
    """RFC 4954 §4."""
    info = session.info
    if not info.listener.offers_auth:
        return session.complain(replies.NOT_OFFERED)
    if not info.tls and not info.listener.auth_in_clear:
        return session.complain(replies.ENCRYPT_FIRST)
    if info.authenticated:
        return session.complain(replies.OUT_OF_SEQUENCE)
    name, *initial = argument.split() or [""]
    if not name:
        return session.complain(replies.ARGUMENTS)
    mechanism = info.listener.mechanisms.get(name.upper())
    if mechanism is None:
        return session.complain(replies.UNKNOWN_MECHANISM)
    if len(initial) > (0 if mechanism.server_first else 1):
        return session.complain(replies.ARGUMENTS)
    exchange = mechanism.start()
    challenge = next(exchange)
    if not initial:
        return _challenge(session, exchange, challenge)
    return _respond(session, exchange, b"" if initial[0] == "=" else initial[0].encode())


def _challenge(session: "ServerSession", exchange: Exchange, challenge: bytes) -> None:
    text = binascii.b2a_base64(challenge, newline=False).decode()
    session.say(reply(334, text))
    session.expect_secret(lambda line: _respond(session, exchange, line))


def _respond(session: "ServerSession", exchange: Exchange, line: bytes) -> None:
    """One step of an exchange with the client's response, still in base64."""
    if line == b"*":
        return session.complain(replies.CANCELLED)
    try:
        challenge = exchange.send(binascii.a2b_base64(line, strict_mode=True))
    except binascii.Error:
        return session.complain(replies.NOT_BASE64)
    except ExchangeError:
        return _refused(session, replies.UNFIT_RESPONSE)
    except StopIteration as end:
        credentials: Credentials = end.value
        return session.ask(Login(credentials))
    return _challenge(session, exchange, challenge)


def logged_in(session: "ServerSession", login: Login, answer: Reply) -> None:
    """What the driver's answer changes."""
    if not answer.positive:
        return _refused(session, answer)
    credentials = login.credentials
    session.info.authenticated = credentials.authorization or credentials.username
    return session.say(answer)


def _refused(session: "ServerSession", answer: Reply) -> None:
    session.failed_logins += answer.permanent
    session.say(answer)
    if session.failed_logins >= session.limits.failed_logins:
        session.give_up(replies.TOO_MANY_LOGINS)
