"""Reports made by hand: what a page must be able to show, without anybody judging."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.host import DEFAULTS, MailHost
from smtpcheck.facts.observation import Observation, Target, Vantage
from smtpcheck.facts.smtp import Ehlo, Exchange
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.tls import (
    Certificate,
    Offer,
    TlsSession,
    TrustStore,
    VerifyError,
    Version,
    VersionOffer,
)
from smtpcheck.facts.transcript import Event, Layer, Side, Transcript
from smtpcheck.judge.report import (
    Evidence,
    Finding,
    Judgement,
    Report,
    Severity,
    Status,
    Subject,
    Unchecked,
    Verdict,
)
from smtpcheck.wire.extension import extensions
from smtpcheck.wire.reply import ReplyParser

NOW = datetime(2031, 5, 6, 12, 0, tzinfo=UTC)
NAME = "mail.example.org"
TRUST = TrustStore(source="/etc/ssl/certs/ca-certificates.crt", anchors=142)


def host(address: str, port: int, name: str = NAME) -> MailHost:
    """A place with the defaults of its port."""
    role, security = DEFAULTS[port]
    return MailHost(name=name, address=address, port=port, role=role, security=security)


def exchange(raw: bytes, command: str = "", event: int = 1) -> Exchange:
    """What a server said, as the parser reads it."""
    parser = ReplyParser()
    found = parser.feed(raw) or (parser.end(),)
    assert found[0] is not None
    return Exchange(command=command, reply=found[0], took=0.012, event=event)


def ehlo(*lines: str) -> Ehlo:
    """The answer to EHLO with these extension lines."""
    *before, last = (NAME, *lines)
    text = "".join(f"250-{line}\r\n" for line in before) + f"250 {last}\r\n"
    answer = exchange(text.encode(), "EHLO probe.example.net", 3)
    return Ehlo(verb="EHLO", exchange=answer, extensions=extensions(answer.reply))


def certificate(days: float) -> Certificate:
    """One that runs out so many days from NOW, or ran out."""
    return Certificate(
        subject=f"CN={NAME}",
        issuer="CN=Example CA",
        common_name=NAME,
        names=(NAME,),
        not_before=NOW - timedelta(days=60),
        not_after=NOW + timedelta(days=days),
        key="EC",
        bits=256,
        signature="sha256",
    )


def session(days: float, version: str = "TLSv1.3") -> TlsSession:
    """A handshake that showed a certificate of so many days."""
    errors = (VerifyError(depth=0, code=10, message="certificate has expired"),) * (days < 0)
    return TlsSession(
        version=version,
        cipher="TLS_AES_256_GCM_SHA384",
        chain=(certificate(days), certificate(900)),
        errors=errors,
        trust=TRUST,
    )


def dialogue(*events: Event, omitted: int = 0) -> Transcript:
    """These events on a connection that opened at NOW."""
    return Transcript(
        opened=NOW, peer="192.0.2.7", local="198.51.100.9", events=events, omitted=omitted
    )


def said(at: float, data: bytes, layer: Layer = Layer.PLAIN) -> Event:
    """A segment of the server's."""
    return Event(at=at, side=Side.SERVER, layer=layer, data=data)


def sent(at: float, data: bytes, layer: Layer = Layer.PLAIN, note: str = "") -> Event:
    """A write of ours."""
    return Event(at=at, side=Side.CLIENT, layer=layer, data=data, note=note)


def remark(at: float, note: str) -> Event:
    """Something that happened to the connection."""
    return Event(at=at, side=Side.LOCAL, note=note)


DIALOGUE = dialogue(
    remark(0.011874, "connected"),
    said(0.024113, b"220 mail.example.org ESMTP Postfix\r\n"),
    sent(0.024201, b"EHLO probe.example.net\r\n"),
    said(0.036002, b"250-mail.example.org\r\n250-STARTTLS\r\n250 PIPELINING\r\n"),
    sent(0.036120, b"STARTTLS\r\n"),
    said(0.048255, b"220 2.0.0 Ready to start TLS\r\n"),
    remark(0.081774, "TLSv1.3 handshake finished, TLS_AES_256_GCM_SHA384, X25519"),
    sent(0.081901, b"EHLO probe.example.net\r\n", Layer.TLS),
    said(0.094410, b"250-mail.example.org\r\n250 AUTH PLAIN LOGIN\r\n", Layer.TLS),
    sent(0.094600, b"", Layer.TLS, note="‹38 bytes›"),
    said(0.107731, b"535 5.7.8 no\n", Layer.TLS),
    sent(0.107940, b"QUIT\r\n", Layer.TLS),
    said(0.120007, b"221 2.0.0 Bye", Layer.TLS),
    omitted=4096,
)


