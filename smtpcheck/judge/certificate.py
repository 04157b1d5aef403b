"""Rules about the certificate: its dates, its names, its chain and its keys.

Causal order: what is expired is renewed, whoever signed it, so expiry is always a root. A
self-signed certificate that also bears another name is one throwaway certificate: the wrong
name follows from it. With any other issuer, name and trust are two faults.
"""

from datetime import datetime, timedelta

from smtpcheck.facts.tls import Certificate, VerifyError
from smtpcheck.judge.case import Case
from smtpcheck.judge.catalogue import ENCRYPTED, Remark, Said, Unjudged, by_role, rule
from smtpcheck.judge.report import Evidence, Judgement, Severity
from smtpcheck.judge.words import day, days, listed, shown
from smtpcheck.policy.names import names_host

SOON = timedelta(days=14)
"""Or a quarter of the lifetime where that is less: some certificates live six days."""

# What OpenSSL calls X509_V_ERR_…
NO_LOCAL_ISSUER = 20
NO_LEAF_SIGNATURE = 21
SELF_SIGNED_LEAF = 18
SELF_SIGNED_IN_CHAIN = 19
EXPIRED = 10
DATES = frozenset({9, EXPIRED})
NAMES = frozenset({62, 63, 64})
TOO_WEAK = frozenset({66, 67, 68})
NO_ISSUER = frozenset({2, NO_LOCAL_ISSUER, NO_LEAF_SIGNATURE})
FOLLOWS = frozenset({2, NO_LEAF_SIGNATURE, 27})
"""Objections that OpenSSL adds to another one on the same chain."""

OLD_ROOT = (
    "Serve a chain that ends in a current root; if it is only the trust store of the checking "
    "machine that is old, update that (ca-certificates), or give --ca-file."
)

WEAK_HASHES = frozenset({"md2", "md4", "md5", "sha1"})
RSA_BITS = 2048
EC_BITS = 256


@rule(
    "cert-outside-validity",
    area="certificate",
    severity=by_role(mx=Severity.ERROR, submission=Severity.CRITICAL),
    reference="RFC 5280 §4.1.2.5",
    remedy="{deed}",
    needs=("leaf",),
    applies=ENCRYPTED,
)
def cert_outside_validity(case: Case) -> Said:
    """A certificate is expired, or not yet valid.

    Mail programs refuse to log in or frighten their users. Senders that verify (MTA-STS,
    DANE-TA, configured policies) stop delivering; the others go on.

    Servers get here when a renewal failed unseen, and more often when it succeeded and the
    server was never reloaded. "Not yet valid" points to a wrong clock on either side.
    """
    for depth, certificate in enumerate(case.chain):
        start, end = certificate.not_before, certificate.not_after
        objected = depth == 0 or any(e.depth == depth and e.code in DATES for e in _errors(case))
        if not objected:
            continue
        whose = "the certificate" if depth == 0 else f"the intermediate {_name(certificate)}"
        if end and _expired(case, certificate):
            message = f"{whose} expired on {day(end)}, {days(case.now - end)} ago"
            deed = "Renew the certificate if that has not happened, then reload the server."
        elif start and _early(case, certificate):
            message = f"{whose} is not valid before {day(start)}"
            deed = "Set the clock of the machine that issues, or wait; serve the old one till then."
        else:
            continue
        if depth:
            deed = "Serve the current intermediate of the issuer, then reload the server."
        yield Remark(
            message=message,
            evidence=_seen(case, f"{_span(certificate)}, {_print(certificate)}"),
            fill={"deed": deed},
            key=certificate.sha256,
        )
        return


@rule(
    "cert-expires-soon",
    area="certificate",
    severity=Severity.WARNING,
    reference="RFC 5280 §4.1.2.5",
    remedy="Renew now, and check that renewal and reload both happen by themselves.",
    needs=("leaf",),
    applies=ENCRYPTED,
)
def cert_expires_soon(case: Case) -> Said:
    """The certificate has fewer days left than a renewal should leave.

    The threshold is 14 days, or a quarter of the lifetime where that is less. Automatic
    renewal comes before that, so something has already failed.

    Servers get here when the renewal job broke, when its hook reloads the web server and
    forgets the mail server, or when renewal is done by hand.
    """
    leaf = case.leaf
    if leaf is None or leaf.not_after is None or leaf.not_before is None:
        yield Unjudged(reason="the dates of the certificate could not be read")
        return
    left = leaf.not_after - case.now
    if timedelta(0) <= left < min(SOON, (leaf.not_after - leaf.not_before) / 4):
        yield Remark(
            message=f"the certificate expires on {day(leaf.not_after)}, in {days(left)}",
            evidence=_seen(case, f"{_span(leaf)}, {_print(leaf)}"),
            key=leaf.sha256,
        )


