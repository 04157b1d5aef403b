"""The replies that the server gives by itself (RFC 5321 §4.2, statuses of RFC 3463).

Law: constants, made once; none repeats a word that the client said.
"""

from functools import lru_cache

from smtpcheck.facts.host import Security
from smtpcheck.relay.happening import SessionInfo
from smtpcheck.relay.listener import ListenerConfig
from smtpcheck.wire.data import Flaw
from smtpcheck.wire.extension import extensions
from smtpcheck.wire.reply import Reply, reply

OK = reply(250, "2.0.0 Ok")
SENDER_OK = reply(250, "2.1.0 Ok")
RECIPIENT_OK = reply(250, "2.1.5 Ok")
BYE = reply(221, "2.0.0 Bye")
HELP = reply(214, "2.0.0 RFC 5321 says it all")
CANNOT_VERIFY = reply(252, "2.0.0 Send the message, then we shall see")
GO_AHEAD = reply(354, "End data with <CR><LF>.<CR><LF>")
TLS_READY = reply(220, "2.0.0 Ready to start TLS")
LOGGED_IN = reply(235, "2.7.0 Authentication successful")

SHUTTING_DOWN = reply(421, "4.3.2 Service shutting down")
TIMED_OUT = reply(421, "4.4.2 Waited too long for you")
SESSION_TOO_LONG = reply(421, "4.4.2 Session lasted too long")
TOO_SLOW = reply(421, "4.3.0 Local error, it took too long")
FULL = reply(421, "4.3.1 Too much mail at once, try again later")
BUSY = reply(421, "4.7.0 Too many connections")
TOO_MANY_ERRORS = reply(421, "4.7.0 Too many errors")
TOO_MANY_LOGINS = reply(421, "4.7.0 Too many failed logins")
TOO_MANY_MESSAGES = reply(421, "4.7.0 Too many messages in one session")
GLUED = reply(421, "4.7.0 Octets behind STARTTLS")
LOCAL_FAULT = reply(451, "4.3.0 Local error, try again later")
TOO_MANY_RECIPIENTS = reply(452, "4.5.3 Too many recipients")

UNKNOWN = reply(500, "5.5.2 Unknown command")
LONG_LINE = reply(500, "5.5.2 Line too long")
LONG_RESPONSE = reply(500, "5.5.6 Authentication response too long")
NOT_SMTP = reply(500, "5.5.2 This is SMTP")
NOT_PLAIN = reply(500, "5.5.2 This port speaks clear text")
ARGUMENTS = reply(501, "5.5.4 Syntax error in arguments")
NOT_BASE64 = reply(501, "5.5.2 Not base64")
CANCELLED = reply(501, "5.7.0 Authentication cancelled")
UNFIT_RESPONSE = reply(501, "5.5.2 Malformed authentication response")
NOT_OFFERED = reply(502, "5.5.1 Not offered here")
OUT_OF_SEQUENCE = reply(503, "5.5.1 Bad sequence of commands")
UNKNOWN_MECHANISM = reply(504, "5.5.4 Mechanism not offered")
BARE_LF_COMMAND = reply(521, "5.5.2 Bare LF; lines end in CRLF")
AUTH_FIRST = reply(530, "5.7.0 Authentication required")
TLS_FIRST = reply(530, "5.7.0 Must issue a STARTTLS command first")
WRONG_PASSWORD = reply(535, "5.7.8 Authentication credentials invalid")
ENCRYPT_FIRST = reply(538, "5.7.11 Encryption required for authentication")
NO_RELAYING = reply(550, "5.7.1 Relaying denied")
TOO_LARGE = reply(552, "5.3.4 Message too large")
NO_RECIPIENTS = reply(554, "5.5.1 No valid recipients")

FLAWED = {
    Flaw.TOO_LARGE: TOO_LARGE,
    Flaw.BARE_LF: reply(550, "5.6.0 The message has a bare LF; lines end in CRLF"),
    Flaw.BARE_CR: reply(550, "5.6.0 The message has a bare CR; lines end in CRLF"),
    Flaw.NUL: reply(550, "5.6.0 The message has a NUL"),
}


@lru_cache
def greeting(listener: ListenerConfig) -> Reply:
    """The 220, or what the listener is told to say instead."""
    return listener.greeting or reply(220, f"{listener.hostname} ESMTP")


@lru_cache
def ehlo(listener: ListenerConfig, secured: bool) -> Reply:
    """Who we are and what is in force from here on."""
    lines = [keyword for keyword in _PLAIN_KEYWORDS if keyword in listener.extensions]
    if "SIZE" in listener.extensions:
        lines.append(f"SIZE {listener.limits.message_octets}")
    if listener.offers_starttls and not secured:
        lines.append("STARTTLS")
    if listener.offers_auth and (secured or listener.auth_in_clear):
        lines.append(" ".join(("AUTH", *listener.mechanisms)))
    if secured and "REQUIRETLS" in listener.extensions:  # RFC 8689 §2: never before TLS
        lines.append("REQUIRETLS")
    return reply(250, listener.hostname, *lines)


@lru_cache
def offered(listener: ListenerConfig, secured: bool) -> frozenset[str]:
    """The keywords of that reply."""
    return frozenset(each.keyword for each in extensions(ehlo(listener, secured)))


_PLAIN_KEYWORDS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING", "DSN")


def before_mail(info: SessionInfo) -> Reply | None:
    """What must happen before MAIL (RFC 3207 §4, RFC 4954 §6)."""
    if not info.listener.requires_auth or info.authenticated:
        return None
    waits_for_tls = not info.tls and not info.listener.auth_in_clear
    if waits_for_tls and info.listener.security is Security.STARTTLS:
        return TLS_FIRST
    return AUTH_FIRST
