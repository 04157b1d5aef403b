"""Fixtures out of real runs: facts kept, transcripts and octets of certificates left out.

`pytest tests/real --save-observations FOLDER`, then `python -m tests.judge.trim FOLDER`.
A rule that stands here has no file from tests/judge/fixtures.py.
"""

import sys
from dataclasses import replace
from pathlib import Path

from smtpcheck import codec
from smtpcheck.facts.observation import Observation
from smtpcheck.facts.step import Step
from smtpcheck.facts.tls import TlsSession

TRUST = "the tests' own CA"

MX, USERS, WRAPPED = "postfix-healthy-MX-alone", "postfix-healthy-wildcard", "dovecot-expired"

REAL: dict[str, tuple[str, str]] = {
    "port-closed": ("postfix-a-closed-port-that-was-asked-for", "postfix-no-465-beside-587"),
    "port-timeout": ("filtered_port_beside_a_control_that_answers", "nobody_listens"),
    "egress-blocked": (
        "filtered_port_and_a_control_that_is_as_silent",
        "filtered_port_beside_a_control_that_answers",
    ),
    "banner-slow": ("postfix-greets-after-eleven-seconds", MX),
    "banner-malformed": ("postfix-greets-with-asterisks", MX),
    "banner-discloses-software": ("postfix-tells-its-version", MX),
    "service-refused": ("postfix-greets-with-554", "postfix-greets-with-421"),
    "client-throttled": ("postfix-greets-with-421", "postfix-greets-with-554"),
    "session-dropped": ("aiosmtpd-hangs-up-on-EHLO", "postfix-greets-with-421"),
    "ehlo-rejected": ("postfix-EHLO-unknown-HELO-works", MX),
    "extensions-missing": ("postfix-few-extensions", MX),
    "size-limit-low": ("postfix-small-messages-only", "aiosmtpd-healthy"),
    "smtputf8-without-8bitmime": ("postfix-SMTPUTF8-without-8BITMIME", MX),
    "lmtp-on-smtp-port": ("aiosmtpd-LMTP-on-25", "postfix-EHLO-unknown-HELO-works"),
    "starttls-missing": ("postfix-no-STARTTLS-on-submission", USERS),
    "starttls-handshake-fails": ("postfix-no-usable-handshake-after-the-220", USERS),
    "tls-on-plaintext-port": ("postfix-TLS-on-587", USERS),
    "implicit-tls-missing": ("postfix-no-465-beside-587", MX),
    "plaintext-on-implicit-port": ("postfix-plaintext-on-465", WRAPPED),
    "submission-cleartext": ("postfix-mail-taken-without-TLS", USERS),
    "tls-legacy-version": ("dovecot-TLS-1-0-still-on", WRAPPED),
    "tls-modern-missing": ("postfix-TLS-1-0-only", MX),
    "cert-outside-validity": ("postfix-expired-on-submission", "postfix-expires-in-five-days"),
    "cert-expires-soon": ("postfix-expires-in-five-days", "postfix-healthy-at-half-of-six-days"),
    "cert-name-mismatch": ("postfix-wrong-name-on-submission", USERS),
    "cert-untrusted": ("postfix-self-signed-on-submission", "postfix-expired-on-submission"),
    "cert-chain-incomplete": (
        "postfix-missing-intermediate-on-submission",
        "postfix-a-company-s-own-CA",
    ),
    "cert-weak": ("postfix-weak-key", "postfix-healthy-with-RSA"),
    "auth-missing": ("postfix-no-AUTH-on-submission", USERS),
    "auth-in-cleartext": ("postfix-AUTH-before-TLS", USERS),
    "auth-legacy-mechanism": (
        "dovecot_with_mechanisms_of_another_age",
        "dovecot-wrong-name",
    ),
    "auth-on-mx": ("postfix-AUTH-before-TLS-on-MX", MX),
}


def trimmed(observation: Observation) -> Observation:
    """What rules look at, and nothing else."""
    return replace(
        observation,
        vantage=replace(observation.vantage, trust=TRUST),
        steps=tuple(_step(step) for step in observation.steps),
    )


def _step(step: Step) -> Step:
    return replace(step, transcript=None, tls=_session(step.tls) if step.tls else None)


def _session(session: TlsSession) -> TlsSession:
    return replace(
        session,
        chain=tuple(replace(certificate, der=b"") for certificate in session.chain),
        trust=replace(session.trust, source=TRUST),
    )


def main(folder: Path) -> None:
    """Write both files of every rule in REAL."""
    for id_, names in REAL.items():
        for name, kind in zip(names, ("fires", "quiet"), strict=True):
            saved = codec.decode((folder / f"test_{name}.json").read_bytes())
            target = Path(__file__).parent / id_ / f"{kind}.json"
            target.write_bytes(codec.encode(trimmed(saved)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