def healthy(address: str, port: int, days: float = 61) -> Step:
    """The whole dialogue without a fault."""
    where = host(address, port)
    users = ("AUTH PLAIN LOGIN",) if where.role.for_users else ()
    clear = None if port == 465 else ehlo("PIPELINING", "STARTTLS")
    return Step(
        probe=Probe.DIALOGUE,
        host=where,
        took=0.134,
        connected=0.011,
        greeting=exchange(b"220 mail.example.org ESMTP Postfix\r\n"),
        ehlo=clear or ehlo("PIPELINING", *users),
        tls=session(days),
        ehlo_tls=ehlo("PIPELINING", *users) if clear else None,
        transcript=DIALOGUE,
    )


def failed(address: str, port: int, stage: Stage, kind: Kind, took: float = 0.01) -> Step:
    """A dialogue that ended at `stage`; before a connection stood, or after."""
    connected = None if stage is Stage.CONNECT else 0.011
    failure = Failure(stage=stage, kind=kind)
    return Step(
        probe=Probe.DIALOGUE,
        host=host(address, port),
        took=took,
        connected=connected,
        failure=failure,
    )


def observation(*steps: Step, name: str = NAME, skipped: tuple[str, ...] = ()) -> Observation:
    """A run of these steps."""
    return Observation(
        tool="smtpcheck 0.1.0",
        target=Target(given=name, host=name, verify=name),
        started=NOW,
        took=1.84,
        vantage=Vantage(
            ehlo="probe.example.net",
            resolver="127.0.0.53",
            trust=f"{TRUST.source} ({TRUST.anchors} anchors)",
            library="OpenSSL 3.0.17",
        ),
        dns=(Lookup(name=name, rdtype="AAAA", answer=Answer.FOUND, values=("2001:db8::7",)),),
        steps=steps,
        skipped=skipped,
    )


def subject(address: str, port: int) -> Subject:
    """A place of the usual name."""
    return Subject(host=NAME, address=address, port=port, role=DEFAULTS[port][0].value)


V4, V6 = "192.0.2.7", "2001:db8:85a3:8d3:1319:8a2e:370:7348"

HEALTHY = Report(
    observation=observation(*(healthy(a, p) for a in (V4, "2001:db8::7") for p in (25, 465, 587))),
    verdicts=tuple(
        Verdict(rule=rule, subject=subject(V4, 25), outcome=Judgement.PASSED)
        for rule in ("banner-malformed", "cert-untrusted", "starttls-missing")
    ),
    checked=3,
)

EXPIRED = Finding(
    id="cert-outside-validity",
    area="certificate",
    severity=Severity.CRITICAL,
    subject=subject(V4, 465),
    also=(subject(V4, 587), subject(V6, 465)),
    message="The certificate of mail.example.org expired 3 days ago, on 2031-05-03 12:00 UTC.",
    remedy="Renew the certificate and reload the server; see to it that renewal also reloads it.",
    reference="RFC 5280 §4.1.2.5",
    evidence=(
        Evidence(step=1, event=6, excerpt="notAfter=2031-05-03 12:00:00, CN=mail.example.org"),
    ),
    causes=tuple(f"cert-untrusted@{V4}:{port}" for port in (465, 587)),
)

REFUSED = Finding(
    id="service-refused",
    area="connect",
    severity=Severity.ERROR,
    subject=subject(V6, 25),
    message="The server turns every client away: it greets with 554.",
    remedy="Read its words: a block list, a host that takes no mail, or maintenance.",
    reference="RFC 5321 §3.1, RFC 7504 §3",
    evidence=(Evidence(step=3, event=0), Evidence(step=3, excerpt="554 again")),
)

DISCLOSES = Finding(
    id="banner-discloses-software",
    area="connect",
    severity=Severity.INFO,
    subject=subject(V4, 25),
    message="The greeting names the software: Postfix.",
    remedy="Nothing, unless your policy forbids it.",
    reference="RFC 5321 §7.4",
    evidence=(Evidence(step=0, event=1, excerpt="220 mail.example.org ESMTP Postfix"),),
)

