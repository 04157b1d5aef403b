"""aiosmtpd in a thread: the one real server that can be told, line by line, to misbehave.

`with aiosmtpd(listener, kind=Greets554) as server:` runs one listener; `kind` is a subclass of
its SMTP class. Warnings that it gives about a foolish set-up are what such a case is about.
"""

import contextlib
import ssl
import warnings
from collections.abc import Iterator
from typing import AnyStr

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from smtpcheck.relay.throwaway import Identity
from tests.real.rig import NAME, Listener, open_directory

USER, PASSWORD = b"alice@inbox.test", b"correct horse"


class Healthy(SMTP):
    """As it comes."""


class Greets554(SMTP):
    """Turns clients away at the door (RFC 5321 §3.1)."""

    async def push(self, status: AnyStr) -> None:
        """Send one reply; the greeting becomes a refusal."""
        if _is_greeting(status):
            await super().push("554 mail.test no service here")
        else:
            await super().push(status)


class Greets421(SMTP):
    """Too busy, and closes."""

    async def push(self, status: AnyStr) -> None:
        """Send one reply; the greeting becomes a 421 and the end."""
        if _is_greeting(status):
            await super().push("421 4.3.2 mail.test too many connections")
            _hang_up(self)
        else:
            await super().push(status)


class RefusesEhlo(SMTP):
    """Knows HELO only, as before ESMTP."""

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: ARG002, N802  aiosmtpd's name
        """Refuse, as if it were unknown (RFC 5321 §4.2.4)."""
        await self.push("502 5.5.1 command not implemented")


class HangsUpOnEhlo(SMTP):
    """Crashes, or has a filter before it that does."""

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: ARG002, N802  aiosmtpd's name
        """Close without a word."""
        _hang_up(self)


class StarttlsIs454(SMTP):
    """Offers STARTTLS and cannot do it (RFC 3207 §4)."""

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: ARG002, N802  aiosmtpd's name
        """Refuse for now."""
        await self.push("454 4.7.0 TLS not available due to temporary reason")


class HangsUpAfter220(SMTP):
    """Says 220 to STARTTLS and closes: the key could not be read, say."""

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: ARG002, N802  aiosmtpd's name
        """Agree, and go."""
        await self.push("220 Ready to start TLS")
        _hang_up(self)


def _is_greeting(status: str | bytes) -> bool:
    return isinstance(status, str) and status.startswith("220 mail.test")


def _hang_up(server: SMTP) -> None:
    if server.transport:
        server.transport.close()


def _check(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth_data: object
) -> AuthResult:
    del server, session, envelope, mechanism
    given = (getattr(auth_data, "login", b""), getattr(auth_data, "password", b""))
    return AuthResult(success=given == (USER, PASSWORD))


class _Controller(Controller):
    def __init__(self, listener: Listener, kind: type[SMTP], context: ssl.SSLContext | None):
        self.kind, self.context, self.settings = kind, context, listener.settings
        implicit = context if listener.settings.get("implicit") else None
        super().__init__(
            Sink(), hostname=listener.address, port=listener.port, ssl_context=implicit
        )

    def factory(self) -> SMTP:
        """One session."""
        implicit, logins = self.settings.get("implicit"), self.settings.get("auth")
        with warnings.catch_warnings(action="ignore"):
            return self.kind(
                self.handler,
                hostname=NAME,
                ident="ESMTP",
                enable_SMTPUTF8=True,
                loop=self.loop,
                tls_context=None if implicit else self.context,
                require_starttls=bool(logins and not implicit and not self.settings.get("lax")),
                auth_required=bool(logins),
                auth_require_tls=not self.settings.get("lax") and not implicit,
                auth_exclude_mechanism=() if logins else ("LOGIN", "PLAIN"),
                authenticator=_check,
            )


@contextlib.contextmanager
def aiosmtpd(listener: Listener, kind: type[SMTP] = Healthy) -> Iterator[Listener]:
    """Run it; `settings` may have `implicit` (TLS at once), `auth` and `lax` (AUTH in clear)."""
    controller = _Controller(listener, kind, _context(listener.identity))
    controller.start()
    try:
        yield listener
    finally:
        controller.stop()


def _context(identity: Identity | None) -> ssl.SSLContext | None:
    if identity is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with open_directory() as directory:
        context.load_cert_chain(*identity.write(directory))
    return context
