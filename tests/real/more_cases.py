"""Exim, OpenSMTPD, sendmail and chasquid: what can be wrong with each of them, a row each.

Law: as in `cases`. A certificate is wrong in the same ways whoever shows it, so these rows are
made for all alike; what remains is each daemon's own, in the words of its configuration.
"""

from tests.real import chasquid, exim, opensmtpd, sendmail
from tests.real.cases import Case, Port

CERTIFICATES = {
    "expired": ("cert-outside-validity", "critical", "error"),
    "not yet": ("cert-outside-validity", "critical", "error"),
    "expiring": ("cert-expires-soon", "warning", "warning"),
    "other name": ("cert-name-mismatch", "error", "warning"),
    "self-signed": ("cert-untrusted", "error", "notice"),
    "stranger": ("cert-untrusted", "error", "notice"),
    "no intermediate": ("cert-chain-incomplete", "error", "warning"),
    "out of order": ("cert-chain-incomplete", "notice", "notice"),
    "RSA 1024": ("cert-weak", "error", "error"),
    "SHA-1": ("cert-weak", "error", "error"),
}
"""What is to be said of each, on a port for users and on an MX."""


def wrong_certificates(*ports: Port, but: tuple[str, ...] = ()) -> tuple[Case, ...]:
    """A row for each certificate and port, without those that the daemon declines to show."""
    return tuple(
        Case(
            title=f"{name} on {port.number}",
            ports=(port.but(identity=name),),
            expect={id_: at_mx if port.number == 25 else for_users},
        )
        for name, (id_, for_users, at_mx) in CERTIFICATES.items()
        for port in ports
        if name not in but
    )


EXIM_MX = Port(number=25)
EXIM_587 = Port(number=587, settings=exim.SUBMISSION)
EXIM_465 = Port(number=465, settings=exim.SUBMISSION)

NORMAL = {"tls_require_ciphers": "NORMAL"}
"""What Exim does if nothing is set: GnuTLS's NORMAL goes down to TLS 1.0."""