LEGACY = Finding(
    id="tls-legacy-version",
    area="tls",
    severity=Severity.WARNING,
    subject=subject(V4, 587),
    message="TLS 1.0 is accepted.",
    remedy="Switch TLS 1.0 and TLS 1.1 off.",
    reference="RFC 8996 §4",
    evidence=(Evidence(step=6, event=-1, excerpt="TLSv1: ECDHE-RSA-AES128-SHA"),),
)

TIMED_OUT = Finding(
    id="egress-blocked",
    area="connect",
    severity=Severity.NOTICE,
    status=Status.INCONCLUSIVE,
    subject=Subject(host=NAME),
    message="Nothing on port 25 answers from here, and neither does the control host.",
    remedy="Run from another network, or ask your provider whether port 25 is open to you.",
    reference="RFC 5068",
)

UNTRUSTED = Finding(
    id="cert-untrusted",
    area="certificate",
    severity=Severity.ERROR,
    subject=subject(V4, 465),
    message="The chain cannot be verified: certificate has expired.",
    remedy="Use a certificate that mail programs trust.",
    reference="RFC 8314 §4.4",
    explained_by="cert-outside-validity",
)

BROKEN = Report(
    observation=observation(
        healthy(V4, 25),
        healthy(V4, 465, -3),
        healthy(V4, 587, -3),
        replace(
            failed(V6, 25, Stage.GREETING, Kind.REJECTED, 0.21),
            greeting=exchange(b"554 5.7.1 no mail for you\r\n"),
            transcript=dialogue(said(0.2, b"554 5.7.1 no mail for you\r\n")),
        ),
        replace(healthy(V6, 465, -3), tls=session(-3, "TLSv1.2")),
        failed(V6, 587, Stage.CONNECT, Kind.TIMED_OUT, 10.0),
        Step(
            probe=Probe.VERSION,
            host=host(V4, 587),
            version=VersionOffer(version=Version.TLS1_0, offer=Offer.ACCEPTED),
            transcript=dialogue(sent(0.1, bytes(range(90))), said(0.2, b"\x16\x03\x01\x00\x02")),
        ),
    ),
    verdicts=(
        Verdict(rule="cert-outside-validity", subject=subject(V4, 465), outcome=Judgement.FAILED),
        Verdict(rule="cert-untrusted", subject=subject(V4, 465), outcome=Judgement.FAILED),
        Verdict(rule="banner-malformed", subject=subject(V4, 25), outcome=Judgement.PASSED),
        Verdict(
            rule="auth-missing",
            subject=subject(V6, 587),
            outcome=Judgement.INCONCLUSIVE,
            reason="no connection",
        ),
    ),
    findings=(EXPIRED, REFUSED, LEGACY, DISCLOSES, TIMED_OUT),
    consequences=(UNTRUSTED,),
    unchecked=(
        Unchecked(what="auth-missing on 192.0.2.7:587", why="the connection timed out"),
        Unchecked(what="starttls-missing on 192.0.2.7:587", why="the connection timed out"),
        Unchecked(what="4 more addresses were not asked", why=""),
        Unchecked(what="SSLv3", why="a ClientHello for it is not sent"),
    ),
    checked=31,
    status=Judgement.FAILED,
    worst=Severity.CRITICAL,
)

NOWHERE = Report(
    observation=observation(name="nowhere.example"),
    findings=(
        Finding(
            id="domain-undeliverable",
            area="dns",
            severity=Severity.CRITICAL,
            subject=Subject(host="nowhere.example"),
            message="nowhere.example has no address.",
            remedy="Publish an A or AAAA record for it.",
            reference="RFC 5321 §5.1",
            evidence=(Evidence(lookup=0),),
        ),
    ),
    checked=1,
    status=Judgement.FAILED,
    worst=Severity.CRITICAL,
)

SILENT = Report(
    observation=observation(failed(V4, 25, Stage.CONNECT, Kind.TIMED_OUT, 10.0)),
    findings=(TIMED_OUT,),
    unchecked=(Unchecked(what="everything on port 25", why="the connection timed out"),),
    status=Judgement.INCONCLUSIVE,
)

TWO_NAMES = replace(
    HEALTHY,
    observation=replace(
        observation(
            healthy(V4, 25),
            replace(
                healthy("198.51.100.25", 25), host=host("198.51.100.25", 25, "mx2.example.org")
            ),
        ),
        target=Target(given="example.org", host="example.org", verify="example.org"),
    ),
    findings=(replace(LEGACY, severity=Severity.NOTICE, subject=subject(V4, 25)),),
    worst=Severity.NOTICE,
)
