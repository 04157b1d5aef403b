"""What fires each rule and what keeps it quiet: the difference is one fact.

Run as a module to write the files: `python -m tests.judge.fixtures`. Where tests/judge/trim.py
names a real run, the files are its own, and the pair here serves other tests.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from smtpcheck import codec
from smtpcheck.facts.dns import Answer
from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.observation import Observation
from smtpcheck.facts.smtp import Ending
from smtpcheck.facts.step import Probe
from smtpcheck.facts.tls import Certificate, Offer, VerifyError, Version, VersionOffer
from tests.judge.build import (
    AUTH,
    BASE,
    EXPIRED,
    FOUND,
    INTERMEDIATE,
    LEAF,
    NAME,
    NO_ISSUER,
    NOW,
    ROOT_CERTIFICATE,
    SELF_SIGNED,
    cleartext,
    control,
    dialogue,
    ehlo,
    error,
    exchange,
    filtered,
    greeting,
    healthy,
    host,
    lookup,
    observed,
    port,
    refused,
    refused_ehlo,
    session,
    stopped,
    versions,
)
from tests.judge.trim import REAL

FOLDER = Path(__file__).parent

Pair = tuple[Observation, Observation]


def _greets(text: str, took: float = 0.02) -> Observation:
    return observed(port(25, greeting=greeting(text, took)))


def _lists(*keywords: str) -> Observation:
    return observed(port(25, ehlo_tls=ehlo(*keywords)))


def _before_tls(number: int, *keywords: str) -> Observation:
    return observed(port(number, ehlo=ehlo(*BASE, "STARTTLS", *keywords)))


def _logins(*mechanisms: str) -> Observation:
    return observed(port(587, ehlo_tls=ehlo(*BASE, f"AUTH {' '.join(mechanisms)}")))


def _chain(*chain: Certificate, errors: tuple[VerifyError, ...] = ()) -> Observation:
    return observed(port(587, tls=session(*chain, errors=errors)))


def _accepts(number: int, *accepted: Version) -> Observation:
    place = host(number)
    negotiated = session(version=max(accepted, key=list(Version).index).value)
    return observed([replace(dialogue(place), tls=negotiated), *versions(place, *accepted)])


BLANK = Ending(closed_by_server=True)
SELF = replace(LEAF, subject=f"CN={NAME}", issuer=f"CN={NAME}", issuer_urls=())
SILENT = stopped(host(587), Stage.GREETING, Kind.TIMED_OUT, "silent, and it speaks TLS")
MUTE = stopped(host(587), Stage.GREETING, Kind.TIMED_OUT, "no greeting in 30 s")
HELLO = replace(
    dialogue(host(587)),
    probe=Probe.TLS_FIRST,
    greeting=None,
    ehlo=None,
    starttls=None,
    tls=None,
    ehlo_tls=None,
    ending=None,
    version=VersionOffer(version=Version.TLS1_2, offer=Offer.ACCEPTED, cipher="ECDHE"),
)
NOT_TLS = VersionOffer(version=Version.TLS1_2, offer=Offer.UNDECIDED, detail="no answer")
LMTP = ehlo(
    *BASE, verb="LHLO", refused=(exchange("EHLO check.example.net", "500 5.5.1 Unknown command\n"),)
)
HELO = ehlo(
    verb="HELO", refused=(exchange("EHLO check.example.net", "502 5.5.2 Not recognized\n"),)
)
THROTTLED = stopped(
    host(25),
    Stage.GREETING,
    Kind.THROTTLED,
    "421 4.7.0 too many connections",
    greeting=greeting(f"421 4.7.0 {NAME} too many connections\n"),
)

FIXTURES: dict[str, Pair] = {
    "domain-undeliverable": (
        observed((), dns=(lookup("A", Answer.NO_DATA), lookup("AAAA", Answer.NO_DATA))),
        observed((), dns=(lookup("A", Answer.NO_DATA), lookup("AAAA", Answer.TIMED_OUT))),
    ),
    "dns-inconclusive": (
        observed(port(587), dns=(FOUND[0], lookup("AAAA", Answer.SERVER_FAILED))),
        healthy(587),
    ),
    "port-closed": (
        observed([refused(host(2525, asked=True)), *port(587)]),
        observed([refused(host(25)), *port(587)]),
    ),
    "port-timeout": (
        observed([filtered(host(587, asked=True)), control(587)]),
        observed([refused(host(587, asked=True)), control(587)]),
    ),
    "egress-blocked": (
        observed([filtered(host(25)), control(25, answers=False)]),
        observed([filtered(host(25)), control(25)]),
    ),
    "banner-slow": (
        _greets(f"220 {NAME} ESMTP\n", took=11.2),
        _greets(f"220 {NAME} ESMTP\n", took=6.1),
    ),
    "banner-malformed": (
        _greets(f"220 {'*' * 40}\n"),
        _greets(f"220-{NAME} ESMTP\n220-we keep logs\n220 go ahead\n"),
    ),
    "banner-discloses-software": (
        _greets(f"220 {NAME} ESMTP Exim 4.96 Tue, 06 May 2031 12:00:00 +0000\n"),
        _greets(f"220 {NAME} ESMTP Postfix (Debian/GNU)\n"),
    ),
    "service-refused": (
        observed(
            [
                stopped(
                    host(25),
                    Stage.GREETING,
                    Kind.REJECTED,
                    greeting=greeting(f"554 5.7.1 {NAME} your address is listed\n"),
                    ending=BLANK,
                )
            ]
        ),
        observed([THROTTLED]),
    ),
    "client-throttled": (observed([THROTTLED]), healthy(25)),
    "session-dropped": (
        observed([stopped(host(25), Stage.EHLO, Kind.CLOSED, greeting=greeting())]),
        observed([THROTTLED]),
    ),
    "ehlo-rejected": (
        observed(
            [
                stopped(
                    host(25),
                    Stage.EHLO,
                    Kind.REJECTED,
                    greeting=greeting(),
                    ehlo=refused_ehlo("550 5.7.1 Access denied\n"),
                )
            ]
        ),
        observed(
            [
                stopped(
                    host(25),
                    Stage.EHLO,
                    Kind.THROTTLED,
                    greeting=greeting(),
                    ehlo=refused_ehlo("450 4.7.1 Try again later\n"),
                )
            ]
        ),
    ),
    "ehlo-reply-malformed": (
        _lists(*BASE, "SIZE 1000000000", "HELP!"),
        _lists(*BASE, "AUTH PLAIN LOGIN", "AUTH=PLAIN LOGIN"),
    ),
    "extensions-missing": (_lists("SIZE 52428800", "8BITMIME"), _lists(*BASE)),
    "size-limit-low": (
        _lists("PIPELINING", "SIZE 1000000", "8BITMIME", "ENHANCEDSTATUSCODES"),
        _lists("PIPELINING", "SIZE 0", "8BITMIME", "ENHANCEDSTATUSCODES"),
    ),
    "trusted-extension-exposed": (
        _lists(*BASE, "XCLIENT NAME ADDR PROTO HELO"),
        _lists(*BASE, "X-EXPS GSSAPI"),
    ),
    "binarymime-without-chunking": (
        _lists("PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES", "BINARYMIME"),
        _lists(*BASE, "BINARYMIME"),
    ),
    "smtputf8-without-8bitmime": (
        _lists("PIPELINING", "SIZE", "ENHANCEDSTATUSCODES", "SMTPUTF8"),
        _lists(*BASE, "SMTPUTF8"),
    ),
    "requiretls-before-tls": (_before_tls(25, "REQUIRETLS"), _lists(*BASE, "REQUIRETLS")),
    "lmtp-on-smtp-port": (
        observed(
            port(25, ehlo=LMTP, starttls=None, tls=None, ehlo_tls=None)[:1],
        ),
        _greets(f"220 {NAME} ESMTP, our LMTP is elsewhere\n"),
    ),
    "starttls-missing": (
        observed(port(587, ehlo=ehlo(*BASE), starttls=None, tls=None, ehlo_tls=None)[:1]),
        healthy(587),
    ),
    "starttls-handshake-fails": (
        observed(
            [
                stopped(
                    host(587),
                    Stage.TLS,
                    Kind.TLS_FAILED,
                    "sslv3 alert handshake failure",
                    greeting=greeting(),
                    ehlo=ehlo(*BASE, "STARTTLS"),
                    starttls=exchange("STARTTLS", "220 2.0.0 Ready to start TLS\n"),
                )
            ]
        ),
        healthy(587),
    ),
    "tls-on-plaintext-port": (
        observed([SILENT, HELLO]),
        observed([MUTE, replace(HELLO, version=NOT_TLS)]),
    ),
    "implicit-tls-missing": (
        observed([refused(host(465)), *port(587)]),
        observed([refused(host(465)), *port(25)]),
    ),
    "plaintext-on-implicit-port": (
        observed(
            [
                stopped(
                    host(465),
                    Stage.TLS,
                    Kind.NOT_TLS,
                    first_octets=f"220 {NAME} ESMTP Postfix\r\n".encode(),
                )
            ]
        ),
        observed(
            [stopped(host(465), Stage.TLS, Kind.NOT_TLS, first_octets=b"SSH-2.0-OpenSSH_9.2\r\n")]
        ),
    ),
    "submission-cleartext": (
        observed([*port(587)[:-1], cleartext(host(587), "250 2.1.0 Ok\n")]),
        healthy(587),
    ),
    "tls-legacy-version": (
        _accepts(465, Version.TLS1_0, Version.TLS1_1, Version.TLS1_2),
        _accepts(465, Version.TLS1_2),
    ),
    "tls-modern-missing": (
        _accepts(25, Version.TLS1_0),
        _accepts(25, Version.TLS1_3),
    ),
    "cert-outside-validity": (
        _chain(replace(LEAF, not_after=NOW - timedelta(days=3)), INTERMEDIATE, errors=(EXPIRED,)),
        _chain(replace(LEAF, not_after=NOW + timedelta(days=3)), INTERMEDIATE),
    ),
    "cert-expires-soon": (
        _chain(replace(LEAF, not_after=NOW + timedelta(days=5)), INTERMEDIATE),
        _chain(
            replace(LEAF, not_before=NOW - timedelta(days=3), not_after=NOW + timedelta(days=3)),
            INTERMEDIATE,
        ),
    ),
    "cert-name-mismatch": (
        _chain(replace(LEAF, names=("www.example.org",), common_name=""), INTERMEDIATE),
        _chain(replace(LEAF, names=("*.example.org",)), INTERMEDIATE),
    ),
    "cert-untrusted": (
        _chain(SELF, errors=(SELF_SIGNED,)),
        _chain(replace(LEAF, not_after=NOW - timedelta(days=3)), INTERMEDIATE, errors=(EXPIRED,)),
    ),
    "cert-chain-incomplete": (
        _chain(LEAF, errors=NO_ISSUER),
        _chain(replace(LEAF, issuer_urls=()), errors=NO_ISSUER),
    ),
    "cert-weak": (
        _chain(
            replace(LEAF, key="RSA", bits=1024, curve=""),
            INTERMEDIATE,
            errors=(error(66, "EE certificate key too weak"),),
        ),
        _chain(LEAF, INTERMEDIATE, replace(ROOT_CERTIFICATE, signature="sha1")),
    ),
    "auth-missing": (observed(port(587, ehlo_tls=ehlo(*BASE))), healthy(587)),
    "auth-in-cleartext": (
        _before_tls(587, AUTH),
        _before_tls(587, "AUTH SCRAM-SHA-256 GSSAPI"),
    ),
    "auth-legacy-mechanism": (
        _logins("PLAIN", "CRAM-MD5", "NTLM"),
        _logins("PLAIN", "SCRAM-SHA-256"),
    ),
    "auth-on-mx": (observed(port(25, ehlo_tls=ehlo(*BASE, AUTH))), healthy(25)),
}


def write() -> None:
    """Store the pairs that no real run stands for, under the id of their rule."""
    for id_, (fires, quiet) in FIXTURES.items():
        if id_ in REAL:
            continue
        folder = FOLDER / id_
        folder.mkdir(exist_ok=True)
        (folder / "fires.json").write_bytes(codec.encode(fires))
        (folder / "quiet.json").write_bytes(codec.encode(quiet))


if __name__ == "__main__":
    write()
