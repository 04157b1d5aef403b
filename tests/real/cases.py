"""The set-ups that the program must see through: a row each, on a real server.

Law: a row is one thing that an administrator did, and what a careful colleague would say of it.
`expect` names the root causes: what is at warning or above, or inconclusive, is all there is,
neither more nor fewer; a notice or info in it must be there, others may be. A row that expects
nothing expects a server to be called healthy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP

from tests.real import aiosmtpd_server, postfix


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One listener: its settings beside the server's own, and whose certificate it shows."""

    number: int
    identity: str = "healthy"
    settings: Mapping[str, str] = field(default_factory=dict)

    def but(self, *, identity: str = "", **settings: str) -> "Port":
        """The same with another certificate, or with settings of its own."""
        merged = {**self.settings, **settings}
        return replace(self, identity=identity or self.identity, settings=merged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row. The ports are asked for by number unless `defaults`; `also` asks for more.

    `name` is what `--name` says; `kind` is for aiosmtpd alone.
    """

    title: str
    ports: tuple[Port, ...]
    expect: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    defaults: bool = False
    kind: type[SMTP] = aiosmtpd_server.Healthy

    @property
    def status(self) -> int:
        """The exit status: 1 from error up, 3 where all that is known is that nothing is."""
        if {"error", "critical"} & set(self.expect.values()):
            return 1
        return 3 if "inconclusive" in self.expect.values() else 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the command line has for it beside the address."""
        asked = [] if self.defaults else [str(port.number) for port in self.ports]
        return tuple(word for port in (*asked, *self.also) for word in ("--port", port))


MX = Port(number=25)
SUBMISSION = Port(number=587, settings=postfix.SUBMISSION)
SUBMISSIONS = Port(number=465, settings=postfix.SUBMISSIONS)

AT_ONCE = {"smtpd_delay_reject": "no"}
NO_TLS = {"smtpd_tls_security_level": "none"}
OPTIONAL_TLS = {"smtpd_tls_security_level": "may"}
NO_AUTH = {"smtpd_sasl_auth_enable": "no"}
CLEAR_AUTH = {**OPTIONAL_TLS, "smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "no"}
LOGIN_FIRST = {**AT_ONCE, "smtpd_sender_restrictions": "permit_sasl_authenticated, reject"}

FROM_1_0 = {
    "smtpd_tls_protocols": ">=TLSv1",
    "smtpd_tls_mandatory_protocols": ">=TLSv1",
    "tls_medium_cipherlist": "DEFAULT:@SECLEVEL=0",
}
ONLY_1_0 = {**FROM_1_0, "smtpd_tls_protocols": "TLSv1", "smtpd_tls_mandatory_protocols": "TLSv1"}
ONLY_1_2 = {"smtpd_tls_protocols": "TLSv1.2", "smtpd_tls_mandatory_protocols": "TLSv1.2"}
ECDSA_ONLY = {**ONLY_1_2, "tls_medium_cipherlist": "ECDHE-ECDSA-AES128-GCM-SHA256"}
"""With an RSA key: 220, and then no shared cipher."""
MISSING_KEY = {
    "smtpd_tls_chain_files": "",
    "smtpd_tls_cert_file": "/nonexistent/mail.pem",
    "smtpd_tls_key_file": "/nonexistent/mail.key",
}
"""Postfix still offers STARTTLS, and answers 454."""

POSTFIX = (
    Case(title="healthy", ports=(MX, SUBMISSION, SUBMISSIONS), defaults=True),
    Case(title="healthy MX alone", ports=(MX,), defaults=True),
    Case(
        title="healthy with RSA",
        ports=(MX.but(identity="RSA"), SUBMISSIONS.but(identity="RSA")),
    ),
    Case(title="healthy wildcard", ports=(SUBMISSION.but(identity="wildcard"),)),
    Case(title="healthy at half of six days", ports=(SUBMISSION.but(identity="short-lived"),)),
    Case(
        title="expired on submission",
        ports=(SUBMISSION.but(identity="expired"), SUBMISSIONS.but(identity="expired")),
        expect={"cert-outside-validity": "critical"},
    ),
    Case(
        title="expired on MX",
        ports=(MX.but(identity="expired"),),
        expect={"cert-outside-validity": "error"},
    ),
    Case(
        title="not yet valid on submission",
        ports=(SUBMISSION.but(identity="not yet"),),
        expect={"cert-outside-validity": "critical"},
    ),
    Case(
        title="not yet valid on MX",
        ports=(MX.but(identity="not yet"),),
        expect={"cert-outside-validity": "error"},
    ),
    Case(
        title="expires in five days",
        ports=(MX.but(identity="expiring"),),
        expect={"cert-expires-soon": "warning"},
    ),
    Case(
        title="wrong name on submission",
        ports=(SUBMISSION.but(identity="other name"),),
        expect={"cert-name-mismatch": "error"},
    ),
    Case(
        title="wrong name on MX",
        ports=(MX.but(identity="other name"),),
        expect={"cert-name-mismatch": "warning"},
    ),
    Case(
        title="self-signed on submission",
        ports=(SUBMISSIONS.but(identity="self-signed"),),
        expect={"cert-untrusted": "error"},
    ),
    Case(
        title="self-signed on MX",
        ports=(MX.but(identity="self-signed"),),
        expect={"cert-untrusted": "notice"},
    ),
    Case(
        title="a company's own CA",
        ports=(SUBMISSION.but(identity="stranger"),),
        expect={"cert-untrusted": "error"},
    ),
    Case(
        title="missing intermediate on submission",
        ports=(SUBMISSION.but(identity="no intermediate"),),
        expect={"cert-chain-incomplete": "error"},
    ),
    Case(
        title="missing intermediate on MX",
        ports=(MX.but(identity="no intermediate"),),
        expect={"cert-chain-incomplete": "warning"},
    ),
    Case(
        # OpenSSL and GnuTLS sort it out, and RFC 8446 §4.4.2 asks them to; some clients don't.
        title="chain in wrong order",
        ports=(SUBMISSION.but(identity="out of order"),),
        expect={"cert-chain-incomplete": "notice"},
    ),
    Case(
        title="weak key",
        ports=(SUBMISSION.but(identity="RSA 1024"),),
        expect={"cert-weak": "error"},
    ),
    Case(
        title="signed with SHA-1",
        ports=(SUBMISSION.but(identity="SHA-1"),),
        expect={"cert-weak": "error"},
    ),
    Case(
        title="no STARTTLS on submission",
        ports=(SUBMISSION.but(**NO_TLS, **NO_AUTH),),
        expect={"starttls-missing": "error"},
    ),
    Case(
        title="no STARTTLS on MX",
        ports=(MX.but(**NO_TLS),),
        expect={"starttls-missing": "warning"},
    ),
    Case(
        title="STARTTLS answers 454 on submission",
        ports=(SUBMISSION.but(**MISSING_KEY),),
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="STARTTLS answers 454 on MX",
        ports=(MX.but(**MISSING_KEY),),
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="no usable handshake after the 220",
        ports=(SUBMISSION.but(identity="RSA", **ECDSA_ONLY),),
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="plaintext on 465",
        ports=(SUBMISSIONS.but(smtpd_tls_wrappermode="no"),),
        expect={"plaintext-on-implicit-port": "error"},
    ),
    Case(
        title="TLS on 587",
        ports=(SUBMISSION.but(smtpd_tls_wrappermode="yes"),),
        expect={"tls-on-plaintext-port": "error"},
    ),
    Case(
        title="AUTH before TLS",
        ports=(SUBMISSION.but(**CLEAR_AUTH, **LOGIN_FIRST),),
        expect={"auth-in-cleartext": "error"},
    ),
    Case(
        title="AUTH before TLS on MX",
        ports=(MX.but(**CLEAR_AUTH),),
        expect={"auth-in-cleartext": "error", "auth-on-mx": "notice"},
    ),
    Case(
        title="mail taken without TLS",
        ports=(SUBMISSION.but(**OPTIONAL_TLS),),
        expect={"submission-cleartext": "error"},
    ),
    Case(
        title="no AUTH on submission",
        ports=(SUBMISSION.but(**NO_AUTH),),
        expect={"auth-missing": "error"},
    ),
    Case(
        title="greets with 554",
        ports=(MX.but(**AT_ONCE, smtpd_client_restrictions="reject"),),
        expect={"service-refused": "error"},
    ),
    Case(
        title="greets with 421",
        ports=(
            MX.but(
                **AT_ONCE,
                smtpd_client_restrictions="check_client_access static:{421 4.3.2 too busy}",
            ),
        ),
        expect={"client-throttled": "inconclusive"},
    ),
    Case(
        title="greets after eleven seconds",
        ports=(MX.but(**AT_ONCE, smtpd_client_restrictions="sleep 11"),),
        expect={"banner-slow": "notice"},
    ),
    Case(
        title="greets with asterisks",
        ports=(MX.but(smtpd_banner="*" * 40),),
        expect={"banner-malformed": "error"},
    ),
    Case(
        title="greets at too great a length",
        ports=(MX.but(smtpd_banner="$myhostname ESMTP " + "welcome " * 70),),
        expect={"banner-malformed": "error"},
    ),
    Case(
        title="tells its version",
        ports=(MX.but(smtpd_banner="$myhostname ESMTP $mail_name ($mail_version)"),),
        expect={"banner-discloses-software": "info"},
    ),
    Case(
        title="EHLO and HELO refused",
        ports=(MX.but(**AT_ONCE, smtpd_helo_restrictions="reject"),),
        expect={"ehlo-rejected": "error"},
    ),
    Case(
        title="EHLO unknown, HELO works",
        ports=(MX.but(smtpd_command_filter="regexp:{{/^EHLO .*/ NOPE}}"),),
        expect={"ehlo-rejected": "error"},
    ),
    Case(
        title="few extensions",
        ports=(MX.but(smtpd_discard_ehlo_keywords="pipelining, size, 8bitmime, smtputf8"),),
        expect={"extensions-missing": "notice"},
    ),
    Case(
        title="SMTPUTF8 without 8BITMIME",
        ports=(MX.but(smtpd_discard_ehlo_keywords="8bitmime"),),
        expect={"smtputf8-without-8bitmime": "error"},
    ),
    Case(
        title="small messages only",
        ports=(MX.but(message_size_limit="1000000"),),
        expect={"size-limit-low": "notice"},
    ),
    Case(
        # To a client on the same machine it may be right.
        title="XCLIENT for this machine",
        ports=(MX.but(smtpd_authorized_xclient_hosts="127.0.0.0/8"),),
        expect={"trusted-extension-exposed": "notice"},
    ),
    Case(
        title="TLS 1.0 still on, submission",
        ports=(SUBMISSIONS.but(**FROM_1_0),),
        expect={"tls-legacy-version": "error"},
    ),
    Case(
        title="TLS 1.0 still on, MX",
        ports=(MX.but(**FROM_1_0),),
        expect={"tls-legacy-version": "notice"},
    ),
    Case(
        title="TLS 1.0 only",
        ports=(MX.but(**ONLY_1_0),),
        expect={"tls-modern-missing": "error"},
    ),
    Case(
        title="TLS 1.2 only",
        ports=(MX.but(**ONLY_1_2),),
        expect={"tls-modern-missing": "info"},
    ),
    Case(
        title="no 465 beside 587",
        ports=(SUBMISSION,),
        defaults=True,
        expect={"implicit-tls-missing": "notice"},
    ),
    Case(
        title="a closed port that was asked for",
        ports=(MX,),
        also=("2525",),
        expect={"port-closed": "error"},
    ),
)

DOVECOT_587 = Port(number=587)
DOVECOT_465 = Port(number=465)

DOVECOT = (
    Case(title="healthy", ports=(DOVECOT_587, DOVECOT_465), defaults=True),
    Case(
        title="expired",
        ports=(DOVECOT_465.but(identity="expired"),),
        expect={"cert-outside-validity": "critical"},
    ),
    Case(
        title="wrong name",
        ports=(DOVECOT_587.but(identity="other name"),),
        expect={"cert-name-mismatch": "error"},
    ),
    Case(
        title="self-signed",
        ports=(DOVECOT_587.but(identity="self-signed"),),
        expect={"cert-untrusted": "error"},
    ),
    Case(
        title="missing intermediate",
        ports=(DOVECOT_465.but(identity="no intermediate"),),
        expect={"cert-chain-incomplete": "error"},
    ),
    Case(
        title="no STARTTLS",
        ports=(DOVECOT_587.but(ssl="no", disable_plaintext_auth="yes"),),
        expect={"starttls-missing": "error"},
    ),
    Case(
        title="plaintext on 465",
        ports=(DOVECOT_465.but(ssl="no"),),
        expect={"plaintext-on-implicit-port": "error"},
    ),
    Case(
        title="AUTH before TLS",
        ports=(DOVECOT_587.but(ssl="yes", disable_plaintext_auth="no"),),
        expect={"auth-in-cleartext": "error"},
    ),
    Case(
        title="TLS 1.0 still on",
        ports=(DOVECOT_465.but(ssl_min_protocol="TLSv1", ssl_cipher_list="DEFAULT:@SECLEVEL=0"),),
        expect={"tls-legacy-version": "error"},
    ),
)

PLAIN_MX = Port(number=25)
AUTH_587 = Port(number=587, settings={"auth": "yes"})
AUTH_465 = Port(number=465, settings={"auth": "yes", "implicit": "yes"})

AIOSMTPD = (
    Case(title="healthy", ports=(PLAIN_MX, AUTH_587, AUTH_465), defaults=True),
    Case(
        title="expired",
        ports=(AUTH_587.but(identity="expired"),),
        expect={"cert-outside-validity": "critical"},
    ),
    Case(
        title="no STARTTLS",
        ports=(PLAIN_MX.but(identity="none"),),
        expect={"starttls-missing": "warning"},
    ),
    Case(
        title="STARTTLS answers 454",
        ports=(AUTH_587,),
        kind=aiosmtpd_server.StarttlsIs454,
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="hangs up after the 220",
        ports=(AUTH_587,),
        kind=aiosmtpd_server.HangsUpAfter220,
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="AUTH before TLS",
        ports=(AUTH_587.but(lax="yes"),),
        expect={"auth-in-cleartext": "error"},
    ),
    Case(
        title="TLS on 587",
        ports=(AUTH_587.but(implicit="yes"),),
        expect={"tls-on-plaintext-port": "error"},
    ),
    Case(
        title="plaintext on 465",
        ports=(AUTH_465.but(implicit=""),),
        expect={"plaintext-on-implicit-port": "error"},
    ),
    Case(
        title="greets with 554",
        ports=(AUTH_587,),
        kind=aiosmtpd_server.Greets554,
        expect={"service-refused": "error"},
    ),
    Case(
        title="greets with 421",
        ports=(AUTH_587,),
        kind=aiosmtpd_server.Greets421,
        expect={"client-throttled": "inconclusive"},
    ),
    Case(
        title="EHLO unknown, HELO works",
        ports=(PLAIN_MX,),
        kind=aiosmtpd_server.RefusesEhlo,
        expect={"ehlo-rejected": "error"},
    ),
    Case(
        title="LMTP on 25",
        ports=(PLAIN_MX,),
        kind=LMTP,
        expect={"lmtp-on-smtp-port": "error"},
    ),
    Case(
        title="hangs up on EHLO",
        ports=(PLAIN_MX,),
        kind=aiosmtpd_server.HangsUpOnEhlo,
        expect={"session-dropped": "error"},
    ),
)