EXIM = (
    Case(title="healthy", ports=(EXIM_MX, EXIM_587, EXIM_465), defaults=True),
    Case(title="healthy MX alone", ports=(EXIM_MX,), defaults=True),
    Case(title="healthy with RSA", ports=(EXIM_MX.but(identity="RSA"), EXIM_587, EXIM_465)),
    Case(title="healthy wildcard", ports=(EXIM_587.but(identity="wildcard"),)),
    *wrong_certificates(EXIM_MX, EXIM_587, but=("out of order",)),  # GnuTLS puts them in order
    Case(
        title="expired on 465",
        ports=(EXIM_465.but(identity="expired"),),
        expect={"cert-outside-validity": "critical"},
    ),
    Case(
        # Exim makes a certificate of its own, and offers it to everyone.
        title="no certificate set",
        ports=(EXIM_MX.but(identity="none", tls_advertise_hosts="*"),),
        expect={"cert-untrusted": "notice"},
    ),
    Case(
        title="no STARTTLS on submission",
        ports=(EXIM_587.but(tls_advertise_hosts=""),),
        expect={"starttls-missing": "error"},
    ),
    Case(
        title="no STARTTLS on MX",
        ports=(EXIM_MX.but(tls_advertise_hosts=""),),
        expect={"starttls-missing": "warning"},
    ),
    Case(
        title="certificate not readable",
        ports=(EXIM_587.but(tls_certificate="/nonexistent/mail.pem"),),
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="STARTTLS refused for now",
        ports=(EXIM_587.but(acl_smtp_starttls="defer message = 454 TLS not available"),),
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="no cipher in common",
        ports=(
            EXIM_587.but(
                identity="RSA",
                tls_require_ciphers="NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA",
            ),
        ),
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="a certificate is required of every client",
        ports=(EXIM_MX.but(tls_verify_hosts="*", tls_verify_certificates="system"),),
        expect={"starttls-handshake-fails": "error"},
    ),
    Case(
        title="its default versions, submission",
        ports=(EXIM_465.but(**NORMAL),),
        expect={"tls-legacy-version": "error"},
    ),
    Case(
        title="its default versions, MX",
        ports=(EXIM_MX.but(**NORMAL),),
        expect={"tls-legacy-version": "notice"},
    ),
    Case(
        title="TLS 1.0 only",
        ports=(EXIM_MX.but(tls_require_ciphers="NORMAL:-VERS-ALL:+VERS-TLS1.0"),),
        expect={"tls-modern-missing": "error"},
    ),
    Case(
        title="TLS 1.1 only",
        ports=(EXIM_587.but(tls_require_ciphers="NORMAL:-VERS-ALL:+VERS-TLS1.1"),),
        expect={"tls-modern-missing": "error"},
    ),
    Case(
        title="TLS 1.2 only",
        ports=(EXIM_MX.but(tls_require_ciphers="NORMAL:-VERS-ALL:+VERS-TLS1.2"),),
        expect={"tls-modern-missing": "info"},
    ),
    Case(
        title="AUTH before TLS",
        ports=(EXIM_587.but(auth_advertise_hosts="*"),),
        expect={"auth-in-cleartext": "error"},
    ),
    Case(
        title="AUTH before TLS on MX",
        ports=(EXIM_MX.but(auth_advertise_hosts="*"),),
        expect={"auth-in-cleartext": "error", "auth-on-mx": "notice"},
    ),
    Case(
        title="no AUTH on submission",
        ports=(EXIM_465.but(auth_advertise_hosts=""),),
        expect={"auth-missing": "error"},
    ),
    Case(
        # As Exim's example configuration has it: only RCPT is refused.
        title="MAIL taken without TLS",
        ports=(EXIM_587.but(acl_smtp_mail="accept"),),
        expect={"submission-cleartext": "error"},
    ),
    Case(
        title="greets with 554",
        ports=(EXIM_MX.but(acl_smtp_connect="drop message = 554 5.7.1 no mail from you"),),
        expect={"service-refused": "error"},
    ),
    Case(
        title="greets with 550",
        ports=(EXIM_587.but(acl_smtp_connect="deny message = no mail from you"),),
        expect={"service-refused": "error"},
    ),
    Case(
        title="greets with 421",
        ports=(EXIM_MX.but(acl_smtp_connect="defer message = 421 4.3.2 too busy"),),
        expect={"client-throttled": "inconclusive"},
    ),
    Case(
        title="hangs up without a word",
        ports=(EXIM_MX.but(acl_smtp_connect=r"drop log_message = bye\n message = "),),
        expect={"service-refused": "error"},
    ),
    Case(
        title="greets after eleven seconds",
        ports=(EXIM_MX.but(acl_smtp_connect="accept delay = 11s"),),
        expect={"banner-slow": "notice"},
    ),
    Case(
        title="greets after eleven seconds on submission",
        ports=(EXIM_587.but(acl_smtp_connect="accept delay = 11s"),),
        expect={"banner-slow": "notice"},
    ),
    Case(
        title="greets with asterisks",
        ports=(EXIM_MX.but(smtp_banner="*" * 40),),
        expect={"banner-malformed": "error"},
    ),
    Case(
        title="tells its version",
        ports=(EXIM_MX.but(smtp_banner="$smtp_active_hostname ESMTP Exim $version_number"),),
        expect={"banner-discloses-software": "info"},
    ),
    Case(
        title="EHLO and HELO refused",
        ports=(EXIM_MX.but(acl_smtp_helo="deny message = go away"),),
        expect={"ehlo-rejected": "error"},
    ),
    Case(
        # As greylisting does it: nothing of the server was seen, and nothing is wrong with it.
        title="EHLO and HELO refused for now",
        ports=(EXIM_MX.but(acl_smtp_helo="defer message = come again"),),
        expect={"client-throttled": "inconclusive"},
    ),
    Case(
        # A reply, and the connection is closed: it is a refusal all the same.
        title="hangs up at EHLO",
        ports=(EXIM_MX.but(acl_smtp_helo="drop message = go away"),),
        expect={"ehlo-rejected": "error"},
    ),
    Case(
        title="few extensions",
        ports=(
            EXIM_MX.but(
                pipelining_advertise_hosts="",
                chunking_advertise_hosts="",
                smtputf8_advertise_hosts="",
                dsn_advertise_hosts="",
            ),
        ),
        expect={"extensions-missing": "notice"},
    ),
    Case(
        title="small messages only",
        ports=(EXIM_MX.but(message_size_limit="1000000"),),
        expect={"size-limit-low": "notice"},
    ),
    Case(
        title="a closed port that was asked for",
        ports=(EXIM_MX,),
        also=("2525",),
        expect={"port-closed": "error"},
    ),
    Case(
        title="no 465 beside 587",
        ports=(EXIM_587,),
        defaults=True,
        expect={"implicit-tls-missing": "notice"},
    ),
)

