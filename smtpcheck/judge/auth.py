"""Rules about what AUTH offers, and when."""

from smtpcheck.judge.case import Case
from smtpcheck.judge.catalogue import IN_CLEAR, ON_MX, Condition, Remark, Said, rule
from smtpcheck.judge.report import Severity
from smtpcheck.judge.words import listed, shown

BARE = ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER")
"""Mechanisms that hand over the secret itself."""

LEGACY = ("CRAM-MD5", "DIGEST-MD5", "NTLM")

USERS_UNDER_TLS = Condition(
    test=lambda case: case.role.for_users and case.encrypted,
    otherwise="only submission ports with TLS are held to it",
)


@rule(
    "auth-missing",
    area="auth",
    severity=Severity.ERROR,
    reference="RFC 4954 §3; RFC 6409 §4.3",
    remedy="Enable SASL authentication on this port. Postfix: smtpd_sasl_auth_enable = yes for "
    "this service in master.cf, and a running back end (smtpd_sasl_type, smtpd_sasl_path); "
    "Exim: an authenticator, and auth_advertise_hosts = *.",
    needs=("ehlo_tls",),
    applies=USERS_UNDER_TLS,
    explained_by=("ehlo-rejected",),
)
def auth_missing(case: Case) -> Said:
    """A submission port offers no AUTH once TLS is up.

    Users can't log in, so either nobody can send, or everybody can.

    Servers get here when the SASL back end is not installed or not running, when AUTH was
    tied to a condition that TLS does not meet, or when the port is a plain MX listener under
    another number.
    """
    hello = case.ehlo_tls
    if hello and not hello.parameters("AUTH"):
        before = case.ehlo.parameters("AUTH") if case.ehlo else ()
        message = "AUTH is not offered inside TLS"
        if before:
            message += f", though it was before ({shown(listed(before))})"
        elif hello.offers("AUTH"):
            message = "AUTH is offered inside TLS without any mechanism"
        yield Remark(
            message=message,
            evidence=case.quote(hello.exchange),
            because=() if hello.verb == "EHLO" else None,
        )


@rule(
    "auth-in-cleartext",
    area="auth",
    severity=Severity.ERROR,
    reference="RFC 4954 §4; RFC 8314 §4.1",
    remedy="Offer AUTH inside TLS only. Postfix: smtpd_tls_auth_only = yes; Exim: let "
    "auth_advertise_hosts depend on $tls_in_cipher; Dovecot: disable_plaintext_auth = yes "
    "(auth_allow_cleartext = no from 2.4 on).",
    needs=("ehlo",),
    applies=IN_CLEAR,
    explained_by=("starttls-missing",),
)
def auth_in_cleartext(case: Case) -> Said:
    """A mechanism that hands over the password is offered before TLS.

    A client that takes the offer sends its password, or a token as good as one, for everyone
    on the way to read. The server can't take it back: it must not make the offer.

    Servers get here when AUTH was enabled for all listeners at once, or when TLS itself is
    missing.
    """
    hello = case.ehlo
    if hello and (bare := [word for word in hello.parameters("AUTH") if word in BARE]):
        verb = "is" if len(bare) == 1 else "are"
        yield Remark(
            message=f"AUTH {listed(bare)} {verb} offered before TLS",
            evidence=case.quote(hello.exchange, f"AUTH {' '.join(hello.parameters('AUTH'))}"),
            because=() if hello.offers("STARTTLS") else None,
        )


@rule(
    "auth-legacy-mechanism",
    area="auth",
    severity=Severity.WARNING,
    reference="RFC 6331; RFC 2195; MS-NLMP",
    remedy="Withdraw {mechanisms}; inside TLS offer SCRAM, OAUTHBEARER or PLAIN.",
    needs=("hello",),
)
def auth_legacy_mechanism(case: Case) -> Said:
    """CRAM-MD5, DIGEST-MD5 or NTLM is offered.

    They rest on MD5 or MD4, and the server must keep passwords in a form as good as plain.
    DIGEST-MD5 is historic; NTLM also tells the server's internal names to anyone.

    Servers get here by offering whatever the SASL library has (`mech_list` unset), or for
    clients of twenty years ago.
    """
    for hello in case.hellos:
        if old := [word for word in hello.parameters("AUTH") if word in LEGACY]:
            verb = "is" if len(old) == 1 else "are"
            yield Remark(
                message=f"{listed(old)} {verb} offered",
                evidence=case.quote(hello.exchange, f"AUTH {' '.join(hello.parameters('AUTH'))}"),
                fill={"mechanisms": listed(old)},
            )
            return


@rule(
    "auth-on-mx",
    area="auth",
    severity=Severity.NOTICE,
    reference="RFC 6409 §3.1; RFC 8314 §4.1",
    remedy="Move users to 465 and 587, and switch AUTH off on port 25.",
    needs=("hello",),
    applies=ON_MX,
)
def auth_on_mx(case: Case) -> Said:
    """The port for other mail servers lets users log in.

    Every password-guessing robot begins at port 25, and where many networks block it users
    gain nothing by it.

    Servers get here when one listener once did for both, before 587 and 465 had the part.
    """
    for hello in case.hellos:
        if words := hello.parameters("AUTH"):
            yield Remark(
                message=f"AUTH is offered: {shown(listed(words))}",
                evidence=case.quote(hello.exchange, f"AUTH {' '.join(words)}"),
            )
            return
