"""Rules about the way into TLS: STARTTLS, TLS from the first octet, and neither."""

import re

from smtpcheck.facts.failure import OWN, Failure, Kind, Stage
from smtpcheck.facts.host import Role
from smtpcheck.facts.step import Step
from smtpcheck.facts.tls import Offer, Version
from smtpcheck.judge.case import Case, connected
from smtpcheck.judge.catalogue import (
    BY_STARTTLS,
    ENCRYPTED,
    IMPLICIT,
    IN_CLEAR,
    Condition,
    Remark,
    Said,
    Unjudged,
    by_role,
    rule,
)
from smtpcheck.judge.report import Severity
from smtpcheck.judge.words import protocol, shown, stage, told

_SMTP = re.compile(rb"[2-5]\d\d[ \-\r\n]")

_WANTS_CERTIFICATE = re.compile(r"certificate[ _]required", re.IGNORECASE)

NOT_SMTP = "another service has the port, or the address leads to another machine."

CLEAR_SUBMISSION = Condition(
    test=lambda case: case.role.for_users and case.by_starttls,
    otherwise="only submission ports with STARTTLS are held to it",
)
SUBMISSIONS = Condition(
    test=lambda case: case.implicit and case.role.for_users,
    otherwise="it is about submission with TLS from the first octet",
)


@rule(
    "starttls-missing",
    area="starttls",
    severity=by_role(mx=Severity.WARNING, submission=Severity.ERROR),
    reference="RFC 3207 §2; RFC 8314 §4.1",
    remedy="Configure a certificate and enable STARTTLS. Postfix: smtpd_tls_chain_files = FILE "
    "(key, then certificates) and smtpd_tls_security_level = may, or encrypt for submission; "
    "Exim: tls_certificate, tls_privatekey and tls_advertise_hosts = *.",
    needs=("ehlo",),
    applies=BY_STARTTLS,
    explained_by=("ehlo-rejected", "lmtp-on-smtp-port"),
)
def starttls_missing(case: Case) -> Said:
    """The server does not offer STARTTLS.

    Mail, and on a submission port the password, crosses the network for everyone to read.
    Senders that insist on TLS do not deliver at all.

    Servers get here when no certificate was configured, when it could not be loaded at the
    last start, or when a firewall strikes the keyword out of the list.
    """
    if case.ehlo and not case.ehlo.offers("STARTTLS"):
        yield Remark(
            message="STARTTLS is not offered",
            evidence=case.quote(case.ehlo.exchange),
            because=None if case.ehlo.verb != "EHLO" else (),
        )


@rule(
    "starttls-handshake-fails",
    area="starttls",
    severity=Severity.CRITICAL,
    reference="RFC 3207 §4, §4.1",
    remedy="Check key, certificate chain and enabled versions on the server, and its log at "
    "this moment: openssl s_client shows the same failure.",
    needs=("connected",),
    applies=ENCRYPTED,
    explained_by=("tls-modern-missing", "lmtp-on-smtp-port"),
)
def starttls_handshake_fails(case: Case) -> Said:
    """TLS is offered, and no session comes of it.

    Clients that began a handshake can't go back to clear text on that connection: mail
    programs fail outright, and senders defer or fall back to sending in the open.

    Servers get here when the key does not belong to the certificate or can't be read (454),
    when only versions are enabled that nobody speaks, or when a middlebox swallows TLS.
    """
    refusal, failure = case.dialogue.starttls if case.dialogue else None, case.failure
    broken = failure is not None and failure.kind is Kind.TLS_FAILED
    if case.dialogue is None or (case.tls and not broken):
        return
    if refusal and not refusal.reply.positive:
        if refusal.reply.code != 421:
            yield Remark(
                message=f"STARTTLS is offered, then answered with {shown(str(refusal.reply))}",
                evidence=case.quote(refusal),
                because=(),
            )
    elif failure and failure.stage is Stage.TLS and failure.kind in OWN:
        yield Unjudged(reason=told(failure))
    elif failure and (broken or failure.stage is Stage.TLS) and not _smtp_instead(case):
        yield _client_certificate(case, failure) or Remark(
            message=f"{_failing(failure)}{_instead(case.dialogue)}",
            evidence=case.evidence(case.dialogue, excerpt=_octets(case.dialogue) or told(failure)),
            remedy=f"See what listens here: {NOT_SMTP}" if _octets(case.dialogue) else "",
            reference="RFC 8314 §3.3" if case.implicit else "",
            because=() if _modern(case) else None,
        )


@rule(
    "tls-on-plaintext-port",
    area="starttls",
    severity=Severity.ERROR,
    reference="RFC 8314 §3.3",
    remedy="Serve STARTTLS here and TLS from the first octet on 465, or tell clients to use "
    "implicit TLS (often called SSL/TLS) on this port.",
    needs=("connected",),
    applies=IN_CLEAR,
)
def tls_on_plaintext_port(case: Case) -> Said:
    """The server waits for a TLS handshake on a port meant for a cleartext greeting.

    Both sides wait for the other to speak, so clients hang until they time out, and none of
    them says why.

    Servers get here when wrapper mode was switched on for the wrong listener, or a TLS proxy
    was put in front of 587 or 25.
    """
    step = case.tls_first
    if case.greeting or step is None:
        return
    accepted = step.version and step.version.offer is Offer.ACCEPTED
    if accepted or step.tls:
        session = step.version.detail if step.version and step.version.detail else ""
        yield Remark(
            message="the port is silent in clear text, and speaks TLS from the first octet",
            evidence=case.evidence(step, excerpt=session or "a ClientHello was answered"),
        )