EXIM_SWAPPED = (
    Case(title="TLS on 587", ports=(EXIM_587,), expect={"tls-on-plaintext-port": "error"}),
    Case(
        title="plaintext on 465", ports=(EXIM_465,), expect={"plaintext-on-implicit-port": "error"}
    ),
)
"""`tls_on_connect_ports` is of the whole daemon: this one has 587 where 465 belongs."""

SMTPD_MX = Port(number=25, settings=opensmtpd.MX)
SMTPD_587 = Port(number=587, settings=opensmtpd.SUBMISSION)
SMTPD_465 = Port(number=465, settings=opensmtpd.SUBMISSIONS)

OPENSMTPD = (
    Case(title="healthy", ports=(SMTPD_MX, SMTPD_587, SMTPD_465), defaults=True),
    Case(title="healthy MX alone", ports=(SMTPD_MX,), defaults=True),
    Case(title="healthy with RSA", ports=(SMTPD_MX.but(identity="RSA"),)),
    Case(title="healthy wildcard", ports=(SMTPD_587.but(identity="wildcard"),)),
    *wrong_certificates(SMTPD_MX, SMTPD_587),
    Case(
        title="expired on 465",
        ports=(SMTPD_465.but(identity="expired"),),
        expect={"cert-outside-validity": "critical"},
    ),
    Case(
        title="no STARTTLS on submission",
        ports=(Port(number=587),),
        expect={"starttls-missing": "error"},
    ),
    Case(
        title="no STARTTLS on MX",
        ports=(Port(number=25),),
        expect={"starttls-missing": "warning"},
    ),
    Case(
        title="no cipher in common",
        ports=(
            SMTPD_587.but(
                identity="RSA", protocols="tlsv1.2", ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"
            ),
        ),
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="a certificate is required of every client",
        ports=(SMTPD_587.but(**{"tls-require": "verify"}),),
        expect={"starttls-handshake-fails": "error"},
    ),
    Case(
        title="plaintext on 465",
        ports=(Port(number=465, settings=opensmtpd.SUBMISSION),),
        expect={"plaintext-on-implicit-port": "error"},
    ),
    Case(
        title="TLS on 587",
        ports=(Port(number=587, settings=opensmtpd.SUBMISSIONS),),
        expect={"tls-on-plaintext-port": "error"},
    ),
    Case(
        title="AUTH on MX",
        ports=(SMTPD_MX.but(**{"auth-optional": ""}),),
        expect={"auth-on-mx": "notice"},
    ),
    Case(
        title="TLS not required, but to log in",
        ports=(Port(number=587, settings={"tls": "", "auth": ""}),),
    ),
    Case(
        title="mail taken without TLS",
        ports=(Port(number=587, settings={"tls": "", "auth-optional": ""}),),
        expect={"submission-cleartext": "error"},
    ),
    Case(
        title="no AUTH on submission",
        ports=(Port(number=465, settings={"smtps": ""}),),
        expect={"auth-missing": "error"},
    ),
    Case(
        # It takes the word, and has no TLS below 1.2 any more.
        title="TLS 1.0 only",
        ports=(SMTPD_MX.but(protocols="tlsv1.0"),),
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="TLS 1.2 only",
        ports=(SMTPD_MX.but(protocols="tlsv1.2"),),
        expect={"tls-modern-missing": "info"},
    ),
    Case(
        title="greets with 554",
        ports=(SMTPD_MX.but(filter="greets-554"),),
        expect={"service-refused": "error"},
    ),
    Case(
        title="greets with 421",
        ports=(SMTPD_587.but(filter="greets-421"),),
        expect={"client-throttled": "inconclusive"},
    ),
    Case(
        title="greets after eleven seconds",
        ports=(SMTPD_MX.but(filter="greets-late"),),
        expect={"banner-slow": "notice"},
    ),
    Case(
        title="greets after eleven seconds on 465",
        ports=(SMTPD_465.but(filter="greets-late"),),
        expect={"banner-slow": "notice"},
    ),
    Case(
        title="EHLO unknown, HELO works",
        ports=(SMTPD_MX.but(filter="refuses-ehlo"),),
        expect={"ehlo-rejected": "error"},
    ),
    Case(
        title="EHLO and HELO refused",
        ports=(SMTPD_587.but(filter="refuses-hello"),),
        expect={"ehlo-rejected": "error"},
    ),
    Case(
        title="hangs up at EHLO",
        ports=(SMTPD_MX.but(filter="leaves-at-ehlo"),),
        expect={"ehlo-rejected": "error"},
    ),
    Case(
        title="a closed port that was asked for",
        ports=(SMTPD_MX,),
        also=("2525",),
        expect={"port-closed": "error"},
    ),
    Case(
        title="no 465 beside 587",
        ports=(SMTPD_587,),
        defaults=True,
        expect={"implicit-tls-missing": "notice"},
    ),
)

