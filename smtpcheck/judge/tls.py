"""Rules about the versions of TLS that a port accepts."""

from smtpcheck.facts.tls import Offer, Version
from smtpcheck.judge.case import Case
from smtpcheck.judge.catalogue import ENCRYPTED, Remark, Said, Unjudged, by_role, rule
from smtpcheck.judge.report import Evidence, Severity
from smtpcheck.judge.words import listed, spoken

LEGACY = (Version.TLS1_0, Version.TLS1_1)
MODERN = (Version.TLS1_2, Version.TLS1_3)


@rule(
    "tls-legacy-version",
    area="tls",
    severity=by_role(mx=Severity.NOTICE, submission=Severity.ERROR),
    reference="RFC 8996 §4, §5; RFC 8997; RFC 9325 §5.2",
    remedy="Disable {versions} on submission ports; on an MX decide whether senders that know "
    "nothing newer should fall back to clear text instead. Postfix: smtpd_tls_protocols = "
    ">=TLSv1.2, smtpd_tls_mandatory_protocols = >=TLSv1.2; Dovecot: ssl_min_protocol = TLSv1.2; "
    "Exim with GnuTLS: tls_require_ciphers = NORMAL:-VERS-TLS1.0:-VERS-TLS1.1.",
    needs=("offers",),
    applies=ENCRYPTED,
    explained_by=("tls-modern-missing",),
)
def tls_legacy_version(case: Case) -> Said:
    """The port accepts TLS 1.0 or 1.1, which are withdrawn.

    Their handshake rests on SHA-1 and MD5, and attacks on their ciphers are published. Mail
    programs have not needed them for a decade. On an MX, where the alternative is clear
    text, old TLS is still better than none.

    Servers get here through distributions that left the minimum version open, GnuTLS's
    NORMAL among them, or through settings kept for a scanner or printer.
    """
    accepted = _which(case, LEGACY, Offer.ACCEPTED)
    undecided = _open(case, LEGACY)
    if accepted:
        named = listed(spoken(version) for version in accepted)
        yield Remark(
            message=f"{named} {'is' if len(accepted) == 1 else 'are'} accepted",
            evidence=_evidence(case, accepted),
            fill={"versions": named},
            because=() if _which(case, MODERN, Offer.ACCEPTED) else None,
        )
    elif undecided:
        yield Unjudged(reason=f"{listed(map(spoken, undecided))} was not decided")


@rule(
    "tls-modern-missing",
    area="tls",
    severity=Severity.ERROR,
    reference="RFC 9325 §3.1.1",
    remedy="Update the TLS library and enable TLS 1.2 and TLS 1.3.",
    needs=("offers",),
    applies=ENCRYPTED,
)
def tls_modern_missing(case: Case) -> Said:
    """The port speaks neither TLS 1.2 nor TLS 1.3, or lacks TLS 1.3 only.

    Current clients speak nothing older than TLS 1.2, so they can't connect, or send in clear
    text. Where TLS 1.2 works, the absence of 1.3 is worth knowing and no fault.

    Servers get here on systems past their support, on appliances, and through a list of
    protocols that was frozen years ago.
    """
    refused = _which(case, MODERN, Offer.REFUSED)
    accepted = [version for version, offer in case.offers.items() if offer is Offer.ACCEPTED]
    if undecided := _open(case, MODERN):
        yield Unjudged(reason=f"{listed(map(spoken, undecided))} was not decided")
    elif not accepted:
        yield Unjudged(reason="no version at all was accepted")
    elif len(refused) == len(MODERN):
        yield Remark(
            message=f"neither TLS 1.2 nor TLS 1.3 is accepted, only "
            f"{listed(map(spoken, accepted))}",
            evidence=_evidence(case, refused),
        )
    elif Version.TLS1_3 in refused:
        yield Remark(
            message="TLS 1.3 is not accepted",
            evidence=_evidence(case, refused),
            severity=Severity.INFO,
        )


def _which(case: Case, versions: tuple[Version, ...], offer: Offer) -> list[Version]:
    return [version for version in versions if case.offers.get(version) is offer]


def _open(case: Case, versions: tuple[Version, ...]) -> list[Version]:
    unknown = (None, Offer.UNDECIDED)
    return [version for version in versions if case.offers.get(version) in unknown]


def _evidence(case: Case, versions: list[Version]) -> tuple[Evidence, ...]:
    found: list[Evidence] = []
    for version in versions:
        for step in case.versions:
            if step.version and step.version.version is version:
                words = step.version.cipher or step.version.detail or step.version.offer
                found += case.evidence(step, excerpt=f"{spoken(version)}: {words}")
                break
        else:
            found += case.evidence(case.dialogue, excerpt=f"{spoken(version)}: negotiated")
    return tuple(found)