@rule(
    "implicit-tls-missing",
    area="starttls",
    severity=Severity.NOTICE,
    reference="RFC 8314 §3.3, §7.3",
    remedy="Enable the submissions service on port 465 as well: RFC 8314 prefers it, and mail "
    "programs try it first.",
    needs=("dialogue",),
    applies=SUBMISSIONS,
    explained_by=("port-closed", "port-timeout"),
)
def implicit_tls_missing(case: Case) -> Said:
    """Submission works with STARTTLS, but not with TLS from the first octet.

    With implicit TLS there is no moment at which an attacker can strip the encryption, and
    mail programs need no guess. RFC 8314 asks servers to offer both.

    Servers get here because 465 had no official meaning between 1998 and 2018, and older
    instructions leave it out.
    """
    if not (case.refused or case.unreachable):
        return
    served = [s for s in case.alike if s.host.role is Role.SUBMISSION and _welcomed(s)]
    elsewhere = [s for s in case.alike if s.host.port == case.host.port and connected(s)]
    if served and not elsewhere:
        yield Remark(
            message=f"port {served[0].host.port} is served and port {case.host.port} is not",
            evidence=case.evidence(case.dialogue, excerpt=_told(case.dialogue)),
        )


@rule(
    "plaintext-on-implicit-port",
    area="starttls",
    severity=Severity.ERROR,
    reference="RFC 8314 §3.3",
    remedy="Enable wrapper mode on this listener (smtpd_tls_wrappermode=yes in Postfix, "
    "tls_on_connect_ports in Exim).",
    needs=("connected",),
    applies=IMPLICIT,
)
def plaintext_on_implicit_port(case: Case) -> Said:
    """The server greets in clear text on a port meant for TLS from the first octet.

    Mail programs that are set to SSL/TLS, as their wizards propose for this port, fail with
    an obscure TLS error such as "wrong version number".

    Servers get here when the listener was added without wrapper mode, often by copying the
    lines of port 587.
    """
    if case.dialogue and _smtp_instead(case):
        words = case.dialogue.first_octets[:512].decode("latin-1").splitlines()[0]
        yield Remark(
            message=f"the port answers in clear text: {shown(words, 80)}",
            evidence=case.evidence(case.dialogue, excerpt=words),
            key="cleartext",
        )


@rule(
    "submission-cleartext",
    area="starttls",
    severity=Severity.ERROR,
    reference="RFC 8314 §4.1",
    remedy="Require TLS before MAIL on this port (smtpd_tls_security_level=encrypt in Postfix).",
    needs=("cleartext_mail",),
    applies=CLEAR_SUBMISSION,
    explained_by=("starttls-missing",),
)
def submission_cleartext(case: Case) -> Said:
    """A submission port accepts MAIL without TLS.

    A mail program whose TLS fails, or is stripped on the way, goes on in clear text, and
    nobody notices. On a submission port nothing speaks for allowing that any more.

    Servers get here when the settings of port 25, where TLS must stay optional, also rule
    587.
    """
    mail = case.cleartext_mail
    if mail and mail.reply.positive:
        yield Remark(
            message=f"MAIL without TLS is answered with {shown(str(mail.reply))}",
            evidence=case.quote(mail),
            because=() if case.ehlo and case.ehlo.offers("STARTTLS") else None,
            key="mail",
        )


def _client_certificate(case: Case, failure: Failure) -> Remark | None:
    """What a server that lets nobody in without a certificate is told of; None for another."""
    sessions = [step.tls for _, step in case.steps if step.tls]
    sent = any(session.client_certificate_sent for session in sessions)
    asked = any(session.client_certificate_requested for session in sessions)
    named = _WANTS_CERTIFICATE.search(failure.detail)
    if not (named or (asked and failure.kind is Kind.TLS_FAILED)):
        return None
    words = "turns down the client certificate" if sent else "requires a client certificate"
    surely = "" if named else ", it seems"
    return Remark(
        message=f"the server {words}{surely}: {shown(failure.detail)}",
        evidence=case.evidence(case.dialogue, excerpt=told(failure)),
        severity=Severity.ERROR,
        remedy="Give a certificate that the server knows (--cert FILE); on a port for the public "
        "have the server ask for one without requiring it (smtpd_tls_req_ccert=no in Postfix).",
        because=(),
    )


def _octets(step: Step) -> str:
    return step.first_octets[:512].decode("latin-1").strip()


def _instead(step: Step) -> str:
    """What came where TLS was due, and whose words it looks like."""
    octets = _octets(step)
    if not octets:
        return ""
    like = protocol(octets)
    return f": {shown(octets, 80)}" + (f", which looks like {like}" if like else "")


def _failing(failure: Failure) -> str:
    """In TLS 1.3 a server that wants a client's certificate says so after our handshake is over."""
    if failure.kind is not Kind.TLS_FAILED or failure.stage is Stage.TLS:
        return told(failure)
    return f"TLS comes up and breaks off {stage(failure)}: {shown(failure.detail)}"


def _modern(case: Case) -> bool:
    offered = (case.offers.get(version) for version in (Version.TLS1_2, Version.TLS1_3))
    return Offer.ACCEPTED in offered


def _smtp_instead(case: Case) -> bool:
    failure, step = case.failure, case.dialogue
    not_tls = failure is not None and failure.kind is Kind.NOT_TLS
    return bool(case.implicit and not_tls and step and _SMTP.match(step.first_octets))


def _welcomed(step: Step) -> bool:
    return step.greeting is not None and step.greeting.reply.positive


def _told(step: Step | None) -> str:
    return told(step.failure) if step and step.failure else ""