SENDMAIL_MX = Port(number=25, settings=sendmail.MX)
SENDMAIL_587 = Port(number=587, settings=sendmail.SUBMISSION)
SENDMAIL_465 = Port(number=465, settings=sendmail.SUBMISSIONS)

LEVEL_0 = {"openssl": "CipherString = DEFAULT:@SECLEVEL=0\n"}
"""For the whole machine: a weak certificate is shown, and TLS 1.0 is still there."""
FROM_1_2 = {"openssl": "CipherString = DEFAULT:@SECLEVEL=0\nMinProtocol = TLSv1.2\n"}

SENDMAIL = (
    Case(title="healthy", ports=(SENDMAIL_MX, SENDMAIL_587, SENDMAIL_465), defaults=True),
    Case(title="healthy MX alone", ports=(SENDMAIL_MX,), defaults=True),
    Case(title="healthy with RSA", ports=(SENDMAIL_465.but(identity="RSA"),)),
    *wrong_certificates(
        SENDMAIL_MX.but(**FROM_1_2), SENDMAIL_587.but(**FROM_1_2), but=("out of order",)
    ),  # whose order OpenSSL finds by itself
    Case(
        title="expired on 465",
        ports=(SENDMAIL_465.but(identity="expired"),),
        expect={"cert-outside-validity": "critical"},
    ),
    Case(
        # As it does without a word when it can't read the certificate.
        title="no STARTTLS on submission",
        ports=(SENDMAIL_587.but(identity="none"),),
        expect={"starttls-missing": "error"},
    ),
    Case(
        title="no STARTTLS on MX",
        ports=(SENDMAIL_MX.but(modifiers="AS"),),
        expect={"starttls-missing": "warning"},
    ),
    Case(
        title="465 without a certificate",
        ports=(SENDMAIL_465.but(identity="none"),),
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="no cipher in common",
        ports=(
            SENDMAIL_587.but(
                identity="RSA",
                confCIPHER_LIST="ECDHE-ECDSA-AES128-GCM-SHA256",
                confSERVER_SSL_OPTIONS="SSL_OP_NO_TLSv1_3",
            ),
        ),
        expect={"starttls-handshake-fails": "critical"},
    ),
    Case(
        title="plaintext on 465",
        ports=(SENDMAIL_465.but(modifiers="Ea"),),
        expect={"plaintext-on-implicit-port": "error"},
    ),
    Case(
        title="TLS on 587",
        ports=(SENDMAIL_587.but(modifiers="Eas"),),
        expect={"tls-on-plaintext-port": "error"},
    ),
    Case(
        title="AUTH before TLS",
        ports=(SENDMAIL_587.but(confAUTH_OPTIONS="A"),),
        expect={"auth-in-cleartext": "error"},
    ),
    Case(
        # One listener for all, as its default is.
        title="AUTH before TLS on MX",
        ports=(SENDMAIL_MX.but(modifiers="", confAUTH_OPTIONS="A"),),
        expect={"auth-in-cleartext": "error", "auth-on-mx": "notice"},
    ),
    Case(
        title="old mechanisms",
        ports=(SENDMAIL_587.but(confAUTH_MECHANISMS="PLAIN LOGIN CRAM-MD5 DIGEST-MD5"),),
        expect={"auth-legacy-mechanism": "warning"},
    ),
    Case(
        title="mail taken without TLS",
        ports=(SENDMAIL_587.but(modifiers="E"),),
        expect={"submission-cleartext": "error"},
    ),
    Case(
        title="no AUTH on submission",
        ports=(SENDMAIL_465.but(modifiers="EsA"),),
        expect={"auth-missing": "error"},
    ),
    Case(
        title="TLS 1.0 still on, submission",
        ports=(SENDMAIL_465.but(**LEVEL_0),),
        expect={"tls-legacy-version": "error"},
    ),
    Case(
        title="TLS 1.0 still on, MX",
        ports=(SENDMAIL_MX.but(**LEVEL_0),),
        expect={"tls-legacy-version": "notice"},
    ),
    Case(
        title="TLS 1.0 only",
        ports=(
            SENDMAIL_MX.but(
                **LEVEL_0,
                confSERVER_SSL_OPTIONS="SSL_OP_NO_TLSv1_1 SSL_OP_NO_TLSv1_2 SSL_OP_NO_TLSv1_3",
            ),
        ),
        expect={"tls-modern-missing": "error"},
    ),
    Case(
        title="TLS 1.2 only",
        ports=(SENDMAIL_MX.but(confSERVER_SSL_OPTIONS="SSL_OP_NO_TLSv1_3"),),
        expect={"tls-modern-missing": "info"},
    ),
    Case(
        title="greets with 421",
        ports=(
            SENDMAIL_MX.but(
                rulesets='SLocal_check_relay\nR$*\t$#error $@ 4.7.1 $: "421 4.7.1 busy"'
            ),
        ),
        expect={"client-throttled": "inconclusive"},
    ),
    Case(
        title="greets after eleven seconds",
        ports=(SENDMAIL_MX.but(features="FEATURE(`greet_pause', `11000')"),),
        expect={"banner-slow": "notice"},
    ),
    Case(
        title="greets with asterisks",
        ports=(SENDMAIL_MX.but(confSMTP_LOGIN_MSG="*" * 40),),
        expect={"banner-malformed": "error"},
    ),
    Case(
        title="tells its version",
        ports=(SENDMAIL_587,),
        expect={"banner-discloses-software": "info"},
    ),
    Case(
        title="small messages only",
        ports=(SENDMAIL_MX.but(confMAX_MESSAGE_SIZE="1000000"),),
        expect={"size-limit-low": "notice"},
    ),
    Case(
        title="a closed port that was asked for",
        ports=(SENDMAIL_MX,),
        also=("2525",),
        expect={"port-closed": "error"},
    ),
    Case(
        title="no 465 beside 587",
        ports=(SENDMAIL_587,),
        defaults=True,
        expect={"implicit-tls-missing": "notice"},
    ),
)