@rule(
    "cert-name-mismatch",
    area="certificate",
    severity=by_role(mx=Severity.WARNING, submission=Severity.ERROR),
    reference="RFC 7817 §3; RFC 9525 §6.3",
    remedy="Issue a certificate that names {name}, or have clients use a name that it bears: "
    "{names}.",
    needs=("leaf",),
    applies=ENCRYPTED,
    explained_by=("cert-untrusted",),
)
def cert_name_mismatch(case: Case) -> Said:
    """The certificate does not name the host that was asked for.

    Clients compare the name they were given with the subject alternative names, and nothing
    else counts today. Mail programs refuse; senders that verify do not deliver.

    Servers get here when the host got a new name, when users were told an alias that the
    certificate lacks, when a default certificate answers, or when it names itself in the
    common name only.
    """
    leaf, name = case.leaf, case.observation.target.verify
    if leaf is None:
        return
    if not name:
        yield Unjudged(
            reason="no name to check, give --name",
            outcome=Judgement.NOT_APPLICABLE,
            what="the name in the certificate",
        )
    elif not names_host(name, leaf.names, leaf.addresses):
        by_common_name = names_host(name, (leaf.common_name,), (leaf.common_name,))
        borne = listed(shown(n, 60) for n in (*leaf.names, *leaf.addresses)[:6]) or "none"
        yield Remark(
            message=f"only the common name of the certificate is {name}"
            if by_common_name
            else f"the certificate names {_borne(leaf)}, not {name}",
            evidence=_seen(case, f"subjectAltName {borne}; {_print(leaf)}"),
            severity=Severity.NOTICE if by_common_name else None,
            fill={"name": name, "names": borne},
            key=leaf.sha256,
            because=None if _throwaway(case) else (),
        )


@rule(
    "cert-untrusted",
    area="certificate",
    severity=by_role(mx=Severity.NOTICE, submission=Severity.ERROR),
    reference="RFC 8314 §4.4; RFC 5280 §6",
    remedy="Use a certificate of a public authority; for a private one give --ca-file, and "
    "install its root on every client.",
    needs=("leaf",),
    applies=ENCRYPTED,
    explained_by=("cert-chain-incomplete", "cert-weak"),
)
def cert_untrusted(case: Case) -> Said:
    """No path leads from the certificate to a trusted root.

    Mail programs warn or refuse. Other servers deliver nonetheless, as opportunistic TLS
    checks nothing, unless MTA-STS or DANE-TA asks for more.

    Servers get here with the self-signed certificate of the installation, with a private
    authority that outsiders do not know, and with a chain whose root was withdrawn.
    """
    if case.tls is None or case.leaf is None:
        return
    if not case.tls.trust.anchors:
        yield Unjudged(reason="the trust store is empty", what="trust in the certificate")
    elif error := _distrust(case):
        yield Remark(
            message=_objection(case, error),
            evidence=_seen(
                case, f"depth {error.depth}: {error.message} ({error.code}); {_print(case.leaf)}"
            ),
            remedy=OLD_ROOT if error.code in DATES else "",
            key=case.leaf.sha256,
            because=_cause_of_distrust(error),
        )


@rule(
    "cert-chain-incomplete",
    area="certificate",
    severity=by_role(mx=Severity.WARNING, submission=Severity.ERROR),
    reference="RFC 8446 §4.4.2",
    remedy="Serve the full chain: the server's certificate first, then each intermediate, the "
    "root left out (fullchain.pem, not cert.pem).{private}",
    needs=("leaf",),
    applies=ENCRYPTED,
)
def cert_chain_incomplete(case: Case) -> Said:
    """An intermediate certificate is missing, or the chain is out of order.

    Browsers fetch or remember what is missing, so the fault stays hidden there. Mail programs
    and servers mostly don't, and see an unknown issuer.

    Servers get here when the configuration names the certificate alone, or when the files
    were joined in the wrong order.
    """
    leaf = case.leaf
    if leaf is None or leaf.self_issued:
        return
    if orphan := _orphan(case):
        issuer = shown(orphan.issuer, 80)
        yield Remark(
            message=f"the issuer {issuer} is neither served nor known here: an intermediate "
            "left out, or a private root",
            evidence=_seen(case, f"{len(case.chain)} certificate(s); {_print(orphan)}"),
            fill={
                "private": f" If {issuer} is the root of a private authority, give --ca-file, and "
                "install it on every client."
            },
            key=orphan.sha256,
        )
        return
    issuers = [n for n, other in enumerate(case.chain[1:], 1) if _issued(other, leaf)]
    if issuers and issuers[0] > 1:
        yield Remark(
            message="the chain is out of order: the second certificate did not issue the first",
            evidence=_seen(case, " / ".join(_name(c) for c in case.chain)),
            severity=None if _distrust(case) else Severity.NOTICE,
            fill={"private": ""},
            key=leaf.sha256,
        )