CHASQUID_MX = Port(number=25, settings=chasquid.MX)
CHASQUID_587 = Port(number=587, settings=chasquid.SUBMISSION)
CHASQUID_465 = Port(number=465, settings=chasquid.SUBMISSIONS)

CHASQUID = (
    Case(title="healthy", ports=(CHASQUID_MX, CHASQUID_587, CHASQUID_465), defaults=True),
    Case(title="healthy MX alone", ports=(CHASQUID_MX,), defaults=True),
    Case(title="healthy with RSA", ports=(CHASQUID_465.but(identity="RSA"),)),
    Case(title="healthy wildcard", ports=(CHASQUID_587.but(identity="wildcard"),)),
    *wrong_certificates(CHASQUID_MX, CHASQUID_587),
    Case(
        title="expired on 465",
        ports=(CHASQUID_465.but(identity="expired"),),
        expect={"cert-outside-validity": "critical"},
    ),
    Case(
        title="plaintext on 465",
        ports=(Port(number=465, settings=chasquid.SUBMISSION),),
        expect={"plaintext-on-implicit-port": "error"},
    ),
    Case(
        title="TLS on 587",
        ports=(Port(number=587, settings=chasquid.SUBMISSIONS),),
        expect={"tls-on-plaintext-port": "error"},
    ),
    Case(
        # As it is, if nobody tells Go.
        title="TLS 1.0 still on, submission",
        ports=(CHASQUID_587.but(GODEBUG=""),),
        expect={"tls-legacy-version": "error"},
    ),
    Case(
        title="TLS 1.0 still on, MX",
        ports=(CHASQUID_MX.but(GODEBUG=""),),
        expect={"tls-legacy-version": "notice"},
    ),
    Case(
        title="the MX on 587",
        ports=(Port(number=587, settings=chasquid.MX),),
        expect={"submission-cleartext": "error"},
    ),
    Case(
        title="small messages only",
        ports=(CHASQUID_MX.but(max_data_size_mb="2"),),
        expect={"size-limit-low": "notice"},
    ),
    Case(
        title="a closed port that was asked for",
        ports=(CHASQUID_MX,),
        also=("2525",),
        expect={"port-closed": "error"},
    ),
    Case(
        title="no 465 beside 587",
        ports=(CHASQUID_587,),
        defaults=True,
        expect={"implicit-tls-missing": "notice"},
    ),
)