@rule(
    "cert-weak",
    area="certificate",
    severity=Severity.ERROR,
    reference="RFC 9325 §4.5",
    remedy="Issue a new certificate with an RSA key of 2048 bits or an EC key on P-256, signed "
    "with SHA-256.",
    needs=("leaf",),
    applies=ENCRYPTED,
)
def cert_weak(case: Case) -> Said:
    """A key is too short, or a signature rests on MD5 or SHA-1.

    Such keys and signatures can be forged at known cost, and current TLS libraries refuse
    them at their default security level: the handshake then fails without a clear word.

    Servers get here with certificates made years ago for ten years ahead, and with private
    authorities that were never renewed.
    """
    for depth, certificate in enumerate(case.chain):
        root = depth > 0 and certificate.self_issued
        if not root and (faults := _weak(certificate)):
            whose = "the certificate" if depth == 0 else f"the intermediate {_name(certificate)}"
            yield Remark(
                message=f"{whose} has {listed(faults)}",
                evidence=_seen(case, f"{_name(certificate)}, {_print(certificate)}"),
                key=certificate.sha256,
            )


def _errors(case: Case) -> tuple[VerifyError, ...]:
    return case.tls.errors if case.tls else ()


def _distrust(case: Case) -> VerifyError | None:
    """The objection that tells most, dates and names apart: those have rules of their own."""
    errors = [e for e in _errors(case) if e.code not in NAMES and not _dated(case, e)]
    telling = [e for e in errors if e.code not in FOLLOWS]
    return next(iter(telling or errors), None)


def _dated(case: Case, error: VerifyError) -> bool:
    """A date that is told of already; a root in the trust store has none that we see."""
    if error.code not in DATES or not 0 <= error.depth < len(case.chain):
        return False
    certificate = case.chain[error.depth]
    return error.depth == 0 or _expired(case, certificate) or _early(case, certificate)


def _expired(case: Case, certificate: Certificate) -> bool:
    return certificate.not_after is not None and certificate.not_after < case.now


def _early(case: Case, certificate: Certificate) -> bool:
    return certificate.not_before is not None and certificate.not_before > case.over


def _orphan(case: Case) -> Certificate | None:
    """Where the path ends for want of an issuer that its certificate says where to fetch.

    Seen from outside, an intermediate that is not served and the root of a private authority
    that issues servers' certificates itself (Active Directory's default) are one thing.
    """
    if not any(error.code in NO_ISSUER for error in _errors(case)):
        return None
    path = list(case.chain[:1])
    while issuer := next((c for c in case.chain if c not in path and _issued(c, path[-1])), None):
        path.append(issuer)
    last = path[-1]
    return last if last.issuer_urls and not last.self_issued else None


def _throwaway(case: Case) -> bool:
    error = _distrust(case)
    return error is not None and error.code == SELF_SIGNED_LEAF


def _cause_of_distrust(error: VerifyError) -> tuple[str, ...]:
    if error.code in TOO_WEAK:
        return ("cert-weak",)
    return ("cert-chain-incomplete",) if error.code in NO_ISSUER else ()


def _objection(case: Case, error: VerifyError) -> str:
    if error.code == SELF_SIGNED_LEAF:
        return "the certificate is self-signed"
    if error.code == SELF_SIGNED_IN_CHAIN:
        return f"its root {_name(case.chain[-1])} is not in the trust store"
    if error.code in NO_ISSUER:
        at = case.chain[max(0, min(error.depth, len(case.chain) - 1))]
        return f"its issuer {shown(at.issuer, 80)} is not in the trust store"
    if error.code in DATES:
        when = "has expired" if error.code == EXPIRED else "is not yet valid"
        return f"a certificate of the trust store, above the chain as presented, {when}"
    return f"the certificate is not trusted: {shown(error.message, 80)}"


def _issued(issuer: Certificate, certificate: Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    wanted, own = certificate.authority_key_id, issuer.subject_key_id
    return not wanted or not own or wanted == own


def _weak(certificate: Certificate) -> list[str]:
    faults = []
    if certificate.key in ("RSA", "DSA") and 0 < certificate.bits < RSA_BITS:
        faults.append(f"an {certificate.key} key of {certificate.bits} bits")
    if certificate.key == "EC" and 0 < certificate.bits < EC_BITS:
        faults.append(f"an EC key of {certificate.bits} bits ({certificate.curve})")
    weak_hash = certificate.signature.lower().replace("-", "") in WEAK_HASHES
    if weak_hash and not certificate.self_issued:
        faults.append(f"a signature with {certificate.signature.upper()}")
    return faults


def _seen(case: Case, excerpt: str) -> tuple[Evidence]:
    return case.evidence(case.dialogue, excerpt=excerpt)


def _name(certificate: Certificate) -> str:
    return shown(certificate.common_name or certificate.subject or "without a subject", 60)


def _borne(leaf: Certificate) -> str:
    names = [shown(name, 60) for name in (*leaf.names, *leaf.addresses)]
    if not names:
        return f"nothing but its common name {_name(leaf)}" if leaf.common_name else "nothing"
    more = len(names) - 4
    return listed([*names[:4], f"{more} more"] if more > 0 else names)


def _span(certificate: Certificate) -> str:
    return f"valid {_moment(certificate.not_before)} to {_moment(certificate.not_after)}"


def _moment(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC") if moment else "?"


def _print(certificate: Certificate) -> str:
    return f"sha256 {certificate.sha256[:16]}…" if certificate.sha256 else "no fingerprint"
